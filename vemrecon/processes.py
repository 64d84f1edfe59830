"""Which of the processes of one training this is, as their launcher says it in the environment; what ends a process
with the one that began it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from vemrecon.errors import ConfigError

PAUSE_SECONDS = 0.2
ORPHANED = 3
"""Exit code of a process that has outlived the one that began it."""
STORE_PORT = "VEMRECON_STORE_PORT"
"""Variable that names the port of the store where the processes of a training meet, where no launcher does that."""
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Variable by which torch asks Linux for huge pages: 1 for yes, 0 for no. It looks once, when it first allocates."""


def prefer_huge_pages() -> None:
    """Let torch keep tensors in pages of 2 MB, here and in processes that this one begins; what is said already stays.

    Convolutions write to fresh memory again and again, which is handed out page by page; networks are up to twice as
    fast with large ones. Has no effect where the system has none, or where torch has allocated before.
    """
    os.environ.setdefault(HUGE_PAGES, "1")


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Number of this process on this machine, and of its device."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Number of processes that share the training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def adopt_launcher() -> None:
    """Take the place of this process in a training of several nodes from whoever began it: torchrun or srun.

    Raises:
        ConfigError: If neither did.
    """
    if "RANK" in os.environ:  # torchrun
        return
    if "SLURM_PROCID" not in os.environ or "SLURM_LOCALID" not in os.environ:
        raise ConfigError(
            "--together: neither torchrun nor srun has begun this process, such as: srun --nodes 2 --ntasks-per-node 4 "
            "vemrecon run FOLDER --together"
        )
    count = os.environ.get("SLURM_NTASKS", "1")
    each = os.environ.get("SLURM_NTASKS_PER_NODE") or str(int(count) // int(os.environ.get("SLURM_NNODES", "1")))
    names = {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID", "NODE_RANK": "SLURM_NODEID"}
    os.environ.update({name: os.environ[slurm] for name, slurm in names.items()})
    os.environ.update({"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": each})


def launched_together() -> bool:
    """Whether torchrun or srun has begun the processes of this training, and says where they meet."""
    return world_size() > 1 and STORE_PORT not in os.environ


def local_world_size() -> int:
    """Number of processes that share the training on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def join_group(devices: Sequence[str]) -> None:
    """Meet the other processes of this training, where whoever began them keeps the store for it.

    Args:
        devices: Torch devices, one for each process.
    """
    if STORE_PORT not in os.environ:
        return
    import torch
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    cuda = devices[0].startswith("cuda")
    if cuda:
        torch.cuda.set_device(devices[local_rank()])
    store = TCPStore("127.0.0.1", int(os.environ[STORE_PORT]), world_size(), is_master=False)
    distributed.init_process_group("nccl" if cuda else "gloo", store=store, rank=rank(), world_size=world_size())


def leave_group() -> None:
    """Part from the other processes of this training: what follows is done by one of them, and waits for none."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for work of other processes that is seen by its files; if one of them dies, all are ended from outside."""
    while not done():
        time.sleep(PAUSE_SECONDS)


def peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def end_with_parent(parent: int) -> None:
    """Let this process be killed when the one that began it ends, however it ends; only Linux knows how.

    Args:
        parent: Number of the process that began it. If that has ended meanwhile, this one ends now.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(ORPHANED)


def end_with_input() -> None:
    """End this process when nobody holds the other end of its standard input any more."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def end_by(number: int) -> NoReturn:
    """End this process as a signal of this number does."""
    with suppress(OSError):  # nobody can decide otherwise about SIGKILL
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
