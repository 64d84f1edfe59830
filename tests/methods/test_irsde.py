"""IRSDE beyond its golden files: fewer steps, restarts, tiles, samples, presets."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from irsde_noise import noise_of
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
from vemrecon.methods.average import average_decay
from vemrecon.methods.base import Tile, TileShape, reconstruct_tile
from vemrecon.methods.build import build_method, initialise
from vemrecon.methods.irsde import method as irsde
from vemrecon.methods.irsde.continued import continued
from vemrecon.methods.irsde.diffusion import forward_mean, forward_state
from vemrecon.methods.irsde.method import IRSDE
from vemrecon.methods.irsde.nafnet import NAFNet
from vemrecon.methods.irsde.precondition import preconditioned
from vemrecon.methods.irsde.samplers import level_pairs, sample, step_back
from vemrecon.methods.irsde.schedule import make_schedule
from vemrecon.methods.irsde.unet import UNet
from vemrecon.methods.registry import method_entry
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume

SMALL = {"width": 8, "encoder": [1, 1], "decoder": [1, 1], "residual": 0.06, "levels": 20, "sampler": "posterior"}
SMALL |= {"steps": 2, "crop": 32, "batch": 2, "budget": 20, "learning_rate": 1e-3, "average_every": 1}
SMALL |= {"section": [64, 64], "halo": [2, 8]}


def small(seed=0, scale=4.0, grid="aligned", **more):
    return initialise(lambda: IRSDE(scale, SectionGrid.of_kind(grid, scale), **(SMALL | more)), seed)


def source(scale=4, kind="subsample"):
    degradation = make_degradation(kind, scale)
    observed = [degrade(Volume(textured((24, 48, 48), s), VoxelSize(8, 8, 8), "t"), degradation) for s in (1, 2)]
    return Source.of(observed[:1], degradation, "self", validation=observed[1:])


def randomised(net):
    """Blocks of a new NAFNet do nothing, because their last factors are zero."""
    torch.manual_seed(1)
    for name, parameter in net.named_parameters():
        if name.endswith(("beta", "gamma")):
            nn.init.normal_(parameter, std=0.3)
    return net


def seeded(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# diffusion


def test_levels_are_left_out_evenly():
    assert level_pairs(100, 100) == [(t, t - 1) for t in range(100, 0, -1)]
    assert level_pairs(20, 3) == [(20, 13), (13, 7), (7, 0)]
    assert level_pairs(7, 1) == [(7, 0)]


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_posterior_sampler_finds_the_section_in_any_number_of_steps_if_the_noise_is_known(steps):
    schedule = make_schedule("cosine", 100, 50)
    section, mean = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(0)).double().chunk(2)

    def oracle(state, mean, level):
        return noise_of(schedule, state, section, mean, level)

    found = sample(schedule, oracle, mean, steps, "posterior", lambda step: seeded((1, 1, 8, 9)).double())
    torch.testing.assert_close(found, section, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("level", "before"), [(100, 60), (60, 59), (30, 3)])
def test_states_of_the_posterior_sampler_are_those_of_the_forward_diffusion(level, before):
    schedule = make_schedule("cosine", 100, 50)
    section, mean = torch.full((1, 1, 400, 400), 0.7), torch.full((1, 1, 400, 400), 0.4)
    state = forward_state(schedule, section, mean, level, seeded(mean.shape, 1))

    def oracle(state, mean, level):
        return noise_of(schedule, state, section, mean, level)

    found = step_back(schedule, oracle, state, mean, level, before, "posterior", lambda step: seeded(mean.shape, 2))
    wanted = forward_mean(schedule, section, mean, before).mean()
    spread = float(schedule.noise_level(before))
    assert abs(found.mean() - wanted) < 5 * spread / 400
    assert found.std() == pytest.approx(spread, rel=0.01)


def test_the_guess_of_a_preconditioned_network_is_the_best_linear_one():
    schedule = make_schedule("cosine", 100, 50)
    mean, noise, level = torch.rand(10, 1, 100, 100), seeded((10, 1, 100, 100), 2), torch.arange(5, 105, 10)
    state = forward_state(schedule, mean + 0.06 * seeded(mean.shape, 1), mean, level, noise)

    def wrong_by(factor):
        guess = preconditioned(schedule, lambda state, mean, level: torch.zeros_like(state), 0.06)
        return (factor * guess(state, mean, level) - noise).square().mean((1, 2, 3))

    assert (wrong_by(1.0) < wrong_by(0.9)).all()
    assert (wrong_by(1.0) < wrong_by(1.1)).all()
    ones = preconditioned(schedule, lambda state, mean, level: torch.ones_like(state), 0.06)
    none = preconditioned(schedule, lambda state, mean, level: torch.zeros_like(state), 0.06)
    scale = (ones(state, mean, level) - none(state, mean, level)).mean((1, 2, 3))
    torch.testing.assert_close(scale, wrong_by(1.0).sqrt(), rtol=0.05, atol=0)


@pytest.mark.parametrize("net", [NAFNet(8, (1, 1), 1, (1, 1)), UNet(8, 2)], ids=["nafnet", "unet"])
@pytest.mark.parametrize("size", [(1, 1), (3, 17), (16, 16)])
def test_noise_networks_take_sections_of_any_extent(net, size):
    state = torch.rand(2, 1, *size)
    assert net(state, state, 3).shape == state.shape


def test_convolutions_reach_as_far_as_stated():
    net = randomised(NAFNet(4, (2, 1), 1, (1, 1)).double().eval())
    for module in net.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.forward = lambda x: torch.ones_like(x[:, :, :1, :1])  # leave the means out
    assert net.reach == 4 + 3 + 2 * 2 + 4 + 3
    one = seeded((1, 1, 8, 96)).double()
    two = one.clone()
    two[..., 47] += 1
    with torch.no_grad():
        changed = (net(one, one, 3) - net(two, two, 3)).abs().amax((0, 1, 2)).nonzero().flatten()
    assert 47 - net.reach <= int(changed.min()) and int(changed.max()) <= 47 + net.reach


# training


def test_examples_are_a_function_of_their_number_and_carry_their_noise():
    patches = small().stages()[0].patches
    one, two = (PatchStream(source(), patches, 7, "diffusion", 50) for _ in range(2))
    assert all(torch.equal(one[9][key], two[9][key]) for key in ("observed", "target", "noise", "level"))
    assert one[0]["noise"].shape == one[0]["target"].shape == (1, 32, 32)
    levels = {int(one[i]["level"]) for i in range(50)}
    assert min(levels) >= 1 and max(levels) <= 20 and len(levels) > 10


@pytest.mark.parametrize(("scale", "crop"), [(8, 256), (10, 260), (2.5, 258)])
def test_crops_are_whole_slabs(scale, crop):
    assert small(scale=scale, crop=256).crop == crop


class _StopError(Exception):
    pass


def test_a_training_that_is_stopped_goes_on_to_the_same_weights(tmp_path):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    settings = {"budget": 8, "average_every": 3}
    calm, stopped, resumed = (small(**settings) for _ in range(3))
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(stopped, source(), tmp_path / "stopped", identity="x", seed=0, progress=stop)
    torch.manual_seed(5)  # the global state must not matter
    train(resumed, source(), tmp_path / "stopped", identity="x", seed=0)

    state = resumed.state_dict()
    assert all(torch.equal(state[name], value) for name, value in calm.state_dict().items())
    assert any(not torch.equal(state[name], state[name.replace("net.", "average.", 1)]) for name in state)
    curves = read_log(tmp_path / "stopped" / "diffusion" / "loss.csv")
    assert {"loss", "validation loss", "validation psnr"} <= set(curves)
    again = small(seed=3, **settings)
    train(again, source(), tmp_path / "stopped", identity="x", seed=0)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in state.items())


def test_learning_lowers_the_loss():
    method = small(residual=None)
    stream = PatchStream(source(), method.stages()[0].patches, 0, "diffusion", 240)
    optimizer = torch.optim.Adam(method.net.parameters(), lr=5e-3)
    losses = []
    for number in range(60):
        batch = torch.utils.data.default_collate([stream[4 * number + i] for i in range(4)])
        loss = method.loss(method.net, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_running_average_starts_as_a_copy_and_follows_more_and_more_slowly():
    acting = [batch for batch in range(1, 200) if average_decay(batch) is not None]
    assert acting == list(range(1, 200, 10))
    decays = [average_decay(batch, 1) for batch in range(101, 5000)]
    assert decays[0] == 0 and decays == sorted(decays) and decays[-1] == 0.995


# reconstruction


def test_kept_sections_stay_in_place_unless_the_release_is_wanted():
    observed = torch.rand(2, 1, 6, 9)
    registered = small().interpolated(observed)
    torch.testing.assert_close(registered[:, :, ::4], observed)
    released = F.interpolate(observed, scale_factor=(4, 1), mode="bicubic", align_corners=False)
    torch.testing.assert_close(small(registered=False).interpolated(observed), released)
    torch.testing.assert_close(small(grid="centred").interpolated(observed), released)


@pytest.mark.parametrize("scale", [4.0, 2.5])
@pytest.mark.parametrize("sampler", ["posterior", "sde", "ode"])
def test_a_reconstruction_has_the_promised_shape_and_does_not_change(scale, sampler):
    method = small(scale=scale, grid="centred", sampler=sampler).eval()
    tile = Tile(torch.rand(1, 1, 4, 9, 7), SectionGrid.slabs(scale), (2, 3, 4))
    one, two = (reconstruct_tile(method, tile)[0] for _ in range(2))
    assert one.shape == (1, 1, round(4 * scale), 9, 7)
    assert torch.equal(one, two)


def test_every_voxel_gets_its_own_noise_in_either_direction():
    method = small().eval()
    method.steps, method.least = 1, (1, 1)
    method.restore = lambda part, noise: noise("start")
    seen = {direction: method.along(direction, torch.zeros(3, 5, 7), (10, 20, 30)) for direction in ("xz", "yz")}
    for direction, noise in seen.items():
        wanted = method.noise(f"{direction} 0", (40, 20, 30), (12, 5, 7), (0, 1, 2))("start")[:, 0]
        assert torch.equal(noise, wanted)
    assert not torch.isclose(seen["xz"], seen["yz"]).any()


class Local(nn.Module):
    """A noise network that looks at nothing but the nearest voxels."""

    def forward(self, state, mean, level):
        return F.avg_pool2d(F.pad(state - mean, (1, 1, 1, 1)), 3, stride=1) + 0.1 * mean


def reconstructed(method, observed, path, tile=None):
    method.tile = tile or method.tile
    reconstruct_volume(method.eval(), observed, path, like=Volume(observed.read(observed.whole), None, "x"))
    volume = open_volume(path)
    return torch.from_numpy(volume.read(volume.whole))


def test_a_reconstruction_does_not_depend_on_the_tiles_if_the_network_reaches_no_farther_than_the_halo(tmp_path):
    method = small(steps=3, sampler="sde", levels=3)
    method.average = Local()
    method.least = (1, 1)
    volume = Volume(
        torch.rand(12, 20, 23, generator=torch.Generator().manual_seed(0)).numpy(), None, "x", SectionGrid.slabs(4)
    )
    halo = (3, 3, 3)  # three steps of one voxel laterally; along z also two sections of the interpolation
    tiles = [TileShape(12, 20, 23), TileShape(5, 7, 9, halo), TileShape(3, 20, 4, halo)]
    found = [reconstructed(method, volume, tmp_path / f"{i}.zarr", tile) for i, tile in enumerate(tiles)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-5, rtol=0)


def test_a_reconstruction_does_not_depend_on_how_many_sections_are_restored_at_once(monkeypatch):
    method = small()
    randomised(method.average)
    tile = Tile(torch.rand(1, 1, 6, 20, 24), SectionGrid.kept_every(4.0))
    found = []
    for pixels in (1, 5000, 10**6):
        monkeypatch.setattr(irsde, "PIXELS", {"cpu": pixels})
        found.append(reconstruct_tile(method.eval(), tile)[0])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2], found[0], atol=1e-5, rtol=0)


def test_tiles_of_the_networks_differ_little_where_they_overlap():
    """They take means over all of a section, so that this can only be nearly so; see `continued` for thin tiles."""
    method = small(width=8)
    randomised(method.average)
    volume = torch.from_numpy(textured((8, 64, 64)) / 255).float()[None, None]
    whole = reconstruct_tile(method.eval(), Tile(volume, SectionGrid.kept_every(4.0)))[0]
    part = reconstruct_tile(method, Tile(volume[..., 8:56, 8:56], SectionGrid.kept_every(4.0), (0, 8, 8)))[0]
    difference = (part[..., 16:32, 16:32] - whole[..., 24:40, 24:40]).abs().mean()
    other = reconstruct_tile(method, Tile(volume[..., 8:56, 8:56], SectionGrid.kept_every(4.0), (0, 0, 0)))[0]
    assert difference < 0.1 * (other[..., 16:32, 16:32] - part[..., 16:32, 16:32]).abs().mean()


def test_thin_sections_are_continued_to_half_of_what_the_network_restores_at_once():
    sections = torch.rand(2, 1, 3, 70)
    longer = continued(sections, (8, 32))
    assert longer.shape == (2, 1, 8, 70)
    assert torch.equal(longer[:, :, :5], F.pad(sections, (0, 0, 0, 2), mode="reflect"))
    assert torch.equal(continued(sections[:, :, :1], (4, 1)), sections[:, :, :1].expand(2, 1, 4, 70))
    seen = []
    method = small().eval()
    method.average = Local()
    method.average.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[2:])))
    assert method.along("xz", torch.rand(3, 2, 5)).shape == (12, 2, 5)
    assert set(seen) == {(32, 32)}


def test_only_planes_at_a_fixed_section_are_used_where_the_second_axis_counts_sections():
    method = small().eval()
    volume = torch.rand(1, 1, 5, 3, 16)
    lateral = reconstruct_tile(method, Tile(volume, SectionGrid.kept_every(4.0), turns=False))[0]
    alone = reconstruct_tile(method, Tile(volume[:, :, :, 1:2], SectionGrid.kept_every(4.0), (0, 1, 0), turns=False))[0]
    torch.testing.assert_close(lateral[:, :, :, 1:2], alone, atol=1e-5, rtol=0)
    both = {d: method.along(d, volume[0, 0]) for d in ("xz", "yz")}
    torch.testing.assert_close(method.sampled(Tile(volume, SectionGrid.kept_every(4.0))), (both["xz"] + both["yz"]) / 2)
    method.direction = "yz"
    torch.testing.assert_close(method.sampled(Tile(volume, SectionGrid.kept_every(4.0))), both["yz"])


def test_several_samples_are_averaged_and_their_spread_is_the_uncertainty():
    method, tile = small(samples=3).eval(), Tile(torch.rand(1, 1, 4, 8, 8), SectionGrid.kept_every(4.0))
    with torch.no_grad():
        each = torch.stack([method.sampled(tile, number) for number in range(3)])
        mean, spread = method.reconstruct_with_spread(tile)
    torch.testing.assert_close(mean[0, 0], each.mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(spread[0, 0], each.std(dim=0, correction=0), atol=1e-5, rtol=0)
    assert spread.min() > 0
    assert small().reconstruct_with_spread(tile) is None


def test_cost_of_a_section_is_the_number_of_evaluations_of_the_network():
    method, calls = small(steps=4, samples=2).eval(), []
    method.average.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    reconstruct_tile(method, Tile(torch.rand(1, 1, 4, 6, 5), SectionGrid.kept_every(4.0)))
    assert sum(calls) == method.evaluations_per_section * (6 + 5)


# settings


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu10", "paper"])
def test_presets_are_accepted(preset):
    entry = method_entry("irsde")
    method = build_method(
        entry.load(), "irsde", preset_arguments("irsde", preset), grid=SectionGrid.kept_every(8.0), seed=0
    )
    assert method.supports(8.0, SectionGrid.kept_every(8.0)) is None
    if preset == "paper":
        assert method.parameter_count() == 20_400_261
        assert method.evaluations_per_section == 100
        assert method.tile == TileShape(28, 252, 252, halo=(2, 2, 2), blended=True)
        assert method.net.reach == 78


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"network": "nafnett"}, "did you mean 'nafnet'"),
        ({"sampler": "posteriour"}, "did you mean 'posterior'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"direction": "xy"}, "direction"),
        ({"steps": 21}, "at most"),
        ({"halo": [2, 64]}, "nothing between"),
        ({"max_sigma": 0.0}, "no schedule"),
        ({"decoder": [1]}, "as many decoder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        build_method(IRSDE, "irsde", SMALL | wrong, grid=SectionGrid.kept_every(4.0), seed=0)


def test_planes_in_margins_are_not_restored_and_the_others_are_the_same():
    method = small().eval()
    tile = Tile(torch.rand(1, 1, 5, 13, 16), SectionGrid.kept_every(4.0), (2, 3, 4))
    rows, columns = slice(2, 9), slice(5, 16)
    counts = []
    method.average.register_forward_hook(lambda module, inputs, output: counts.append(len(output)))
    whole = method.sampled(tile)
    every = sum(counts)
    part = method.sampled(replace(tile, kept=(rows, columns)))
    torch.testing.assert_close(part[:, rows, columns], whole[:, rows, columns], atol=1e-5, rtol=0)
    assert torch.isfinite(part).all() and (sum(counts) - every) * (13 + 16) == every * (7 + 11)
