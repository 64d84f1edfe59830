"""`Inspection`: grey levels of every section of a volume, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.card import DatasetCard, DatasetFile
from vemrecon.data.slabs import read_slab
from vemrecon.errors import DataError
from vemrecon.kept import read_mark, write_mark
from vemrecon.progress import Share
from vemrecon.volume import Volume, VoxelSize
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.region import Triple, triple

SIGMAS = 4.0
MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution
LEAST_SIGMA = 1e-3  # of the grey range: 4 sigmas are then one grey level in 255, and equal sections have no outliers
PIECE = 1 << 18  # voxels converted to float64 at once
SCHEMA = 1


@dataclass(frozen=True)
class Inspection:
    """What one pass over a volume has found; lists have one entry per section, in grey levels of the file."""

    shape: Triple
    dtype: str
    voxel_size: VoxelSize | None
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    not_finite: tuple[int, ...] = ()
    """Sections with NaN or infinite voxels; these voxels are left out of the lists."""

    @classmethod
    def of(cls, volume: Volume, statistics: NDArray[np.float64]) -> Inspection:
        """From the rows of `section_statistics` for all sections of a volume."""
        means, deviations, lows, highs, finite = (tuple(float(v) for v in column) for column in statistics.T)
        broken = tuple(z for z, share in enumerate(finite) if share < 1)
        return cls(volume.shape, str(volume.dtype), volume.voxel_size, means, deviations, lows, highs, broken)

    @property
    def grey_range(self) -> tuple[float, float]:
        """Lowest and highest grey level."""
        return min(self.lows), max(self.highs)

    @property
    def constant(self) -> dict[int, str]:
        """Sections of a single grey level, and which one."""
        black = intensity_range_of(np.dtype(self.dtype))[0]
        pairs = enumerate(zip(self.lows, self.highs, strict=True))
        return {z: "black" if a == black else f"constant, grey level {a:g}" for z, (a, b) in pairs if a == b}

    def defects(self, outliers: bool) -> dict[int, str]:
        """Damaged sections with reasons: constant ones, and on request those that depart from the stack.

        Args:
            outliers: Also sections whose mean or standard deviation lies more than 4 robust sigmas from the median of
                the sections that are not constant.
        """
        found = self.constant
        if not outliers:
            return found
        rest = [z for z in range(len(self.means)) if z not in found]
        low, high = self.grey_range
        for name, column in (("mean", self.means), ("standard deviation", self.deviations)):
            values = np.asarray([column[z] for z in rest])
            if not len(values):
                break
            centre = float(np.median(values))
            sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(values - centre))), LEAST_SIGMA * (high - low))
            for z, value in zip(rest, values.tolist(), strict=True):
                away = abs(value - centre) / sigma if sigma else 0.0
                if away > SIGMAS:
                    reason = f"{name} {value:.4g} is {away:.1f} robust sigmas from the median {centre:.4g}"
                    found[z] = f"{found[z]}; {reason}" if z in found else reason
        return dict(sorted(found.items()))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the volume as a whole cannot be used; empty if it can."""
        found = []
        if self.not_finite:
            found.append(f"NaN or infinite voxels in {sections_text(self.not_finite)}; repair or mask them first")
        if self.grey_range[0] == self.grey_range[1]:
            found.append("constant volume (every voxel is the same grey value); nothing to reconstruct")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "schema": SCHEMA,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "voxel_size": None if self.voxel_size is None else list(self.voxel_size),
            "means": list(self.means),
            "deviations": list(self.deviations),
            "lows": list(self.lows),
            "highs": list(self.highs),
            "not_finite": list(self.not_finite),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Inspection:
        """Of a file.

        Raises:
            DataError: If it is damaged or of another version.
        """
        try:
            if facts["schema"] != SCHEMA:
                raise DataError(f"inspection of schema {facts['schema']}; this version reads schema {SCHEMA}")
            return cls(
                triple(facts["shape"]),
                str(facts["dtype"]),
                VoxelSize(*facts["voxel_size"]) if facts["voxel_size"] else None,
                means=tuple(map(float, facts["means"])),
                deviations=tuple(map(float, facts["deviations"])),
                lows=tuple(map(float, facts["lows"])),
                highs=tuple(map(float, facts["highs"])),
                not_finite=tuple(map(int, facts["not_finite"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"damaged inspection ({error!r})") from error


def section_statistics(sections: NDArray[Any]) -> NDArray[np.float64]:
    """Grey levels of sections; each section by itself, so that slabs of any thickness give the same numbers.

    Args:
        sections: Shape (z, y, x), dtype of the file.

    Returns:
        Shape (z, 5): mean, standard deviation, minimum, maximum of the finite voxels (0 without any), share of these.
    """
    return np.stack([_row(section) for section in sections])


def _row(section: NDArray[Any]) -> NDArray[np.float64]:
    total, squares, low, high, count = 0.0, 0.0, np.inf, -np.inf, 0
    base = None
    for piece in _pieces(section):
        if base is None:
            base = float(piece[0])  # sums of differences from any voxel: exact for integers, no cancellation for others
        apart = piece.astype(np.float64) - base
        total += float(apart.sum())
        squares += float(np.einsum("i,i->", apart, apart))
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        count += piece.size
    if base is None:
        return np.zeros(5)
    mean = total / count
    variance = max(0.0, squares / count - mean * mean)
    return np.array([base + mean, variance**0.5, low, high, count / section.size])


def _pieces(section: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Finite voxels, some rows at a time."""
    rows = max(1, PIECE // section.shape[1])
    for start in range(0, section.shape[0], rows):
        piece = section[start : start + rows].ravel()
        if piece.dtype.kind == "f":
            piece = piece[np.isfinite(piece)]
        if piece.size:
            yield piece


def inspect_volume(volume: Volume, progress: Share = lambda share: None) -> Inspection:
    """Read a volume once, slab by slab.

    Args:
        volume: Any size; about 50 MB of it are in memory at once.
        progress: Told the finished share.

    Raises:
        DataError: If the file is damaged.
    """
    rows = []
    for slab in volume.slabs():
        rows.append(section_statistics(read_slab(volume, slab)))
        progress(slab.stop[0] / volume.shape[0])
    return Inspection.of(volume, np.concatenate(rows))


def inspection_of(
    path_key_digest: str, volume: Volume, memory: Path, progress: Share = lambda share: None
) -> Inspection:
    """The inspection of a volume, remembered so that every file is inspected once.

    Args:
        path_key_digest: Identity of the content, such as the sha256 of the file and the name of the dataset inside.
        volume: Read only if nothing is remembered.
        memory: Folder that holds `inspections/`.
        progress: Told the finished share.
    """
    path = memory / "inspections" / f"{path_key_digest[:12]}.json"
    try:
        known = read_mark(path)
        if known["digest"] == path_key_digest:
            found = Inspection.from_json(known)
            if (found.shape, found.dtype) == (volume.shape, str(volume.dtype)):
                return replace(found, voxel_size=volume.voxel_size)
    except (DataError, KeyError, TypeError):
        pass  # not inspected yet, or a file of an older version
    found = inspect_volume(volume, progress)
    write_mark(path, {**found.to_json(), "digest": path_key_digest})
    return found


def check_card(volume: Volume, card: DatasetCard, file: DatasetFile) -> None:
    """Compare what a file says about itself with what the card of its dataset says.

    Args:
        volume: Opened without a voxel size of the card, or the file's own is not seen.
        card: The dataset.
        file: Which of its files.

    Raises:
        DataError: If voxel size, dtype or shape differ.
    """
    found, expected = volume.voxel_size, card.voxel_size
    if found is not None and expected is not None and not found.close_to(expected):
        raise DataError(
            f"{volume.name}: voxel size {found}, but the card of '{card.name}' says {expected} (z, y, x); one of "
            f"the two is wrong: compare with the publication, then correct the attribute of the file or the card"
        )
    if card.dtype and str(volume.dtype) != card.dtype:
        raise DataError(
            f"{volume.name}: dtype {volume.dtype}, but the card of '{card.name}' says {card.dtype}; this is another "
            f"release or another dataset of the file: fetch it again, or name the right one in the card"
        )
    if file.shape is not None and volume.shape != tuple(file.shape):
        raise DataError(
            f"{volume.name}: shape {volume.shape}, but the card of '{card.name}' says {tuple(file.shape)} (z, y, x); "
            f"the file is incomplete or another release: fetch it again, or add it to the card under a key of its own"
        )


def sections_text(sections: tuple[int, ...]) -> str:
    """Section numbers for a message.

    >>> sections_text((3,)), sections_text((3, 4, 5, 9))
    ('section 3', 'sections 3-5, 9')
    """
    runs: list[list[int]] = []
    for z in sections:
        if runs and z == runs[-1][1] + 1:
            runs[-1][1] = z
        else:
            runs.append([z, z])
    shown = [f"{a}-{b}" if b > a else str(a) for a, b in runs[:20]] + (["..."] if len(runs) > 20 else [])
    return f"section{'s' if len(sections) > 1 else ''} {', '.join(shown)}"
