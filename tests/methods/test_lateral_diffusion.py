"""Lateral diffusion beyond DiffuseIR's golden pieces: observation, both samplers, training, tiles, samples, presets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from preset_arguments import preset_arguments
from small_volumes import textured
from torch import nn

from vemrecon.data.patches import PatchStream
from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.stages import train
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.base import Tile, TileShape, reconstruct_tile
from vemrecon.methods.build import build_method, initialise
from vemrecon.methods.lateral_diffusion.consistency import consistent, levels, trust
from vemrecon.methods.lateral_diffusion.method import TRAINING, LateralDiffusion
from vemrecon.methods.lateral_diffusion.observation import Observation
from vemrecon.methods.lateral_diffusion.replacement import resampled, respaced, visits
from vemrecon.methods.registry import method_entry
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume

SMALL = {"width": 8, "multiples": [1, 2], "blocks": 1, "head": 8, "dropout": 0.1, "contrast": 0.2, "steps": 3}
SMALL |= {"crop": 32, "batch": 2, "budget": 20, "learning_rate": 1e-3, "warm_up": 2, "section": [64, 64]}
SMALL |= {"halo": [2, 8]}


def small(seed=0, scale=4.0, grid="aligned", **more):
    return initialise(lambda: LateralDiffusion(scale, SectionGrid.of_kind(grid, scale), **(SMALL | more)), seed)


def source(scale=4, kind="subsample"):
    degradation = make_degradation(kind, scale)
    observed = [degrade(Volume(textured((24, 48, 40), s), VoxelSize(8, 8, 8), "t"), degradation) for s in (1, 2)]
    return Source.of(observed[:1], degradation, "self", validation=observed[1:])


def seeded(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def awake(**more):
    """Blocks of a new network do nothing, because their last weights are zero."""
    method = small(**more).eval()
    torch.manual_seed(1)
    for parameter in method.average.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return method


# observation


@pytest.mark.parametrize(("scale", "kind"), [(4, "subsample"), (4, "average"), (2.5, "average")])
def test_an_observation_is_the_degradation_and_is_met_by_the_smallest_change(scale, kind):
    degradation = make_degradation(kind, scale)
    truth = Volume(textured((20, 6, 7)), VoxelSize(8, 8, 8), "t")
    sections = degrade(truth, degradation)
    observation = Observation.of(torch.from_numpy(sections.read(sections.whole)), degradation.grid)
    volume = torch.from_numpy(truth.read(truth.whole))
    torch.testing.assert_close(torch.tensordot(observation.forward, volume, dims=1), observation.sections)
    torch.testing.assert_close(observation.met(volume), volume, atol=1e-5, rtol=0)

    wrong = torch.rand(20, 6, 7)
    change = observation.met(wrong) - wrong
    torch.testing.assert_close(
        torch.tensordot(observation.forward, wrong + change, dims=1), observation.sections, atol=1e-5, rtol=0
    )
    free = torch.from_numpy(np.linalg.svd(observation.forward.numpy())[2][len(observation.sections) :])  # A x = 0
    assert torch.tensordot(free, change, dims=1).abs().max() < 1e-5
    torch.testing.assert_close(observation.met(wrong, 0.3), wrong + 0.3 * change, atol=1e-6, rtol=0)


@pytest.mark.parametrize("grid", ["aligned", "centred"])
def test_pseudo_inverses_put_rows_back_or_repeat_means(grid):
    inverse = Observation.of(torch.rand(3, 1, 1), SectionGrid.of_kind(grid, 4)).inverse
    wanted = torch.zeros(12, 3)
    wanted[torch.arange(12) if grid == "centred" else torch.arange(0, 12, 4)] = (
        torch.eye(3).repeat_interleave(4, dim=0) if grid == "centred" else torch.eye(3)
    )
    torch.testing.assert_close(inverse, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("scale", "grid"), [(4, "aligned"), (4, "centred"), (2.5, "centred")])
def test_a_smooth_change_meets_the_observation_too_and_moves_neighbours_alike(scale, grid):
    rows = round(8 * scale)
    observation = Observation.of(seeded((8, 5, 6)), SectionGrid.of_kind(grid, scale), smooth=True)
    wrong = seeded((rows, 5, 6), 1)
    change = observation.met(wrong) - wrong
    met = torch.tensordot(observation.forward, wrong + change, dims=1)
    torch.testing.assert_close(met, observation.sections, atol=1e-5, rtol=0)
    rising, dark = torch.arange(8.0)[:, None, None].expand(8, 5, 6), torch.zeros(rows, 5, 6)
    steps = [
        Observation.of(rising, SectionGrid.of_kind(grid, scale), smooth=on).met(dark).diff(dim=0).abs().max()
        for on in (True, False)
    ]
    assert steps[0] < 0.7 * steps[1]


# samplers


def fresh(image):
    """Noise for every step, and other noise for the start."""
    return lambda step: seeded(image.shape, 99 if step == "start" else step)


def oracle(image):
    return lambda state, gamma: (state - gamma**0.5 * image) / (1 - gamma) ** 0.5


@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_perfect_network_leads_to_the_volume_whatever_it_starts_from(steps, eta):
    image = 0.8 * (2 * torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0)) - 1)
    found = consistent(
        [oracle(image)] * 2,
        lambda volume, share: volume,
        0 * image,
        levels(TRAINING, 0.05, steps),
        fresh(image),
        eta=eta,
    )
    torch.testing.assert_close(found, image, atol=1e-4, rtol=0)


def test_noise_that_is_added_again_keeps_the_level():
    """States of a known image have the variance of their level, whatever eta is."""
    image, gammas = torch.zeros(1, 300, 300), levels(TRAINING, 0.05, 5)
    seen = []

    def find(state, gamma):
        seen.append((float(state.var()), 1 - gamma))
        return state / (1 - gamma) ** 0.5

    consistent([find], lambda v, share: v, image, gammas, fresh(image), eta=0.85)
    for found, wanted in seen:
        assert found == pytest.approx(wanted, rel=0.03)


def test_orientations_are_averaged_or_asked_in_turn():
    asked = []

    def finder(name):
        return lambda state, gamma: asked.append(name) or 0 * state

    for alternate in (False, True):
        consistent(
            [finder("xz"), finder("yz")],
            lambda v, share: v,
            torch.zeros(1, 1, 1),
            levels(TRAINING, 0.05, 3),
            lambda step: torch.zeros(1, 1, 1),
            alternate=alternate,
        )
    assert asked == ["xz", "yz"] * 3 + ["xz", "yz", "xz"]


def test_levels_begin_where_wanted_and_end_at_the_first_step():
    found = levels(TRAINING, 0.05, 7)
    assert found == sorted(found) and found[-1] == float(TRAINING.gammas[0])
    assert found[0] <= 0.05 < float(TRAINING.gammas[int((TRAINING.gammas > 0.05).sum()) - 1])
    assert levels(TRAINING, 1e-9, 2)[0] == float(TRAINING.gammas[-1])


def test_noisy_observations_are_trusted_until_the_volume_is_less_noisy():
    assert trust(0.5, 0) == trust(0.5, 0.9) == 1
    assert trust(0.99, 0.2) == pytest.approx((0.01 / 0.99) ** 0.5 / 0.2)


def test_resampling_completes_rows_of_a_known_image_and_keeps_known_ones():
    image = 0.8 * (2 * torch.rand(1, 1, 8, 6, generator=torch.Generator().manual_seed(0)) - 1)
    mask = torch.zeros(8, 1)
    mask[::4] = 1
    calls = []

    def find(state, gamma):
        calls.append(gamma)
        return oracle(image)(state, gamma)

    schedule = respaced(TRAINING, 10)
    found = resampled(
        schedule, find, 0 * image, image * mask, mask, lambda n: seeded(image.shape, n), length=2, times=3
    )
    torch.testing.assert_close(found, image, atol=1e-4, rtol=0)
    assert torch.equal(found[..., ::4, :], image[..., ::4, :])
    back = sum(b < a for a, b in zip(visits(10, 2, 3), visits(10, 2, 3)[1:], strict=False))
    assert len(calls) == 10 + back


# training


def test_examples_are_a_function_of_their_number_and_carry_their_noise():
    one, two = (PatchStream(source(), small().stages()[0].patches, 7, "prior", 50) for _ in range(2))
    assert all(torch.equal(one[9][key], two[9][key]) for key in one[9])
    assert one[0]["noise"].shape == one[0]["target"].shape == (1, 32, 32)
    assert PatchStream(source(), small(crop=64).stages()[0].patches, 7, "prior", 50)[0]["target"].shape == (1, 40, 40)


class _StopError(Exception):
    pass


def test_a_training_that_is_stopped_goes_on_to_the_same_weights(tmp_path):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    calm, stopped, resumed = (small(budget=8) for _ in range(3))
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(stopped, source(), tmp_path / "stopped", identity="x", seed=0, progress=stop)
    torch.manual_seed(5)  # the global state must not matter
    train(resumed, source(), tmp_path / "stopped", identity="x", seed=0)
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in calm.state_dict().items())
    curves = read_log(tmp_path / "stopped" / "prior" / "loss.csv")
    assert {"loss", "validation loss", "validation one-look psnr"} <= set(curves)


@pytest.mark.parametrize("contrast", [None, 0.2])
def test_learning_lowers_the_loss_of_a_batch(contrast):
    method = small(contrast=contrast, dropout=0.0)
    stream = PatchStream(source(), method.stages()[0].patches, 0, "prior", 4)
    batch = torch.utils.data.default_collate([stream[i] for i in range(4)])
    optimizer = torch.optim.Adam(method.net.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = method.loss(method.net, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


# reconstruction


@pytest.mark.parametrize("more", [{}, {"alternate": True, "smooth": True}, {"sampler": "replacement", "visits": 2}])
def test_kept_sections_stay_as_they_are(more):
    method = awake(**more)
    tile = Tile(torch.rand(1, 1, 4, 9, 7), SectionGrid.kept_every(4.0), (2, 3, 4))
    one, two = (reconstruct_tile(method, tile)[0] for _ in range(2))
    assert one.shape == (1, 1, 16, 9, 7)
    assert torch.equal(one, two)
    torch.testing.assert_close(one[:, :, ::4], tile.observed, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [4.0, 2.5])
def test_slab_means_are_met(scale):
    method = awake(grid="centred", scale=scale)
    observed = 0.4 + 0.2 * torch.rand(1, 1, 4, 9, 7)
    found = reconstruct_tile(method, Tile(observed, SectionGrid.slabs(scale)))[0][0, 0]
    assert len(found) == round(4 * scale)
    forward = Observation.of(observed[0, 0], SectionGrid.slabs(scale)).forward
    inside = ((found > 0) & (found < 1)).all(dim=0)  # the result is clipped
    met = torch.tensordot(forward, found, dims=1)
    torch.testing.assert_close(met[:, inside], observed[0, 0][:, inside], atol=1e-5, rtol=0)
    assert "no rows" in small(sampler="replacement").supports(scale, SectionGrid.slabs(scale))
    assert (
        method.supports(scale, SectionGrid.slabs(scale)) is None
        and small(sampler="replacement").supports(4, SectionGrid.kept_every(4)) is None
    )


class Local(nn.Module):
    """A noise network that looks at nothing but the nearest voxels."""

    def forward(self, images, gamma):
        return F.avg_pool2d(F.pad(images, (1, 1, 1, 1)), 3, stride=1)


def reconstructed(method, observed, path, tile):
    method.tile = tile
    reconstruct_volume(method.eval(), observed, path, like=Volume(observed.read(observed.whole), None, "x"))
    volume = open_volume(path)
    return torch.from_numpy(volume.read(volume.whole))


@pytest.mark.parametrize("alternate", [False, True])
@pytest.mark.parametrize("grid", ["aligned", "centred"])
def test_a_reconstruction_does_not_depend_on_the_tiles_if_the_network_reaches_no_farther_than_the_halo(
    tmp_path, grid, alternate
):
    method = small(grid=grid, alternate=alternate)
    method.average = Local()
    volume = Volume(
        torch.rand(12, 20, 23, generator=torch.Generator().manual_seed(0)).numpy(),
        None,
        "x",
        SectionGrid.of_kind(grid, 4),
    )
    halo = (4, 3, 3)  # three steps of one voxel laterally; along z also two sections of the interpolation and a slab
    tiles = [TileShape(12, 20, 23), TileShape(5, 7, 9, halo), TileShape(3, 20, 4, halo)]
    found = [reconstructed(method, volume, tmp_path / f"{i}.zarr", tile) for i, tile in enumerate(tiles)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-5, rtol=0)


def test_a_reconstruction_does_not_depend_on_how_many_planes_are_looked_at_at_once():
    method, tile = awake(), Tile(torch.rand(1, 1, 4, 20, 24), SectionGrid.kept_every(4.0))
    found = []
    for number in (1, 5, 100):
        method.at_once = number
        found.append(reconstruct_tile(method, tile)[0])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2], found[0], atol=1e-5, rtol=0)


def test_only_planes_at_a_fixed_section_are_used_where_the_second_axis_counts_sections():
    method = awake()
    volume = torch.rand(1, 1, 5, 3, 16)
    lateral = reconstruct_tile(method, Tile(volume, SectionGrid.kept_every(4.0), turns=False))[0]
    alone = reconstruct_tile(method, Tile(volume[:, :, :, 1:2], SectionGrid.kept_every(4.0), (0, 1, 0), turns=False))[0]
    torch.testing.assert_close(lateral[:, :, :, 1:2], alone, atol=1e-5, rtol=0)


def test_several_samples_are_averaged_and_their_spread_is_the_uncertainty():
    method, tile = awake(samples=3), Tile(torch.rand(1, 1, 3, 8, 8), SectionGrid.kept_every(4.0))
    with torch.no_grad():
        each = torch.stack([method.sampled(tile, number) for number in range(3)])
        mean, spread = method.reconstruct_with_spread(tile)
    torch.testing.assert_close(mean[0, 0], each.mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(spread[0, 0], each.std(dim=0), atol=1e-5, rtol=0)
    assert method.has_spread and small().reconstruct_with_spread(tile) is None


# settings


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu10", "paper"])
def test_presets_are_accepted(preset):
    entry = method_entry("lateral-diffusion")
    method = build_method(
        entry.load(),
        "lateral-diffusion",
        preset_arguments("lateral-diffusion", preset),
        grid=SectionGrid.kept_every(8.0),
        seed=0,
    )
    assert method.supports(8.0, SectionGrid.kept_every(8.0)) is None
    if preset == "paper":
        assert method.parameter_count() == 15_677_345 - 288  # one image instead of two


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sampler": "consistent"}, "did you mean 'consistency'"),
        ({"steps": 1001}, "of 1000"),
        ({"start": 0.0}, "between 0 and 1"),
        ({"halo": [2, 64]}, "nothing between"),
        ({"visits": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        build_method(LateralDiffusion, "lateral-diffusion", SMALL | wrong, grid=SectionGrid.kept_every(4.0), seed=0)
