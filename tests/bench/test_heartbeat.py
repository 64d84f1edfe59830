"""Two machines that share a folder: a run is taken over when its counter stands still, whatever the clocks say."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from vemrecon.bench.executors.attend import Outcome
from vemrecon.bench.heartbeat import FILE, Beat, Heartbeat, TakenError
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Status
from vemrecon.bench.runner import execute
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RUNNING, RunFolder

TASK = Task("phantom", "test", 4.0, DegradationVariant("average"), "d", "s")
SPEC = RunSpec(TASK, MethodVariant("linear", "linear", "x.Linear", "1"), "default", 0, 1)
FAST = {"every": 0.02, "still": 0.3}


@pytest.fixture
def folder(tmp_path):
    run = RunFolder.of(SPEC, tmp_path)
    run.create()
    return run.path


def test_a_run_at_work_says_who_and_how_far(folder):
    told = []
    with Heartbeat(folder, lambda *words: told.append(words), host="here", every=0.02) as beat:
        beat.progress("train", 0.0, "loss 1")
        beat.progress("train", 0.5, "loss 0.5")
        first = Beat.read(folder)
        moved = wait_for(lambda: Beat.read(folder).count > first.count and Beat.read(folder).share == 0.5)
        now = Beat.read(folder)
    assert moved and (now.host, now.pid, now.phase, now.share, now.note) == (
        "here", os.getpid(), "train", 0.5, "loss 0.5",
    )  # fmt: skip
    assert now.left_seconds == pytest.approx(now.phase_seconds)
    assert told == [("train", 0.0, "loss 1"), ("train", 0.5, "loss 0.5")]
    assert not (folder / FILE).exists()


def wait_for(met, patience=10.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if met():
            return True
        threading.Event().wait(0.01)
    return False


@pytest.mark.parametrize("apart", [-86400.0, 0.0, 86400.0])
def test_a_run_of_another_machine_that_beats_is_refused_though_its_clock_is_wrong(folder, apart, monkeypatch):
    real = time.time
    with Heartbeat(folder, host="there", every=0.02):
        monkeypatch.setattr(time, "time", lambda: real() + apart)
        with pytest.raises(TakenError, match="on there is at work"), Heartbeat(folder, host="here", **FAST):
            pass
        assert Beat.read(folder).host == "there"


@pytest.mark.parametrize("apart", [-86400.0, 0.0, 86400.0])
def test_a_run_of_a_dead_machine_is_taken_over_once_its_counter_stood_still(folder, apart, monkeypatch):
    dead = Heartbeat(folder, host="there", every=60)
    dead.__enter__()
    dead.ended.set()  # power was cut
    os.utime(folder / FILE, (time.time() + apart,) * 2)
    begun = time.monotonic()
    with Heartbeat(folder, host="here", **FAST):
        assert Beat.read(folder).host == "here"
    assert time.monotonic() - begun >= FAST["still"]


def test_one_that_comes_back_finds_another_token_and_ends_without_a_result(folder):
    lost = threading.Event()
    sleeping = Heartbeat(folder, host="there", every=0.02, lost=lost.set)
    with sleeping:
        sleeping.lock.acquire()  # its machine stands still
        with Heartbeat(folder, host="here", **FAST):
            sleeping.lock.release()  # and goes on
            assert lost.wait(10)
            with pytest.raises(TakenError, match="taken over"):
                sleeping.require()
            sleeping.progress("train", 1.0)
            assert Beat.read(folder).host == "here", "whoever lost a run writes nothing into it"
    assert not (folder / FILE).exists()


def test_a_result_is_not_written_into_a_run_that_somebody_else_is_at_work_on(folder):
    run = RunFolder.open(folder)
    with Heartbeat(folder, host="there", every=60):
        assert run.state() == RUNNING
        with pytest.raises(TakenError, match="there is at work on it"):
            run.write_result(Status.DONE)
    run.write_result(Status.DONE)
    assert run.state() == Status.DONE


NO_JOB = SimpleNamespace(write=lambda path: None)


class Refused:
    """An executor whose first run turns out to be at work on another machine."""

    tells = True

    def __init__(self):
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def room(self):
        return 1

    def submit(self, order, told, done):
        self.seen.append(order.path)
        outcome = Outcome(2, stopped="somebody else has it") if len(self.seen) == 1 else Outcome(1, reason="no luck")
        done(lambda: outcome)


def test_a_run_that_another_machine_has_does_not_stop_the_others(tmp_path):
    first, second = (PlannedRun(RunFolder.of(replace(SPEC, seed=seed), tmp_path), NO_JOB) for seed in (1, 2))
    first.folder.create()
    ended, executor = {}, Refused()
    listener = SimpleNamespace(
        started=lambda run: None, ended=lambda run, status, reason: ended.update({run.spec.seed: (status, reason)})
    )
    with Heartbeat(first.folder.path, host="there", every=60):
        execute([first, second], tmp_path, listener, executor)

    assert len(executor.seen) == 2
    assert ended[1][0] == "running" and "on there" in ended[1][1]
    assert ended[2] == ("interrupted", "no luck") and first.folder.result() is None


def test_what_a_killed_process_left_is_no_run_at_work(folder):
    beat = Heartbeat(folder, every=60)
    beat.beat = Beat(beat.beat.host, 2**22 + 1, "token")  # no process has this number
    beat._write()
    assert RunFolder.open(folder).state() == Status.INTERRUPTED
    (folder / FILE).write_bytes(b"\0" * 10)
    assert Beat.read(folder) is None
    with Heartbeat(folder):
        assert Beat.at_work(folder).mine
