"""Degradations against arrays made with the original implementations. Everything checked comes from the files."""

import re

import numpy as np
import pytest
from golden_files import cases
from released_degradation import anisotropic_kernel, bicubic_resize, bicubic_weights, released_pipeline

from vemrecon.degradations import box_weights, degrade, make_degradation
from vemrecon.degradations.realistic import signal_dependent
from vemrecon.degradations.released import blur, isotropic_kernel
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid, Volume

P = r"([\d.p-]+)"  # the golden files write 2.5 as 2p5


def number(text):
    return float(text.replace("p", "."))


def given(golden, name):
    return golden.given(f"input.{name}").numpy()


def degraded(golden, kind, axis, scale, **arguments):
    volume = Volume(given(golden, "volume"), None, "golden")
    observed = degrade(volume, make_degradation(kind, number(scale), arguments), axis="zyx".index(axis))
    return observed.read(observed.whole)


def averaged(golden, name, axis, _box, scale):
    return degraded(golden, "average", axis, scale)


def weights_of_boxes(golden, name, scale):
    rows, columns = golden.tensors[name].shape
    return box_weights(number(scale), 0, rows, 0, columns)


def subsampled(golden, name, axis, scale, offset):
    return degraded(golden, "subsample", axis, scale, offset=int(offset))


def positions(golden, name, kind, scale):
    return make_degradation(kind, number(scale)).positions(len(golden.tensors[name]))


def ramp(golden, name, kind, scale, convention):
    """Degrade the ramp and interpolate it back linearly, on the grid that the convention names."""
    volume = Volume(given(golden, "ramp") / 255, None, "ramp")
    observed = degrade(volume, make_degradation(kind, number(scale)))
    grid = "aligned" if convention == "endpoint" else "centred"
    sections = observed.read(observed.whole) * 255
    full = np.tensordot(
        interpolation_matrix("linear", len(sections), SectionGrid.of_kind(grid, number(scale))), sections, axes=1
    )
    return full[: (len(sections) - 1) * int(number(scale)) + 1] if convention == "endpoint" else full


def round_kernel(golden, name, size, sigma):
    return isotropic_kernel(int(size), number(sigma))


def long_kernel(golden, name, size, *shape):
    return anisotropic_kernel(int(size), *map(number, shape))


def kernel_size(golden):
    """Of blurs whose names state only the standard deviation: that of the odd kernels of the file."""
    found = [int(match[1]) for match in golden.matching(r"output\.kernel\..*k(\d+)_.*")]
    found += [int(size) for key in golden.listed("noise_variance_gain") for size in re.findall(r"blur_iso_k(\d+)", key)]
    return next((size for size in found if size % 2), 21)


def blurred(golden, name, sigma):
    return blur(given(golden, "image"), isotropic_kernel(kernel_size(golden), number(sigma)))


def blurred_along(golden, name, *shape):
    return blur(given(golden, "image"), anisotropic_kernel(kernel_size(golden), *map(number, shape)))


def shrunk(golden, name, scale):
    return bicubic_resize(given(golden, "image"), 1 / number(scale))


def enlarged(golden, name, scale):
    """Of the first rows and columns of the image."""
    rows, columns = (round(n / number(scale)) for n in golden.tensors[name].shape)
    return bicubic_resize(given(golden, "image")[:rows, :columns], number(scale))


def row_weights(golden, name, scale):
    return bicubic_weights(len(given(golden, "image")), 1 / number(scale))


def switched_off(golden, name):
    return released_pipeline(given(golden, "image"), None)


def pipeline(golden, name, mode, scale, sigma, noise):
    noise = given(golden, "noise") * number(noise) if noise else None
    kernel = isotropic_kernel(kernel_size(golden), number(sigma))
    mode = "s-fold" if mode == "sfold" else "bicubic"
    return released_pipeline(given(golden, "image"), kernel, int(scale), mode, noise)


def noisy(golden, name, alpha, sigma):
    return signal_dependent(given(golden, "volume"), given(golden, "noise_volume"), number(alpha), number(sigma))


# what a tensor is called, which tolerance holds for it, and how we make it
RULES = [
    (r"average\.(\w)\.()r" + P, "average", averaged),
    (r"average\.(\w)\.(box_)r" + P, "box", averaged),
    (rf"average\.\w\.box_r{P}\.weights", "box", weights_of_boxes),
    (rf"subsample\.(\w)\.r{P}_o(\d+)", "subsample", subsampled),
    (r"grid\.(\w+)\.r" + P, "grid", positions),
    (rf"ramp\.(\w+)\.r{P}\.(endpoint|half_pixel|half_pixel_wrong)", "ramp", ramp),
    (rf"kernel\.iso\.k(\d+)_s{P}(?:_even)?", "kernel", round_kernel),
    (rf"kernel\.aniso\.k(\d+)_l{P}_{P}_t{P}(?:_even)?", "kernel", long_kernel),
    (rf"blur\.s{P}", "blur", blurred),
    (rf"blur\.aniso_{P}_{P}_{P}", "blur", blurred_along),
    (r"bicubic\.r(\d+)", "bicubic", shrunk),
    (r"bicubic\.up(\d+)", "bicubic", enlarged),
    (r"bicubic\.r(\d+)\.row_weights", "bicubic", row_weights),
    (r"pipeline\.released_call", "pipeline", switched_off),
    (rf"pipeline\.(bicubic|sfold|scale)(\d+)_s{P}(?:_noise{P})?", "pipeline", pipeline),
    (rf"signal_dependent\.a{P}_s{P}", "average", noisy),
]


def known(golden):
    """Case by name: pattern and rule of every tensor that one fits."""
    return {
        found[0].removeprefix("output."): (found, tolerance, make)
        for pattern, tolerance, make in RULES
        for found in golden.matching(rf"output\.{pattern}")
    }


def dense_rows(golden, name):
    """Weights and 1-based indices per output row as a dense matrix."""
    weights = golden.expected(name).numpy()
    indices = golden.expected(name.replace("row_weights", "row_indices_1based")).numpy().astype(int) - 1
    dense = np.zeros((len(weights), len(given(golden, "image"))))
    np.add.at(dense, (np.arange(len(weights))[:, None], np.clip(indices, 0, dense.shape[1] - 1)), weights)
    return dense


@cases("degradation", known)
def test_array_is_reproduced(golden, case):
    found, kind, make = case
    name, tolerance = found[0], golden.fact("tolerance", kind)

    ours = make(golden, name, *found.groups())

    rows = name.endswith("row_weights")
    wanted = dense_rows(golden, name) if rows else golden.expected(name).numpy().astype(np.float64)
    assert ours.shape == wanted.shape
    error = np.abs(ours - wanted)
    if kind == "pipeline":  # rounded to integers: ties may differ
        assert error.max() <= tolerance
        assert (error > 0).mean() < 0.001 or (error > 0).sum() <= 1
    else:
        slack = 0 if kind == "subsample" else 1e-7 * max(1.0, np.abs(wanted).max())  # float32 storage
        assert error.max() <= tolerance + slack


def gain_of_blur(size, sigma):
    return (isotropic_kernel(int(size), float(sigma)) ** 2).sum()


def gain_of_bicubic(axes, scale):
    middle = bicubic_weights(64 * int(scale), 1 / int(scale))[32]
    return (middle**2).sum() ** int(axes)


def gains_of_boxes(scale):
    gains = (box_weights(float(scale), 0, 40, 0, 1000) ** 2).sum(axis=1)
    return np.array([gains.min(), gains.max(), gains.mean()])


GAINS = {
    r"blur_iso_k(\d+)_s([\d.]+)": gain_of_blur,
    r"bicubic_(\d)d_r(\d+)": gain_of_bicubic,
    r"box_r([\d.]+)_per_sample_min_max_mean": gains_of_boxes,
}


def known_gains(golden):
    names = golden.listed("noise_variance_gain")
    fits = ((name, re.fullmatch(pattern, name), gain) for name in names for pattern, gain in GAINS.items())
    return {name: (found, gain) for name, found, gain in fits if found}


@cases("degradation", known_gains)
def test_noise_gain_is_reproduced(golden, case):
    found, gain = case
    wanted = golden.expected_fact("noise_variance_gain", found[0])
    np.testing.assert_allclose(gain(*found.groups()), wanted, rtol=1e-5)


@pytest.mark.parametrize(("length", "scale", "wanted"), [(33, 2, 16), (47, 8, 5), (40, 8, 5), (49, 49, 1)])
def test_the_release_truncates_a_resized_size(length, scale, wanted):
    assert bicubic_weights(length, 1 / scale).shape == (wanted, length)
    assert bicubic_resize(np.ones((length, length)), 1 / scale) == pytest.approx(np.ones((wanted, wanted)))
