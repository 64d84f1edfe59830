"""No value depends on how volumes are read, on threads, or on the number of processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from metrics.metric_volumes import GreyVolume, noisy, textured
from metrics.shared_work import cases, computed, mean_difference, numbers

from vemrecon.metrics import passes
from vemrecon.metrics.catalogue import metrics
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.frc import ring_correlation
from vemrecon.metrics.native import isotropy_scores
from vemrecon.metrics.tiles import tile_batches
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Region

ELSEWHERE = {
    "uncertainty",  # test_uncertainty.py
    "segmentation",  # scores labels
    "sam2",
    "holdout",  # tests/bench/test_native_scores.py
    "inpainting",
}
CASES = cases()
SHAPES = {"ms_ssim": (9, 177, 176), "ms_ssim_p11": (9, 162, 165), "ms_ssim_p5": (65, 66, 65)}
NAMES = [name for name in metrics() if name not in ELSEWHERE]
SEVERAL_THREADS = ("psnr", "ssim_torchmetrics", "axial", "fsim", "fsc")  # two ways by tiles, one by sections, one whole


def scored(name: str) -> Evaluation:
    a = textured(SHAPES.get(name, (33, 40, 38)))
    truth, made = GreyVolume(a), GreyVolume(noisy(a, 25))
    ranges = {"all": Region.whole(a.shape), "part": Region((2, 3, 0), (a.shape[0] - 1, a.shape[1], a.shape[2]))}
    if name == "frc":
        return ring_correlation(truth, made, ranges)
    if name == "isotropy":
        return Evaluation(isotropy_scores(made, SectionGrid.slabs(4)))
    return evaluate(truth, made, metrics=(name,), ranges=ranges, grid=SectionGrid.slabs(4))


@pytest.mark.parametrize(
    ("name", "threads"), [*((name, 1) for name in NAMES), *((name, 3) for name in SEVERAL_THREADS)]
)
def test_scores_do_not_depend_on_what_is_read_at_once(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vemrecon.metrics.lpips.perceptual_distance", mean_difference)
    expected = scored(name)
    assert any(row.value is not None for row in expected.scores)
    monkeypatch.setattr(passes, "tile_batches", partial(tile_batches, size=(9, 20, 16), piece=(20, 31, 70)))
    monkeypatch.setattr(passes, "SLAB_VOXELS", 3 * 70 * 70)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = scored(name)
    finally:
        torch.set_num_threads(before)
    tolerance = 1e-6 if name == "fsim" else 1e-9  # float32, whose sums depend on the batch
    for row, other in zip(found.scores, expected.scores, strict=True):
        assert (row.metric, row.variant, row.plane, row.note) == (
            other.metric, other.variant, other.plane, other.note,
        )  # fmt: skip
        assert row.value == (None if other.value is None else pytest.approx(other.value, abs=tolerance))
    assert found.curves.keys() == expected.curves.keys()


@pytest.mark.parametrize("name", CASES)
def test_states_add_up_in_any_order(name: str) -> None:
    case = CASES[name]
    expected = numbers(computed(case).compute())
    assert any(np.isfinite(expected))
    pieces = list(case.pieces)
    random.Random(0).shuffle(pieces)
    first, second = case.make(), case.make()
    for k, piece in enumerate(pieces):
        piece((first, second)[k % 3 == 0])
    first.merge_state(second)
    assert numbers(first.compute()) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    script = Path(__file__).with_name("shared_work.py")
    paths = os.pathsep.join([str(script.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    words = [[sys.executable, str(script), str(rank), str(tmp_path)] for rank in range(2)]
    started = [subprocess.Popen(w, env=environment, stderr=subprocess.PIPE, text=True) for w in words]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert set(found) == set(CASES)
        for name, case in CASES.items():
            assert found[name] == pytest.approx(numbers(computed(case).compute()), abs=1e-9, nan_ok=True), name
