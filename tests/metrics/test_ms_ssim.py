"""MS-SSIM against torchmetrics, the definition, and simple properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metrics.metric_volumes import noisy, textured
from scipy.ndimage import correlate1d
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from vemrecon.metrics.ms_ssim import VARIANTS, MultiScaleStructuralSimilarity, multiscale_similarity
from vemrecon.volume.region import Region


def test_primary_ms_ssim_agrees_with_torchmetrics() -> None:
    a = textured((3, 177, 190))
    b = noisy(a, 25)
    p, q = (torch.from_numpy(v / 255.0)[:, None] for v in (a, b))
    expected = multiscale_structural_similarity_index_measure(
        p, q, data_range=1.0, kernel_size=11, sigma=1.5, normalize="relu", reduction="none"
    )
    found = multiscale_similarity(torch.tensor(a), torch.tensor(b), VARIANTS[""])
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)  # torchmetrics builds its window in float32


def defined_similarity(a: np.ndarray, b: np.ndarray, taps: int) -> float:
    """Windows inside the image alone, and a zero in front of odd sides, as `pytorch_msssim` has it."""
    offsets = np.arange(taps) - taps // 2
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    c1, c2, result = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 1.0

    def mean(values: np.ndarray) -> np.ndarray:
        for axis in range(values.ndim):
            values = correlate1d(values, window / window.sum(), axis=axis)
        return values[(slice(taps // 2, -(taps // 2)),) * values.ndim]

    a, b = a.astype(np.float64), b.astype(np.float64)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        ma, mb = mean(a), mean(b)
        factor = (2 * (mean(a * b) - ma * mb) + c2) / (mean(a * a) - ma**2 + mean(b * b) - mb**2 + c2)
        if scale == 4:
            factor = factor * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
        result *= max(factor.mean(), 0) ** weight
        a, b = (halved(v) for v in (a, b))
    return float(result)


def halved(values: np.ndarray) -> np.ndarray:
    for axis, n in enumerate(values.shape):
        padded = np.pad(values, [(n % 2 if k == axis else 0, 0) for k in range(values.ndim)])
        even, odd = (np.take(padded, range(first, padded.shape[axis] - 1 + first, 2), axis) for first in (0, 1))
        values = (even + odd) / 2
    return values


@pytest.mark.parametrize(("variant", "shape"), [("p11", (163, 172)), ("p5", (66, 81)), ("p5", (65, 66, 69))])
def test_other_variants_equal_the_definition(variant: str, shape: tuple[int, ...]) -> None:
    a = textured((1, *shape) if len(shape) == 2 else shape).reshape(shape)
    b = noisy(a, 25)
    found = multiscale_similarity(torch.tensor(a)[None], torch.tensor(b)[None], VARIANTS[variant]).item()
    assert found == pytest.approx(defined_similarity(a, b, int(variant[1:])), abs=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ms_ssim_of_identical_sections_is_one(variant: str) -> None:
    a = torch.tensor(textured((1, 181, 177)))
    assert multiscale_similarity(a, a, VARIANTS[variant]).item() == pytest.approx(1, abs=1e-12)


def test_ms_ssim_of_a_volume_whose_sections_repeat_falls_with_noise() -> None:
    a = textured((65, 66, 67))
    values = [
        multiscale_similarity(torch.tensor(a)[None], torch.tensor(noisy(a, sigma))[None], VARIANTS["p5"]).item()
        for sigma in (5, 20, 60)
    ]
    assert 1 > values[0] > values[1] > values[2] >= 0


@pytest.mark.parametrize(("variant", "shortest"), [("", 176), ("p11", 161), ("p5", 65)])
def test_ms_ssim_is_not_defined_below_its_shortest_side(variant: str, shortest: int) -> None:
    scopes = [Region((0, 0, 0), (2, n, 300)) for n in (shortest - 1, shortest)]
    metric = MultiScaleStructuralSimilarity(scopes, variant)
    assert [metric.defined(i, "xy") for i in range(2)] == [False, True]
    assert metric.means(0, "xy").numel() == 0
