"""AENet and DGEAN: sizes, options, placement of sections, training on the truth and on nothing else."""

import sys

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError, LeakError
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.stages import train
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.build import initialise
from vemrecon.methods.d2r import method as d2r_method
from vemrecon.methods.d2r.base_image import linear_blend, richardson_lucy
from vemrecon.methods.d2r.codes import PLACES, depth_features
from vemrecon.methods.d2r.method import SliceInterpolation
from vemrecon.methods.d2r.network import DGEAN, AENet
from vemrecon.methods.d2r.sections import depths_between, interpolate_sections, places
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid, Volume, VoxelSize

NARROW = (4, 4, 8, 8)
HALF = (32, 64, 128, 256)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def source(kind="subsample", regime="isotropic", scale=4, watched=True):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured((40, 48, 48), seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    known = truth[1:] if watched else []
    return Source.of(
        observed[:1], degradation, regime, truth=truth[:1], validation=observed[1:], validation_truth=known
    )


def small(grid="aligned", scale=4.0, seed=0, **more):
    settings = {"widths": NARROW, "crop": 32, "batch": 2, "budget": 4, "tile": (8, 32, 32), "halo": 8} | more
    return initialise(lambda: SliceInterpolation(scale, SectionGrid.of_kind(grid, scale), **settings), seed)


# networks


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (AENet, 42_078_593),
        (DGEAN, 42_085_057),
        (lambda: AENet(HALF), 10_536_417),
        (lambda: DGEAN(HALF), 10_538_625),
        (lambda: AENet(depth_mode="none"), 42_036_481),
    ],
    ids=["aenet", "dgean", "aenet half", "dgean half", "backbone"],
)
def test_networks_have_the_expected_number_of_parameters(build, wanted):
    with torch.device("meta"):
        assert parameters(build()) == wanted


@pytest.mark.parametrize("kind", [AENet, DGEAN])
@pytest.mark.parametrize("base", ["mean", "linear", "rl", "tconv"])
@pytest.mark.parametrize("depth_mode", ["features", "plane"])
def test_every_option_gives_one_section_that_changes_with_depth(kind, base, depth_mode):
    torch.manual_seed(0)
    net = kind(NARROW, base=base, depth_mode=depth_mode).eval()
    sections = torch.rand(1, 1, 4, 16, 24).expand(2, -1, -1, -1, -1)
    result = net(sections, torch.tensor([0.25, 0.75]))
    assert result.shape == (2, 1, 16, 24)
    assert not torch.allclose(result[0], result[1], atol=1e-6)


@pytest.mark.parametrize("position_mode", ["learnt", "fourier"])
def test_gradients_reach_every_parameter(position_mode):
    torch.manual_seed(0)
    net = DGEAN(NARROW, position_mode=position_mode, base="tconv")
    net(torch.rand(2, 1, 4, 16, 16), torch.tensor([0.3, 0.6])).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert all(float(p.grad.abs().sum()) > 0 for p in net.parameters())


def test_fixed_frequencies_travel_with_the_weights_and_do_not_learn():
    net = DGEAN(NARROW, position_mode="fourier")
    assert net.state_dict()["positions.frequencies"].shape == (32,)
    assert "positions.frequencies" not in dict(net.named_parameters())
    assert PLACES[1:3] == (0, 0.5)


@pytest.mark.parametrize("option", ["depth_mode", "base", "position_mode"])
def test_unknown_options_are_refused_by_name(option):
    with pytest.raises(ConfigError, match=option):
        DGEAN(NARROW, **{option: "other"})
    with pytest.raises(ConfigError, match="did you mean 'dgean'"):
        small(network="dgeam")


def test_depth_features_are_the_depth_and_waves_up_to_four_pi():
    depth = torch.tensor([0.0, 0.125, 0.7])
    found = depth_features(depth).numpy()
    d = depth.numpy()[:, None]
    turns = np.pi * np.array([1, 2, 4])
    np.testing.assert_allclose(found, np.hstack([d, np.sin(d * turns), np.cos(d * turns)]), atol=1e-6)


def test_deconvolution_undoes_part_of_a_blur_and_keeps_flat_images():
    flat = torch.full((1, 1, 16, 16), 0.4)
    torch.testing.assert_close(richardson_lucy(flat), flat, atol=1e-5, rtol=0)
    square = torch.zeros(1, 1, 24, 24)
    square[..., 8:16, 8:16] = 1
    kernel = torch.exp(-(torch.arange(-2.0, 3) ** 2) / 2)
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2)[None, None]
    blurred = torch.nn.functional.conv2d(square, kernel, padding=2)
    error = (blurred - square).square().mean()
    assert (richardson_lucy(blurred) - square).square().mean() < 0.7 * error
    assert not richardson_lucy(blurred.requires_grad_()).requires_grad


# placement


@pytest.mark.parametrize("grid", ["aligned", "centred"])
@pytest.mark.parametrize("scale", [2, 4, 8, 2.5, 3])
def test_a_linear_network_gives_registered_linear_interpolation_at_every_scale(grid, scale):
    if grid == "aligned" and scale != int(scale):
        pytest.skip("kept sections have whole scales")
    volume = torch.rand(6, 8, 9)
    result = interpolate_sections(linear_blend, volume, SectionGrid.of_kind(grid, scale), at_once=3)
    wanted = torch.einsum(
        "iz,zyx->iyx",
        torch.from_numpy(interpolation_matrix("linear", 6, SectionGrid.of_kind(grid, scale))).float(),
        volume,
    )
    torch.testing.assert_close(result, wanted, atol=1e-6, rtol=0)


def test_kept_sections_are_copied_and_slab_means_are_not():
    assert [z for z, place in enumerate(places(3, SectionGrid.kept_every(4))) if place.copied] == [0, 4, 8, 9, 10, 11]
    assert [z for z, place in enumerate(places(3, SectionGrid.slabs(3))) if place.copied] == [0, 8]  # beyond both ends
    assert depths_between(SectionGrid.kept_every(4)) == [0.25, 0.5, 0.75]
    assert depths_between(SectionGrid.slabs(4)) == [0.125, 0.375, 0.625, 0.875]


def test_windows_repeat_the_end_sections():
    seen = []

    def predict(windows, depth):
        seen.append(windows[:, 0, :, 0, 0].tolist())
        return linear_blend(windows, depth)

    interpolate_sections(
        predict, torch.arange(4.0)[:, None, None].expand(-1, 8, 8), SectionGrid.kept_every(2), at_once=8
    )
    assert seen == [[[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]]


def test_axial_tiles_with_their_halo_equal_the_whole():
    method = small(network="dgean").eval()
    volume = torch.rand(1, 1, 12, 20, 21)
    whole = reconstruct_tile(method, Tile(volume, SectionGrid.kept_every(4)))[0]
    part = reconstruct_tile(method, Tile(volume[:, :, 2:10], SectionGrid.kept_every(4)))[
        0
    ]  # core 4 to 8, two sections of halo
    assert method.tile.halo[0] == 2
    torch.testing.assert_close(part[:, :, 8:24], whole[:, :, 16:32], atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [8.0, 2.5, 3.0])
def test_a_trained_network_reconstructs_at_other_scales(scale):
    method = small().eval()
    result = reconstruct_tile(method, Tile(torch.rand(1, 1, 6, 17, 33), SectionGrid.slabs(scale)))[0]
    assert result.shape == (1, 1, 6 * scale, 17, 33)


# training


@pytest.mark.parametrize(("network", "kind"), [("aenet", "subsample"), ("dgean", "average")])
def test_a_few_steps_lower_the_loss(network, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(d2r_method, "epoch_of", lambda budget: 15)  # few validations
    made = source(kind)
    method = small(made.degradation.grid, network=network, base="mean", budget=60, cosine=True, learning_rate=3e-3)
    train(method, made, tmp_path, identity="x", seed=0)
    curves = read_log(tmp_path / "fit" / "loss.csv")
    losses, psnr = curves["loss"][1], curves["validation psnr"][1]
    assert losses[-1] < 0.8 * losses[0]
    assert psnr[-1] > psnr[0] + 1


def test_truth_is_refused_to_methods_of_other_regimes(tmp_path):
    for regime in ("none", "self"):
        with pytest.raises(LeakError, match=f"regime '{regime}'.*forbids"):
            train(small(), source(regime=regime), tmp_path / regime, identity="x", seed=0)


def test_without_truth_of_the_validation_region_nothing_is_watched(tmp_path):
    train(small(), source(watched=False), tmp_path, identity="x", seed=0)
    assert set(read_log(tmp_path / "fit" / "loss.csv")) == {"loss"}


@pytest.mark.parametrize("cosine", [False, True])
def test_the_same_seed_gives_the_same_weights(cosine, tmp_path):
    found = []
    for name in ("a", "b"):
        method = small(cosine=cosine)
        train(method, source(), tmp_path / name, identity="x", seed=0)
        found.append(torch.cat([p.detach().flatten() for p in method.parameters()]))
    assert torch.equal(*found)


def test_the_continuity_loss_counts_every_few_batches_and_adds_no_weights(monkeypatch):
    monkeypatch.setattr(d2r_method, "perceptual_distance", lambda device: lambda a, b: (a - b).abs().mean((1, 2, 3)))
    torch.manual_seed(0)
    batch = {"observed": torch.rand(2, 1, 4, 16, 16), "target": torch.rand(2, 1, 16, 16), "depth": torch.rand(2)}
    method, plain = small(continuity=0.1), small()
    losses = [method.training_step(batch, index).item() for index in range(5)]
    without = plain.training_step(batch, 0).item()
    assert losses[1:4] == [without] * 3
    assert losses[0] == losses[4] > without
    assert method.state_dict().keys() == plain.state_dict().keys()


def test_continuity_without_lpips_warns_once_and_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    batch = {"observed": torch.rand(1, 1, 4, 16, 16), "target": torch.rand(1, 1, 16, 16), "depth": torch.rand(1)}
    method = small(continuity=0.1)
    with pytest.warns(UserWarning) as caught:
        losses = [method.training_step(batch, 0).item() for _ in range(2)]
    assert len([w for w in caught if "continuity" in str(w.message)]) == 1
    assert losses[0] == small().training_step(batch, 0).item()


@pytest.mark.parametrize(("grid", "count"), [("aligned", 4), ("centred", 4)])
def test_continuity_looks_at_as_many_slices_as_the_scale(grid, count):
    window = torch.rand(1, 1, 4, 17, 18)
    slices = small(grid).sections_between(window)
    assert slices.shape == (count, 1, 17, 18)
    assert torch.equal(slices[0], window[0, :, 1]) == (grid == "aligned")
