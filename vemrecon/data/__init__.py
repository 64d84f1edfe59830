"""Datasets: cards, splits, and the volumes behind them."""

from vemrecon.data.card import TASK_KINDS, DatasetCard, DatasetFile, TaskKind
from vemrecon.data.catalogue import dataset_card, dataset_names, is_dataset, plugin_datasets
from vemrecon.data.locate import Located, LocatedLabels, Locator, default_data_root, task_volume
from vemrecon.data.split import Split, require_apart

__all__ = [
    "TASK_KINDS",
    "DatasetCard",
    "DatasetFile",
    "Located",
    "LocatedLabels",
    "Locator",
    "Split",
    "TaskKind",
    "dataset_card",
    "dataset_names",
    "default_data_root",
    "is_dataset",
    "plugin_datasets",
    "require_apart",
    "task_volume",
]
