"""What a number was made with: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vemrecon.version import __version__

PACKAGES = (
    "torch",
    "lightning",
    "numpy",
    "scipy",
    "zarr",
    "lpips",
    "mamba-ssm",
)  # the last two may be missing, which changes what runs do


def environment() -> dict[str, Any]:
    """Versions, commit and hardware, without loading any of the packages."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or cores())
    return {
        **code_in_use(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": cores(),
        "threads": threads,
    }


@cache
def code_in_use() -> Mapping[str, str]:
    """Versions and commit as they were when this was first asked for, which is what a process has loaded."""
    facts = {"vemrecon": __version__, "commit": commit(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = ""
    return facts


def of_run(now: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Environment of a run that is scored now, with those of its earlier phases that were finished in another one.

    >>> of_run({"commit": "b"}, {"train": {"commit": "a"}, "reconstruct": {"commit": "b"}})
    {'commit': 'b', 'phases': {'train': {'commit': 'a'}, 'reconstruct': {'commit': 'b'}}}
    >>> of_run({"commit": "b"}, {"train": {}, "reconstruct": {"commit": "b"}})
    {'commit': 'b'}
    """
    known = {phase: dict(facts) for phase, facts in earlier.items() if facts}
    return {**now, "phases": known} if any(facts != now for facts in known.values()) else dict(now)


def cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def commit() -> str:
    """Commit of the checkout in use, with '+' if files are changed; empty for an installed package."""
    folder = Path(__file__).parents[1]
    if not (folder / ".git").exists():
        return ""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if head and _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip()


def cpu_name() -> str:
    """Model of the processor, as the operating system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
