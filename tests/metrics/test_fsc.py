"""FSC and spectral anisotropy against the definition with full transforms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from metrics.metric_volumes import noisy, textured
from scipy import fft
from scipy.signal import windows

from vemrecon.metrics.fsc import DIRECTIONS, FourierShellCorrelation, ShellCurve, shells
from vemrecon.metrics.isotropy import PowerAnisotropy
from vemrecon.metrics.spectrum import folded_spectra, spectral_blocks
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize


def full_grid(shape: Triple, voxel_size: VoxelSize) -> tuple[list[np.ndarray], np.ndarray]:
    axes = list(np.meshgrid(*(fft.fftfreq(n, d) for n, d in zip(shape, voxel_size, strict=True)), indexing="ij"))
    return axes, np.sqrt(axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2)


def transform(volume: np.ndarray, taper: str) -> np.ndarray:
    values = volume - volume.mean(dtype=np.float64)
    if taper == "hann":
        z, y, x = (windows.hann(n, sym=True) for n in volume.shape)
        values = values * z[:, None, None] * y[:, None] * x
    return fft.fftn(values)


def defined_curve(
    a: np.ndarray, b: np.ndarray, voxel_size: VoxelSize, taper: str, axis: int | None
) -> list[float | None]:
    axes, radius = full_grid(a.shape, voxel_size)
    width = 1 / min(n * d for n, d in zip(a.shape, voxel_size, strict=True))
    last = math.floor(0.5 / max(voxel_size) / width + 1e-9)
    shell = np.floor(radius / width + 0.5)
    fa, fb = transform(a, taper), transform(b, taper)
    curve: list[float | None] = []
    for k in range(1, last + 1):
        inside = shell == k
        if axis is not None:
            with np.errstate(invalid="ignore"):
                inside &= np.abs(axes[axis]) / radius >= math.cos(math.radians(20))
        p, q = fa[inside], fb[inside]
        power = math.sqrt((np.abs(p) ** 2).sum() * (np.abs(q) ** 2).sum())
        curve.append(float((p * q.conj()).real.sum() / power) if len(p) >= 10 else None)
    return curve


@pytest.mark.parametrize("taper", ["hann", "none"])
@pytest.mark.parametrize("shape", [(17, 33, 29), (24, 20, 32), (16, 31, 18)])
@pytest.mark.parametrize("voxel_size", [VoxelSize(8, 8, 8), VoxelSize(20, 8, 6)])
def test_fsc_equals_the_definition(taper: str, shape: Triple, voxel_size: VoxelSize) -> None:
    a = textured(shape)
    b = noisy(a)
    metric = FourierShellCorrelation(shape, voxel_size, taper=taper)
    metric.update(folded_spectra(torch.tensor(a), torch.tensor(b), taper))
    for name, axis in zip(DIRECTIONS, (None, 0, 1, 2), strict=True):
        found = metric.curves()[0][name].points()["value"]
        expected = defined_curve(a, b, voxel_size, taper, axis)
        assert [v is None for v in found] == [v is None for v in expected]
        known = [(v, e) for v, e in zip(found, expected, strict=True) if v is not None]
        assert [v for v, _ in known] == pytest.approx([e for _, e in known], abs=1e-9)


def test_power_anisotropy_equals_the_definition() -> None:
    shape, voxel_size = (24, 33, 28), VoxelSize(8, 8, 8)
    a = textured(shape)
    b = noisy(a)
    metric = PowerAnisotropy(shape, voxel_size)
    metric.update(folded_spectra(torch.tensor(a), torch.tensor(b), "hann"))
    axes, radius = full_grid(shape, voxel_size)
    nyquist = 0.5 / 8
    band = (radius >= 0.25 * nyquist) & (radius <= 0.75 * nyquist)
    for found, volume in zip(metric.compute().reshape(-1), (a, b), strict=True):
        power = np.abs(transform(volume, "hann")) ** 2
        with np.errstate(invalid="ignore"):
            z, y, x = (power[band & (np.abs(f) / radius >= math.cos(math.radians(20)))].mean() for f in axes)
        assert found.item() == pytest.approx(math.log10(z / (0.5 * (y + x))), abs=1e-9)


def test_shells_count_every_frequency_of_the_full_transform() -> None:
    shape, voxel_size = (17, 20, 29), VoxelSize(8, 8, 8)
    _, radius = full_grid(shape, voxel_size)
    geometry = shells(shape, voxel_size)
    shell = np.floor(radius / geometry.width + 0.5)
    assert geometry.counts[0].tolist() == [(shell == k).sum() for k in range(1, geometry.number + 1)]


def test_fsc_of_identical_volumes_is_one_and_has_no_crossing() -> None:
    a = torch.tensor(textured((20, 20, 20)))
    metric = FourierShellCorrelation((20, 20, 20), VoxelSize(8, 8, 8))
    metric.update(folded_spectra(a, a, "hann"))
    for curve in metric.curves()[0].values():
        assert curve.correlation[curve.valid] == pytest.approx(1, abs=1e-12)
        assert curve.resolution() == (pytest.approx(16), "no_crossing")


def test_slots_of_two_processes_add_up() -> None:
    a, b = textured((20, 18, 16), 0), textured((20, 18, 16), 5)
    spectra = [folded_spectra(torch.tensor(v), torch.tensor(noisy(v)), "hann") for v in (a, b)]
    one, first, second = (FourierShellCorrelation((20, 18, 16), VoxelSize(8, 8, 8), blocks=2) for _ in range(3))
    for k in range(2):
        one.update(spectra[k], k)
    first.update(spectra[0], 0)
    second.update(spectra[1], 1)
    first.sums = first.sums + second.sums
    assert torch.equal(first.sums, one.sums)
    assert torch.equal(first.compute()["all"], one.compute()["all"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 0.9, 0.6, 0.2], (1 / 3.25, "crossing")),
        ([0.9, 0.8, 0.7, 0.6], (1 / 4, "no_crossing")),
        ([0.4, 0.8, 0.7, 0.6], (1.0, "below_at_first_shell")),
    ],
)
def test_resolution_and_flags(values: list[float], expected: tuple[float, str]) -> None:
    curve = ShellCurve(np.arange(1.0, 5.0), np.array(values), np.ones(4, bool))
    assert curve.resolution() == (pytest.approx(expected[0]), expected[1])


def test_resolution_passes_over_shells_that_are_not_valid() -> None:
    curve = ShellCurve(np.arange(1.0, 5.0), np.array([0, 0.9, 0, 0.1]), np.array([False, True, False, True]))
    assert curve.resolution() == (pytest.approx(1 / 3), "crossing")
    assert ShellCurve(curve.frequency, curve.correlation, np.zeros(4, bool)).resolution() == (None, "no_shell")


@given(shape=st.tuples(*[st.integers(1, 90)] * 3), limit=st.integers(4, 40), most=st.integers(1, 20))
def test_spectral_blocks_stay_inside_without_overlap_and_are_few(shape: Triple, limit: int, most: int) -> None:
    region = Region((3, 1, 2), (3 + shape[0], 1 + shape[1], 2 + shape[2]))
    blocks = spectral_blocks(region, limit, most)
    assert 1 <= len(blocks) <= most
    assert len({block.shape for block in blocks}) == 1
    assert all(region.contains(block) and max(block.shape) <= limit for block in blocks)
    assert not any(p.overlaps(q) for i, p in enumerate(blocks) for q in blocks[:i])
    if max(shape) <= limit:
        assert blocks == [region]
