"""The table of formats: how each is recognised, read and written, and what is read from it beside the voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.hdf5 import open_hdf5
from vemrecon.volume.hdf5_writer import write_hdf5
from vemrecon.volume.made import Made
from vemrecon.volume.mrc import open_mrc, write_mrc
from vemrecon.volume.n5 import open_n5
from vemrecon.volume.n5_writer import write_n5
from vemrecon.volume.nifti import open_nifti
from vemrecon.volume.nrrd import open_nrrd
from vemrecon.volume.numpy_arrays import open_npy, open_npz
from vemrecon.volume.ome_zarr import copy_to_zarr, open_zarr
from vemrecon.volume.precomputed import open_precomputed
from vemrecon.volume.precomputed_writer import write_precomputed
from vemrecon.volume.reading import Reading
from vemrecon.volume.sections import SECTION_SUFFIXES, open_sections
from vemrecon.volume.source import Source
from vemrecon.volume.tiff import open_tiff, write_tiff
from vemrecon.volume.volume import Span, Volume
from vemrecon.volume.wkw import open_wkw

Reader = Callable[[Path, str | None, Reading], Source]
Writer = Callable[[Path, Volume, np.dtype[Any], Span | None, Made | None], None]


@dataclass(frozen=True)
class Format:
    """A format of volumes.

    Attributes:
        name: For people.
        endings: Of names, in lower case; the first is the usual one.
        reader: Opens it.
        says: What is read from it beside the voxels, of `FACTS`.
        can_lack: What may be missing in it, and is counted; empty where a file lacks nothing without being damaged.
        writer: Writes it; None if it is only read.
        inside: Names of which a folder of this format holds one; empty for files.
        extra: Of vemrecon, that installs what it needs.
        package: That it needs.
    """

    name: str
    endings: tuple[str, ...]
    reader: Reader
    says: tuple[str, ...] = ()
    can_lack: str = ""
    writer: Writer | None = None
    inside: tuple[str, ...] = ()
    extra: str = ""
    package: str = ""

    def require(self) -> None:
        """Refuse a format whose package is missing.

        Raises:
            ConfigError: With what to install.
        """
        try:
            if self.package:
                import_module(self.package)
        except ImportError as error:
            raise ConfigError(
                f"{self.name} needs the package {self.package}, which is not installed: pip install "
                f"'vemrecon[{self.extra}]'"
            ) from error

    def holds(self, folder: Path) -> bool:
        """Whether a folder is one of this format."""
        named = bool(self.inside) and folder.name.lower().endswith(self.endings) if self.endings else False
        return named or any((folder / name).exists() for name in self.inside)


HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
TIFF = (".tif", ".tiff", ".btf")
FACTS = ("size", "origin", "axes")
"""Voxel size, place and names of axes; files that we write say grey range and grid of sections, too."""
WKW_INSIDE = ("header.wkw", "datasource-properties.json", "1/header.wkw", "1-1-1/header.wkw")
FORMATS = (
    Format("OME-Zarr, zarr", (".zarr",), open_zarr, FACTS, "chunks", copy_to_zarr,
           inside=("zarr.json", ".zarray", ".zgroup")),
    Format("TIFF, OME, ImageJ", TIFF, open_tiff, FACTS, "pages", write_tiff),
    Format("HDF5", HDF5, open_hdf5, FACTS, "chunks", write_hdf5),
    Format("MRC", (".mrc", ".rec", ".map", ".st", ".ali"), open_mrc, FACTS, "", write_mrc,
           extra="mrc", package="mrcfile"),
    Format("NIfTI", (".nii", ".nii.gz"), open_nifti, FACTS, extra="nifti", package="nibabel"),
    Format("NRRD", (".nrrd", ".nhdr"), open_nrrd, FACTS, extra="nrrd", package="nrrd"),
    Format("N5", (".n5",), open_n5, FACTS, "blocks", write_n5, inside=("attributes.json",),
           extra="n5", package="tensorstore"),
    Format("precomputed", (".precomputed",), open_precomputed, FACTS, "chunks", write_precomputed, inside=("info",),
           extra="precomputed", package="tensorstore"),
    Format("WKW", (), open_wkw, FACTS, "cubes", inside=WKW_INSIDE, extra="wkw", package="wkw"),
    Format("npy", (".npy",), open_npy),
    Format("npz", (".npz",), open_npz),
)  # fmt: skip
SECTIONS = Format("sections", (), open_sections, can_lack="sections")
"""What a folder is that is no other format."""
CONVERT = (
    "convert it with Fiji (Plugins > Bio-Formats > Bio-Formats Importer, then File > Save As > Tiff) or bioformats2raw"
)
REFUSED = {
    **dict.fromkeys((".dm3", ".dm4", ".czi", ".lif", ".nd2", ".ims", ".oib", ".oir", ".vsi", ".lsm", ".sur"), CONVERT),
    ".gz": "decompress it first (gunzip)",
    ".zip": "unpack it first",
    ".hdr": "save it as one file, .nii or .nrrd",
    ".img": "save it as one file, .nii",
    ".raw": "raw bytes do not say shape and type; give them a header, such as .nhdr",
}
"""Endings of formats that are not read, and what to do."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".jp2", ".webp")


def format_of(path: Path) -> Format:
    """The format of a file or folder that is there.

    Raises:
        DataError: If it is none that is read, with what to do.
    """
    name = path.name.lower()
    found = [one for one in FORMATS if one.endings and name.endswith(one.endings)]
    if path.is_dir():
        if inside := [one for one in FORMATS if one.holds(path)]:
            return inside[0]
        if found:
            raise DataError(f"{path}: is a folder, but its name is that of a {path.suffix} file")
        return SECTIONS
    files = [one for one in found if not one.inside]
    if files:
        return files[0]
    ending = path.suffix.lower()
    if ending in IMAGES:
        raise DataError(
            f"{path}: an image is one section; put the sections of a stack into a folder, as "
            f"{' or '.join(SECTION_SUFFIXES)} with their number in the name, and name the folder"
        )
    if ending in REFUSED:
        raise DataError(f"{path}: {ending} is not read; {REFUSED[ending]}")
    known = [ending for one in FORMATS for ending in one.endings if not one.inside]
    raise DataError(
        f"{path}: cannot tell the format from the name; known are folders of sections, zarr, N5, precomputed and WKW, "
        f"and {', '.join(known)} (`vemrecon formats`)"
    )
