"""The network of IsoVEM and what surrounds it: sizes, registration, gradients, rotations, released weights."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from isovem_inference import enlarge_axially, reconstruct_rotated, reconstruct_volume

from vemrecon.errors import ConfigError, DataError
from vemrecon.methods.eightfold import rotate, rotate_back
from vemrecon.methods.isovem.any_size import reconstruct_any_size
from vemrecon.methods.isovem.fusion import tile_starts
from vemrecon.methods.isovem.inpainting import inpaint_sections
from vemrecon.methods.isovem.network import IsoVEMNet
from vemrecon.methods.isovem.released import from_released, load_released, released_config, to_released
from vemrecon.methods.isovem.resampling import resize_rows
from vemrecon.methods.isovem.training import blank_frames
from vemrecon.nets.losses import l1_ssim_loss, structural_similarity
from vemrecon.nets.window_attention import WindowAttention
from vemrecon.nets.window_block import StochasticDepth, WindowBlock
from vemrecon.nets.windows import (
    SEPARATED,
    effective_window,
    merge,
    merge_shifted,
    partition,
    partition_shifted,
    shift_mask,
)


def small_net(seed=0, **changes):
    torch.manual_seed(seed)
    config = {"upscale": 4, "window_size": (2, 1, 2), "embed_dims": [8] * 13, "num_heads": 2, **changes}
    return IsoVEMNet(**config).eval()


@pytest.fixture(scope="module")
def net():
    return small_net()


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# parameters


@pytest.mark.parametrize(
    ("config", "parameters", "entries"),
    [
        ({"upscale": 8}, 1_436_841, 791),
        ({"upscale": 4, "window_size": (4, 4, 16)}, 1_470_617, 789),
        ({"upscale": 10, "window_size": (2, 2, 20)}, 1_447_593, 791),
        ({"upscale": 10, "window_size": (4, 2, 20)}, 1_475_673, 791),
    ],
    ids=["x8", "x4", "x10 of the paper", "x10 of the code"],
)
def test_presets_have_the_published_number_of_parameters(config, parameters, entries):
    net = IsoVEMNet(**config)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(to_released(net)) == entries


def test_configurations_that_do_not_fit_together_are_refused():
    with pytest.raises(ConfigError, match="one entry for each"):
        IsoVEMNet(depths=[4] * 12)
    with pytest.raises(ConfigError, match="multiple of 3 heads"):
        IsoVEMNet(num_heads=3)
    with pytest.raises(ConfigError, match="in_chans"):
        IsoVEMNet(in_chans=3)


# sizes and scales


@pytest.mark.parametrize("scale", [1, 2.5, 4, 6.3, 10])
@pytest.mark.parametrize("size", [(2, 8, 16), (5, 16, 24), (3, 24, 40)])
def test_any_scale_gives_the_promised_rows(net, scale, size):
    frames, rows, columns = size
    with torch.no_grad():
        video = noise(2, frames, 1, rows, columns)
        assert net(video, scale).shape == (2, frames, 1, int(rows * scale), columns)
        assert net(video, scale, round(rows * scale)).shape == (2, frames, 1, round(rows * scale), columns)


@pytest.mark.parametrize("shape", [(1, 1, 1, 8, 16), (1, 4, 1, 12, 16), (1, 4, 1, 8, 8), (1, 4, 2, 8, 16), (4, 8, 16)])
def test_sizes_that_the_network_is_not_defined_for_are_refused(net, shape):
    with pytest.raises(DataError, match="multiples of 8"):
        net(noise(*shape), 4)


@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 19), st.integers(1, 21)),
    scale=st.sampled_from([1.0, 2.5, 4.0, 6.3]),
)
@settings(max_examples=12, deadline=None)
def test_odd_shapes_are_mirrored_and_cropped(size, scale):
    frames, rows, columns = size
    with torch.no_grad():
        y = reconstruct_any_size(small_net(), noise(1, frames, 1, rows, columns), scale, round(rows * scale))
    assert y.shape == (1, frames, 1, round(rows * scale), columns)
    assert torch.isfinite(y).all()


def test_mirroring_changes_nothing_where_the_size_fits(net):
    video = noise(1, 4, 1, 8, 16)
    with torch.no_grad():
        assert torch.equal(reconstruct_any_size(net, video, 2.5), net(video, 2.5))


def test_both_placements_agree_where_the_rows_are_whole(net):
    video = noise(1, 3, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(video, 2.5), net(video, 2.5, 40), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("h", "scale"), [(7, 2.5), (5, 6.3), (1, 4), (9, 0.7)])
def test_rows_are_placed_by_the_nominal_scale(h, scale):
    rows = round(h * scale)
    ours = resize_rows(torch.arange(float(h)).reshape(1, 1, h, 1), rows, 1 / scale).flatten()
    wanted = np.clip((np.arange(rows) + 0.5) / scale - 0.5, 0, h - 1)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_the_result_does_not_depend_on_how_many_frames_are_convolved_at_once(net, monkeypatch):
    video = noise(1, 5, 1, 16, 16)
    with torch.no_grad():
        whole = net(video, 4)
        monkeypatch.setattr("vemrecon.methods.isovem.network.CONVOLVED_VOXELS", {"cpu": 1})
        monkeypatch.setattr("vemrecon.nets.window_attention.CHUNK_TOKENS", 12)
        monkeypatch.setattr("vemrecon.nets.window_block.CHUNK_TOKENS", 7)
        torch.testing.assert_close(net(video, 4), whole, rtol=0, atol=1e-5)


def test_samples_of_a_batch_do_not_mix(net):
    video = noise(3, 5, 1, 16, 24)
    with torch.no_grad():
        alone = torch.cat([net(sample[None], 2.5) for sample in video])
        torch.testing.assert_close(net(video, 2.5), alone, rtol=0, atol=1e-5)


# gradients


def test_gradients_reach_every_parameter():
    net = small_net(drop_path_rate=0.0).train()
    l1_ssim_loss(net(noise(2, 4, 1, 8, 16), 4), noise(2, 4, 1, 32, 16, seed=1)).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        net = small_net(checkpointing=checkpointing, drop_path_rate=0.5).train()
        torch.manual_seed(1)
        net(noise(2, 4, 1, 8, 16), 4).square().mean().backward()
        gradients.append([p.grad for p in net.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_training_works_after_inference_mode_filled_the_caches():
    net = small_net(window_size=(4, 1, 2))
    video = noise(1, 6, 1, 8, 24)
    with torch.inference_mode():
        l1_ssim_loss(net(video, 3), noise(1, 6, 1, 24, 24))
    l1_ssim_loss(net(video, 3), noise(1, 6, 1, 24, 24)).backward()
    assert net.first.weight.grad is not None


def test_the_network_runs_in_mixed_precision(net):
    video = noise(2, 5, 1, 16, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = net(video, 2.5)
        loss = l1_ssim_loss(result, noise(2, 5, 1, 40, 24))
    torch.autograd.grad(loss, net.first.weight)
    torch.testing.assert_close(result.detach().float(), net(video, 2.5).detach(), rtol=0, atol=0.02)


def test_stochastic_depth_keeps_the_mean_and_rests_in_evaluation():
    torch.manual_seed(0)
    layer, x = StochasticDepth(0.25), torch.ones(4000, 2)
    dropped = layer(x)
    assert sorted(set(dropped[:, 0].tolist())) == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert layer.eval()(x) is x


# windows


@pytest.mark.parametrize("window", [(2, 2, 4), (1, 3, 2), (4, 6, 8)])
def test_windows_are_cut_and_merged_without_loss(window):
    extent = (4, 6, 8)
    x = noise(2, *extent, 3)
    windows = partition(x, window)
    assert windows.shape == (2 * 4 * 6 * 8 // np.prod(window), np.prod(window), 3)
    assert torch.equal(merge(windows, window, extent), x)
    shift = (window[0] // 2, window[1] // 2, window[2] // 2)
    shifted = partition_shifted(x, window, shift)
    assert torch.equal(shifted, partition(x.roll([-s for s in shift], (1, 2, 3)), window))
    assert torch.equal(merge_shifted(shifted, window, shift, extent), x)


def test_the_gradient_of_shifted_windows_is_the_inverse_shift():
    x = noise(2, 4, 4, 8, 3).requires_grad_()
    weight = noise(16, 16, 3, seed=1)
    (partition_shifted(x, (2, 2, 4), (1, 1, 2)) * weight).sum().backward()
    torch.testing.assert_close(x.grad, merge_shifted(weight, (2, 2, 4), (1, 1, 2), (4, 4, 8)))


def test_masks_separate_exactly_the_tokens_that_were_no_neighbours():
    extent, window, shift = (4, 4, 8), (2, 2, 4), (1, 1, 2)
    mask = shift_mask(extent, window, shift, torch.device("cpu"), torch.float32).dense()
    place = torch.stack(torch.meshgrid(*map(torch.arange, extent), indexing="ij"), dim=-1)[None].float()
    tokens = partition_shifted(place, window, shift)  # where each token of each window comes from
    apart = ((tokens[:, :, None] - tokens[:, None]).abs() >= torch.tensor(window)).any(dim=-1)
    assert torch.equal(mask == SEPARATED, apart)


def test_an_axis_of_one_window_is_not_shifted():
    assert effective_window((2, 9, 4), (2, 2, 8), (1, 1, 4)) == ((2, 2, 4), (0, 1, 0))


def test_self_attention_equals_the_fused_kernel():
    torch.manual_seed(0)
    module, windows = WindowAttention(12, (2, 2, 2), 3), noise(5, 8, 12)
    with torch.no_grad():
        bias = module.bias(8)
        q, k, v = module.heads_of(module.qkv(windows))
        fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        torch.testing.assert_close(module.self_attention(windows, bias), fused.transpose(1, 2).flatten(2))


def test_blocks_keep_sizes_that_are_no_multiple_of_the_window():
    block = WindowBlock(8, (2, 4, 4), (1, 2, 2), 2, mutual=True).eval()
    with torch.no_grad():
        assert block(noise(1, 5, 7, 9, 8)).shape == (1, 5, 7, 9, 8)


# rotations, uncertainty


@given(index=st.integers(0, 7), size=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)))
@settings(deadline=None)
def test_rotating_back_undoes_a_rotation(index, size):
    volume = noise(*size, seed=index)
    assert torch.equal(rotate_back(rotate(volume, index), index), volume)
    assert torch.equal(rotate(rotate_back(volume, index), index), volume)


def test_the_eight_rotations_are_different():
    volume = noise(3, 4, 4)
    assert len({tuple(rotate(volume, i).flatten().tolist()) for i in range(8)}) == 8


def interpolation(video, scale, rows=None):
    """Stand-in network that treats every direction alike."""
    step = None if rows is None else 1 / scale
    rows = int(video.shape[3] * scale) if rows is None else rows
    return resize_rows(video.flatten(0, 1), rows, step).unflatten(0, video.shape[:2])


def test_a_network_without_a_preferred_direction_has_no_uncertainty():
    tile = noise(6, 5, 7)
    mean, deviation = reconstruct_rotated(interpolation, tile, 2.5)
    torch.testing.assert_close(mean, enlarge_axially(interpolation, tile, 2.5), rtol=0, atol=1e-6)
    assert deviation.max() < 1e-6


def test_mean_and_uncertainty_are_those_of_the_eight_reconstructions(net):
    tile = noise(8, 16, 16)
    with torch.no_grad():
        mean, deviation = reconstruct_rotated(net, tile, 3, 24)
        all_eight = torch.stack([rotate_back(enlarge_axially(net, rotate(tile, i), 3), i) for i in range(8)])
    torch.testing.assert_close(mean, all_eight.mean(0))
    np.testing.assert_allclose(deviation, all_eight.numpy().std(0), atol=1e-6)
    assert deviation.max() > 0


# training data


def test_exactly_one_frame_of_every_sample_is_blanked():
    rng = np.random.default_rng(0)
    observed = noise(64, 5, 1, 2, 3) + 0.1
    blanked = blank_frames(observed, rng.integers(5, size=64).tolist())
    black = (blanked == 0).flatten(2).all(dim=2)
    assert black.sum(dim=1).tolist() == [1] * 64
    assert set(black.nonzero()[:, 1].tolist()) == set(range(5))
    assert torch.equal(blanked[~black], observed[~black])
    assert (observed > 0).all()
    assert torch.equal(blank_frames(observed[:2], (None, None)), observed[:2])


# blanked sections, whole volumes


def test_only_the_listed_sections_are_replaced(net):
    volume = noise(11, 20, 24)
    repaired = inpaint_sections(partial(reconstruct_any_size, net), volume, [0, 5, 10], (6, 16, 16))
    same = (repaired == volume).flatten(1).all(dim=1)
    assert (~same).nonzero().flatten().tolist() == [0, 5, 10]
    assert repaired.min() >= 0
    assert repaired.max() <= 1


def test_the_content_of_listed_sections_is_not_looked_at(net):
    volume = noise(8, 16, 16)
    spoilt = volume.clone()
    spoilt[[3, 4]] = 1
    fill = partial(inpaint_sections, net, sections=[3, 4], tile=(6, 16, 16))
    assert torch.equal(fill(volume), fill(spoilt))
    with pytest.raises(DataError, match=r"0 \.\. 7"):
        inpaint_sections(net, volume, [8])


def test_neighbours_that_are_missing_may_be_kept_while_one_section_is_predicted():
    volume = noise(8, 16, 16)
    fill = partial(
        inpaint_sections, lambda video, _: video.mean(dim=1, keepdim=True).expand_as(video), tile=(8, 16, 16)
    )
    kept = volume.sum(dim=0)
    torch.testing.assert_close(fill(volume, [3, 4], blanked="one")[3], (kept - volume[3]) / 8)
    torch.testing.assert_close(fill(volume, [3, 4], blanked="all")[3], (kept - volume[3] - volume[4]) / 8)
    torch.testing.assert_close(fill(volume, [3, 4], blanked="none")[3], kept / 8)


def test_frames_near_the_ends_of_the_stack_are_found_again():
    volume = noise(7, 9, 10)
    repaired = inpaint_sections(interpolation, volume, range(7), (4, 8, 8), overlap=2, blanked="none")
    torch.testing.assert_close(repaired, volume)


def test_both_steps_give_the_reconstruction_of_the_repaired_volume():
    volume = noise(9, 12, 10)
    filled = inpaint_sections(interpolation, volume, [4], (9, 12, 10))
    mean, deviation = reconstruct_volume(interpolation, filled, 2, (9, 12, 10))
    repaired = volume.clone()
    repaired[4] = 0  # interpolation cannot see over sections
    torch.testing.assert_close(mean, enlarge_axially(interpolation, repaired, 2), rtol=0, atol=1e-6)
    assert mean.shape == deviation.shape == (18, 12, 10)


def test_fused_tiles_equal_the_whole_where_the_tiles_agree():
    volume = noise(9, 21, 30)

    def nearest(video, scale, rows=None):
        return video.repeat_interleave(int(scale), dim=3)

    mean, _ = reconstruct_volume(nearest, volume, 3, (9, 10, 12), overlap=4)
    torch.testing.assert_close(mean, volume.repeat_interleave(3, dim=0))
    with pytest.raises(DataError, match="longer than their overlap"):
        tile_starts(20, 8, 8)


# losses


def plain_ssim(a, b, dims):
    """Equation 13 with the window written out, one place after the other."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    kernel = taps
    for _ in range(dims - 1):
        kernel = np.multiply.outer(kernel, taps)
    values = []
    for at in np.ndindex(*(n - 10 for n in a.shape)):
        region = tuple(slice(i, i + 11) for i in at)
        x, y = a[region], b[region]
        mx, my = (kernel * x).sum(), (kernel * y).sum()
        vx, vy, cov = ((kernel * p).sum() - m for p, m in ((x * x, mx * mx), (y * y, my * my), (x * y, mx * my)))
        values.append((2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return np.mean(values)


@pytest.mark.parametrize("shape", [(14, 13), (12, 13, 11)])
def test_structural_similarity_equals_the_written_out_formula(shape):
    a, b = noise(*shape).double(), noise(*shape, seed=1).double()
    ours = structural_similarity(a, b, dims=len(shape)).item()
    assert ours == pytest.approx(plain_ssim(a.numpy(), b.numpy(), len(shape)), abs=1e-12)


def test_short_axes_are_not_smoothed():
    a, b = noise(2, 5, 16, 16), noise(2, 5, 16, 16, seed=1)
    volumes = structural_similarity(a, b, dims=3, reduce=False)
    sections = structural_similarity(a, b, dims=2, reduce=False)
    assert volumes.shape == (2,)
    torch.testing.assert_close(volumes, sections.mean(dim=1))


def test_structural_similarity_is_never_computed_in_half_precision():
    a, b = noise(1, 20, 20), noise(1, 20, 20, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(structural_similarity(a, b), structural_similarity(a.clone(), b))
        assert structural_similarity(a, b).dtype == torch.float32
    with pytest.raises(DataError, match="same shape"):
        structural_similarity(a, b[:, :19])


# released weights


def test_released_weights_round_trip():
    net = small_net(window_size=(4, 2, 3), embed_dims=[8] * 7 + [12] * 6, depths=[4] * 7 + [2] * 6, upscale=2)
    state = to_released(net)
    again = load_released(state)
    video = noise(1, 5, 1, 16, 24)
    with torch.no_grad():
        assert torch.equal(again.eval()(video, 2.5), net(video, 2.5))
    assert to_released(again).keys() == state.keys()
    assert released_config(state)["window_size"] == (4, 2, 3)


@pytest.mark.parametrize(
    "config",
    [
        {"window_size": (4, 1, 2), "indep_reconsts": [8], "upscale": 16},
        {"window_size": (2, 3, 3), "qkv_bias": False, "upscale": 1, "mlp_ratio": 1.5},
        {"window_size": (3, 2, 1), "depths": [3] * 7 + [1, 2], "embed_dims": [8] * 9, "mul_attn_ratio": 2 / 3},
        {"window_size": (6, 2, 4), "num_heads": [2] * 7 + [4] * 6, "in_chans": 1, "out_chans": 2, "indep_reconsts": []},
    ],
    ids=str,
)
def test_the_configuration_is_read_off_released_weights(config):
    found = released_config(to_released(small_net(**config)))
    for key, value in config.items():
        assert found[key] == (pytest.approx(value) if isinstance(value, float) else value), key


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: without(s, "stage3.linear1.bias"), r"missing: stage3\.linear1\.bias"),
        (lambda s: s | {"stage9.weight": torch.zeros(1)}, r"left over: stage9\.weight"),
        (lambda s: s | {"norm.bias": torch.zeros(9)}, r"wrong shape: norm\.bias is \(9,\), expected \(8,\)"),
        (lambda s: s | {"conv_last.weight": s["conv_last.weight"].flatten()}, "wrong shape: conv_last.weight"),
        (
            lambda s: s | {(k := "stage2.residual_group1.blocks.1.attn.position_bias"): s[k] + 0.01},
            "another window: stage2",
        ),
    ],
    ids=["missing", "left over", "shape", "flattened", "position code"],
)
def test_released_weights_that_do_not_fit_are_refused(net, spoil, message):
    with pytest.raises(DataError, match=message):
        from_released(spoil(to_released(net)), net)


def test_only_the_first_few_missing_names_are_listed(net):
    with pytest.raises(DataError, match=r"\.\.\. \(\d{3} in all\)") as error:
        from_released({}, net)
    assert str(error.value).count("stage") < 10
    with pytest.raises(DataError, match="not a released IsoVEM state dict"):
        released_config({"weight": torch.zeros(1)})


def test_reading_released_weights_does_not_change_the_network(net):
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = to_released(small_net(seed=3))
    ours = from_released(state, net)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    ours["norm.bias"] += 1
    assert torch.equal(state["norm.bias"], to_released(small_net(seed=3))["norm.bias"])
