"""Boxes of remote volumes, copied to OME-Zarr; boxes of labels are brought to the voxels of what they label."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.card import Box, DatasetCard, LabelFile, RemoteFile
from vemrecon.data.logbook import Logbook
from vemrecon.data.remote.volumes import RemoteVolume, open_remote
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import make_folder, output_error
from vemrecon.progress import Share
from vemrecon.volume import Region, VoxelSize
from vemrecon.volume.ome_zarr import create_zarr
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.volume import GREY_DTYPES, Origin, moved

BLOCK = (64, 256, 256)  # voxels asked for at once; whole chunks of the output
BLACK_SHARE = 0.01
KEY = "vemrecon"
ROUNDING = 1e-6  # of a voxel: edges such as 4.3 nm are no binary numbers


def fetch_box(card: DatasetCard, file: RemoteFile, path: Path, progress: Share = lambda share: None) -> None:
    """Copy the box of a remote volume that a card names to an OME-Zarr folder, which appears when it is complete.

    Until then the work lies in a hidden folder beside it, and a later call goes on there. The folder also keeps where
    the voxels come from and lie (its origin, in nm), the sha256 of the voxels (C order), and how many are black.

    Args:
        card: Its voxel size and type are compared with those of the volume.
        file: Of the card, with a `box`: of grey levels, or of labels, which may have voxels of another size.
        path: Folder to make.
        progress: Told the share that is done, from 0 to 1.

    Raises:
        ConfigError: If tensorstore is missing, or the file is no box of a remote volume.
        DataError: If the volume cannot be read, is not what the card says, or more than 1 % of a box of grey levels are
            black.
        OutputError: If the folder cannot be written.
    """
    if file.box is None:
        raise ConfigError(f"{path.name}: the card names no box of a remote volume (`box`) for it")
    wanted = _labels(card, file) if isinstance(file, LabelFile) else _grey(card, file.box)
    part = path.with_name(f".{path.name}.part")
    try:
        _copy(wanted, source_of(file), part, path, progress)
    except OSError as error:
        raise output_error(path, error) from error
    shutil.rmtree(part, ignore_errors=True)


def source_of(file: RemoteFile) -> dict[str, Any]:
    """What decides the voxels of a box; kept with them, so that those of another card are not taken for them."""
    box = file.box
    assert box is not None
    where = {"mip": box.mip} if box.format == "precomputed" else {"dataset": box.dataset}
    lattice = file.labelled if isinstance(file, LabelFile) else None
    return {
        "url": box.url,
        "format": box.format,
        **where,
        "region": [list(box.region.start), list(box.region.stop)],
        **({"labelled": lattice.url} if lattice else {}),
    }


def require_source(file: RemoteFile, path: Path) -> None:
    """Refuse a box that was fetched for a card that said something else. Folders that say no source are let through.

    Raises:
        DataError: If it is one.
    """
    import zarr

    try:
        there: Any = dict(zarr.open_group(path, mode="r").attrs).get(KEY)
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: not the OME-Zarr folder of a box ({error}); remove it and fetch it again") from error
    found = there.get("source") if isinstance(there, Mapping) else None
    wanted = source_of(file)
    if isinstance(found, Mapping) and dict(found) != wanted:
        other = next(name for name in (*wanted, *found) if found.get(name) != wanted.get(name))
        raise DataError(
            f"{path}: was fetched with {other} {found.get(other)}, but the card says {wanted.get(other)}; remove it "
            f"and fetch it again"
        )


def box_sha256(path: Path) -> str:
    """sha256 of the voxels of a box in C order, grey levels or labels, however its chunks are packed.

    Raises:
        DataError: If it is damaged.
    """
    import zarr

    digest = hashlib.sha256()
    try:
        array: Any = zarr.open_array(path / "0", mode="r")
        shape = triple(array.shape)
        for slab in Region.whole(shape).blocks((BLOCK[0], *shape[1:])):
            digest.update(np.ascontiguousarray(array[slab.slices]).data)
    except Exception as error:
        raise DataError(f"{path}: damaged ({error}); remove it and fetch it again") from error
    return digest.hexdigest()


class _Wanted(Protocol):
    """What is copied: voxels (z, y, x) from 0."""

    @property
    def box(self) -> Box: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def voxel_size(self) -> VoxelSize | None: ...
    @property
    def origin(self) -> Origin: ...

    def read(self, block: Region) -> NDArray[Any]:
        """Some of them."""

    def refuse(self, found: Mapping[int, Any]) -> None:
        """Look at how many are black in the blocks so far."""


@dataclass(frozen=True)
class _Grey:
    """Grey levels as they are stored."""

    box: Box
    volume: RemoteVolume
    voxel_size: VoxelSize | None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.volume.dtype

    @property
    def origin(self) -> Origin:
        return moved(self.volume.origin, self.box.region.start, self.voxel_size)

    def read(self, block: Region) -> NDArray[Any]:
        return self.volume.read(block.shifted(self.box.region.start))

    def refuse(self, found: Mapping[int, Any]) -> None:
        if sum(found.values()) > BLACK_SHARE * self.box.region.voxels:
            raise DataError(
                f"{self.box.url}: more than {BLACK_SHARE:.0%} of the voxels of {self.box.region} are black: outside "
                f"the tissue, or lost sections; move the boxes of the card by 120 sections along z"
            )


@dataclass(frozen=True)
class _Labels:
    """Labels at the voxels of the volume that they label: every voxel has the label in which its centre lies."""

    box: Box
    volume: RemoteVolume
    voxel_size: VoxelSize
    origin: Origin
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    """For the voxels along z, y and x, those of the labels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.volume.dtype

    def read(self, block: Region) -> NDArray[Any]:
        z, y, x = (at[part] for at, part in zip(self.places, block.slices, strict=True))
        region = _spanned((z, y, x))
        found = self.volume.read(region)
        return found[np.ix_(z - region.start[0], y - region.start[1], x - region.start[2])]

    def refuse(self, found: Mapping[int, Any]) -> None:
        pass


def label_places(
    start: int, stop: int, edge: float, face: float, label_edge: float, label_face: float
) -> NDArray[np.int64]:
    """Along one axis, the label voxels in which the centres of voxels lie.

    A centre on the face between two of them belongs to the second one.

    Args:
        start: First voxel.
        stop: The one behind the last.
        edge: Length of a voxel, in nm.
        face: Where voxel 0 begins, in nm.
        label_edge: Length of a label voxel, in nm.
        label_face: Where label voxel 0 begins, in nm.

    >>> label_places(10, 16, 8, 0, 16, 0).tolist()
    [5, 5, 6, 6, 7, 7]
    """
    centres = face + (np.arange(start, stop) + 0.5) * edge
    return np.floor((centres - label_face) / label_edge + ROUNDING).astype(np.int64)


def _spanned(places: tuple[NDArray[np.int64], ...]) -> Region:
    low, high = zip(*((int(at.min()), int(at.max()) + 1) for at in places), strict=True)
    return Region(triple(low), triple(high))


def _grey(card: DatasetCard, box: Box) -> _Grey:
    """The grey levels of a box, after a look at whether the volume is what the card says."""
    volume = open_remote(box, fill=False)
    if volume.dtype.name not in GREY_DTYPES:
        raise DataError(
            f"{box.url}: dtype {volume.dtype.name} is not a grey-level type ({', '.join(GREY_DTYPES)}); "
            f"this looks like labels, name the image instead"
        )
    if card.dtype and volume.dtype.name != card.dtype:
        raise DataError(f"{box.url}: dtype {volume.dtype.name}, but the card says {card.dtype}; correct the card")
    size = _compared(box, volume, card.voxel_size)
    _require_inside(box, volume, box.region)
    return _Grey(box, volume, size)


def _labels(card: DatasetCard, file: LabelFile) -> _Labels:
    """The labels of a box, after the same look."""
    box, labelled = file.box, file.labelled
    if box is None or labelled is None:
        raise ConfigError(f"{file.path}: labels of a box need the box of the volume that they label")
    volume, lattice = open_remote(box, fill=True), open_remote(labelled, fill=False)
    if volume.dtype.kind not in "iub":
        raise DataError(f"{box.url}: dtype {volume.dtype.name}; labels are whole numbers")
    edges, size = _compared(box, volume, box.voxel_size), _compared(labelled, lattice, card.voxel_size)
    if edges is None or size is None:
        raise DataError(f"{box.url}: says no voxel size; state that of the labels in their `box`")
    z, y, x = (
        label_places(*numbers)
        for numbers in zip(
            labelled.region.start, labelled.region.stop, size, lattice.face, edges, volume.face, strict=True
        )
    )
    _require_inside(box, volume, _spanned((z, y, x)))
    return _Labels(box, volume, size, moved(lattice.origin, labelled.region.start, size), (z, y, x))


def _compared(box: Box, volume: RemoteVolume, expected: VoxelSize | None) -> VoxelSize | None:
    """Voxel size, which must be what the card says where both say one; likewise the size of the whole volume."""
    found = volume.voxel_size
    where = f" at mip {box.mip}" if box.format == "precomputed" else ""
    if box.whole is not None and volume.shape != box.whole:
        raise DataError(
            f"{box.url}: {_sides(volume.shape)} voxels (z, y, x){where}, but the card says {_sides(box.whole)}; "
            f"another release: look where its boxes lie, and correct the card"
        )
    if found is not None and expected is not None and not np.allclose(tuple(found), tuple(expected), rtol=0.01):
        raise DataError(f"{box.url}: voxels of {found}{where}, but the card says {expected}; correct the card")
    return expected or found


def _sides(shape: Triple) -> str:
    return " x ".join(map(str, shape))


def _require_inside(box: Box, volume: RemoteVolume, wanted: Region) -> None:
    if not volume.region.contains(wanted):
        where = f" at mip {box.mip}" if box.format == "precomputed" else ""
        raise DataError(f"{box.url}: the box {wanted} reaches out of the volume, which is {volume.region}{where}")


def _copy(wanted: _Wanted, source: Mapping[str, Any], part: Path, path: Path, progress: Share) -> None:
    """Write a box block by block, and what is known about it; blocks of an earlier attempt are not asked for again."""
    import zarr

    shape, size = wanted.box.region.shape, wanted.voxel_size
    plan = {
        "source": dict(source), "dtype": wanted.dtype.name, "voxel_size": list(size) if size else None,
        "origin": list(wanted.origin), "block": list(BLOCK),
    }  # fmt: skip
    work = part / path.name
    log = Logbook(make_folder(part), plan)
    if log.goes_on and work.exists():
        for torn in work.rglob("*.partial"):  # chunks that zarr was writing when it was killed
            torn.unlink()
    else:
        log.forget()
        shutil.rmtree(work, ignore_errors=True)
        create_zarr(work, shape, wanted.dtype, size, origin=wanted.origin, attributes={"source": dict(source)})
        log.begin()
    array: Any = zarr.open_array(work / "0", mode="r+")
    blocks = list(Region.whole(shape).blocks(BLOCK))
    for number, block in enumerate(blocks):
        if number not in log.finished:
            voxels = wanted.read(block)
            array[block.slices] = voxels
            log.add(number, int((voxels == 0).sum()))
            wanted.refuse(log.finished)
        progress((number + 1) / len(blocks))
    group = zarr.open_group(work, mode="r+")
    facts: Any = dict(group.attrs)[KEY]
    group.attrs[KEY] = {**facts, "sha256_of_voxels": box_sha256(work), "black_voxels": sum(log.finished.values())}
    work.rename(path)
