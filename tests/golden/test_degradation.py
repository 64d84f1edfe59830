"""Degradations against arrays made with the original implementations. Everything checked comes from the files."""

import re

import numpy as np
import pytest
from conftest_golden import golden_cases, load_golden

from vemrecon.degrade import box_weights, degrade, make_degradation
from vemrecon.degrade.realistic import signal_dependent
from vemrecon.degrade.released import (
    anisotropic_kernel,
    bicubic_resize,
    bicubic_weights,
    blur,
    isotropic_kernel,
    released_pipeline,
)
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid, Volume


def number(text):
    """The golden files write 2.5 as 2p5."""
    return float(text.replace("p", "."))


def degraded(tensors, kind, axis, scale, **arguments):
    volume = Volume(tensors["input.volume"], None, "golden")
    observed = degrade(volume, make_degradation(kind, scale, arguments), axis="zyx".index(axis))
    return observed.read(observed.whole)


def ramp(tensors, facts, kind, scale, convention):
    """Degrade the ramp and interpolate it back linearly, on the grid that the convention names."""
    volume = Volume(tensors["input.ramp"] / 255, None, "ramp")
    observed = degrade(volume, make_degradation(kind, scale))
    grid = "aligned" if convention == "endpoint" else "centred"
    sections = observed.read(observed.whole) * 255
    full = np.tensordot(
        interpolation_matrix("linear", len(sections), SectionGrid.of_kind(grid, scale)), sections, axes=1
    )
    return full[: (len(sections) - 1) * int(scale) + 1] if convention == "endpoint" else full


def kernel_of(text):
    """Kernel named `iso.k21_s1p0`, `aniso.k21_l1p0_3p0_t30`."""
    if m := re.match(r"iso\.k(\d+)_s([\dp]+)", text):
        return isotropic_kernel(int(m[1]), number(m[2]))
    m = re.match(r"aniso\.k(\d+)_l([\dp]+)_([\dp]+)_t([\dp]+)", text)
    return anisotropic_kernel(int(m[1]), number(m[2]), number(m[3]), number(m[4]))


def computed(name, tensors, facts):
    """Our value for a golden tensor, from its name alone; and the key of its tolerance."""
    part = name.removeprefix("output.")
    image = tensors.get("input.image")
    size = 21  # the operator's kernel size, where a name states only the standard deviation
    if m := re.fullmatch(r"average\.(\w)\.(?:box_)?r([\dp]+)", part):
        return degraded(tensors, "average", m[1], number(m[2])), "box" if "box" in part else "average"
    if m := re.fullmatch(r"average\.\w\.box_r([\dp]+)\.weights", part):
        rows, columns = tensors[name].shape
        return box_weights(number(m[1]), 0, rows, 0, columns), "box"
    if m := re.fullmatch(r"subsample\.(\w)\.r([\dp]+)_o(\d+)", part):
        return degraded(tensors, "subsample", m[1], number(m[2]), offset=int(m[3])), "subsample"
    if m := re.fullmatch(r"grid\.(\w+)\.r([\dp]+)", part):
        return make_degradation(m[1], number(m[2])).positions(len(tensors[name])), "grid"
    if m := re.fullmatch(r"ramp\.(\w+)\.r([\dp]+)\.(\w+)", part):
        return ramp(tensors, facts, m[1], number(m[2]), m[3]), "ramp"
    if part.startswith("kernel."):
        return kernel_of(part.removeprefix("kernel.")), "kernel"
    if m := re.fullmatch(r"blur\.s([\dp]+)", part):
        return blur(image, isotropic_kernel(size, number(m[1]))), "blur"
    if m := re.fullmatch(r"blur\.aniso_([\dp]+)_([\dp]+)_([\dp]+)", part):
        return blur(image, anisotropic_kernel(size, *map(number, m.groups()))), "blur"
    if m := re.fullmatch(r"bicubic\.(r|up)(\d+)", part):
        factor = 1 / int(m[2]) if m[1] == "r" else float(m[2])
        rows, columns = (round(n / factor) for n in tensors[name].shape)
        return bicubic_resize(image[:rows, :columns], factor), "bicubic"
    if m := re.fullmatch(r"bicubic\.r(\d+)\.row_weights", part):
        return bicubic_weights(len(image), 1 / int(m[1])), "bicubic"
    if part == "pipeline.released_call":
        return released_pipeline(image, None), "pipeline"
    if m := re.fullmatch(r"pipeline\.(bicubic|sfold|scale)(\d+)_s([\dp]+)(?:_noise(\d+))?", part):
        noise = tensors["input.noise"] * float(m[4]) if m[4] else None
        mode = {"sfold": "s-fold"}.get(m[1], "bicubic")
        return released_pipeline(image, isotropic_kernel(size, number(m[3])), int(m[2]), mode, noise), "pipeline"
    if m := re.fullmatch(r"signal_dependent\.a([\dp]+)_s([\dp]+)", part):
        draw = tensors["input.noise_volume"]
        return signal_dependent(tensors["input.volume"], draw, number(m[1]), number(m[2])), "average"
    return None, ""


def dense_rows(tensors, name):
    """Weights and 1-based indices per output row as a dense matrix."""
    weights = tensors[name]
    indices = tensors[name.replace("row_weights", "row_indices_1based")].astype(int) - 1
    dense = np.zeros((len(weights), len(tensors["input.image"])))
    np.add.at(dense, (np.arange(len(weights))[:, None], np.clip(indices, 0, dense.shape[1] - 1)), weights)
    return dense


@pytest.mark.parametrize("file", golden_cases("degradation"))
def test_every_array_of_the_degradation_file_is_reproduced(file):
    facts, tensors = load_golden(file)
    checked = 0
    for name in (n for n in tensors if n.startswith("output.") and not n.endswith("indices_1based")):
        ours, tolerance = computed(name, tensors, facts)
        assert ours is not None, f"no rule for {name}"
        wanted = dense_rows(tensors, name) if name.endswith("row_weights") else tensors[name].astype(np.float64)
        error = np.abs(ours - wanted)
        assert ours.shape == wanted.shape, name
        if tolerance == "pipeline":  # rounded to integers: ties may differ
            assert error.max() <= facts["tolerance"][tolerance], name
            assert (error > 0).mean() < 0.001 or (error > 0).sum() <= 1, name
        else:
            slack = 1e-7 * max(1.0, np.abs(wanted).max())  # float32 storage
            assert error.max() <= facts["tolerance"][tolerance] + (slack if tolerance != "subsample" else 0), name
        checked += 1
    assert checked > 0


@pytest.mark.parametrize("file", golden_cases("degradation"))
def test_noise_gains_of_the_degradation_file_are_reproduced(file):
    facts, _ = load_golden(file)
    for name, wanted in facts["noise_variance_gain"].items():
        if m := re.fullmatch(r"blur_iso_k(\d+)_s([\d.]+)", name):
            ours = (isotropic_kernel(int(m[1]), float(m[2])) ** 2).sum()
        elif m := re.fullmatch(r"bicubic_(\d)d_r(\d+)", name):
            length = 64 * int(m[2])
            middle = bicubic_weights(length, 1 / int(m[2]))[32]
            ours = (middle**2).sum() ** int(m[1])
        elif m := re.fullmatch(r"box_r([\d.]+)_per_sample_min_max_mean", name):
            gains = (box_weights(float(m[1]), 0, 40, 0, 1000) ** 2).sum(axis=1)
            ours = np.array([gains.min(), gains.max(), gains.mean()])
        else:
            raise AssertionError(f"no rule for {name}")
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, err_msg=name)
