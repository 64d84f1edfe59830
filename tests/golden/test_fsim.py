"""FSIM against values of PIQ 0.8.0: every image of `fsim.json`, which holds the recipes."""

import functools
import json

import numpy as np
import pytest
import torch
from conftest_golden import golden_folder
from scipy.spatial import cKDTree

from vemrecon.metrics.fsim import FeatureSimilarity, feature_similarity, gradient_magnitude, pool_factor, pooled
from vemrecon.metrics.passes import section_pass
from vemrecon.metrics.phase_congruency import filters, phase_congruency
from vemrecon.metrics.sections import PLANES
from vemrecon.volume.region import Region

TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-5}
NOISE = {"noise05": 0.05, "noise15": 0.15}


@functools.cache
def golden():
    folder = golden_folder()
    file = folder / "fsim.json" if folder else None
    return json.loads(file.read_text()) if file and file.exists() else {}


def entries(part):
    reason = "no fsim golden file: set VEMRECON_GOLDEN or VEMRECON_SHARED to check golden files"
    found = [pytest.param(entry, id=entry["id"]) for entry in golden().get(part, [])]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]


precisions = pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: str(dtype).removeprefix("torch."))


def random(seed, *shape):
    return np.random.RandomState(seed).random_sample(shape)


def clipped(values):
    return np.clip(values, 0, 1)


def levels(values):
    """Whole grey levels."""
    return np.floor(clipped(values) * 255 + 0.5)


def waves(seed, height, width):
    i, j = np.indices((height, width))
    f = random(seed, 6, 3)
    turns = (0.01 + 0.11 * f[:, 0, None, None]) * i + (0.01 + 0.11 * f[:, 1, None, None]) * j + f[:, 2, None, None]
    return 0.5 + np.sin(2 * np.pi * turns).sum(axis=0) / 13


def cells(seed, height, width):
    points = random(seed, max(4, height * width // 400), 2) * (height, width)
    pixels = np.indices((height, width)).reshape(2, -1).T
    nearest, second = cKDTree(points).query(pixels, k=2)[0].T
    return (0.25 + 0.55 / (1 + np.exp(-2 * (second - nearest - 1.5)))).reshape(height, width)


BASES = {"noise": random, "waves": waves, "cells": cells}


def box3(x):
    padded = np.pad(x, 1, mode="edge")
    height, width = x.shape
    return sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9


def changed(x, op, seed):
    """The result of an operation on an image in [0, 1]."""
    if op in NOISE:
        noise = sum(random(seed + k, *x.shape) for k in range(3)) - 1.5
        return clipped(x + 2 * NOISE[op] * noise)
    operations = {
        "same": lambda: x,
        "box": lambda: box3(x),
        "box3x": lambda: box3(box3(box3(x))),
        "contrast": lambda: clipped(0.5 + 0.6 * (x - 0.5)),
        "brighter": lambda: clipped(x + 0.1),
        "shift1": lambda: np.roll(x, 1, axis=1),
        "invert": lambda: 1 - x,
        "q16": lambda: np.floor(15 * x + 0.5) / 15,
    }
    return operations[op]()


@functools.lru_cache(maxsize=4)
def _images(base, seed, height, width, op, op_seed):
    x = levels(BASES[base](seed, height, width))
    return torch.from_numpy(x)[None], torch.from_numpy(levels(changed(x / 255, op, op_seed)))[None]


def images(case):
    """Both images in grey levels, float64, shape (1, y, x)."""
    x, y = _images(*(case[key] for key in ("base", "seed", "height", "width", "op", "op_seed")))
    assert (x.sum().item(), y.sum().item()) == (case["x_sum_255"], case["y_sum_255"]), "the input is wrong"
    return x, y


@precisions
@pytest.mark.parametrize("case", entries("cases"))
def test_every_case_agrees_both_ways(case, dtype):
    x, y = images(case)
    tolerance = {"abs": TOLERANCES[dtype], "rel": 0}
    assert feature_similarity(x, y, dtype).item() == pytest.approx(case["fsim"], **tolerance)
    assert feature_similarity(y, x, dtype).item() == pytest.approx(case["swapped"], **tolerance)
    if dtype == torch.float32:
        assert feature_similarity(x, y, dtype).item() == pytest.approx(case["fsim_float32"], **tolerance)


@pytest.mark.parametrize("case", entries("cases"))
def test_parts_of_every_case_agree(case):
    x, _ = images(case)
    detail = case["x_detail"]
    assert pool_factor(*x.shape[1:]) == detail["pool"]
    small = pooled(x)
    assert list(small.shape[1:]) == detail["pooled_shape"]
    gains = filters(*small.shape[1:], torch.float64, x.device).gains
    assert gains.sum(dim=(1, 2, 3)).tolist() == pytest.approx(detail["filter_sum_per_orientation"], rel=1e-9)
    assert gains.sum().item() == pytest.approx(detail["filter_sum"], rel=1e-9)
    congruency = phase_congruency(small)
    assert congruency.mean().item() == pytest.approx(detail["pc_mean"], abs=1e-9)
    assert congruency.max().item() == pytest.approx(detail["pc_max"], abs=1e-9)
    assert gradient_magnitude(small).mean().item() == pytest.approx(detail["grad_mean"], rel=1e-9)


def constant(level, side):
    return torch.full((1, side, side), 255 * level, dtype=torch.float64)


# The file names these images and says no more. The sizes and levels here give its values to 16 digits.
DEGENERATE = {
    "zeros_zeros": lambda: (constant(0, 64), constant(0, 64)),
    "const_const": lambda: (constant(0.5, 64), constant(0.5, 64)),
    "const_vs_const2": lambda: (constant(0.5, 64), constant(0.7, 64)),
    "const_vs_cells": lambda: (constant(0.5, 96), torch.from_numpy(levels(cells(2, 96, 96)))[None]),
}


@precisions
@pytest.mark.parametrize("case", entries("degenerate"))
def test_constant_images_agree(case, dtype):
    x, y = DEGENERATE[case["id"]]()
    for found in (feature_similarity(x, y, dtype), feature_similarity(y, x, dtype)):
        assert found.item() == pytest.approx(case["fsim"], abs=TOLERANCES[dtype], rel=0)


class GreyLevels:
    """Whole grey levels that are read like a volume."""

    voxel_size = None

    def __init__(self, grey):
        self.grey = grey
        self.shape = grey.shape

    def read(self, region):
        return (self.grey[region.slices] / 255).astype(np.float32)


def check_volume(case, values, tolerance):
    assert values.mean().item() == pytest.approx(case["fsim_mean"], abs=tolerance, rel=0)
    expected = case.get("per_slice", case.get("first5"))
    assert values[: len(expected)].tolist() == pytest.approx(expected, abs=tolerance, rel=0)


def volumes(shape):
    """Truth and other volume in grey levels."""
    truth = np.stack([levels(cells(21 + k // 4, *shape[1:]) * (1 - 0.05 * (k % 4))) for k in range(shape[0])])
    return truth, np.stack([levels(box3(section / 255)) for section in truth])


@precisions
@pytest.mark.parametrize("case", entries("volumes"))
def test_sections_of_volumes_agree(case, dtype):
    normal = PLANES[case["id"].removeprefix("volume_")]
    truth, other = (torch.from_numpy(v).movedim(normal, 0) for v in volumes(case["shape"]))
    check_volume(case, feature_similarity(truth, other, dtype), TOLERANCES[dtype])


@pytest.mark.parametrize("case", entries("volumes"))
def test_volumes_agree_section_by_section(case):
    shape = tuple(case["shape"])
    truth, other = volumes(shape)
    metric = FeatureSimilarity([Region.whole(shape)])
    section_pass(GreyLevels(truth), GreyLevels(other), metric, lambda voxels: None)
    check_volume(case, metric.per_section()[0][case["id"].removeprefix("volume_")], 1e-5)
