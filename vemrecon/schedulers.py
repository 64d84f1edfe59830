"""Schedulers of dask: on this machine, of a batch system, or wherever one is at work already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError

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
GPU = "GPU"
"""Resource of workers: how many GPUs each has for itself."""


def on_this_machine(where: str) -> bool:
    """Whether workers are begun here (`local:N`)."""
    return where.partition(":")[0] == "local"


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
    if on_this_machine(where):
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
def connected(where: str, gpus: int = 0, here: bool = False) -> Iterator[Any]:
    """A client of the scheduler that a user names, which is ended afterwards where it was begun here.

    Args:
        where: Address or scheduler file, `local:N` for N processes of this machine, or `slurm:N` (and kin) for N jobs
            of a batch system, as dask-jobqueue is configured for it.
        gpus: Of each worker that is begun here, told to the scheduler as the resource `GPU`.
        here: Whether `local:N` is one worker of N threads in this process, with all of these GPUs: for what begins
            processes itself.

    Raises:
        ConfigError: If no scheduler answers, or none can be begun.
    """
    from distributed import Client, LocalCluster

    kind, _, count = where.partition(":")
    if on_this_machine(where):
        number = _count(where, count, os.cpu_count() or 1)
        with (
            LocalCluster(
                n_workers=1 if here else number,
                threads_per_worker=number if here else 1,
                processes=not here,
                memory_limit=0,  # --memory bounds it; dask would kill workers
                dashboard_address=":0",
                silence_logs="CRITICAL",
                resources={GPU: gpus} if gpus else None,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    if kind in QUEUES:
        jobs = _count(where, count, None)
        with _queue(kind, gpus) as cluster, Client(cluster, set_as_default=False) as client:
            cluster.scale(jobs=jobs)
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


def batch_script(where: str, gpus: int = 0) -> str:
    """What is handed to a batch system for each job, as dask-jobqueue writes it; empty where `where` is none.

    Args:
        where: Such as `slurm:N`.
        gpus: See `connected`.

    Raises:
        ConfigError: See `require_place`.
    """
    require_place(where)
    kind, _, _ = where.partition(":")
    if kind not in QUEUES:
        return ""
    with _queue(kind, gpus) as cluster:
        found: str = cluster.job_script()
    return found


def _queue(kind: str, gpus: int) -> Any:
    import dask_jobqueue

    more = {"worker_extra_args": ["--resources", f"{GPU}={gpus}"]} if gpus else {}
    try:
        return getattr(dask_jobqueue, QUEUES[kind])(**more)
    except (ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--dask {kind}: {reason}; see ~/.config/dask/jobqueue.yaml and dask-jobqueue") from error
