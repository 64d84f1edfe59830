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
from functools import cache
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared")


@cache
def kernel_library(name: str) -> ctypes.CDLL | None:
    """The functions of `name`.c beside this module, or None if it cannot be compiled here.

    Calls let other threads run. Several processes may ask at once; each sees a whole library.
    """
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        return None
    source = Path(__file__).with_name(f"{name}.c")
    try:
        key = hashlib.sha256("\0".join((source.read_text("utf-8"), compiler, *FLAGS, processor())).encode()).hexdigest()
        import platformdirs

        library = platformdirs.user_cache_path("vemrecon", appauthor=False) / "kernels" / f"{name}-{key[:16]}.so"
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


def processor() -> str:
    """What decides which instructions there are: a cache folder may be shared by several machines."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return " ".join(os.uname())
    lines = text.partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
