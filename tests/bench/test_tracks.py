"""Tracks: the same time of training for every method, found before it begins, measured, and kept through kills."""

import json
from dataclasses import replace
from itertools import count

import pytest
import torch
from safetensors.torch import load_file

from vemrecon import device_clock
from vemrecon.bench import trainings, worker
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.spec import RunSpec
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import observe
from vemrecon.bench.track import Track
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.fit import minutes, stages
from vemrecon.fit.pace import Pace
from vemrecon.methods.registry import method_entry
from vemrecon.progress import silent

TASK = {"dataset": "phantom", "split": "smoke", "scale": (4,), "degradation": ("subsample",), "preset": "smoke"}


def runs_of(folder, fetch=False, **more):
    request = Request(**{**TASK, "track": "minutes=0.02", **more})
    return plan(resolve([request], Setup(folder), fetch=fetch))


def test_a_track_is_part_of_what_a_run_is_and_its_absence_is_not(tmp_path):
    (plain,) = (run.folder.spec for run in runs_of(tmp_path, methods=("lateral-cnn",), track=None))
    assert "track" not in plain.as_dict()
    tracks = [replace(plain, track=Track(minutes)) for minutes in (1.0, 2.0)]
    assert len({spec.run_id for spec in (plain, *tracks)}) == 3
    RunFolder.of(tracks[0], tmp_path).create()
    assert RunFolder.open(tracks[0].folder(tmp_path)).spec == tracks[0]
    assert RunSpec.from_dict(json.loads(json.dumps(plain.as_dict()))) == plain


def test_what_does_not_learn_has_no_track_and_is_not_run_again(tmp_path):
    linear, learns = runs_of(tmp_path, methods=("linear", "lateral-cnn"))
    (usual,) = runs_of(tmp_path, methods=("linear",), track=None)
    assert linear.folder == usual.folder
    assert learns.folder.spec.track == Track(0.02)


@pytest.mark.parametrize("word", ["10", "minutes", "minutes=0", "minutes=-1", "minutes=nan", "minutes=x", "hours=1"])
def test_a_track_that_means_nothing_is_refused(word, capsys):
    assert main(["plan", "--track", word]) == 2
    assert f"--track {word}: must read minutes=N" in capsys.readouterr().err


def test_batches_are_not_counted_where_a_time_is_given(tmp_path):
    settings = {"set": {"lateral-cnn": {"budget": 9}}}
    with pytest.raises(ConfigError, match=r"lateral-cnn\.budget: counts batches, as --track does"):
        runs_of(tmp_path, methods=("lateral-cnn",), **settings)


def test_a_method_that_fits_every_tile_declines(tmp_path):
    (run,) = runs_of(tmp_path, fetch=True, methods=("emgauss",))
    run.folder.create()
    run.job.write(run.folder.path / "job.json")
    worker.run(run.folder, silent, lambda name: None)
    result = run.folder.result()
    assert result.status == "declined" and "no training that could be given a time" in result.reason


class Ticks:
    """A clock in which every look takes as long."""

    def __init__(self, seconds):
        self.seconds, self.looks = seconds, count()

    def __call__(self):
        return self.seconds * next(self.looks)


class _StopError(Exception):
    pass


def stopped(*words):
    raise _StopError


def learned(monkeypatch, runs, pace=0.01, epoch=0.0, stop=2.0, tick=0.0):
    """Batches, seconds and weights of a run of lateral-cnn whose batches seem to take `pace` seconds."""
    monkeypatch.setattr(minutes, "paces", lambda *words, **more: [Pace(pace, epoch)])
    for name in ("wall", "processor"):
        monkeypatch.setattr(device_clock, name, Ticks(tick))

    def progress(phase, share, note=""):
        if phase == "fit" and share > stop:
            raise _StopError

    (run,) = runs_of(runs, fetch=True, methods=("lateral-cnn",), mode="transductive")
    run.folder.create()
    _, card, _ = method_entry("lateral-cnn").resolved()
    observe(run.folder, run.job)
    trainings.learn(run.folder, run.job, card.regime, progress)
    mark = json.loads((run.folder.path / "train" / "fit" / "stage.json").read_text())
    return mark["batches"], mark["seconds"], load_file(run.folder.path / "weights.safetensors")


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_training_goes_on_with_the_time_that_was_found(tmp_path, monkeypatch):
    calm = learned(monkeypatch, tmp_path / "calm")
    assert calm[0] == 120, "1.2 seconds of 0.01 each"
    with pytest.raises(_StopError):
        learned(monkeypatch, tmp_path / "killed", stop=0.5)
    resumed = learned(monkeypatch, tmp_path / "killed", pace=1e-4)
    assert resumed[0] == calm[0] and same(resumed[2], calm[2])


def test_a_training_ends_with_the_epoch_that_reaches_the_time_and_stays_so(tmp_path, monkeypatch):
    calm = learned(monkeypatch, tmp_path / "calm", tick=0.12)  # half as fast as it was timed: 0.12 s for 6 batches
    assert (calm[0], calm[1]) == (60, pytest.approx(1.2, abs=0.15))
    with monkeypatch.context() as killed, pytest.raises(_StopError):
        killed.setattr(stages, "save_weights", stopped)  # between the last checkpoint and the mark
        learned(monkeypatch, tmp_path / "killed", tick=0.12)
    resumed = learned(monkeypatch, tmp_path / "killed", tick=0.12)
    assert resumed[:2] == (60, pytest.approx(1.2, abs=0.15)) and same(resumed[2], calm[2])
