"""Write a volume in the format that the name of a file asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.errors import ConfigError
from vemrecon.volume.catalogue import FORMATS, Writer
from vemrecon.volume.made import Made
from vemrecon.volume.ome_zarr import Version, copy_to_zarr
from vemrecon.volume.volume import Span, Volume


def require_output(path: Path, ome_zarr: Version | None = None) -> None:
    """Refuse an output that could not be written at the end.

    Args:
        path: Of a volume that does not exist yet.
        ome_zarr: The version that is asked for, which only .zarr has.

    Raises:
        ConfigError: If the name has no ending that is written, something is already there, or a package is missing.
    """
    writer = _writer(path)
    if ome_zarr is not None and writer is not copy_to_zarr:
        raise ConfigError(f"{path}: --ome-zarr {ome_zarr} is for outputs that end in .zarr")
    if path.exists():
        raise ConfigError(f"{path}: already exists; remove it or choose another name")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist")


def write_volume(
    path: Path,
    volume: Volume,
    dtype: np.dtype[Any],
    span: Span | None = None,
    made: Made | None = None,
    *,
    ome_zarr: Version | None = None,
) -> None:
    """Write a volume slab by slab in the format of the name; it appears when it is complete.

    Voxel size, origin, grid of sections and grey range are kept, and found again by `open_volume`.

    Args:
        path: That does not exist yet; its ending says the format.
        volume: Read in [0, 1].
        dtype: Of the voxels in the file; uint8 is kept as uint16 in MRC.
        span: Grey values that 0 and 1 become; by default the range of the type.
        made: How it was made.
        ome_zarr: Version of OME-Zarr, by default 0.5.

    Raises:
        ConfigError: If the name has no ending that is written, or a package is missing.
        OutputError: If it cannot be written.
    """
    writer = _writer(path)
    if writer is copy_to_zarr and ome_zarr is not None:
        writer = partial(copy_to_zarr, version=ome_zarr)
    writer(path, volume, np.dtype(dtype), span, made)


def written_endings() -> tuple[str, ...]:
    """The usual ending of every format that is written."""
    return tuple(one.endings[0] for one in FORMATS if one.writer is not None)


def _writer(path: Path) -> Writer:
    name = path.name.lower()
    for one in FORMATS:
        if one.writer is not None and name.endswith(one.endings):
            one.require()
            return one.writer
    raise ConfigError(f"{path}: outputs are written as {', '.join(written_endings())}; choose one of these names")
