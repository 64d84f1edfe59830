"""The training of one run in several processes that share every batch, each on a device of its own."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from vemrecon.bench.executors.messages import Lines, SignalError, end_of, error_of
from vemrecon.errors import VemreconError
from vemrecon.processes import STORE_PORT
from vemrecon.progress import Progress

LOCAL = "127.0.0.1"


def learn_together(path: Path, count: int, progress: Progress) -> None:
    """Train in several processes of this machine; they leave the finished stages in the run folder.

    They meet at a store that this process keeps, on a port that the operating system has chosen. They end when this
    process ends, and as soon as one of them fails the others are ended.

    Args:
        path: The run folder, whose job names the devices.
        count: Of the processes.
        progress: Told what the first of them tells.

    Raises:
        VemreconError: If one fails, with its reason.
        SignalError: If one is ended by a signal.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False)
    ended: queue.Queue[_Rank] = queue.Queue()
    ranks = [_Rank(path, number, count, store.port, progress, ended) for number in range(count)]
    try:
        for _ in ranks:
            rank = ended.get()
            if rank.process.returncode != 0:
                rank = next((one for one in ranks if one.killed), rank)  # others fail when one of them is gone
                code, what = rank.process.returncode, f"process {rank.number} of {count} of the training"
                if rank.killed:
                    raise SignalError(what, -code)
                raise rank.error or VemreconError(f"{what}: {end_of(code)}")
    finally:
        for rank in ranks:
            rank.process.kill()
            rank.process.wait()


class _Rank:
    """One process, and the thread that reads what it tells."""

    def __init__(
        self, path: Path, number: int, count: int, port: int, progress: Progress, ended: queue.Queue[_Rank]
    ) -> None:
        self.number, self.progress = number, progress
        self.error: Exception | None = None
        places = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "NODE_RANK": 0}
        threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or 1) // count)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vemrecon.bench.executors.training_process", str(path), str(os.getpid())],
            stdin=subprocess.PIPE,  # its end tells the process that this one is gone
            stdout=subprocess.PIPE,
            env=os.environ
            | {name: str(value) for name, value in places.items()}
            | {STORE_PORT: str(port), "OMP_NUM_THREADS": str(threads)},
        )
        threading.Thread(target=self._listen, args=(ended,), daemon=True).start()

    @property
    def killed(self) -> bool:
        """Whether a signal has ended it."""
        return (self.process.poll() or 0) < 0

    def _listen(self, ended: queue.Queue[_Rank]) -> None:
        assert self.process.stdout is not None
        lines = Lines()
        for line in self.process.stdout:
            for message in lines.of(line):
                if "error" in message:
                    self.error = error_of(message)
                elif "phase" in message and self.number == 0:
                    self.progress(message["phase"], message["share"], message["note"])
        self.process.wait()
        ended.put(self)
