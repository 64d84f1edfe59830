"""`Watch`: which files are opened, and what is unpickled, while code of others is at work.

It is an audit hook of Python, and listens at the doors of safetensors and h5py, which open files by themselves: it sees
what comes that way and stops accidents, not attackers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

WEIGHTS = (
    ".safetensors",
    ".pt",
    ".pth",
    ".ckpt",
    ".bin",
    ".onnx",
    ".npy",
    ".npz",
    ".h5",
    ".hdf5",
    ".keras",
    ".pb",
    ".tflite",
    ".msgpack",
    ".pkl",
    ".pickle",
    ".joblib",
    ".mat",
)
"""Ends of the names of files that can hold what others have learned."""
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
"""Those that run code of their makers when they are read."""


DOORS = (
    ("safetensors", "safe_open"),
    ("safetensors.torch", "safe_open"),
    ("safetensors.numpy", "safe_open"),
    ("h5py._hl.files", "make_fid"),
)
"""Functions that open files outside of Python, by their modules; the name of the file is their first argument."""


@dataclass(frozen=True)
class Opened:
    """A file that was opened."""

    path: str
    by: str
    """Where in the code of others, as file:line."""


@dataclass
class Watch:
    """Records what happens inside `watching`.

    Args:
        code: Folders and files of the code of others.
        own: Folder that the checks write into; only `guarded` places of it matter.
        guarded: Folders that nobody but this project may read.
    """

    code: Sequence[Path]
    own: Path
    guarded: Sequence[Path]
    guarded_reads: list[Opened] = field(default_factory=list)
    weight_reads: list[Opened] = field(default_factory=list)
    unpickled: list[Opened] = field(default_factory=list)
    _on: int = 0

    def install(self) -> None:
        """Begin to listen; nobody can stop that."""
        sys.addaudithook(self._heard)
        for module, name in DOORS:
            self._listen_at(module, name)

    def _listen_at(self, module: str, name: str) -> None:
        """Hear of files that a function opens outside of Python."""
        try:
            home = import_module(module)
        except ImportError:
            return
        opens = getattr(home, name)

        @wraps(opens, updated=())
        def heard(path: Any, *others: Any, **named: Any) -> Any:
            if self._on:
                self._opened(path)
            return opens(path, *others, **named)

        setattr(home, name, heard)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While code of others is at work."""
        self._on += 1
        try:
            yield
        finally:
            self._on -= 1

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            self._opened(arguments[0])
        elif event == "pickle.find_class" and (by := self._by()):
            self.unpickled.append(Opened(".".join(map(str, arguments)), by))

    def _opened(self, name: Any) -> None:
        if not isinstance(name, str | bytes | os.PathLike):
            return  # a number of a file that is open already
        path = Path(os.fsdecode(name)).absolute()
        guarded = any(path.is_relative_to(place) for place in self.guarded)
        weights = path.suffix.lower() in WEIGHTS and not path.is_relative_to(self.own) and path.is_file()
        if (guarded or weights) and (by := self._by()):
            (self.guarded_reads if guarded else self.weight_reads).append(Opened(str(path), by))

    def _by(self) -> str:
        """The innermost line of the code of others; empty if none of it is at work."""
        frame = sys._getframe(2)
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            if any(file.is_relative_to(place) for place in self.code):
                return f"{file.name}:{frame.f_lineno}"
            if frame.f_back is None:
                break
            frame = frame.f_back
        return ""
