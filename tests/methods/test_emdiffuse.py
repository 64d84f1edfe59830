"""vEMDiffuse beyond its golden files: samplers, patches, restarts, tiles, samples, released weights, presets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from preset_arguments import preset_arguments
from small_volumes import textured
from torch import nn

from vemrecon.cli import main
from vemrecon.data.patches import PatchStream
from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError, DataError, LeakError
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.stages import train
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.base import Tile, TileShape, reconstruct_tile
from vemrecon.methods.build import build_method, initialise
from vemrecon.methods.emdiffuse.diffusion import clean, noisy, signed
from vemrecon.methods.emdiffuse.gaps import Gaps
from vemrecon.methods.emdiffuse.method import TRAINING, VEMDiffuse, between
from vemrecon.methods.emdiffuse.samplers import SAMPLERS, ancestral, ddim, dpmpp_2m_warm, visited
from vemrecon.methods.emdiffuse.schedule import linear_schedule
from vemrecon.methods.emdiffuse.unet import NoiseUNet
from vemrecon.methods.registry import method_entry
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume

SMALL = {"width": 8, "multiples": [1, 2], "blocks": 1, "head": 8, "dropout": 0.1, "depth": "fraction", "steps": 2}
SMALL |= {"crop": 32, "batch": 2, "budget": 20, "learning_rate": 1e-3, "warm_up": 2, "section": 48, "halo": 8}
LATERAL = {"planes": ["xz", "yz"]}


def small(seed=0, scale=4.0, grid="aligned", **more):
    return initialise(lambda: VEMDiffuse(scale, SectionGrid.of_kind(grid, scale), **(SMALL | more)), seed)


def source(regime="isotropic", scale=4, kind="subsample", shape=(24, 48, 40)):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured(shape, s), VoxelSize(8, 8, 8), "t") for s in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(
        observed[:1], degradation, regime, truth=truth[:1], validation=observed[1:], validation_truth=truth[1:]
    )


def randomised(net):
    """Blocks of a new network do nothing, because their last weights are zero."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net


def awake(**more):
    method = small(**more).eval()
    randomised(method.average)
    return method


def seeded(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# samplers


def exact(image, size):
    """Noise in states of an image whose voxels are normal with this size around it, and how such a state is found."""

    def denoise(state, gamma):
        variance = gamma * size**2 + 1 - gamma
        return (1 - gamma) ** 0.5 * (state - gamma**0.5 * image) / variance

    return denoise


def test_few_steps_of_a_warm_start_draw_what_many_steps_of_the_release_draw():
    """Clean images are normal numbers of size 0.1 around a known mean, so that the noise has a closed form."""
    image = torch.full((1, 1, 200, 200), 0.3)
    denoise, noise = exact(image, 0.1), lambda step: seeded(image.shape, 0 if step == "start" else step + 1)
    warm = dpmpp_2m_warm(denoise, image, noise, 20)
    slow = ancestral(linear_schedule(200, 1e-4, 0.09), denoise, noise)
    quick = ddim(TRAINING, denoise, noise, 50)
    for found in (warm, slow, quick):
        assert found.mean() == pytest.approx(0.3, abs=0.003)
    assert warm.std() == pytest.approx(0.1, rel=0.1)
    assert slow.std() == pytest.approx(0.1, rel=0.15)
    assert 0.05 < quick.std() < 0.1  # few even steps smooth


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_perfect_network_leads_to_the_image_in_any_number_of_steps(steps):
    image = 0.5 * torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(0))

    def oracle(state, gamma):
        return (state - gamma**0.5 * image) / (1 - gamma) ** 0.5

    def noise(step):
        return seeded((2, 1, 8, 9))

    torch.testing.assert_close(dpmpp_2m_warm(oracle, image + 0.2, noise, steps), image, atol=1e-4, rtol=0)
    torch.testing.assert_close(ddim(TRAINING, oracle, noise, steps), image, atol=1e-4, rtol=0)
    torch.testing.assert_close(ancestral(linear_schedule(20, 1e-4, 0.4), oracle, noise), image, atol=1e-4, rtol=0)


def test_a_shorter_sampler_begins_at_the_noisiest_step():
    assert visited(2000, 2000) == list(reversed(range(2000)))
    for steps in (1, 7, 50):
        found = visited(steps, 2000)
        assert found[0] == 1999 and len(set(found)) == steps and found == sorted(found, reverse=True)


def test_the_image_behind_a_state_is_clipped():
    image, noise = 0.9 * torch.ones(1, 1, 2, 2), seeded((1, 1, 2, 2))
    torch.testing.assert_close(clean(noisy(image, noise, 0.3), noise, 0.3), image, atol=1e-5, rtol=0)
    assert clean(image, -5 * image, 0.01).max() == 1


# network


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, 16_615_873),
        ({"variance": True}, 16_616_226),
        ({"channels": 2, "depths": False}, 15_677_345),
        ({"channels": 2, "depths": False, "variance": True}, 15_677_698),
    ],
)
def test_networks_have_the_published_number_of_parameters(options, wanted):
    with torch.device("meta"):
        assert sum(p.numel() for p in NoiseUNet(**options).parameters()) == wanted


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (16, 16)])
def test_the_network_takes_sections_of_any_extent(size):
    net = NoiseUNet(3, 8, (1, 2, 2), 1, head=8)
    assert net(torch.rand(2, 3, *size), torch.rand(2), torch.rand(2)).shape == (2, 1, *size)


def test_a_new_network_finds_no_noise_unless_it_starts_as_released_ones_do():
    images, gamma = torch.rand(2, 3, 16, 16), torch.rand(2)
    assert not NoiseUNet(3, 8, (1, 2), 1, head=8)(images, gamma, gamma).any()
    torch.manual_seed(0)
    net = NoiseUNet(3, 8, (1, 2), 1, head=8, init="kaiming").requires_grad_(False)
    assert net(images, gamma, gamma).std() > 0.1
    weight = net.input_blocks[1][0].in_layers[2].weight
    assert weight.std() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.1)


# training


def test_conditions_of_a_gap_are_its_ends_and_targets_lie_between():
    """Grey levels say where a section was."""
    ramp = np.arange(30, dtype=np.uint8)[:, None, None] * np.ones((1, 20, 20), np.uint8) * 8
    degradation = make_degradation("subsample", 4)
    truth = Volume(ramp, VoxelSize(8, 8, 8), "ramp")
    made = Source.of([degrade(truth, degradation)], degradation, "isotropic", truth=[truth])
    depths = set()
    for index in range(40):
        found = PatchStream(made, Gaps(16), 0, "fit", 40)[index]
        later, earlier = (float(c.mean()) * 255 / 8 for c in found["condition"])
        assert later - earlier == pytest.approx(4, abs=1e-3)
        assert float(found["target"].mean()) * 255 / 8 == pytest.approx(earlier + 4 * float(found["depth"]), abs=1e-3)
        depths.add(float(found["depth"]))
    assert depths == {0.25, 0.5, 0.75}


@pytest.mark.parametrize(("scale", "kind"), [(4, "average"), (2.5, "average"), (4, "realistic")])
def test_gaps_between_slab_means_have_fractional_depths(scale, kind):
    found = [PatchStream(source(scale=scale, kind=kind), Gaps(16), 0, "fit", 60)[i] for i in range(60)]
    depths = sorted({round(float(f["depth"]), 4) for f in found})
    assert depths[0] >= 0 and depths[-1] < 1 and len(depths) >= scale
    assert all(f["target"].shape == (1, 16, 16) for f in found)


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_planes_across_thin_volumes_are_taken_whole(axes):
    made = source("self")
    found = [PatchStream(made, Gaps(32, axes), 0, "fit", 20)[i] for i in range(20)]
    assert {tuple(f["target"].shape) for f in found} == {(1, 6, 32)}  # six sections were observed


def test_only_learning_from_observed_planes_is_allowed_without_truth(tmp_path):
    with pytest.raises(LeakError):
        train(small(), source("self"), tmp_path / "i", identity="x", seed=0)
    train(small(budget=2, **LATERAL), source("self"), tmp_path / "a", identity="x", seed=0)


def test_a_volume_that_is_too_thin_is_refused():
    with pytest.raises(DataError, match="gaps need 9"):
        Gaps(16).draw(source(scale=8, shape=(8, 20, 20)), np.random.default_rng(0))


def test_examples_are_a_function_of_their_number_and_carry_their_noise():
    one, two = (PatchStream(source(), small().stages()[0].patches, 7, "fit", 50) for _ in range(2))
    assert all(torch.equal(one[9][key], two[9][key]) for key in one[9])
    assert one[0]["noise"].shape == one[0]["target"].shape == (1, 32, 32)
    steps = [int(one[i]["step"]) for i in range(50)]
    assert min(steps) >= 1 and max(steps) < 2000 and max(steps) - min(steps) > 1500


class _StopError(Exception):
    pass


@pytest.mark.parametrize("more", [{}, LATERAL | {"residual": 0.06, "loss": "ranked", "cosine": True}], ids=["i", "a"])
def test_a_training_that_is_stopped_goes_on_to_the_same_weights(tmp_path, more):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    settings, made = {"budget": 8} | more, source("self" if "planes" in more else "isotropic")
    calm, stopped, resumed = (small(**settings) for _ in range(3))
    train(calm, made, tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(stopped, made, tmp_path / "stopped", identity="x", seed=0, progress=stop)
    torch.manual_seed(5)  # the global state must not matter
    train(resumed, made, tmp_path / "stopped", identity="x", seed=0)

    state = resumed.state_dict()
    assert all(torch.equal(state[name], value) for name, value in calm.state_dict().items())
    assert any(not torch.equal(state[name], state[name.replace("net.", "average.", 1)]) for name in state)
    assert {"loss", "validation loss", "validation psnr", "validation early psnr"} <= set(
        read_log(tmp_path / "stopped" / "fit" / "loss.csv")
    )
    again = small(seed=3, **settings)
    train(again, made, tmp_path / "stopped", identity="x", seed=0)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in state.items())


def test_workers_change_nothing(tmp_path):
    alone, helped = small(budget=4), small(budget=4)
    train(alone, source(), tmp_path / "alone", identity="x", seed=0)
    train(helped, source(), tmp_path / "helped", identity="x", seed=0, workers=2)
    assert all(torch.equal(helped.state_dict()[name], value) for name, value in alone.state_dict().items())


@pytest.mark.parametrize("loss", ["mse", "difficulty", "ranked"])
@pytest.mark.parametrize("residual", [None, 0.06])
def test_learning_lowers_the_loss_of_a_batch(loss, residual):
    method = small(loss=loss, residual=residual, dropout=0.0, crop=16)
    stream = PatchStream(source(), method.stages()[0].patches, 0, "fit", 8)
    batch = torch.utils.data.default_collate([stream[i] for i in range(4)])
    optimizer = torch.optim.Adam(method.net.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        found = method.loss(method.net, batch)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    if residual is None:
        assert losses[0] == pytest.approx({"mse": 1.0, "difficulty": 0.5, "ranked": 1.5}[loss], rel=0.1)
    assert losses[-1] < losses[0] - 0.2


def test_the_running_average_follows_quickly_at_first():
    method = small(dropout=0.0)
    method.stage = method.stages()[0]
    before = method.average.out[-1].bias.clone()
    with torch.no_grad():
        method.net.out[-1].bias += 1
    method.on_train_batch_end(None, None, 0)
    torch.testing.assert_close(method.average.out[-1].bias - before, torch.full((1,), 1 - 2 / 11))


def test_the_guess_of_a_network_with_a_residual_is_the_best_linear_one():
    method = small(residual=0.06)
    condition, depth = torch.rand(5, 2, 64, 64) - 0.5, torch.rand(5)
    gamma = torch.linspace(0.05, 0.99, 5)
    noise = seeded((5, 1, 64, 64), 2)
    state = noisy(between(condition, depth) + 0.12 * seeded(noise.shape, 1), noise, gamma)

    def wrong_by(factor):
        guess, _ = method.noise_in(method.net, condition, depth, state, gamma)
        return (factor * guess - noise).square().mean((1, 2, 3))

    with torch.no_grad():
        assert (wrong_by(1.0) < wrong_by(0.9)).all()
        assert (wrong_by(1.0) < wrong_by(1.1)).all()


# reconstruction


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_kept_sections_are_copied_and_the_result_does_not_change(sampler):
    method = awake(sampler=sampler, depth="layer", samples=1)
    tile = Tile(torch.rand(1, 1, 3, 9, 7), SectionGrid.kept_every(4.0), (2, 3, 4))
    one, two = (reconstruct_tile(method, tile)[0] for _ in range(2))
    assert one.shape == (1, 1, 12, 9, 7)
    assert torch.equal(one, two)
    assert torch.equal(one[:, :, ::4], tile.observed)
    assert torch.equal(one[:, :, 9:], tile.observed[:, :, 2:].expand(-1, -1, 3, -1, -1))  # behind the last one
    assert not torch.isclose(one[:, :, 1], one[:, :, 2]).all()


@pytest.mark.parametrize(("scale", "grid"), [(4.0, "centred"), (2.5, "centred"), (3.0, "centred"), (3.0, "aligned")])
def test_fractional_depths_take_any_grid_and_scale(scale, grid):
    method = awake(scale=scale, grid=grid)
    assert method.supports(scale, SectionGrid.of_kind(grid, scale)) is None
    assert reconstruct_tile(method, Tile(torch.rand(1, 1, 4, 9, 7), SectionGrid.of_kind(grid, scale)))[0].shape[
        2
    ] == round(4 * scale)


@pytest.mark.parametrize(("scale", "grid"), [(4.0, "centred"), (2.5, "aligned")])
def test_a_network_that_counts_sections_declines_slab_means_and_broken_scales(scale, grid):
    method = small(scale=scale, grid=grid, depth="layer")
    assert "counts the sections" in method.supports(scale, SectionGrid.of_kind(grid, scale))
    assert small(depth="layer").supports(4.0, SectionGrid.kept_every(4.0)) is None


def test_a_layer_is_told_by_its_number_from_the_earlier_section_on():
    method = awake(depth="layer", samples=1, steps=1)
    seen = []
    method.average.with_variance = lambda images, gamma, told: (seen.append((told, images)), (images[:, 2:] * 0, None))[
        1
    ]
    volume = torch.arange(2.0)[None, None, :, None, None].expand(1, 1, 2, 8, 8)
    reconstruct_tile(method, Tile(volume, SectionGrid.kept_every(4.0)))
    told, images = seen[0]
    assert told.tolist() == [0, 1, 2]
    assert (images[:, 0] == 1).all() and (images[:, 1] == -1).all()  # the later one first


class Local(nn.Module):
    """A noise network that looks at nothing but the nearest voxels."""

    def with_variance(self, images, gamma, depth):
        near = F.avg_pool2d(F.pad(images, (1, 1, 1, 1)), 3, stride=1)
        return near[:, 2:] - 0.5 * near[:, 1:2] * depth.reshape(-1, 1, 1, 1) + 0.1 * near[:, :1], None


def reconstructed(method, observed, path, tile):
    method.tile = tile
    reconstruct_volume(method.eval(), observed, path, like=Volume(observed.read(observed.whole), None, "x"))
    volume = open_volume(path)
    return torch.from_numpy(volume.read(volume.whole))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("grid", ["aligned", "centred"])
def test_a_reconstruction_does_not_depend_on_the_tiles_if_the_network_reaches_no_farther_than_the_halo(
    tmp_path, grid, shared
):
    method = small(grid=grid, steps=3, sampler="ancestral", samples=2, shared_noise=shared)
    method.average = Local()
    volume = Volume(
        torch.rand(9, 16, 18, generator=torch.Generator().manual_seed(0)).numpy(),
        None,
        "x",
        SectionGrid.of_kind(grid, 4),
    )
    tiles = [TileShape(9, 16, 18), TileShape(4, 7, 9, (1, 3, 3)), TileShape(2, 16, 5, (1, 3, 3))]
    found = [reconstructed(method, volume, tmp_path / f"{i}.zarr", tile) for i, tile in enumerate(tiles)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-5, rtol=0)


def test_a_reconstruction_does_not_depend_on_how_many_sections_are_predicted_at_once():
    method, tile = awake(), Tile(torch.rand(1, 1, 4, 20, 24), SectionGrid.kept_every(4.0))
    found = []
    for number in (1, 4, 100):
        method.at_once = number
        found.append(reconstruct_tile(method, tile)[0])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2], found[0], atol=1e-5, rtol=0)


def test_tiles_of_the_network_differ_little_where_they_overlap():
    """It takes means over all of a section, so that this can only be nearly so."""
    method = awake(residual=0.1)
    volume = torch.from_numpy(textured((4, 64, 64)) / 255).float()[None, None]
    whole = reconstruct_tile(method, Tile(volume, SectionGrid.kept_every(4.0)))[0]
    part = reconstruct_tile(method, Tile(volume[..., 8:56, 8:56], SectionGrid.kept_every(4.0), (0, 8, 8)))[0]
    other = reconstruct_tile(method, Tile(volume[..., 8:56, 8:56], SectionGrid.kept_every(4.0), (0, 0, 0)))[0]
    inner = (..., slice(16, 32), slice(16, 32))
    difference = (part[inner] - whole[..., 24:40, 24:40]).abs().mean()
    assert difference < 0.2 * (other[inner] - part[inner]).abs().mean()


def test_sections_of_a_gap_share_their_noise_if_wanted():
    seen = []
    for shared in (False, True):
        method = awake(shared_noise=shared, samples=1, steps=1)
        method.draw = lambda condition, depth, noise: seen.append(noise("start")) or condition[:, :1]
        reconstruct_tile(method, Tile(torch.rand(1, 1, 3, 5, 6), SectionGrid.kept_every(4.0)))
    own, common = torch.cat(seen[:2]), torch.cat(seen[2:])
    assert len({tuple(n.flatten().tolist()) for n in own}) == 6
    assert [len({tuple(n.flatten().tolist()) for n in part}) for part in (common[:3], common[3:], common)] == [1, 1, 2]


def test_several_samples_are_averaged_and_their_spread_is_the_uncertainty():
    method, tile = awake(samples=3), Tile(torch.rand(1, 1, 3, 8, 8), SectionGrid.kept_every(4.0))
    with torch.no_grad():
        each = torch.stack([method.sampled(tile, number) for number in range(3)])
        mean, spread = method.reconstruct_with_spread(tile)
    torch.testing.assert_close(mean[0, 0], each.mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(spread[0, 0], each.std(dim=0), atol=1e-5, rtol=0)
    assert method.has_spread and spread[:, :, 1:4].mean() > 0.01 and not spread[:, :, 4].any()
    assert small(samples=1).reconstruct_with_spread(tile) is None and not small(samples=1).has_spread


def test_cost_of_a_section_is_the_number_of_evaluations_of_the_network():
    method, calls = awake(steps=4, samples=2), []
    method.average.middle_block.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    reconstruct_tile(method, Tile(torch.rand(1, 1, 3, 6, 5), SectionGrid.kept_every(4.0)))
    assert sum(calls) == method.evaluations_per_section * 6


def test_brightness_is_drawn_towards_that_of_the_neighbours():
    tile = Tile(torch.full((1, 1, 2, 8, 8), 0.8), SectionGrid.kept_every(4.0))
    plain, drawn = (
        reconstruct_tile(awake(sampler="ancestral", steps=10, samples=1, brightness=on), tile)[0][:, :, 1:4].mean()
        for on in (False, True)
    )
    assert abs(drawn - 0.8) < abs(plain - 0.8)


# released weights


@pytest.fixture
def checkpoint(tmp_path):
    """A small network under the authors' names."""
    torch.manual_seed(3)
    net = randomised(NoiseUNet(3, 32, (1, 2), 1, variance=True))
    state = {f"denoise_fn.{name}": value for name, value in net.state_dict().items()}
    torch.save(state | {"gammas": TRAINING.gammas.float()}, tmp_path / "1_Network.pth")
    np.save(tmp_path / "stack.npy", textured((4, 16, 16)))
    return tmp_path


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize("name", ["emdiffuse-i", "emdiffuse-a"])
def test_released_weights_reconstruct_a_volume(checkpoint, capsys, name):
    weights = checkpoint / "weights.safetensors"
    assert run("import-weights", name, checkpoint / "1_Network.pth", weights) == 0
    words = ["reconstruct", checkpoint / "stack.npy", checkpoint / "out.zarr", "--method", name, "--scale", 4]
    words += ["--weights", weights, "--set", "steps=1"]
    assert run(*words) == 2
    assert "counts the sections between kept ones" in capsys.readouterr().err
    assert run(*words, "--grid", "aligned", "--uncertainty", checkpoint / "spread.zarr") == 0
    volume = open_volume(checkpoint / "out.zarr")
    assert np.array_equal(volume.read(volume.whole)[::4], textured((4, 16, 16)) / np.float32(255))


def test_released_weights_stay_what_they_were(checkpoint):
    from vemrecon.methods.importers import import_weights

    arguments, tensors = import_weights("emdiffuse-i", checkpoint / "1_Network.pth")
    wanted = torch.load(checkpoint / "1_Network.pth")
    method = VEMDiffuse(4.0, SectionGrid.kept_every(4.0), **arguments)
    assert method.state_dict().keys() == tensors.keys()
    assert all(torch.equal(value, wanted["denoise_fn." + name[4:]]) for name, value in tensors.items())
    assert {name[11:] for name in wanted} - {name[4:] for name in tensors} == {
        "",  # of the schedule
        *(f"out_variance.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("denoise_fn.middle_block.1.qkv.bias"), "middle_block.1.qkv.bias is missing"),
        (lambda s: s.update({"denoise_fn.extra": torch.zeros(1)}), "extra is left over"),
        (lambda s: s.update({"denoise_fn.out.2.bias": torch.zeros(2)}), "out.2.bias has shape (2,), expected (1,)"),
        (lambda s: s.update({"denoise_fn.input_blocks.0.0.weight": torch.zeros(32, 2, 3, 3)}), "-n and -r take two"),
        (lambda s: s.pop("denoise_fn.output_blocks.0.0.in_layers.2.bias"), "decoder blocks"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(checkpoint, capsys, change, message):
    state = torch.load(checkpoint / "1_Network.pth")
    change(state)
    torch.save(state, checkpoint / "odd.pth")
    assert run("import-weights", "emdiffuse-i", checkpoint / "odd.pth", checkpoint / "weights.safetensors") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (checkpoint / "weights.safetensors").exists()


# settings


@pytest.mark.parametrize("name", ["emdiffuse-i", "emdiffuse-a"])
@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu10", "paper", "released"])
def test_presets_are_accepted(name, preset):
    entry = method_entry(name)
    method = build_method(entry.load(), name, preset_arguments(name, preset), grid=SectionGrid.kept_every(8.0), seed=0)
    assert method.supports(8.0, SectionGrid.kept_every(8.0)) is None
    assert ("xy" in method.planes) == (name == "emdiffuse-i")
    if preset in ("paper", "released"):
        assert method.parameter_count() == {"paper": 16_616_226, "released": 16_615_873}[preset]
        assert method.evaluations_per_section == {"paper": 400, "released": 200}[preset]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"planes": ["xyz"]}, "did you mean"),
        ({"planes": ["xy", "xz"]}, "not from both"),
        ({"planes": []}, "not from both"),
        ({"sampler": "dimm"}, "did you mean 'ddim'"),
        ({"depth": "layers"}, "did you mean 'layer'"),
        ({"loss": "mss"}, "did you mean 'mse'"),
        ({"init": "kaimin"}, "did you mean 'kaiming'"),
        ({"steps": 0}, "at least one step"),
        ({"halo": 24}, "between the margins"),
        ({"width": 7}, "even width"),
        ({"head": 3}, "heads of 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        build_method(VEMDiffuse, "emdiffuse-i", SMALL | wrong, grid=SectionGrid.kept_every(4.0), seed=0)


def test_grey_levels_are_those_of_the_release():
    assert signed(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]
