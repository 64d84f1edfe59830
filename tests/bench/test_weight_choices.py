"""Runs whose weights are chosen by held-out patches: what these are is part of them, and never what is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.result import Status
from vemrecon.bench.same_training import same_trainings
from vemrecon.bench.store import RunFolder
from vemrecon.errors import ConfigError
from vemrecon.metrics.catalogue import versions_of

CARD = """
title: A volume of random voxels
voxel_size: [40, 4, 4]
tasks: [lateral, native]
files:
  volume: {path: volume.npy}
splits:
  train: {file: volume, region: [[0, 8], [0, 128], [0, 96]]}
  val: {file: volume, region: [[0, 8], [240, 320], [0, 96]]}
  apart: {file: volume, region: [[0, 8], [420, 500], [0, 96]]}
  other: {file: volume, region: [[0, 8], [420, 500], [0, 96]], val: elsewhere}
  elsewhere: {file: volume, region: [[0, 8], [600, 640], [0, 96]]}
  overlapping: {file: volume, region: [[0, 8], [300, 400], [0, 96]]}
  inside: {file: volume, region: [[0, 8], [0, 320], [0, 96]], inside: true}
"""


@pytest.fixture
def card(tmp_path: Path) -> str:
    np.save(tmp_path / "volume.npy", np.zeros((8, 640, 96), np.uint8))
    (tmp_path / "card.yaml").write_text(CARD)
    return str(tmp_path / "card.yaml")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def planned(dataset: str, split: str, choice: str | None = None, task: str | None = None, **more) -> RunFolder:
    settings = {"lateral-cnn": {**({"choice": choice} if choice else {}), **more}}
    request = Request(
        dataset=dataset, split=split, scale=4, methods=("lateral-cnn",), preset="smoke", kernels="asked", task=task,
        set=settings,
    )  # fmt: skip
    (run,) = plan(resolve([request], Setup(Path("runs")), fetch=False))
    return run.folder


def test_where_weights_are_chosen_is_part_of_a_run_only_if_they_are(card):
    best, other = (planned(card, split, "best").spec for split in ("apart", "other"))
    assert [part["split"] for part in best.training["validation"]] == ["val"]
    assert [part["split"] for part in other.training["validation"]] == ["elsewhere"]
    assert best.task.split_digest == other.task.split_digest
    for choice in (None, "last", "average"):
        assert "validation" not in planned(card, "apart", choice).spec.training


def test_weights_are_never_chosen_by_what_is_scored(card):
    with pytest.raises(ConfigError, match=r"overlaps the validation split 'val'.*chosen by what is scored"):
        planned(card, "overlapping", "best")
    assert planned(card, "overlapping", "last"), "where nothing is chosen, nothing leaks"
    assert planned(card, "inside", "best", task="native"), "which has no truth"


def test_finished_runs_that_keep_other_weights_of_the_same_training_are_found(card):
    last, best, average, shorter = (
        planned(card, "apart", **more)
        for more in ({"choice": "last"}, {"choice": "best"}, {"choice": "average"}, {"choice": "best", "budget": 8})
    )
    for folder in (best, shorter):
        folder.create()
        folder.write_result(Status.DONE, metric_versions=versions_of(folder.spec.metrics))
    average.create()
    assert [found.spec.run_id for found in same_trainings(last)] == [best.spec.run_id]
    assert not list(same_trainings(best))
