"""Planes of both directions, of which those in margins are left out."""

import pytest
import torch

from vemrecon.methods.base import Tile
from vemrecon.methods.plane_by_plane import mean_of_planes
from vemrecon.volume import SectionGrid

GRID = SectionGrid.slabs(2)
OBSERVED = torch.rand(1, 1, 5, 13, 17, generator=torch.Generator().manual_seed(0))
KEPT = slice(3, 9), slice(4, 17)


def restore(sections):
    """Knows rows from columns, and looks at one neighbour along each."""
    rows = sections.repeat_interleave(2, dim=2)
    return rows + 0.5 * rows.roll(1, 2) + 0.25 * rows.roll(1, 3)


def plainly(volume, order):
    """Restored all at once, and put back where it was."""
    back = sorted(range(3), key=lambda axis: order[axis])
    return restore(volume.permute(order)[:, None])[:, 0].permute(back)


@pytest.mark.parametrize("planes", [("xz",), ("yz",), ("xz", "yz")])
@pytest.mark.parametrize("threads", [1, 1 << 12])
def test_the_mean_is_that_of_planes_restored_all_at_once(planes, threads, monkeypatch):
    monkeypatch.setattr("vemrecon.methods.plane_by_plane.CACHED", threads * 100)
    orders = {"xz": (1, 0, 2), "yz": (2, 0, 1)}
    wanted = sum(plainly(OBSERVED[0, 0], orders[plane]) for plane in planes) / len(planes)
    torch.testing.assert_close(mean_of_planes(restore, Tile(OBSERVED, GRID), planes)[0, 0], wanted)
    kept = mean_of_planes(restore, Tile(OBSERVED, GRID, kept=KEPT), planes)[0, 0]
    torch.testing.assert_close(kept[:, KEPT[0], KEPT[1]], wanted[:, KEPT[0], KEPT[1]])
    assert torch.isfinite(kept).all()


def test_planes_in_margins_are_not_restored():
    seen = {"count": 0}

    def counting(sections):
        seen["count"] += sections.shape[0]
        return restore(sections)

    mean_of_planes(counting, Tile(OBSERVED, GRID, kept=KEPT), ("xz", "yz"))
    assert seen["count"] == 6 + 13


def test_what_is_made_in_bfloat16_is_averaged_in_float32():
    made = mean_of_planes(lambda sections: restore(sections).bfloat16(), Tile(OBSERVED, GRID), ("xz", "yz"))
    assert made.dtype == torch.float32
    wanted = (plainly(OBSERVED[0, 0], (1, 0, 2)).bfloat16().float() + plainly(OBSERVED[0, 0], (2, 0, 1)).bfloat16()) / 2
    assert torch.equal(made[0, 0], wanted)
