"""Files that are not there: what they are, and where to put them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vemrecon.data.card import DatasetCard, DatasetFile, RemoteFile
from vemrecon.data.remote.recognise import known_sha256
from vemrecon.errors import DataError

ELSEWHERE = "or name the folder that holds {} with --data-root or VEMRECON_DATA"


class MissingFilesError(DataError):
    """Files that a command needs and that could not be had: what they are and where to put them, a line for each."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        head = f"{len(missing)} files are missing; put each where its line says, {ELSEWHERE.format('them')}"
        self.lines = (f"{missing[0]}, {ELSEWHERE.format('it')}",) if len(missing) == 1 else (f"{head}:", *missing)
        super().__init__("\n".join(self.lines))


def missing_line(card: DatasetCard, file: RemoteFile, path: Path, why: str) -> str:
    """What a missing file is, why it could not be had, and where to put it."""
    box = file.box
    if file.url:
        origin = f"get it from {' or '.join((file.url, *file.mirrors))}"
    elif box:
        origin = f"it is the box {box.region} of {box.url}: fetch it on a machine with a network"
    else:
        origin = f"make it from {card.source or 'its source'}"
    sha256 = file.sha256 or known_sha256(file, path)
    facts = [size_text(file.bytes)] if file.bytes else []
    facts += [f"sha256 {sha256}"] if sha256 else []
    if file.voxels_sha256:
        packed = file.packed if isinstance(file, DatasetFile) else None
        where = f", in {packed.path}" if packed else ""
        facts.append(f"or the same voxels packed otherwise{where}, sha256 of voxels {file.voxels_sha256}")
    told = f" ({', '.join(facts)})" if facts else ""
    return f"{card.name}: {file.path} {why}; {origin}{told} and put it at {path}"


def size_text(count: int) -> str:
    """Bytes for readers.

    >>> size_text(812), size_text(140_608_000)
    ('812 bytes', '140.6 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
