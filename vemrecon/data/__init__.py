"""Datasets: cards, splits, and the volumes behind them."""

from vemrecon.data.card import KINDS, DatasetCard, DatasetFile, Kind
from vemrecon.data.catalogue import dataset_card, dataset_names
from vemrecon.data.locate import Located, default_data_root, fetch_needed, locate, locate_labels, task_volume
from vemrecon.data.split import Split, require_apart

__all__ = [
    "KINDS",
    "DatasetCard",
    "DatasetFile",
    "Kind",
    "Located",
    "Split",
    "dataset_card",
    "dataset_names",
    "default_data_root",
    "fetch_needed",
    "locate",
    "locate_labels",
    "require_apart",
    "task_volume",
]
