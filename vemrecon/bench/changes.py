"""What has changed since a run was done, though its identity is the same: code, files that arguments name, data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.result import Status
from vemrecon.bench.store import STALE, RunFolder, RunState
from vemrecon.errors import DataError, VemreconError
from vemrecon.files import digest_of, sha256_of
from vemrecon.kept import read_mark
from vemrecon.methods.recipe import PROGRAM, program_origin
from vemrecon.methods.registry import recorded_entry
from vemrecon.plugins import code_digest

CODE: Final = "method_code"
"""Key of the digest of a method's source in the mark of a reconstruction."""


def state_of(folder: RunFolder) -> RunState:
    """Where a run stands, stale ones told from those that are done."""
    state = folder.state()
    return STALE if state == Status.DONE and changed_since(folder) else state


def changed_since(folder: RunFolder) -> str:
    """Why the result of a run is not what would be found now; empty if nothing is known to have changed.

    No method is imported, and data are read only where their file is younger than the result.
    """
    spec = folder.spec
    now = protocol.protocol()["version"]
    if spec.protocol != now:
        return f"it followed version {spec.protocol} of the protocol, which is {now} now"
    version = version_now(spec.method.entry, spec.method.class_path)
    if version is not None and version != spec.method.version:
        return f"it is of version {spec.method.version} of {spec.method.entry}, which is {version} now"
    code = read_mark(folder.path / "reconstruction.json").get(CODE)
    if code and code != (here := code_digest(spec.method.class_path)) and here:
        return f"the code of {spec.method.entry} has changed since"
    if spec.method.class_path == PROGRAM:
        before = (folder.result() or folder).spec.method.origin
        if before and before.source != program_origin(spec.method.entry, spec.method.arguments).source:
            return f"the program {spec.method.entry} has changed since"
    return _younger_argument(folder) or _other_data(folder)


@cache
def version_now(entry: str, class_path: str) -> str | None:
    """Version of a method; None if it is not installed here, or its class would have to be imported."""
    try:
        card = recorded_entry(entry, class_path).card
    except VemreconError:
        return None
    return card.version if card else None


def _ended(folder: RunFolder) -> float:
    try:
        return folder.result_file.stat().st_mtime
    except OSError:
        return float("inf")


def _younger_argument(folder: RunFolder) -> str:
    for name, path in _files(folder.spec.method.arguments):
        if path.stat().st_mtime > _ended(folder):
            return f"{path}, which the argument '{name}' names, has changed since"
    return ""


def _files(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            yield from _files(value)
        elif isinstance(value, str) and "." in value and Path(value).is_file():
            yield name, Path(value)


def _other_data(folder: RunFolder) -> str:
    """Of a file of the user's own; those of datasets are compared with their sha256 whenever they are used."""
    try:
        at = Job.read(folder.path / "job.json").truth
    except (DataError, AttributeError):
        return ""
    path = Path(at.path)
    if not folder.spec.task.dataset.startswith("local:") or not path.is_file():
        return ""
    if path.stat().st_mtime <= _ended(folder):
        return ""
    found = sha256_of(path)
    said = {"voxel_size": at.voxel_size, "intensity_range": at.intensity_range, **(at.reading or {})}
    known = {found, digest_of({"sha256": found, **said})}
    return "" if at.digest in known else f"{path} has changed since"
