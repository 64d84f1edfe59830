"""Which of the processes of one training this is; `torch.distributed.run` says it in the environment."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable

PAUSE_SECONDS = 0.2


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Number of this process on this machine, and of its device."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Number of processes that share the training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for work of other processes that is seen by its files; if one of them dies, all are ended from outside."""
    while not done():
        time.sleep(PAUSE_SECONDS)


def peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
