"""`DeviceClock`: how long a device has worked for a training, also where others work on the machine."""

from __future__ import annotations

import resource
import time

import torch

wall, processor = time.perf_counter, time.process_time


def children() -> int:
    """A number that rises whenever a process ends that this one has begun: the pages that these have asked for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


class DeviceClock:
    """Tells seconds of a device.

    A training on one thread of a processor that it has to share gets less of it than time passes. What others take is
    not its own: it is told the time that it was given. On several threads, on a GPU, and where other processes work for
    it, as programs of others do, nobody knows that, and it is told the time that has passed.

    Args:
        device: Where it learns.
        workers: Processes that prepare what it learns from.
    """

    def __init__(self, device: str, workers: int = 0) -> None:
        self.alone = device.startswith("cpu") and torch.get_num_threads() == 1 and not workers
        self.last = wall(), processor(), children()

    def lap(self) -> float:
        """Seconds since the last lap, or since the clock was made."""
        before, self.last = self.last, (wall(), processor(), children())
        passed, given, elsewhere = (now - then for now, then in zip(self.last, before, strict=True))
        return min(passed, given) if self.alone and not elsewhere else passed
