"""Datasets: cards, splits, and the volumes behind them."""

from vemrecon.data.card import DatasetCard, DatasetFile, Split, require_apart
from vemrecon.data.catalogue import Located, dataset_card, dataset_names, locate, task_volume

__all__ = [
    "DatasetCard",
    "DatasetFile",
    "Located",
    "Split",
    "dataset_card",
    "dataset_names",
    "locate",
    "require_apart",
    "task_volume",
]
