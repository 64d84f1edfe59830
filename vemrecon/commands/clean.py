"""The command that lists and removes what killed commands have left behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vemrecon.bench.heartbeat import FILE as HEARTBEAT
from vemrecon.bench.heartbeat import Beat, lives
from vemrecon.errors import DataError
from vemrecon.options import Options, option

KINDS = {
    r"\..+\.work-[0-9a-f]{12}": "reconstruction that can go on",
    r"\..+\.part": "output that was not finished",
    r".+\.[0-9a-f]{32}\.partial": "chunk that was not finished",
    r".+\.damaged-[0-9]+": "damaged, moved aside and made again",
}
PLACES = {
    r"train/[^/]+/(last\.ckpt|stage)\.part": "checkpoint or weights that were not finished",
    r"shared-stages/[^/]+\.part": "shared stage that was not finished",
    r"segmenters/[^/]+/(last|weights)\.part": "segmenter that was not finished",
}
"""Kinds of what only means a leftover in its place."""
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class CleanOptions(Options):
    """Options of `clean`."""

    folder: Path = option("where to look, and below", Path(), positional=True)
    remove: bool = option("remove what is listed", False)
    hours: float = option("leave what was written to since, as it may be at work", 1.0)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that no finished command would have left."""

    path: Path
    kind: str
    bytes: int
    changed: float
    """Seconds since anything in it was written."""


def clean(options: CleanOptions) -> int:
    """List leftovers, and remove them if asked."""
    from vemrecon.report.columns import bytes_text, seconds_text

    if not options.folder.is_dir():
        raise DataError(f"{options.folder}: no such folder")
    found = [one for one in leftovers(options.folder) if one.changed >= options.hours * HOUR]
    for one in found:
        print(f"{one.path}: {one.kind}, {bytes_text(one.bytes)}, untouched for {seconds_text(one.changed)}")
        if options.remove:
            shutil.rmtree(one.path) if one.path.is_dir() else one.path.unlink(missing_ok=True)
    total = bytes_text(sum(one.bytes for one in found))
    done = "removed" if options.remove else "found; --remove removes them"
    print(f"{len(found)} leftover{'s' * (len(found) != 1)} of {total} {done}" if found else "nothing is left over")
    return 0


def leftovers(folder: Path) -> Iterator[Leftover]:
    """What killed commands have left in a folder and below it."""
    now = time.time()
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            kind = kind_of(path)
            if kind is None:
                continue
            if name in folders:
                folders.remove(name)  # what is inside belongs to it
            inside = [path, *path.rglob("*")] if path.is_dir() else [path]
            facts = [one.stat() for one in inside if one.exists()]
            size = sum(one.st_size for one in facts if stat.S_ISREG(one.st_mode))
            yield Leftover(path, kind, size, now - max((one.st_mtime for one in facts), default=now))


def kind_of(path: Path) -> str | None:
    """What kind of leftover a file or folder is; None if it is none."""
    if kind := next((text for pattern, text in KINDS.items() if re.fullmatch(pattern, path.name)), None):
        return kind
    if kind := next((text for pattern, text in PLACES.items() if re.search(f"(^|/){pattern}$", path.as_posix())), None):
        return kind
    in_run = path.with_name("spec.json").exists()
    if path.name == "holdout" and in_run:
        return "scratch of scores"
    if path.suffix == ".passes" and path.with_suffix(".zarr").exists():
        return "parts of a volume that is finished"
    if path.suffix == ".sums" and path.with_suffix("").suffix and not path.with_suffix("").exists():
        return "checksums of what is not there"
    if (path.name == HEARTBEAT and in_run and Beat.at_work(path.parent) is None) or _dead_owner(path):
        return "sign of a process that has ended"
    return None


def _dead_owner(path: Path) -> bool:
    """Whether a file names the holder of a lock that is a process of this machine which is not there."""
    if path.suffix != ".owner" or not path.is_file():
        return False
    found = re.fullmatch(r"process (\d+) on (.+)\n", path.read_text(encoding="utf-8", errors="replace"))
    return found is not None and found[2] == socket.gethostname() and not lives(int(found[1]))
