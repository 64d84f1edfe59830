"""What options mean: words from a shell or from make to checked values, or a ConfigError of one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vemrecon.volume import VoxelSize


def words(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Words separated by spaces or commas, as they come from a shell or from make."""
    return tuple(word for text in texts or [] for word in text.replace(",", " ").split())


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` as named values; values are read as YAML."""
    from vemrecon.protocol import value_of

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: must read ARGUMENT=VALUE")
        found[name] = value_of(value)
    return found


def integer(option: str, text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a whole number") from error


def positive(option: str, text: str) -> int:
    """A whole number of at least 1."""
    value = integer(option, text)
    if value < 1:
        raise ConfigError(f"{option} {value}: must be at least 1")
    return value


def numbers(option: str, texts: Sequence[str]) -> list[float]:
    """Several numbers."""
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise ConfigError(f"{option} {' '.join(texts)}: must be numbers") from error


def voxel_size(texts: Sequence[str] | None) -> VoxelSize | None:
    """Edges in nm, z y x."""
    from vemrecon.volume import VoxelSize

    return VoxelSize(*numbers("--voxel-size", texts)) if texts else None


def intensity_range(texts: Sequence[str] | None) -> tuple[float, float] | None:
    """Grey values that mean black and white."""
    if not texts:
        return None
    low, high = numbers("--intensity-range", texts)
    return low, high


def require_runs(runs: Path) -> None:
    """Refuse a folder of runs that is not there."""
    if not runs.is_dir():
        raise DataError(f"{runs}: no such folder of runs; `vemrecon bench` makes one, or name it with --runs")


def devices(texts: Sequence[str]) -> tuple[str, ...]:
    """Torch devices: cpu, cuda, cuda:N, or a number of GPUs."""
    found: list[str] = []
    for word in words(texts):
        if word.isdigit() and int(word) > 0:
            found += [f"cuda:{i}" for i in range(int(word))]
        elif word in ("cpu", "cuda") or (word.startswith("cuda:") and word[5:].isdigit()):
            found.append(word)
        else:
            raise ConfigError(f"--devices {word}: must be cpu, cuda, cuda:N or a number of GPUs")
    if any(device != "cpu" for device in found):
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--devices: this machine has no CUDA device that torch can use; leave it at cpu")
    return tuple(found) or ("cpu",)
