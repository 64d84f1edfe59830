"""Datasets: cards, splits, and the volumes behind them."""

from vemrecon.data.card import KINDS, DatasetCard, DatasetFile, Kind
from vemrecon.data.catalogue import dataset_card, dataset_names
from vemrecon.data.locate import Located, LocatedLabels, Locator, default_data_root, task_volume
from vemrecon.data.split import Split, require_apart

__all__ = [
    "KINDS",
    "DatasetCard",
    "DatasetFile",
    "Kind",
    "Located",
    "LocatedLabels",
    "Locator",
    "Split",
    "dataset_card",
    "dataset_names",
    "default_data_root",
    "require_apart",
    "task_volume",
]
