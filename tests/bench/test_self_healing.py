"""Whatever a run relies on may be damaged: it is named, made again, and the scores are those of before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from damages import DAMAGES
from small_volumes import textured

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.store import RunFolder, run_folders
from vemrecon.bench.worker import recorded
from vemrecon.progress import silent

KINDS = [
    "*/lateral-cnn-*/train/fit/stage.json",
    "*/lateral-cnn-*/train/fit/stage.safetensors",
    "*/lateral-cnn-*/train/fit/last.ckpt",
    "*/lateral-cnn-*/train/fit/loss.csv",
    "*/lateral-cnn-*/train/environment.json",
    "*/lateral-cnn-*/weights.safetensors",
    "*/lateral-cnn-*/reconstruction.json",
    "*/lateral-cnn-*/reconstruction-seconds.json",
    "*/lateral-cnn-*/reconstruction.zarr/zarr.json",
    "*/lateral-cnn-*/reconstruction.zarr/0/zarr.json",
    "*/lateral-cnn-*/reconstruction.zarr/0/c/0/0/0",
    "*/lateral-cnn-*/blocks.log",
    "*/lateral-cnn-*/curves.json",
    "*/lateral-cnn-*/sections.npz",
    "*/lateral-cnn-*/result.json",
    "*/lateral-cnn-*/spec.json",
    "*/observed-*.zarr/zarr.json",
    "*/observed-*.zarr/0/zarr.json",
    "*/observed-*.zarr/0/c/0/0/0",
    "*/observed-*.zarr.sums",
    "data/checksums.json",
]
"""Everything that a run leaves and reads again."""


def asked(truth: Path, runs: Path) -> list[RunFolder]:
    """The folders of a tiny benchmark, ready to be brought to their ends."""
    request = Request(
        (f"local:{truth}",), scale=(4,), degradation=("subsample",), methods=("lateral-cnn",), preset="smoke",
        mode="transductive", metrics=("psnr",), set={"lateral-cnn": {"budget": 8, "width": 4, "blocks": 1}},
    )  # fmt: skip
    planned = plan(resolve([request], Setup(runs, voxel_size=(8.0, 8.0, 8.0)), fetch=True))
    for run in planned:
        run.folder.create()
        run.job.write(run.folder.path / "job.json")
    return [run.folder for run in planned]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a truth and finished runs."""
    folder = tmp_path_factory.mktemp("finished")
    np.save(folder / "truth.npy", textured((24, 48, 48)))
    for run in asked(folder / "truth.npy", folder / "runs"):
        assert recorded(run, silent) == 0
    return folder


def scores(folder: RunFolder) -> object:
    result = folder.result()
    assert result is not None and result.status == "done", result
    return result.scores


EACH = [(kind, list(DAMAGES)[number % len(DAMAGES)]) for number, kind in enumerate(KINDS)]
OTHERS = [pytest.param(kind, damage, marks=pytest.mark.slow) for kind in KINDS for damage in DAMAGES
          if (kind, damage) not in EACH]  # fmt: skip


@pytest.mark.parametrize(("kind", "damage"), [*EACH, *OTHERS])
def test_what_is_damaged_is_made_again_with_the_same_scores(finished: Path, tmp_path: Path, kind: str, damage: str):
    runs = tmp_path / "runs"
    shutil.copytree(finished / "runs", runs)
    (before,) = run_folders(finished / "runs")
    path = next(runs.glob(kind))
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    if not kind.endswith("result.json"):
        (runs / before.path.relative_to(finished / "runs") / "result.json").unlink()

    (folder,) = asked(finished / "truth.npy", runs)
    assert recorded(folder, silent) == 0

    assert scores(folder) == scores(before)
    assert folder.path.name == before.path.name
    if kind.endswith(("/c/0/0/0", "stage.safetensors")):
        assert path.read_bytes() == content
    for one in (path for path in folder.path.rglob("*.json") if path.name != "reconstruction-seconds.json"):
        json.loads(one.read_text())


def test_a_metric_of_another_version_redoes_scores_only(finished: Path, tmp_path: Path, monkeypatch):
    from dataclasses import replace

    from vemrecon.metrics import catalogue
    from vemrecon.plugins import Catalogue

    runs = tmp_path / "runs"
    shutil.copytree(finished / "runs", runs)
    (folder,) = run_folders(runs)
    kept = [p for name in ("train", "reconstruction.zarr") for p in (folder.path / name).rglob("*") if p.is_file()]
    stamps = {path: path.stat().st_mtime_ns for path in [*kept, folder.path / "reconstruction.json"]}
    own = catalogue.metrics().own
    newer = Catalogue("metric", {**own, "psnr": replace(own["psnr"], version=2)}, lambda one: None)
    monkeypatch.setattr(catalogue, "metrics", lambda: newer)
    assert folder.state() == "planned"

    (again,) = asked(finished / "truth.npy", runs)
    assert recorded(again, silent) == 0

    assert again.state() == "done"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
