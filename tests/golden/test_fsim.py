"""FSIM against values of PIQ 0.8.0: every image of `fsim.json`, which holds the recipes."""

import functools
import re

import numpy as np
import pytest
import torch
from golden_files import cases
from scipy.spatial import cKDTree

from vemrecon.metrics.fsim import FeatureSimilarity, feature_similarity, gradient_magnitude, pool_factor, pooled
from vemrecon.metrics.passes import section_pass
from vemrecon.metrics.phase_congruency import filters, phase_congruency
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region

PRECISIONS = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def entries(part):
    """Every entry of a list in the file, by its id, as a path in the JSON."""

    def found(golden):
        return {entry["id"]: (part, i) for i, entry in enumerate(golden.listed(part))}

    return cases("fsim", found)


def tolerance(golden, dtype):
    return golden.numbers(rf"{str(dtype).removeprefix('torch.')}: ([\d.e-]+\d)", "tolerance")[0]


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
    if noise := re.fullmatch(r"noise(\d)(\d)", op):  # noise05 has a scale of 0.05
        draws = sum(random(seed + k, *x.shape) for k in range(3)) - 1.5
        return clipped(x + 2 * int(noise[1] + noise[2]) / 100 * draws)
    return OPERATIONS[op](x)


OPERATIONS = {
    "same": lambda x: x,
    "box": box3,
    "box3x": lambda x: box3(box3(box3(x))),
    "contrast": lambda x: clipped(0.5 + 0.6 * (x - 0.5)),
    "brighter": lambda x: clipped(x + 0.1),
    "shift1": lambda x: np.roll(x, 1, axis=1),
    "invert": lambda x: 1 - x,
    "q16": lambda x: np.floor(15 * x + 0.5) / 15,
}


@functools.lru_cache(maxsize=4)
def _images(base, seed, height, width, op, op_seed):
    x = levels(BASES[base](seed, height, width))
    return torch.from_numpy(x)[None], torch.from_numpy(levels(changed(x / 255, op, op_seed)))[None]


def images(golden, case):
    """Both images in grey levels, float64, shape (1, y, x)."""
    names = ("base", "seed", "height", "width", "op", "op_seed")
    recipe = [golden.fact(*case, name) for name in names]
    if recipe[0] not in BASES or not (recipe[4] in OPERATIONS or re.fullmatch(r"noise\d\d", recipe[4])):
        pytest.skip(f"recipe not understood: {recipe}")
    x, y = _images(*recipe)
    golden.agree((*case, "x_sum_255"), x.sum().item())  # or the input is wrong
    golden.agree((*case, "y_sum_255"), y.sum().item())
    golden.agree((*case, "x_mean"), x.mean().item() / 255, abs=1e-12)
    golden.agree((*case, "y_mean"), y.mean().item() / 255, abs=1e-12)
    return x, y


@PRECISIONS
@entries("cases")
def test_every_case_agrees_both_ways(golden, case, dtype):
    x, y = images(golden, case)
    allowed, found = tolerance(golden, dtype), feature_similarity(x, y, dtype).item()
    golden.agree((*case, "fsim"), found, abs=allowed)
    golden.agree((*case, "swapped"), feature_similarity(y, x, dtype).item(), abs=allowed)
    if dtype == torch.float32:
        golden.agree((*case, "fsim_float32"), found, abs=allowed)


@entries("cases")
def test_parts_of_every_case_agree(golden, case):
    x, _ = images(golden, case)
    detail = (*case, "x_detail")
    golden.agree((*detail, "pool"), pool_factor(*x.shape[1:]))
    small = pooled(x)
    golden.agree((*detail, "pooled_shape"), list(small.shape[1:]))
    gains = filters(*small.shape[1:], torch.float64, x.device).gains
    golden.agree((*detail, "filter_sum_per_orientation"), gains.sum(dim=(1, 2, 3)).tolist(), rel=1e-9)
    golden.agree((*detail, "filter_sum"), gains.sum().item(), rel=1e-9)
    congruency = phase_congruency(small)
    golden.agree((*detail, "pc_mean"), congruency.mean().item(), abs=1e-9)
    golden.agree((*detail, "pc_max"), congruency.max().item(), abs=1e-9)
    golden.agree((*detail, "grad_mean"), gradient_magnitude(small).mean().item(), rel=1e-9)


def constant(level, side):
    return torch.full((1, side, side), 255 * level, dtype=torch.float64)


# The file names these images and says no more. The sizes and levels here give its values to 16 digits.
DEGENERATE = {
    "zeros_zeros": lambda: (constant(0, 64), constant(0, 64)),
    "const_const": lambda: (constant(0.5, 64), constant(0.5, 64)),
    "const_vs_const2": lambda: (constant(0.5, 64), constant(0.7, 64)),
    "const_vs_cells": lambda: (constant(0.5, 96), torch.from_numpy(levels(cells(2, 96, 96)))[None]),
}


@PRECISIONS
@entries("degenerate")
def test_constant_images_agree(golden, case, dtype):
    name = golden.fact(*case, "id")
    if name not in DEGENERATE:
        pytest.skip(f"image not known: {name}")
    x, y = DEGENERATE[name]()
    for found in (feature_similarity(x, y, dtype), feature_similarity(y, x, dtype)):
        golden.agree((*case, "fsim"), found.item(), abs=tolerance(golden, dtype))
        if dtype == torch.float32:
            golden.agree((*case, "fsim_float32"), found.item(), abs=tolerance(golden, dtype))


class GreyLevels:
    """Whole grey levels that are read like a volume."""

    voxel_size = None

    def __init__(self, grey):
        self.grey = grey
        self.shape = grey.shape

    def read(self, region):
        return (self.grey[region.slices] / 255).astype(np.float32)


def check_volume(golden, case, values, allowed):
    golden.agree((*case, "fsim_mean"), values.mean().item(), abs=allowed)
    for listed in (key for key in golden.listed(*case) if re.fullmatch(r"per_slice|first\d+", key)):
        count = len(golden.facts[case[0]][case[1]][listed])
        golden.agree((*case, listed), values[:count].tolist(), abs=allowed)


def volumes(golden, case):
    """Plane, truth and other volume in grey levels, as the recipe of the file states them."""
    first, every, factor, period = golden.numbers(
        r"cells\((\d+) \+ k//(\d+), \d+, \d+\) \* \(1 - ([\d.]+) \(k % (\d+)\)\)", "recipes", "volume"
    )
    shape, plane = golden.fact(*case, "shape"), golden.fact(*case, "id").rpartition("_")[2]
    if plane not in NORMALS:
        pytest.skip(f"plane not known: {plane}")
    return plane, *_volumes(tuple(shape), int(first), int(every), factor, int(period))


@functools.cache
def _volumes(shape, first, every, factor, period):
    made = (cells(first + k // every, *shape[1:]) * (1 - factor * (k % period)) for k in range(shape[0]))
    truth = np.stack([levels(section) for section in made])
    return truth, np.stack([levels(box3(section / 255)) for section in truth])


@PRECISIONS
@entries("volumes")
def test_sections_of_volumes_agree(golden, case, dtype):
    plane, *both = volumes(golden, case)
    truth, other = (torch.from_numpy(v).movedim(NORMALS[plane], 0) for v in both)
    check_volume(golden, case, feature_similarity(truth, other, dtype), tolerance(golden, dtype))


@entries("volumes")
def test_volumes_agree_section_by_section(golden, case):
    plane, truth, other = volumes(golden, case)
    metric = FeatureSimilarity([Region.whole(truth.shape)])
    section_pass(GreyLevels(truth), GreyLevels(other), metric, lambda voxels: None)
    check_volume(golden, case, metric.per_section()[0][plane], tolerance(golden, torch.float32))
