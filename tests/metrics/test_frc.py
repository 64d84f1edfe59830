"""Fourier ring correlation against the definition with full transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from metrics.metric_volumes import GreyVolume, noisy, textured
from scipy.signal import windows

from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.frc import ring_correlation
from vemrecon.metrics.score import Limit
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

SIZE = VoxelSize(40, 4, 4)


def defined_curves(a: np.ndarray, b: np.ndarray, size: VoxelSize) -> dict[str, list[float | None]]:
    """Sums over rings of all sections, from both halves of the transform."""
    _, rows, columns = a.shape
    fy, fx = np.meshgrid(np.fft.fftfreq(rows, size.y), np.fft.fftfreq(columns, size.x), indexing="ij")
    radius = np.hypot(fy, fx)
    width = 1 / min(rows * size.y, columns * size.x)
    last = math.floor(0.5 / max(size.y, size.x) / width + 1e-9)
    ring = np.floor(radius / width + 0.5)
    taper = np.outer(windows.hann(rows, sym=True), windows.hann(columns, sym=True))
    p, q = (np.fft.fft2((v - v.mean(axis=(1, 2), keepdims=True)) * taper) for v in (a.astype(float), b.astype(float)))
    curves: dict[str, list[float | None]] = {}
    near = math.cos(math.radians(20))
    for name, inside in (("all", ring >= 0), ("y", np.abs(fy) >= near * radius), ("x", np.abs(fx) >= near * radius)):
        curves[name] = []
        for k in range(1, last + 1):
            here = inside & (ring == k)
            cross = (p * q.conj()).real[:, here].sum()
            power = math.sqrt((np.abs(p[:, here]) ** 2).sum() * (np.abs(q[:, here]) ** 2).sum())
            curves[name].append(cross / power if here.sum() >= 10 else None)
    return curves


def scored(a: np.ndarray, b: np.ndarray, size: VoxelSize = SIZE, **options: Any) -> Evaluation:
    options = {"ranges": {"all": Region.whole(a.shape)}, **options}
    return ring_correlation(GreyVolume(a, size), GreyVolume(b, size), **options)


@pytest.mark.parametrize("shape", [(5, 40, 37), (3, 33, 48)])
@pytest.mark.parametrize("size", [VoxelSize(40, 4, 4), VoxelSize(40, 9, 5)])
def test_frc_equals_the_definition(shape: Triple, size: VoxelSize) -> None:
    a = textured(shape)
    b = noisy(a, 20)
    found = scored(a, b, size)
    for name, expected in defined_curves(a, b, size).items():
        values = found.curves["frc"]["all"][name]["value"]
        assert [v is None for v in values] == [v is None for v in expected]
        assert [v for v in values if v is not None] == pytest.approx([v for v in expected if v is not None], abs=1e-9)


def test_frc_of_a_range_is_that_of_its_crop_and_defects_do_not_count() -> None:
    a = textured((8, 50, 44))
    b = noisy(a, 40)
    b[3] = 0
    part = Region((1, 6, 2), (7, 48, 40))
    found = scored(a, b, ranges={"part": part}, defects=[3])
    intact = [1, 2, 4, 5, 6]
    crops = (v[intact][:, part.slices[1], part.slices[2]] for v in (a, b))
    expected = scored(*crops)
    assert [row.value for row in found.scores] == pytest.approx([row.value for row in expected.scores], abs=1e-9)


def test_frc_resolution_is_where_the_band_of_the_reconstruction_ends() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 30, (6, 96, 96))
    frequency = np.abs(np.fft.fftfreq(96, 4))
    low = np.fft.ifft2(np.fft.fft2(noise) * (frequency < 1 / 20)[:, None]).real  # what is left along y
    a, b = (np.clip(np.rint(128 + v), 0, 255).astype(np.uint8) for v in (noise, low + rng.normal(0, 3, noise.shape)))
    found = {row.plane: row for row in scored(a, b).scores}
    assert found["y"].value == pytest.approx(20, abs=1)
    assert (found["x"].value, found["x"].limit) == (pytest.approx(8, abs=0.2), Limit.AT_MOST)
    assert found["ratio"].value == pytest.approx((found["y"].value or 0) / 8, abs=0.1)


def test_short_sides_and_missing_voxel_sizes_give_a_note() -> None:
    a = textured((3, 31, 60))
    assert {row.note for row in scored(a, a).scores} == {"not defined: a side is shorter than 32"}
    assert all(row.value is None for row in scored(a, a).scores)
