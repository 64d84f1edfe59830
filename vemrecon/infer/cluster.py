"""`Cluster`: makes the units of a job on the workers of a dask scheduler.

Workers read the volume and write the output themselves, so both must be on a file system that all of them see; what
passes through the scheduler are numbers of blocks and checksums. Workers may come and go: what one was at when it died
is made by another.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from vemrecon.errors import ConfigError, DataError
from vemrecon.files import atomic_write
from vemrecon.infer.maker import Done, Job, Maker, twin
from vemrecon.infer.marks import Sums
from vemrecon.infer.schedule import Schedule, Unit
from vemrecon.methods.base import Method
from vemrecon.volume import Volume

QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Batch systems, and the class of dask-jobqueue for each."""
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


def require_place(where: str) -> None:
    """Refuse a place where no workers can be, before anything long is computed. Arguments as of `connected`.

    Raises:
        ConfigError: If a package is missing, there is no scheduler, or it is no place.
    """
    kind, _, count = where.partition(":")
    needed = ["distributed", "dask_jobqueue"] if kind in QUEUES else ["distributed"]
    for package in needed:
        if find_spec(package) is None:
            raise ConfigError(f"--dask {where}: the package {package} is not installed; pip install vemrecon[dask]")
    if kind == "local":
        _count(where, count, os.cpu_count() or 1)
    elif kind in QUEUES:
        _count(where, count, None)
        _require_jobs(kind)
    elif "://" in where or Path(where).is_file():
        with connected(where):
            pass
    else:
        raise ConfigError(
            f"--dask {where}: must be local:N, slurm:N (or {', '.join([*QUEUES][1:])}), an address such as "
            f"tcp://host:8786, or a scheduler file"
        )


@contextmanager
def connected(where: str) -> Iterator[Any]:
    """A client of the scheduler that a user names, which is ended afterwards where it was begun here.

    Args:
        where: Address or scheduler file, `local:N` for N processes of this machine, or `slurm:N` (and kin) for N jobs
            of a batch system, as dask-jobqueue is configured for it.

    Raises:
        ConfigError: If no scheduler answers, or none can be begun.
    """
    from distributed import Client, LocalCluster

    kind, _, count = where.partition(":")
    if kind == "local":
        with (
            LocalCluster(
                n_workers=_count(where, count, os.cpu_count() or 1),
                threads_per_worker=1,
                memory_limit=0,  # --memory bounds it; dask would kill workers
                dashboard_address=":0",
                silence_logs="CRITICAL",
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    if kind in QUEUES:
        with _queue(kind, _count(where, count, None)) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    named = {"scheduler_file": where} if Path(where).is_file() else {"address": where}
    try:
        client = Client(**named, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(f"--dask {where}: no scheduler answers there ({error})") from error
    with client:
        yield client


def _count(where: str, text: str, usual: int | None) -> int:
    if not text and usual is not None:
        return usual
    if not text.isdigit() or not 1 <= int(text) < 10_000:
        raise ConfigError(f"--dask {where}: must be {where.partition(':')[0]}:N, with the number of workers")
    return int(text)


def _require_jobs(kind: str) -> None:
    """Refuse a batch system that nobody has said the size of jobs for.

    Raises:
        ConfigError: With where to say it.
    """
    import dask
    import dask_jobqueue  # noqa: F401  # brings its configuration

    said = dask.config.get(f"jobqueue.{kind}", {})
    if lacking := [name for name in ("cores", "memory") if not said.get(name)]:
        raise ConfigError(
            f"--dask {kind}: say {' and '.join(lacking)} of a job in ~/.config/dask/jobqueue.yaml, under jobqueue: "
            f"{kind}: (see dask-jobqueue)"
        )


@contextmanager
def _queue(kind: str, jobs: int) -> Iterator[Any]:
    import dask_jobqueue

    try:
        cluster = getattr(dask_jobqueue, QUEUES[kind])()
    except (ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--dask {kind}: {reason}; see ~/.config/dask/jobqueue.yaml and dask-jobqueue") from error
    with cluster:
        cluster.scale(jobs=jobs)
        yield cluster
