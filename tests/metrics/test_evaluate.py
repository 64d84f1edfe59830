"""The long table of scores: rows, ranges, blocks, what is left out, and errors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from metrics.metric_volumes import GreyVolume, noisy, textured

from vemrecon.errors import ConfigError, DataError
from vemrecon.metrics.catalogue.lpips import WORK as LPIPS_NETWORKS
from vemrecon.metrics.evaluate import evaluate, pair_metrics
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.score import Score
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

PAIR_METRICS = pair_metrics()
SHAPE: Triple = (24, 33, 29)
ALL = {"all": Region.whole(SHAPE)}


def scored(a: np.ndarray, b: np.ndarray, **options: Any) -> Evaluation:
    return evaluate(GreyVolume(a), GreyVolume(b), **{"ranges": {"all": Region.whole(a.shape)}, **options})


def pick(found: Evaluation, metric: str, plane: str, variant: str | None = None, **where: str) -> Score:
    where = {"range": "all", "block": "all", "metric": metric, "plane": plane, **where}
    rows = [
        row
        for row in found.scores
        if all(getattr(row, k) == v for k, v in where.items()) and variant in (None, row.variant)
    ]
    assert len(rows) == 1
    return rows[0]


def test_identical_volumes_have_ssim_one_and_no_psnr() -> None:
    a = textured(SHAPE)
    found = scored(a, a)
    for plane in ("xy", "xz", "yz", "mean", "volume"):
        assert pick(found, "ssim", plane).value == pytest.approx(1, abs=1e-12)
        assert pick(found, "psnr", plane).value is None
        assert pick(found, "psnr", plane).note
    assert "24 identical" in pick(found, "psnr", "xy").note


def test_mean_is_the_unweighted_mean_of_the_planes() -> None:
    a = textured(SHAPE)
    found = scored(a, noisy(a))
    for metric in ("psnr", "ssim"):
        planes = [pick(found, metric, plane).value for plane in ("xy", "xz", "yz")]
        assert pick(found, metric, "mean").value == pytest.approx(np.mean([v for v in planes if v is not None]))


def test_kept_sections_are_left_out_of_their_plane_only() -> None:
    a = textured(SHAPE)
    b = noisy(a)
    kept = list(range(0, SHAPE[0], 4))
    b[kept] = a[kept]
    found, plain = scored(a, b, kept_sections=kept), scored(a, b)
    withheld = [k for k in range(SHAPE[0]) if k not in kept]
    only = scored(a[withheld], b[withheld], metrics=("ssim", "psnr"))
    for metric in ("psnr", "ssim"):
        xy = pick(found, metric, "xy")
        assert xy.value == pytest.approx(pick(only, metric, "xy").value, abs=1e-9)
        assert (xy.count, xy.note) == (len(withheld), "6 kept sections left out")
        for plane in ("xz", "yz", "volume"):
            assert pick(found, metric, plane) == pick(plain, metric, plane)


@pytest.mark.parametrize(("axis", "plane"), [(1, "xz"), (2, "yz")])
def test_kept_sections_follow_the_degraded_axis(axis: int, plane: str) -> None:
    a = textured(SHAPE)
    found = scored(a, noisy(a), axis=axis, kept_sections=[0, 10, 20], metrics=("psnr",))
    assert pick(found, "psnr", plane).count == SHAPE[axis] - 3
    assert pick(found, "psnr", "xy").count == SHAPE[0]


def test_defects_are_left_out_of_xy_and_counted() -> None:
    a = textured(SHAPE)
    b = noisy(a)
    clean = pick(scored(a, b), "psnr", "xy", "").value
    b[7] = 0
    found = pick(scored(a, b, defects=[7], kept_sections=[7, 8]), "psnr", "xy")
    assert found.note == "1 kept, 1 defect sections left out"
    assert found.count == SHAPE[0] - 2
    assert found.value == pytest.approx(clean, abs=0.3)


def test_positions_of_kept_sections_are_those_of_the_truth_in_every_range() -> None:
    a = textured(SHAPE)
    part = Region((6, 0, 0), (20, 33, 29))
    found = scored(a, noisy(a), ranges={"all": ALL["all"], "part": part}, kept_sections=[0, 8, 16], metrics=("psnr",))
    assert pick(found, "psnr", "xy", range="part").count == 12


def test_ranges_and_blocks_equal_their_crops() -> None:
    a = textured(SHAPE)
    b = noisy(a)
    span = Region((0, 0, 0), (21, 33, 29))
    block = Region((2, 5, 3), (24, 30, 28))
    # Axial counts sections from the start of the truth; FSIM and LPIPS have no blocks.
    others = ("axial", "fsim", "lpips", *(f"lpips_{network}" for network in LPIPS_NETWORKS))
    names = tuple(name for name in PAIR_METRICS if name not in others)
    found = scored(a, b, ranges={**ALL, "span": span}, blocks={"b": block}, metrics=names)
    common = Region((2, 5, 3), (21, 30, 28))
    for where, region in (
        (("all", "all"), ALL["all"]),
        (("span", "all"), span),
        (("all", "b"), block),
        (("span", "b"), common),
    ):
        rows = [row for row in found.scores if (row.range, row.block) == where]
        crop = scored(a[region.slices], b[region.slices], metrics=names)
        assert len(rows) == len(crop.scores)
        for row, expected in zip(rows, crop.scores, strict=True):
            assert (row.metric, row.variant, row.plane) == (expected.metric, expected.variant, expected.plane)
            assert row.value == (None if expected.value is None else pytest.approx(expected.value, abs=1e-9))
    assert set(found.curves["fsc"]) == {"all", "span"}


def test_short_axes_give_notes_and_no_crash() -> None:
    a = textured((6, 33, 29))
    found = scored(a, noisy(a), metrics=PAIR_METRICS, grid=SectionGrid.slabs(2))
    xz = pick(found, "ssim", "xz", "gaussian11")
    assert (xz.value, xz.note) == (None, "not defined: a side is shorter than 11")
    assert pick(found, "ssim", "mean", "gaussian11").value is None
    assert pick(found, "ssim", "xy", "gaussian11").value is not None
    assert "shorter than 176" in pick(found, "ms_ssim", "xy", "").note
    assert "shorter than 24" in pick(found, "fsim", "xz").note
    assert "shorter than 16" in pick(found, "fsc", "z", "hann").note


@pytest.mark.parametrize("metric", ["ms_ssim_p5", "fsim"])
def test_metrics_of_whole_sections_can_be_asked_for_some_planes(metric: str) -> None:
    a = textured((66, 70, 68))
    b = noisy(a)
    full, part = scored(a, b, metrics=(metric,)), scored(a, b, metrics=(metric,), planes=("xy", "yz"))
    assert part.scores == tuple(row for row in full.scores if row.plane in ("xy", "yz"))


def test_whole_sections_score_the_same_with_any_number_of_threads() -> None:
    a = textured((66, 70, 68))
    b = noisy(a)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(scored(a, b, metrics=("ms_ssim_p5", "fsim")).scores)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert one.value == pytest.approx(three.value, abs=1e-6)


def test_constant_volumes_give_no_nan() -> None:
    a = np.full(SHAPE, 90, np.uint8)
    for b in (a, noisy(a)):
        found = scored(a, b, metrics=PAIR_METRICS, grid=SectionGrid.slabs(4))
        assert all(row.value is None or math.isfinite(row.value) for row in found.scores)
        assert all(row.note for row in found.scores if row.value is None)
        assert pick(found, "fsc", "all", "hann").note == "too few frequencies, or no power"
        json.dumps(found.curves, allow_nan=False)


def test_every_metric_gives_finite_rows_and_plain_curves() -> None:
    a = textured((66, 70, 68))
    b = noisy(a)
    found = scored(a, b, metrics=PAIR_METRICS, grid=SectionGrid.slabs(4))
    names = {"psnr", "psnr_lowpass", "ssim", "ssim_lowpass", "ms_ssim", "fsim", "lpips", "fsc", "axial"}
    assert {row.metric for row in found.scores} == names
    assert {row.variant for row in found.scores if row.metric == "fsc"} == {"hann", "none"}
    curves = json.loads(json.dumps(found.curves, allow_nan=False))
    assert len(curves["slices"]["all"]["mae"]) == 66
    mae = np.abs(b.astype(float) - a).mean(axis=(1, 2))
    assert curves["slices"]["all"]["mae"] == pytest.approx(mae, abs=1e-9)
    volume = pick(found, "ms_ssim", "volume", "p5").value
    assert volume is not None
    assert 0 < volume < 1


def test_fsc_ratio_and_lateral_follow_the_degraded_axis() -> None:
    a = textured((32, 32, 32))
    b = a.copy()
    b[:, ::2] = b[:, 1::2]  # coarser along y
    found = scored(a, noisy(b, 3), axis=1, metrics=("fsc",))
    z, y, x = (pick(found, "fsc", name).value for name in "zyx")
    assert z is not None
    assert y is not None
    assert x is not None
    assert pick(found, "fsc", "lateral").value == pytest.approx((z + x) / 2)
    assert pick(found, "fsc", "ratio").value == pytest.approx(y / ((z + x) / 2))


def test_fsc_of_a_long_volume_is_the_mean_over_blocks() -> None:
    a = textured((64, 32, 32))
    b = noisy(a, 30)
    found = pick(scored(a, b, metrics=("fsc",), edge_limit=32), "fsc", "all")
    halves = [pick(scored(a[k : k + 32], b[k : k + 32], metrics=("fsc",)), "fsc", "all").value for k in (0, 32)]
    assert found.count == 2
    assert found.value == pytest.approx(np.mean([v for v in halves if v is not None]))


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    a = textured(SHAPE)
    scored(a, noisy(a), metrics=PAIR_METRICS, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


def test_unknown_metric_names_the_closest_one() -> None:
    a = textured(SHAPE)
    with pytest.raises(ConfigError, match="did you mean 'psnr'"):
        scored(a, a, metrics=("psnrr",))


def test_other_shape_outside_range_and_nan_are_refused() -> None:
    a = textured(SHAPE)
    with pytest.raises(DataError, match=r"\(23, 33, 29\).*\(24, 33, 29\)"):
        scored(a, a[1:])
    with pytest.raises(DataError, match="range 'span'"):
        scored(a, a, ranges={"span": Region((0, 0, 0), (25, 33, 29))})
    with pytest.raises(DataError, match="range"):
        scored(a, a, ranges={})

    class Broken(GreyVolume):
        def read(self, region: Region) -> np.ndarray:
            return np.full(region.shape, np.nan, np.float32)

    with pytest.raises(DataError, match="the reconstruction holds NaN"):
        evaluate(GreyVolume(a), Broken(a, VoxelSize(8, 8, 8)), ranges=ALL)


def test_the_catalogue_loads_without_torch() -> None:
    code = "import sys; from vemrecon.metrics.catalogue import metrics; metrics(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
