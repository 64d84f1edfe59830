"""Files that another file names."""

from __future__ import annotations

from pathlib import Path

from vemrecon.errors import DataError


def beside(path: Path, name: str, what: str) -> Path:
    """A file that another one names, which must lie in its folder or below.

    Args:
        path: Of the file that names it.
        name: Relative to its folder.
        what: For messages, such as `its voxels are in`.

    Raises:
        DataError: If it lies elsewhere (the file of a stranger could have any file of this machine read) or is gone.
    """
    folder = path.resolve().parent
    other = (folder / name).resolve()
    if not other.is_relative_to(folder):
        raise DataError(f"{path}: {what} {name}, outside of its folder; open that file itself, or put it beside")
    if not other.is_file():
        raise DataError(f"{path}: {what} {name}, which is not there")
    return other
