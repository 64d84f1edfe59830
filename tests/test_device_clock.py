"""The time that a training was given, where others work on the machine."""

import subprocess
import sys

import pytest
import torch

from vemrecon import device_clock
from vemrecon.device_clock import DeviceClock


@pytest.fixture
def times(monkeypatch):
    """Wall and processor times that a test sets."""
    found = {"wall": 0.0, "processor": 0.0, "children": 0.0}
    for name in found:
        monkeypatch.setattr(device_clock, name, lambda name=name: found[name])
    return found


@pytest.mark.parametrize(("threads", "device", "workers", "told"), [
    (1, "cpu", 0, 4.0), (2, "cpu", 0, 10.0), (1, "cuda:0", 0, 10.0), (1, "cpu", 2, 10.0),
])  # fmt: skip
def test_one_thread_is_told_what_it_was_given(times, monkeypatch, threads, device, workers, told):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    clock = DeviceClock(device, workers)
    times.update(wall=10.0, processor=4.0)
    assert clock.lap() == told
    times.update(wall=11.0, processor=6.0)  # other threads of the process have worked, too
    assert clock.lap() == 1.0
    assert clock.lap() == 0.0


def test_what_a_program_does_for_a_training_counts(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    clock = DeviceClock("cpu")
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3)"], check=True)
    assert clock.lap() >= 0.3
