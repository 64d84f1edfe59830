"""A small HTTP server inside the test, with every fault that a download has to survive."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


def noise(count, seed=0):
    """Bytes that no two places share."""
    return np.random.default_rng(seed).bytes(count)


def digest(data):
    """sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Served:
    """One file of the server."""

    body: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    if_range: bool = True
    """Whether If-Range is heeded."""
    chunked: bool = False
    """Send no length, but mark the end."""
    endless: bool = False
    """Send no length and do not mark the end, as HTTP/1.0 does."""
    length: int | None = None
    """Lie about the length of the whole file."""
    kind: str = "application/octet-stream"
    faults: list[dict[str, Any]] = field(default_factory=list)
    """For one request each: `status`, `cut` or `stall` after so many bytes, `then` a Served to be from now on."""


class Server(ThreadingHTTPServer):
    """Serves `files`; `seen` are the paths and headers of the requests, `sent` the bytes of their answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Served] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent: list[int] = []
        self.go_on = threading.Event()

    def serve(self, name, body, **more):
        self.files[f"/{name}"] = Served(body, **more)
        return self.url(name)

    def url(self, name):
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    @property
    def ranges(self):
        """What the requests asked for, in order."""
        return [headers.get("Range") for _, headers in self.seen]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        served = self.server.files.get(self.path)
        fault = served.faults.pop(0) if served and served.faults else {}
        self.close_connection = True
        if "then" in fault:  # before the answer, which the client may follow at once with the next request
            self.server.files[self.path] = fault["then"]
        if served is None or "status" in fault:
            self.send_response(fault.get("status", 404))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body, start = served.body, self._start(served)
        if start is not None and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in (("ETag", served.etag), ("Last-Modified", served.modified), ("Content-Type", served.kind)):
            if value:
                self.send_header(name, value)
        rest = body[start or 0 :]
        if served.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not served.endless:
            self.send_header("Content-Length", str(len(rest) if start or served.length is None else served.length))
        self.end_headers()
        self._send(served, rest, fault)

    def _start(self, served):
        asked = self.headers.get("Range")
        if asked is None or not served.ranges:
            return None
        if served.if_range and self.headers.get("If-Range", served.etag) not in (served.etag, served.modified):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, served, rest, fault):
        limit = fault.get("cut", fault.get("stall", len(rest)))
        count = 0
        try:
            for at in range(0, limit, 10_000):
                piece = rest[at : min(at + 10_000, limit)]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if served.chunked else piece)
                count += len(piece)
            if "stall" in fault:
                self.wfile.flush()
                self.server.go_on.wait(30)
                self.wfile.write(rest[limit:])
            elif served.chunked and "cut" not in fault:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has gone
            pass
        self.server.sent.append(count)
