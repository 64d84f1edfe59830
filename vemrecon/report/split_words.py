"""What a reader has to know of the split of a task: whose it is, and who chose where it lies."""

from __future__ import annotations

from vemrecon import protocol

CHOSEN_HERE = "coordinates not published; chosen here"


def split_words(dataset: str, split: str) -> str:
    """The paper of a split of a built-in dataset, and that its place is ours; empty where there is nothing to say.

    >>> split_words("epfl", "emgauss"), split_words("epfl", "test")
    ('EMGauss, coordinates not published; chosen here', '')
    """
    known = dataset in protocol.names("datasets")
    facts = (protocol.load("splits", dataset) if known else {}).get(split, {})
    return ", ".join(words for words in (facts.get("paper", ""), facts.get("chosen_here") and CHOSEN_HERE) if words)
