"""Methods that make trouble for whoever runs them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import torch

from vemrecon.methods import Method, MethodCard
from vemrecon.methods.lateral_cnn import LateralCNN


class Honest(Method):
    """Repeats sections."""

    card = MethodCard("Repeats sections", "none")

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)


class Counting(Honest):
    """Tells how many threads it computes with."""

    def reconstruct(self, tile):
        print("threads", torch.get_num_threads())
        return super().reconstruct(tile)


class Hanging(Honest):
    """Begins a process, tells its number, and never ends."""

    def reconstruct(self, tile):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("child", child.pid, flush=True)
        time.sleep(600)


class Greedy(Honest):
    """Takes 600 MB and holds them."""

    def reconstruct(self, tile):
        self.taken = bytearray(os.urandom(1 << 20) * 600)
        time.sleep(600)


class Outgrown(Honest):
    """Asks for more than there is."""

    def reconstruct(self, tile):
        raise MemoryError("no room for 900 GB")


class Leaving(Honest):
    """Ends the process, with the code that means that nothing can be written."""

    def reconstruct(self, tile):
        sys.exit(2)


class Killed(Honest):
    """Is killed by somebody."""

    def reconstruct(self, tile):
        os.kill(os.getpid(), signal.SIGKILL)


class Halved(LateralCNN):
    """One of the processes that share its training is killed, the first time."""

    card = MethodCard("Loses a process", "self")
    presets: ClassVar = {"smoke": {"width": 8, "blocks": 1, "patch": 32, "batch": 4, "budget": 20}}

    def training_step(self, batch, index):
        if self.global_rank == 1 and not (mark := Path(os.environ["TROUBLED_MARK"])).exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, index)
