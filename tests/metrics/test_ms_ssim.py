"""MS-SSIM against torchmetrics and simple properties."""

from __future__ import annotations

import pytest
import torch
from metrics.metric_volumes import noisy, textured
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
