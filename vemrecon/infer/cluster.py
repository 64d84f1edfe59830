"""`Cluster`: makes the units of a job on the workers of a dask scheduler.

Workers read the volume and write the output themselves, so both must be on a file system that all of them see; what
passes through the scheduler are numbers of blocks and checksums. Workers may come and go: what one was at when it died
is made by another.
"""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from vemrecon.errors import DataError
from vemrecon.files import atomic_write
from vemrecon.infer.maker import Done, Job, Maker, twin
from vemrecon.infer.marks import Sums
from vemrecon.infer.schedule import Schedule, Unit
from vemrecon.methods.base import Method
from vemrecon.volume import Volume

ORDER = "job.pickle"
AHEAD = 2  # units for each worker, so that none waits for the next one
ATTEMPTS = 10  # deaths of workers at one unit
SECONDS = 0.5  # between looks at how many workers there are


@dataclass(frozen=True)
class Order:
    """All that a worker needs, in a file of the working folder."""

    job: Job
    method: Method
    opened: Callable[[], Volume]
    device: str


@dataclass(frozen=True)
class Cluster:
    """Workers of dask.

    Attributes:
        client: Of dask.distributed.
        method: In evaluation mode.
        opened: Opens the volume, the coarse axis first; can be pickled.
        device: Of each worker.
    """

    client: Any
    method: Method
    opened: Callable[[], Volume]
    device: str = "cpu"

    def make(self, job: Job, schedule: Schedule, done: Done, tell: Callable[[int], None]) -> None:
        """See `Workers`."""
        targets = tuple(replace(one, path=one.path.resolve()) for one in job.targets)
        order = Order(replace(job, targets=targets), twin(self.method).cpu(), self.opened, self.device)
        path, data = targets[0].path.parent / ORDER, pickle.dumps(order)
        with atomic_write(path, "wb") as file:
            file.write(data)
        try:
            self._make(str(path), uuid4().hex, job, schedule, done, tell)
        finally:
            path.unlink(missing_ok=True)  # workers that everybody believes dead write nothing any more

    def _make(
        self, path: str, attempt: str, job: Job, schedule: Schedule, done: Done, tell: Callable[[int], None]
    ) -> None:
        from distributed import wait

        out: dict[Any, Unit] = {}
        deaths: Counter[Unit] = Counter()
        blocks = job.plan.blocks()
        try:
            while True:
                while len(out) < AHEAD * max(1, self._threads()) and (unit := schedule.take()) is not None:
                    out[self.client.submit(make_unit, path, attempt, unit, pure=False)] = unit
                if not out:
                    return
                try:
                    with self.client.as_current():
                        finished = wait(list(out), timeout=SECONDS, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in finished:
                    unit = out.pop(future)
                    sums = self._result(future)
                    if sums is None:
                        deaths[unit] += 1
                        if deaths[unit] >= ATTEMPTS:
                            raise DataError(
                                f"block {unit.number}: its worker died {ATTEMPTS} times; if its memory was too small, "
                                f"give --memory less"
                            )
                        schedule.give_back(unit)
                        continue
                    done(unit, sums)
                    if unit.kind == "part" or not job.plan.blended:
                        tell(blocks[unit.number].voxels)
        finally:
            self.client.cancel(list(out))

    def _threads(self) -> int:
        """Of all workers that are there now."""
        return sum(self.client.nthreads().values())

    @staticmethod
    def _result(future: Any) -> Sums | None:
        """Checksums of a unit; None if its worker was lost."""
        from distributed import CancelledError, KilledWorker

        try:
            found: Sums = future.result()
        except (KilledWorker, CancelledError):
            return None
        return found


_held = threading.local()


def make_unit(path: str, attempt: str, unit: Unit) -> Sums:
    """Make one unit; runs on a worker.

    Args:
        path: Of the order.
        attempt: Names the attempt that the order is of. A thread keeps what it has made ready for that alone: files of
            the same name may hold other voxels in the next one.
        unit: What is made.
    """
    if getattr(_held, "attempt", None) != attempt:
        order: Order = pickle.loads(Path(path).read_bytes())
        method, volume = order.method.eval().to(order.device), order.opened()
        if volume.shape != order.job.plan.shape:
            raise DataError(f"{volume.name}: has {volume.shape} voxels here, not {order.job.plan.shape}")
        _held.maker = Maker(order.job, method, volume, order.device, wanted=Path(path).exists)
        _held.attempt = attempt
    found: list[Sums] = []
    _held.maker.make(iter([unit]), lambda unit, sums: found.append(sums), lambda voxels: None)
    return found[0]
