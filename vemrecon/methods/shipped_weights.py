"""Weights that come with this package: small networks that its own benchmarks have trained, each with a card.

Cards are `weights/NAME.yaml` of the benchmark folder, with the file beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vemrecon import protocol
from vemrecon.errors import DataError, unknown
from vemrecon.files import from_plain, sha256_of

FOLDER = "weights"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class BoardGain:
    """What weights were worth on a board of this repository.

    Attributes:
        run: Of the board's row.
        gain: dB of PSNR over the best kernel: value, and both ends of its 95 % interval.
        seen: Whether the weights were learned from the same tissue.
    """

    run: str
    gain: tuple[float, float, float]
    seen: bool


@dataclass(frozen=True)
class ShippedWeights:
    """Facts about a file of weights.

    Attributes:
        name: That `--weights` takes.
        title: What it is.
        sha256: Of the file, which says itself to which method it belongs, and what that has learned from.
        licence: Of the weights.
        data_licence: Of what was learned from.
        limits: Where nobody should use it.
        seconds: For a million voxels of output, on one thread of the machine that the row names.
        boards: Slug of a task to what it was worth there.
    """

    name: str
    title: str
    sha256: str
    licence: str
    data_licence: str
    limits: str
    seconds: float
    boards: Mapping[str, BoardGain]

    @property
    def path(self) -> Path:
        """The file."""
        return protocol.benchmark_folder() / FOLDER / f"{self.name}{SUFFIX}"

    @property
    def unseen(self) -> str:
        """What it was worth on tissue that it has not learned from, the least and the most, in dB."""
        gains = sorted(one.gain[0] for one in self.boards.values() if not one.seen)
        ends = (f"{gain:+.2f}" for gain in (gains[0], gains[-1])) if gains else ("not measured",)
        return " to ".join(dict.fromkeys(ends))

    def verified(self) -> Path:
        """The file, if its bytes are those of the card.

        Raises:
            DataError: If it is missing, or another one.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: is missing; install vemrecon again")
        if sha256_of(self.path) != self.sha256:
            raise DataError(f"{self.path}: is not the file of its card (other sha256); install vemrecon again")
        return self.path


@cache
def shipped_weights() -> dict[str, ShippedWeights]:
    """All of them, by name.

    Raises:
        DataError: If a card is none.
    """
    found = {}
    for name in protocol.names(FOLDER):
        try:
            found[name] = from_plain(ShippedWeights, {"name": name, **protocol.load(FOLDER, name)})
        except DataError as error:
            raise DataError(f"weights/{name}.yaml: {error}") from error
    return found


def weights_path(given: Any) -> Path:
    """The file that a user means: a path, or the name of weights that come with the package.

    A file that is there comes first. What looks like a path is taken for one.

    Raises:
        ConfigError: If a name is unknown.
        DataError: If the file of a name is not whole.
    """
    path = Path(given)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    known = shipped_weights()
    if str(given) not in known:
        raise unknown("weights", str(given), known)
    return known[str(given)].verified()


def gain_text(board: BoardGain) -> str:
    """A gain and its interval.

    >>> gain_text(BoardGain("", (0.182, 0.1, 0.243), seen=False))
    '+0.18 [+0.10, +0.24]'
    """
    value, low, high = board.gain
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
