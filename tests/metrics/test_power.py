"""Spectral power against full Fourier transforms of the volumes and of their difference, and against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from metrics.metric_volumes import GreyVolume, noisy, textured
from scipy.signal import windows

from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.frc import ring_correlation
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize

SHAPE = (40, 36, 44)


def power_of(a: np.ndarray, b: np.ndarray, **options: object) -> dict:
    whole = {"all": Region.whole(a.shape)}
    return evaluate(GreyVolume(a), GreyVolume(b), metrics=("fsc",), ranges=whole, **options).curves["power"]["all"]


def plainly(volume: np.ndarray, size: VoxelSize, axis: int | None, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """Mean power per shell of a full transform over some axes, of a volume of any values; NaN below ten frequencies."""
    edges = tuple(size)
    taper = np.ones(volume.shape)
    for k in axes:
        taper = taper * windows.hann(volume.shape[k], sym=True).reshape([-1 if i == k else 1 for i in range(3)])
    mean = volume.mean(axis=axes, keepdims=True)
    power = np.abs(np.fft.fftn((volume - mean) * taper, axes=axes)) ** 2
    power /= (taper**2).sum(axis=axes, keepdims=True)
    frequencies = np.ix_(*(np.fft.fftfreq(n, edge) if k in axes else np.zeros(n)
                           for k, (n, edge) in enumerate(zip(volume.shape, edges, strict=True))))  # fmt: skip
    radius = np.sqrt(sum(f**2 for f in frequencies))
    width = 1 / min(volume.shape[k] * edges[k] for k in axes)
    number = int(np.floor(0.5 / max(edges[k] for k in axes) / width + 1e-9))
    shell = np.floor(radius / width + 0.5).astype(int)
    keep = shell <= number
    if axis is not None:
        with np.errstate(invalid="ignore"):
            keep &= np.abs(frequencies[axis]) / radius >= np.cos(np.deg2rad(20))
    counts = np.bincount(shell[keep], minlength=number + 1)[1:]
    found = np.bincount(shell[keep], power[keep], number + 1)[1:]
    sections = np.prod([n for k, n in enumerate(volume.shape) if k not in axes])
    return np.where(counts >= 10 * sections, found / np.maximum(counts, 1), np.nan)


def numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values])


@pytest.mark.parametrize(("direction", "axis"), [("all", None), ("z", 0), ("y", 1), ("x", 2)])
def test_power_is_that_of_full_transforms_and_the_error_that_of_the_difference(direction: str, axis: int) -> None:
    a = textured(SHAPE)
    b = noisy(np.roll(a, 1, axis=0), 8)
    found = power_of(a, b)[direction]
    p, q = a.astype(float), b.astype(float)
    for name, volume in (("truth", p), ("reconstruction", q), ("error", q - p)):
        expected = plainly(volume, VoxelSize(8, 8, 8), axis)
        assert np.isfinite(expected).sum() > 5
        assert numbers(found[name]) == pytest.approx(expected, rel=2e-5, nan_ok=True)  # six digits are kept


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    a = np.full((64, 64, 64), 128, np.uint8)
    found = power_of(a, noisy(a, sigma=10))["all"]
    assert numbers(found["error"][12:]) == pytest.approx(10**2 + 1 / 12, rel=0.1)
    assert numbers(found["truth"][12:]) == pytest.approx(0)


def test_what_is_lost_has_an_error_like_the_truth_and_what_is_invented_a_stronger_one() -> None:
    a = noisy(np.full((48, 48, 48), 128, np.uint8), 20, seed=1)
    blank = np.full_like(a, 128)
    lost, invented = power_of(a, blank)["all"], power_of(a, noisy(blank, 20, seed=2))["all"]
    assert numbers(lost["error"]) == pytest.approx(numbers(lost["truth"]), rel=1e-5, nan_ok=True)
    assert np.nanmedian(numbers(invented["error"]) / numbers(invented["truth"])) == pytest.approx(2, rel=0.1)


def test_a_perfect_reconstruction_has_no_error() -> None:
    found = power_of(textured(SHAPE), textured(SHAPE))["z"]
    assert np.nanmax(numbers(found["error"])) <= 1e-9 * np.nanmax(numbers(found["truth"]))


def test_blocks_give_the_mean_over_them() -> None:
    a = textured((48, 24, 24))
    b = noisy(a)
    found = power_of(a, b, edge_limit=24)["x"]["error"]
    halves = [power_of(a[part], b[part])["x"]["error"] for part in (slice(24), slice(24, None))]
    assert numbers(found) == pytest.approx(np.mean([numbers(h) for h in halves], axis=0), rel=2e-5, nan_ok=True)


@pytest.mark.parametrize(("direction", "axis"), [("all", None), ("y", 1), ("x", 2)])
def test_within_sections_it_is_the_mean_over_sections_that_are_not_damaged(direction: str, axis: int | None) -> None:
    a = textured((5, 40, 36))
    b = noisy(a)
    damaged = b.copy()
    damaged[2] = 0
    size = VoxelSize(40, 4, 4)
    found = ring_correlation(
        GreyVolume(a, size), GreyVolume(damaged, size), {"all": Region.whole(a.shape)}, defects=[2]
    ).curves["power"]["all"][direction]  # fmt: skip
    kept = [0, 1, 3, 4]
    difference = b[kept].astype(float) - a[kept]
    expected = plainly(difference, size, axis, axes=(1, 2))
    assert numbers(found["error"]) == pytest.approx(expected, rel=2e-5, nan_ok=True)
