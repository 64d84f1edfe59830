"""How a file is recognised: by the sha256 of its card, by that of its voxels, or by one recorded when first seen."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from vemrecon.data.card import DatasetCard, DatasetFile, RemoteFile
from vemrecon.errors import DataError, OutputError, VemreconError
from vemrecon.files import atomic_write, sha256_of
from vemrecon.volume import Reading, Volume, open_volume

File = TypeVar("File", bound=RemoteFile)


def as_here(file: File, root: Path) -> File:
    """A file of a card as it lies below a data root: the one of the same voxels where only that is there."""
    packed = file.packed if isinstance(file, DatasetFile) else None
    if packed is None or (root / file.path).exists() or not (root / packed.path).exists():
        return file
    return replace(file, path=packed.path, dataset=packed.dataset, axes="", bytes=None)  # type: ignore[call-arg]  # a DatasetFile


def identity_of(file: RemoteFile, path: Path) -> str:
    """What stands for the content of a file, before it is looked at; nothing where that is not known.

    Raises:
        DataError: If the record cannot be understood.
    """
    return file.sha256 or file.voxels_sha256 or known_sha256(file, path)


def known_sha256(file: RemoteFile, path: Path) -> str:
    """What a file must have: the sha256 of its card, else the one recorded at first use, else nothing.

    Raises:
        DataError: If the record cannot be understood.
    """
    record = _record(path)
    if file.sha256 or not record.exists():
        return file.sha256
    text = record.read_text(encoding="utf-8", errors="replace").partition(" ")[0].strip().lower()
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise DataError(f"{record}: holds no sha256; remove it, and that of the present file is recorded anew")
    return text


def content_sha256(file: RemoteFile, path: Path) -> str:
    """sha256 of a file's bytes; of the voxels of a box of a remote volume, however its chunks are packed.

    Raises:
        DataError: If it is a box that was fetched for another card, or damaged.
    """
    if file.box is None:
        return sha256_of(path)
    from vemrecon.data.remote.boxes import box_sha256, require_source

    require_source(file, path)
    return box_sha256(path)


def voxels_sha256(volume: Volume) -> str:
    """sha256 of the voxels of a volume, z, y, x in C order; of its shape it knows nothing."""
    digest = hashlib.sha256()
    for slab in volume.slabs():
        digest.update(np.ascontiguousarray(volume.read_raw(slab)).data)
    return digest.hexdigest()


def recognise(card: DatasetCard, file: RemoteFile, path: Path, found: str) -> str:
    """Compare the sha256 of a file with what it must be, and record it where nothing is known yet.

    Returns:
        The sha256 that stands for its content (see `identity_of`), whoever has packed it.

    Raises:
        DataError: If it is another file.
    """
    if file.voxels_sha256 and not file.sha256:
        _require_voxels(card, file, path)
        return file.voxels_sha256
    known = known_sha256(file, path)
    if known and found != known:
        if _same_voxels(file, path):
            return known
        source, remedy = f"the card of '{card.name}' says", ""
        if not file.sha256:
            source = f"{_record(path).name} beside it, written when it was first seen, says"
            remedy = f"; if the publisher has replaced it, remove {_record(path).name} too"
        raise DataError(
            f"{path}: sha256 is {found[:12]}..., but {source} {known[:12]}...; "
            f"the file is damaged or another release: remove it and fetch it again{remedy}"
        )
    if known:
        return known
    if file.bytes is not None and path.is_file() and path.stat().st_size != file.bytes:
        raise DataError(
            f"{path}: has {path.stat().st_size:,} bytes, but the card of '{card.name}' says {file.bytes:,}; "
            f"remove it and fetch it again"
        )
    if file.addresses or not Path(file.path).is_absolute():  # beside what is only read, nothing is written
        with suppress(OutputError), atomic_write(_record(path)) as record:  # a read-only data root is read all the same
            record.write(f"{found}  {path.name}\n")
    return found


def _require_voxels(card: DatasetCard, file: RemoteFile, path: Path) -> None:
    if not _same_voxels(file, path):
        raise DataError(
            f"{path}: does not hold the voxels that the card of '{card.name}' tells (sha256 of voxels "
            f"{file.voxels_sha256[:12]}...); the file is damaged, or another release: remove it and fetch it again"
        )


def _same_voxels(file: RemoteFile, path: Path) -> bool:
    """Whether a file holds the voxels that the card tells, whatever its bytes."""
    if not file.voxels_sha256:
        return False
    axes, shape = (file.axes, file.shape) if isinstance(file, DatasetFile) else ("", None)
    try:
        volume = open_volume(path, file.dataset, reading=Reading(axes=axes or None))
        if shape is not None and volume.shape != tuple(shape):  # the same numbers in another order of rows
            return False
        return voxels_sha256(volume) == file.voxels_sha256
    except VemreconError:  # not a volume at all, or not one of these axes
        return False


def _record(path: Path) -> Path:
    """Where the sha256 of a file is recorded when it is first seen."""
    return path.with_name(f"{path.name}.sha256")
