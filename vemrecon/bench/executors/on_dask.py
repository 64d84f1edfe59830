"""Runs on the workers of a dask scheduler. Folders of runs and data must be on a file system that all of them see.

A worker begins a process for each run, as this machine does, and stays with it; that of `local:N` is a thread of this
process. Through the scheduler pass orders and outcomes alone, no voxels. How far a run is, it writes to its own folder.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from vemrecon.bench.executors.attend import Order, Outcome, Told
from vemrecon.bench.executors.here import Done, attended, threads_per_run
from vemrecon.bench.executors.warm_process import WarmProcess
from vemrecon.bench.result import Status
from vemrecon.errors import ConfigError, DataError
from vemrecon.schedulers import GPU, connected, on_this_machine


class OnDask:
    """Workers of dask, each with as many runs at once as it has threads, or GPUs for.

    Args:
        where: See `vemrecon.schedulers.connected`.
        devices: Of each run.
        gpus: Whether these are GPUs: a run then goes to a worker that has told the scheduler of so many (`GPU`), and
            gets some of them for itself.
        warm: One that was begun before, for a worker in this process (`local:N`); closed by who has begun it.
    """

    tells = False

    def __init__(self, where: str, devices: int, gpus: bool, warm: WarmProcess | None = None) -> None:
        self.where, self.devices, self.gpus, self.warm = where, devices, gpus, warm
        self.places = ExitStack()
        self.client: Any = None
        self.out: set[Any] = set()

    def __enter__(self) -> Self:
        gpus = self.devices if self.gpus else 0
        if here := on_this_machine(self.where):
            if gpus > (gpus := len(visible_gpus()) if gpus else 0):
                raise ConfigError(f"--dask {self.where}: this machine has {gpus} GPUs, a run takes {self.devices}")
            self.places.enter_context(_lent(self.warm))
        self.client = self.places.enter_context(connected(self.where, gpus, here=here))
        return self

    def __exit__(self, *error: Any) -> None:
        self.client.cancel([*self.out], force=True)
        self.places.close()

    def room(self) -> int:
        """See `Executor`. At least 1, so that runs wait for the first worker."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        if self.gpus:
            found = sum(int(one["resources"].get(GPU, 0)) // self.devices for one in workers)
        else:
            found = sum(one["nthreads"] for one in workers)
        return max(1, found)

    def submit(self, order: Order, told: Told, done: Done) -> None:
        """See `Executor`. Messages stay where the run is."""
        wanted = {GPU: self.devices} if self.gpus else None
        future = self.client.submit(do, order, self.devices, self.gpus, pure=False, resources=wanted)
        self.out.add(future)

        def ended(future: Any) -> None:
            self.out.discard(future)
            done(lambda: self._outcome(future))

        future.add_done_callback(ended)

    @staticmethod
    def _outcome(future: Any) -> Outcome:
        """What a worker says; a run whose workers died one after the other is interrupted."""
        from distributed import CancelledError, KilledWorker

        try:
            found: Outcome = future.result()
        except (KilledWorker, CancelledError):
            return Outcome(-9, Status.INTERRUPTED, "its workers of dask died; start again to go on")
        return found


_changes = threading.Lock()
_warm: WarmProcess | None = None
_taken: set[str] = set()


def do(order: Order, count: int, gpus: bool) -> Outcome:
    """Do a run; called on a worker.

    Raises:
        DataError: If the run folder is not to be seen from here.
    """
    from distributed import get_worker

    if not order.path.is_dir():
        raise DataError(f"{order.path}: this worker of dask does not see it; runs need a file system that all share")
    with devices_of_own(count, gpus) as devices:
        mine = order.on(devices, threads_per_run(get_worker().state.nthreads))
        return attended(_warm_here, mine, lambda message: None, _wanted())


def _warm_here() -> WarmProcess:
    """The warm process of this worker; it ends with the worker."""
    global _warm
    with _changes:
        if _warm is None or _warm.gone:
            _warm = WarmProcess()
        return _warm


@contextmanager
def _lent(warm: WarmProcess | None) -> Iterator[None]:
    """A warm process for the worker in this process, which has none afterwards."""
    global _warm
    _warm = warm
    try:
        yield
    finally:
        if _warm is not None and _warm is not warm:
            _warm.close()
        _warm = None


def _wanted() -> Callable[[], bool]:
    """Whether the scheduler still wants what this thread does."""
    from distributed import get_worker
    from distributed.worker import thread_state  # type: ignore[attr-defined]

    worker, key = get_worker(), thread_state.key

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state not in ("cancelled", "released", "forgotten")

    return wanted


@contextmanager
def devices_of_own(count: int, gpus: bool) -> Iterator[tuple[str, ...]]:
    """Devices that no other run of this worker has meanwhile.

    Raises:
        DataError: If the worker has told the scheduler of more GPUs than it sees.
    """
    if not gpus:
        yield ("cpu",) * count
        return
    with _changes:
        free = [name for name in visible_gpus() if name not in _taken]
        if len(free) < count:
            raise DataError(f"this worker of dask has {len(free)} GPUs left, not {count}; see its --resources {GPU}=N")
        mine = tuple(free[:count])
        _taken.update(mine)
    try:
        yield mine
    finally:
        with _changes:
            _taken.difference_update(mine)


def visible_gpus() -> list[str]:
    """GPUs that processes of this worker see, counted without opening them."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import torch

    return [f"cuda:{n}" for n in range(torch.cuda.device_count())]
