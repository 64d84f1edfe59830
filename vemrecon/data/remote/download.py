"""Downloads over HTTP that survive bad connections, bad servers and kills, and never leave a wrong file."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vemrecon.data.card import RemoteFile
from vemrecon.data.remote.connection import (
    PATIENT,
    DroppedError,
    Patience,
    RefusedError,
    UnreachableError,
    one_line_reasons,
    quiet_about_tls,
)
from vemrecon.data.remote.part import Origin, Part
from vemrecon.errors import DataError
from vemrecon.progress import Say
from vemrecon.version import __version__

if TYPE_CHECKING:
    from requests import Response

Received = Callable[[int, int | None], None]
"""Called with the bytes that are here and those of the whole file, if known."""
CHUNK = 1 << 18
ENOUGH = 1 << 20  # bytes that make a dropped attempt count as progress, not as a failure
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)


class UnavailableError(DataError):
    """None of the addresses of a file gave it; the message says why, address by address."""


def download(
    file: RemoteFile,
    path: Path,
    *,
    sha256: str = "",
    progress: Received = lambda done, total: None,
    say: Say = lambda text: None,
    patience: Patience = PATIENT,
    unreachable: set[str] | None = None,
) -> str:
    """Download a file from the first of its addresses that gives it.

    A partial download is kept as `NAME.part` and continued, by this call or by a later one, as long as the server
    still has the same file. The file gets its name only when its sha256 is right.

    Args:
        file: Addresses and facts of the file.
        path: Where it goes; the folder exists.
        sha256: What it must have; empty to accept what comes.
        progress: Told about every chunk.
        say: Told in one line what goes wrong and what is done about it.
        patience: Timeouts and retries.
        unreachable: Hosts that could not be reached before, which are not waited for again; grows.

    Returns:
        The sha256 of the file.

    Raises:
        UnavailableError: If no address gives it.
        OutputError: If it cannot be written, or the disk is full; the part is kept.
    """
    unreachable = set() if unreachable is None else unreachable
    part, reasons = Part(path), []
    addresses = [url for url in (file.url, *file.mirrors) if url]
    for number, url in enumerate(addresses, start=1):
        try:
            _Download(url, file, part, sha256, progress, say, patience).complete(unreachable)
        except RefusedError as error:
            reasons.append(f"{urlsplit(url).netloc}: {error}")
            if number < len(addresses):
                say(f"{path.name}: {reasons[-1]}; trying the next address")
        else:
            part.finish()
            return part.sha256
    raise UnavailableError("; ".join(reasons) or "it has no address")


@dataclass(frozen=True)
class _Download:
    """One file from one address."""

    url: str
    file: RemoteFile
    part: Part
    sha256: str
    progress: Received
    say: Say
    patience: Patience

    def complete(self, unreachable: set[str]) -> None:
        """Fill the part, in as many attempts as make sense."""
        host, part, answered, failures, farthest = urlsplit(self.url).netloc, self.part, False, 0, self.part.size
        if host in unreachable:
            raise RefusedError("no connection")
        while not (self.sha256 and part.sha256 == self.sha256):
            try:
                self.attempt()
                return
            except DroppedError as error:
                dropped = error
            if self.sha256 and part.sha256 == self.sha256:  # the server had announced more than there is
                return
            answered = answered or not isinstance(dropped, UnreachableError)
            failures = 0 if part.size >= farthest + ENOUGH else failures + 1
            farthest = max(farthest, part.size)
            if failures >= (self.patience.attempts if answered else min(2, self.patience.attempts)):
                if not answered:
                    unreachable.add(host)
                raise RefusedError(str(dropped)) from dropped
            pause = max(dropped.pause, self.patience.pause_seconds * 2 ** max(0, failures - 1))
            pause = min(pause, self.patience.longest_pause_seconds)
            self.say(
                f"{part.target.name}: {host}: {dropped}, {part.size:,} bytes are here; asking again in {pause:g} s"
            )
            time.sleep(pause)

    def attempt(self) -> None:
        """Ask once for what is missing, and append what comes; end without an error only if that is the file."""
        import requests

        part, wait = self.part, (self.patience.connect_seconds, self.patience.read_seconds)
        asked = {"Accept-Encoding": "identity", "User-Agent": f"vemrecon/{__version__}", **self.range_headers()}
        verify = self.file.verify_tls
        with (
            one_line_reasons(self.patience),
            quiet_about_tls(verify),
            closing(part),
            # A connection of its own each time: what a lying server left in an old one is not read as an answer.
            requests.get(self.url, headers=asked, stream=True, timeout=wait, verify=verify) as response,
        ):
            if response.status_code == 416:
                self.nothing_left(response)
            else:
                self.accept(response)
                self.receive(response)
        self.check(response.status_code != 200, "chunked" in response.headers.get("Transfer-Encoding", ""))

    def range_headers(self) -> dict[str, str]:
        """Headers that ask for the missing bytes; none where the part cannot be continued from this address."""
        origin = self.part.origin
        if origin is None or self.part.size == 0 or origin.url != self.url or not (origin.validator or self.sha256):
            return {}
        headers = {"Range": f"bytes={self.part.size}-"}
        return {**headers, "If-Range": origin.validator} if origin.validator else headers

    def accept(self, response: Response) -> None:
        """Look at status and headers, and make the part ready for the bytes that follow."""
        if response.status_code in TEMPORARY:
            after = response.headers.get("Retry-After", "")
            raise DroppedError(f"HTTP {response.status_code}", float(after) if after.isdigit() else 0)
        if response.status_code not in (200, 206):
            raise RefusedError(f"HTTP {response.status_code}")
        if response.headers.get("Content-Type", "").startswith("text/html") and not self.sha256:
            raise RefusedError("sent a web page and not a file; a login or a question stands before it")
        plain = response.headers.get("Content-Encoding", "identity") == "identity"
        if response.status_code == 200:  # the first time, a server that knows no ranges, or another file than before
            length = response.headers.get("Content-Length", "") if plain else ""
            found = Origin.of(self.url, response.headers if plain else {}, int(length) if length.isdigit() else None)
            return self.part.start(found)
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        found = Origin.of(self.url, response.headers, int(total) if total.isdigit() else None)
        begun = self.part.origin
        if not plain or span.partition("-")[0] != str(self.part.size) or begun is None or begun.contradicts(found):
            self.part.remove()
            raise DroppedError("the file has changed on the server")
        self.part.origin = replace(begun, length=found.length or begun.length)
        self.part.require_space(found.length)

    def nothing_left(self, response: Response) -> None:
        """Understand `416 range not satisfiable`: the part is the whole file, or it belongs to another one."""
        total = response.headers.get("Content-Range", "").removeprefix("bytes */")
        length = int(total) if total.isdigit() else self.part.origin and self.part.origin.length
        if length != self.part.size:
            self.part.remove()
            raise DroppedError("the file has changed on the server")
        if self.part.origin is not None:
            self.part.origin = replace(self.part.origin, length=length)

    @property
    def total(self) -> int | None:
        """Bytes of the whole file, if anybody says so."""
        return self.file.bytes or (self.part.origin.length if self.part.origin else None)

    def receive(self, response: Response) -> None:
        """Append the body."""
        self.progress(self.part.size, self.total)
        # Not response.iter_content: where a connection drops, it loses what has arrived of the last chunk.
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            self.part.append(chunk)
            self.progress(self.part.size, self.total)
            if self.file.bytes is not None and self.part.size > self.file.bytes:
                self.part.remove()
                raise RefusedError(f"wrong file, longer than {self.file.bytes:,} bytes")

    def check(self, continued: bool, bounded: bool) -> None:
        """Judge a body that ended without an error.

        Args:
            continued: Whether it was added to bytes of an earlier attempt.
            bounded: Whether the transfer itself marks its end, as chunked ones do.
        """
        part, total = self.part, self.total
        if total is not None and part.size < total:
            raise DroppedError(f"ended after {part.size:,} of {total:,} bytes")
        if self.sha256 and part.sha256 != self.sha256:
            reason = f"wrong file, sha256 {part.sha256[:12]}... instead of {self.sha256[:12]}..."
        elif part.size == 0:
            reason = "sent an empty file"
        elif total is None and not bounded and not self.sha256:
            reason = "says no length, and no sha256 is known: nothing would show whether the file is whole"
        else:
            return
        part.remove()
        raise DroppedError(reason) if continued else RefusedError(reason)  # the old bytes may be at fault: once more
