"""Averaging over rotations keeps sections in register."""

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.degradations import degrade, make_degradation
from vemrecon.methods.eightfold import ALL, eightfold, rotate, rotate_back
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid, Volume


@pytest.mark.parametrize("index", ALL)
def test_every_rotation_has_its_inverse(index):
    volume = torch.rand(3, 4, 5)
    assert torch.equal(rotate_back(rotate(volume, index), index), volume)


@pytest.mark.parametrize(("kind", "grid"), [("average", "centred"), ("subsample", "aligned")])
def test_a_registered_interpolation_is_the_same_in_every_rotation(kind, grid):
    observed = degrade(Volume(textured((48, 20, 20)), None, "v"), make_degradation(kind, 6))
    sections = torch.from_numpy(observed.read(observed.whole))
    weights = torch.from_numpy(interpolation_matrix("linear", len(sections), SectionGrid.of_kind(grid, 6))).float()

    def upright(volume):
        return torch.tensordot(weights, volume, dims=1)

    mean, spread = eightfold(upright, sections, SectionGrid.of_kind(grid, 6))
    known = slice(0, 43) if grid == "aligned" else slice(None)  # behind the last kept section there are only guesses
    np.testing.assert_allclose(mean[known], upright(sections)[known], atol=1e-6)
    assert spread[known].max() < 1e-3
    assert torch.isfinite(mean).all() and torch.isfinite(spread).all()


def test_kept_sections_turned_upside_down_would_be_misplaced_otherwise():
    observed = torch.from_numpy(textured((8, 10, 10)).astype(np.float32) / 255)
    weights = torch.from_numpy(interpolation_matrix("linear", 8, SectionGrid.kept_every(6))).float()

    def upright(volume):
        return torch.tensordot(weights, volume, dims=1)

    naive = rotate_back(upright(rotate(observed, 4)), 4)
    assert (naive - upright(observed))[:43].abs().max() > 0.05
