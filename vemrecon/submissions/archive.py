"""`write_archive`: all submissions and what was built of them, as one file that a repository with DOIs takes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vemrecon.errors import OutputError
from vemrecon.files import atomic_write, output_error
from vemrecon.submissions.submission import RECONSTRUCTION, WEIGHTS, Submission, folders_of
from vemrecon.version import __version__

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of all files, so that the same submissions give the same bytes."""
LARGE = (RECONSTRUCTION, WEIGHTS)


def write_archive(path: Path, submissions: Path, board: Path) -> None:
    """Write a ZIP file with the submissions, the board and a description; the same content gives the same bytes.

    Weights and reconstructions stay out: their sha256 and addresses are in submission.json.

    Raises:
        OutputError: If it is there already, or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path}: is there already; choose another name, or remove it")
    try:
        with atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _entries(submissions, board):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise output_error(path, error) from error


def _entries(submissions: Path, board: Path) -> Iterator[tuple[str, bytes]]:
    yield ".zenodo.json", json.dumps(description(submissions), indent=1, sort_keys=True).encode()
    for file in sorted(one for one in board.rglob("*") if one.is_file() and not one.name.startswith(".")):
        yield f"board/{file.relative_to(board).as_posix()}", file.read_bytes()
    for folder in folders_of(submissions):
        for file in sorted(one for one in folder.iterdir() if one.is_file() and one.name not in LARGE):
            yield f"submissions/{folder.relative_to(submissions).as_posix()}/{file.name}", file.read_bytes()


def description(submissions: Path) -> dict[str, Any]:
    """What a repository asks for, as far as the submissions say it."""
    found = [Submission.read(folder) for folder in folders_of(submissions)]
    methods = sorted({one.run["method"] for one in found})
    names = sorted({name.strip() for one in found for name in one.authors.split(",") if name.strip()})
    return {
        "title": "Results of isotropic reconstruction for volume electron microscopy",
        "upload_type": "dataset",
        "description": f"{len(found)} runs of {len(methods)} methods ({', '.join(methods)}), handed in to the vemrecon "
        "benchmark, with specifications, scores, costs and the level to which each was verified. "
        "`vemrecon leaderboard build --submissions submissions` makes the board again, byte for byte.",
        "creators": [{"name": name} for name in names or ["The vemrecon developers"]],
        "keywords": ["volume electron microscopy", "isotropic reconstruction", "super-resolution", "benchmark"],
        "version": __version__,
        "license": "cc-by-4.0",
    }
