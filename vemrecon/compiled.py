"""Kernels in C beside the modules that call them, compiled once for each processor when they are first needed.

A compiler (`cc`, or what `CC` names) is enough; without one there are none, and callers have a form in plain torch.
Libraries lie in `kernels/` of the user's cache folder, named after what they were made of.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import torch

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared")


_wanted = ContextVar("kernels are wanted", default=True)


@contextmanager
def without_kernels() -> Iterator[None]:
    """As if there were no compiler: what counts the operations of torch cannot look into kernels."""
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def kernel_library(source: Path) -> ctypes.CDLL | None:
    """The functions of a file in C, or None if there is no compiler; calls let other threads run."""
    return compiled(source) if _wanted.get() else None


@cache
def compiled(source: Path) -> ctypes.CDLL | None:
    """The same, looked for once. Several processes may do so at once; each sees a whole library."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        return None
    try:
        texts = [path.read_text("utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
        key = hashlib.sha256("\0".join((*texts, compiler, *FLAGS, processor())).encode()).hexdigest()
        import platformdirs

        library = platformdirs.user_cache_path("vemrecon", appauthor=False) / "kernels" / f"{source.stem}-{key[:16]}.so"
        if not library.exists():
            library.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=library.parent) as folder:
                made = Path(folder) / library.name
                command = [compiler, *FLAGS, "-o", str(made), str(source)]
                subprocess.run(command, check=True, capture_output=True, timeout=120)
                made.replace(library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None


def in_threads(work: Callable[[tuple[int, int]], int], places: Sequence[tuple[int, int]]) -> None:
    """Call a kernel for what stands alone, on as many threads as torch has.

    Raises:
        MemoryError: If a call returned anything but 0, which kernels do for want of memory.
    """
    threads = min(torch.get_num_threads(), len(places))
    if threads == 1:
        failures = list(map(work, places))
    else:
        with ThreadPoolExecutor(threads) as pool:
            failures = list(pool.map(work, places))
    if any(failures):
        raise MemoryError("a compiled kernel found no memory for what it keeps beside its results")


def processor() -> str:
    """What decides which instructions there are: a cache folder may be shared by several machines."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return " ".join(os.uname())
    lines = text.partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
