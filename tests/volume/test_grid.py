"""Where sections lie: invariants of the grid, whatever the scale and the offset."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vemrecon.errors import DataError
from vemrecon.volume import SectionGrid

SCALES = st.one_of(st.integers(1, 20), st.floats(1, 20).map(lambda s: round(s, 2))).map(float)
COUNTS = st.integers(1, 30)


@st.composite
def grids(draw):
    """Slab means of any scale, or sections kept every whole number of voxels."""
    if draw(st.booleans()):
        return SectionGrid.slabs(draw(SCALES))
    scale = draw(st.integers(1, 20))
    return SectionGrid.kept_every(scale, draw(st.integers(0, scale - 1)))


@given(grids(), COUNTS)
def test_a_section_lies_at_its_own_number(grid, count):
    np.testing.assert_allclose(grid.sections_at(grid.positions(count)), np.arange(count), atol=1e-9)


@given(grids(), COUNTS)
def test_positions_are_one_scale_apart_and_inside_of_the_reconstruction(grid, count):
    positions = grid.positions(count)
    assert positions[0] == grid.first
    np.testing.assert_allclose(np.diff(positions), grid.scale)
    assert positions[0] >= 0 and positions[-1] < grid.extent(count) + 0.5


@given(grids(), COUNTS)
def test_kept_sections_are_voxels_of_the_reconstruction_and_slab_means_are_none(grid, count):
    kept = grid.kept(count)
    assert (kept is None) == (grid.thickness > 0)
    if kept is not None:
        assert kept.tolist() == grid.positions(count).tolist() and kept[-1] < grid.extent(count)
        assert grid.covered(count) == kept[-1] + 1


@given(grids(), COUNTS)
def test_sections_are_made_of_what_they_cover_and_of_nothing_else(grid, count):
    start, stop = grid.touched(0, count)
    assert start == math.floor(grid.positions(1)[0] + 0.5 - grid.thickness / 2)
    assert abs(stop - grid.covered(count)) <= 1  # half of a voxel is touched, but not known


@pytest.mark.parametrize("scale", [1.2, 2.5, 3.3, 7.7])
def test_slabs_cover_what_is_reconstructed_of_them_whatever_the_scale(scale):
    grid = SectionGrid.slabs(scale)
    assert [grid.covered(n) for n in range(1, 60)] == [grid.extent(n) for n in range(1, 60)]


@given(grids())
def test_a_grid_survives_json(grid):
    assert SectionGrid.from_dict(json.loads(json.dumps(grid.as_dict()))) == grid


@given(grids(), COUNTS)
def test_upside_down_every_section_takes_the_place_of_another(grid, count):
    turned = grid.upside_down.positions(count)
    np.testing.assert_allclose(count * grid.scale - 1 - turned[::-1], grid.positions(count), atol=1e-9)
    assert grid.upside_down.upside_down.first == pytest.approx(grid.first)


@given(grids(), st.integers(0, 200))
def test_the_voxel_between_sections_is_the_farthest_one_of_its_gap(grid, z):
    gap = math.floor(float(grid.sections_at(z)) + 1e-9)
    low, high = (grid.first + k * grid.scale for k in (gap, gap + 1))
    inside = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    far = max(min(i - low, high - i) for i in inside)
    found = grid.between(z)
    assert min(found - low, high - found) == pytest.approx(far)


@given(grids(), st.integers(0, 200))
def test_no_section_is_nearer_than_the_nearest(grid, z):
    at = grid.sections_at(z)
    assert abs(at - grid.nearest(z)) <= 0.5 + 1e-6


@given(grids())
def test_a_canonical_grid_begins_with_the_volume_and_stays_as_it_is(grid):
    canonical = grid.canonical
    assert canonical.touched(0, 1)[0] == 0 and canonical.canonical == canonical
    assert (canonical.scale, canonical.thickness) == (grid.scale, grid.thickness)


def test_the_two_usual_grids_lie_where_the_protocol_says():
    assert SectionGrid.slabs(8).positions(2).tolist() == [3.5, 11.5]
    assert SectionGrid.kept_every(8, offset=4).positions(2).tolist() == [4, 12]
    assert SectionGrid.kept_every(2.5).kept(4).tolist() == [0, 5]  # others lie between voxels
    for kind in ("centred", "aligned"):
        assert SectionGrid.of_kind(kind, 5).kind == kind


@pytest.mark.parametrize("fields", [(0.5, 0, 0), (4, -1, 0), (4, 4, 0), (4, 0, 5), (math.nan, 0, 0), (4, math.inf, 0)])
def test_impossible_grids_are_refused(fields):
    with pytest.raises(DataError, match="sections every"):
        SectionGrid(*fields)


@pytest.mark.parametrize("facts", [{}, {"scale": 4, "first": 0}, {"scale": 4, "first": "x", "thickness": 0}])
def test_damaged_facts_are_a_message(facts):
    with pytest.raises(DataError, match="needs the numbers"):
        SectionGrid.from_dict(facts)
