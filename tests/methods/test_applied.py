"""Methods applied in eight orientations, in bfloat16, blended; and copies of them elsewhere."""

import pickle

import pytest
import torch
from preset_arguments import preset_arguments

from vemrecon.errors import ConfigError
from vemrecon.methods import short_floats
from vemrecon.methods.applied import Applied
from vemrecon.methods.base import Method, Tile, TileShape, reconstruct_tile
from vemrecon.methods.build import build_method
from vemrecon.methods.eightfold import ALL, rotate, turned_start
from vemrecon.methods.lateral_cnn import LateralCNN
from vemrecon.methods.registry import built_in_methods
from vemrecon.own.wish import Wish
from vemrecon.volume import SectionGrid

GRID = SectionGrid.kept_every(4)
OBSERVED = torch.rand(1, 1, 4, 20, 18, generator=torch.Generator().manual_seed(0))


class Slanted(Method):
    """Knows up from down and left from right."""

    tile = TileShape(8, 16, 16, halo=(1, 2, 3))

    def reconstruct(self, tile):
        rows = tile.grid.extent(tile.observed.shape[2])
        made = torch.nn.functional.interpolate(tile.observed, (rows, *tile.observed.shape[3:]))
        z, y, x = (torch.linspace(0, 0.1, n) for n in made.shape[2:])
        return made * 0.5 + z[:, None, None] + 2 * y[:, None] + 3 * x


@pytest.mark.parametrize("name", built_in_methods())
def test_every_method_can_be_copied_to_another_process_and_averaged(name):
    kind = built_in_methods()[name].load()
    method = build_method(kind, name, preset_arguments(name, "smoke"), grid=GRID, seed=0).eval()
    (wanted,) = reconstruct_tile(method, Tile(OBSERVED, GRID))
    (found,) = reconstruct_tile(pickle.loads(pickle.dumps(method)), Tile(OBSERVED, GRID))
    assert torch.equal(found, wanted)
    mean, spread = reconstruct_tile(Applied(method, rotations=True).eval(), Tile(OBSERVED, GRID), spread=True)
    assert mean.shape == spread.shape == wanted.shape
    assert (mean - wanted).abs().mean() < 0.1


@pytest.mark.parametrize("grid", [SectionGrid.slabs(4), SectionGrid.slabs(2.5)])
def test_rotations_cancel_what_depends_on_the_orientation(grid):
    tile = Tile(torch.full((1, 1, 4, 12, 12), 0.4), grid)
    (mean,) = reconstruct_tile(Applied(Slanted(), rotations=True), tile)
    upright = mean.mean(dim=(0, 1, 2))
    assert (upright - upright.mean()).abs().max() < 1e-6, "the slants of y and x"
    if grid.scale.is_integer():
        assert (mean - mean.mean()).abs().max() < 1e-6, "and that of z"
    assert Applied(Slanted(), rotations=True).tile.halo == (2, 3, 3)


def test_without_bfloat16_it_is_refused(monkeypatch):
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: False)
    with pytest.raises(ConfigError, match="this cpu does not compute in bfloat16"):
        Wish(bfloat16=True).check(8)
    with pytest.raises(ConfigError, match="this cpu does not compute in bfloat16"):
        reconstruct_tile(Applied(Slanted(), short=True), Tile(OBSERVED, GRID))


def test_bfloat16_is_nearly_the_same(monkeypatch):
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: True)
    kind = built_in_methods()["isovem"].load()
    method = build_method(kind, "isovem", preset_arguments("isovem", "smoke"), grid=GRID, seed=0).eval()
    (wanted,) = reconstruct_tile(method, Tile(OBSERVED, GRID))
    (found,) = reconstruct_tile(Applied(method, short=True), Tile(OBSERVED, GRID))
    assert found.dtype == torch.float32 and 0 < (found - wanted).abs().max() < 0.05


def test_blending_is_asked_of_the_engine():
    assert Applied(Slanted(), blended=True).tile.blended and not Applied(Slanted()).tile.blended


@pytest.mark.parametrize("index", ALL)
def test_a_turned_tile_begins_where_the_turned_volume_has_it(index):
    """Voxels that know their place; an axis that is reversed counts from its other end."""
    shape, start, size = (3, 7, 9), (0, 2, 4), (3, 4, 3)
    places = torch.arange(7 * 9).reshape(1, 7, 9).expand(shape)
    whole = rotate(places, index)
    tile = rotate(places[:, 2:6, 4:7], index)
    _, y, x = turned_start(start, size, index)
    _, first_y, first_x = turned_start((0, 0, 0), shape, index)  # of the volume itself
    y, x = y - first_y, x - first_x
    assert torch.equal(whole[0, y : y + tile.shape[1], x : x + tile.shape[2]], tile[0])


def test_columns_taken_together_do_not_depend_on_the_cut_in_any_orientation():
    method = LateralCNN(4.0, SectionGrid.kept_every(4.0), width=4, blocks=1, columns=3).eval()
    torch.nn.init.normal_(method.net.tail.weight, std=0.1)
    applied, grid = Applied(method, rotations=True), SectionGrid.kept_every(4.0)
    observed = torch.rand(1, 1, 6, 50, 49)
    with torch.inference_mode():
        whole = applied.reconstruct(Tile(observed, grid))
        part = applied.reconstruct(Tile(observed[..., 5:39, 7:41], grid, (0, 5, 7)))
    torch.testing.assert_close(part[..., 15:19, 15:19], whole[..., 20:24, 22:26], atol=1e-6, rtol=0)
