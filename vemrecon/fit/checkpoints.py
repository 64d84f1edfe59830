"""Checkpoints of a training: the last one, and the one before it, which is gone on from where the last is damaged.

They are read as tensors and plain values alone. A file that holds anything else, such as one that would run code, is
damaged.
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vemrecon.files import reach_disk
from vemrecon.kept import set_aside
from vemrecon.processes import rank

CHECKPOINT: Final = "last.ckpt"
PREVIOUS: Final = "previous.ckpt"


@dataclass(frozen=True)
class Checkpoint:
    """One that can be gone on from."""

    path: Path
    epochs: int
    """That are behind it."""
    rows: tuple[tuple[int, str, float], ...] = ()
    """Of the log of losses: batch, name, value."""


def resumable(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a stage that is not damaged; damaged ones are named and moved aside."""
    for name in (CHECKPOINT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        if (found := read_checkpoint(path)) is not None:
            return found
        if rank() == 0:
            set_aside(path, "training goes on from the checkpoint before it, or anew")
    return None


def read_checkpoint(path: Path) -> Checkpoint | None:
    """What a checkpoint says of itself; None if it is missing, damaged, or holds more than tensors and plain values."""
    try:
        with zipfile.ZipFile(path) as file:  # its members have checksums
            if file.testzip() is not None:
                return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        logs = [one["rows"] for one in state.get("callbacks", {}).values() if "rows" in one]
        rows = tuple((int(batch), str(name), float(value)) for batch, name, value in (logs[0] if logs else ()))
        return Checkpoint(path, int(state["epoch"]) + 1, rows)
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, RuntimeError):
        return None
    except (KeyError, TypeError, ValueError, AttributeError):  # of another form
        return None


def last_weights(folder: Path, parts: tuple[str, ...]) -> dict[str, torch.Tensor] | None:
    """Weights of some submodules after the last batch of a stage; None if its checkpoint is gone or damaged."""
    if read_checkpoint(folder / CHECKPOINT) is None:
        return None
    state: dict[str, Any] = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    return {name: value for name, value in state["state_dict"].items() if name.partition(".")[0] in parts}


def keep(part: Path) -> None:
    """Make a checkpoint that has been written the last one, and the last one the one before it."""
    last = part.with_name(CHECKPOINT)
    reach_disk([part], part.parent)
    if last.exists():
        last.replace(part.with_name(PREVIOUS))
    part.replace(last)
