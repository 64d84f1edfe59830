"""Held-out and filled sections against scikit-image, and for any cut of the reconstruction into tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from native_evidence import native_scores
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from small_volumes import textured

from vemrecon.methods.base import TileShape
from vemrecon.methods.interpolation import Interpolation
from vemrecon.volume import SectionGrid, Volume, VoxelSize

SECTIONS = VoxelSize(40, 4, 4)
SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def even(shape: tuple[int, int, int]) -> np.ndarray:
    """A volume whose sections have means without halves, which would round either way."""
    return textured(shape) // 2 * 2


def grey(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def held_out(volume: np.ndarray, folder: Path, tile: TileShape) -> dict[str, float | None]:
    method = Interpolation("cubic_a-0.75")
    method.tile = tile
    observed = Volume(volume, SECTIONS, "observed", SectionGrid.slabs(4))
    rows = native_scores(method, observed, folder, ("holdout",))
    return {row.variant: row.value for row in rows}


def test_holdout_equals_scikit_image_and_does_not_depend_on_tiles(tmp_path: Path) -> None:
    volume = even((11, 40, 37))
    found = held_out(volume, tmp_path, TileShape(16, 128, 128, halo=(2, 0, 0)))
    assert held_out(volume, tmp_path, TileShape(2, 16, 20, halo=(2, 0, 0))) == found
    recorded = volume[1:-1:2]
    neighbours = grey((volume[:-2:2] / 255 + volume[2::2] / 255) / 2)
    pairs = list(zip(recorded, neighbours, strict=True))
    psnr = np.mean([peak_signal_noise_ratio(p, q, data_range=255) for p, q in pairs])
    ssim = np.mean([structural_similarity(p, q, **SSIM) for p, q in pairs])
    assert found["psnr_neighbours"] == pytest.approx(psnr, abs=1e-9)
    assert found["ssim_neighbours"] == pytest.approx(ssim, abs=1e-9)
    for metric in ("psnr", "ssim"):
        value, beside = found[metric], found[f"{metric}_neighbours"]
        assert value is not None and beside is not None
        assert found[f"{metric}_gain"] == pytest.approx(value - beside, abs=1e-12)


class BrightNeighbour(Interpolation):
    """Fills a section by the one before, a bit brighter."""

    fills_sections = True

    def inpaint(self, volume: torch.Tensor, sections: Sequence[int]) -> torch.Tensor:
        filled = volume.clone()
        for z in sections:
            filled[z] = volume[z - 1] + 3 / 255
        return filled


def test_inpainting_equals_scikit_image(tmp_path: Path) -> None:
    volume = even((12, 40, 37))
    observed = Volume(volume, SECTIONS, "observed", SectionGrid.slabs(4))
    rows = native_scores(BrightNeighbour("linear"), observed, tmp_path, ("inpainting",), [6])
    found = {row.variant: row for row in rows}
    removed = (3, 9)  # a half is damaged
    expected = {
        "psnr": [grey(volume[z - 1] / 255 + 3 / 255) for z in removed],
        "psnr_neighbours": [grey((volume[z - 1] / 255 + volume[z + 1] / 255) / 2) for z in removed],
    }
    for variant, predictions in expected.items():
        values = [
            peak_signal_noise_ratio(volume[z], p, data_range=255) for z, p in zip(removed, predictions, strict=True)
        ]
        assert found[variant].value == pytest.approx(np.mean(values), abs=1e-9)
        assert found[variant].count == len(removed)
    assert found["psnr_gain"].value == pytest.approx(found["psnr"].value - found["psnr_neighbours"].value)
