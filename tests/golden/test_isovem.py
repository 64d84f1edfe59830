"""IsoVEM against tensors made with the authors' code. Names, sizes and tolerances come from the files."""

import fnmatch
import itertools
import re
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.eightfold import rotate, rotate_back
from vemrecon.methods.isovem.fusion import fuse, reconstruct_volume, tile_starts
from vemrecon.methods.isovem.inpainting import inpaint_sections
from vemrecon.methods.isovem.network import IsoVEMNet
from vemrecon.methods.isovem.released import (
    from_released,
    load_released,
    released_config,
    released_key,
    released_names,
    to_released,
)
from vemrecon.methods.isovem.resampling import shuffle_factor, shuffle_rows
from vemrecon.methods.isovem.rotations import reconstruct_rotated
from vemrecon.methods.isovem.training import average_rows
from vemrecon.metrics.ms_ssim import VARIANTS, multiscale_similarity
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.losses import l1_ssim_loss, structural_similarity
from vemrecon.nets.window_block import WindowBlock
from vemrecon.nets.windows import WindowMask, relative_index, shift_mask, sine_code

PLANES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # slices along z, y, x first


@cache
def loaded(file):
    """Facts and torch tensors of a golden file."""
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def state_of(facts, tensors):
    prefix = facts["tensor_names"]["state"].split("<")[0]
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@cache
def network(file, dtype=torch.float32):
    facts, tensors = loaded(file)
    config = {key: value for key, value in facts["model_config"].items() if key != "img_size"}
    net = IsoVEMNet(**config)
    net.load_state_dict(from_released(state_of(facts, tensors), net))
    return net.to(dtype).eval()


def tolerance(facts, name):
    """Absolute tolerance of a unit tensor; None where the file describes it in words that a test must follow."""
    for patterns, value in facts["unit_tolerances_absolute"].items():
        if any(fnmatch.fnmatchcase(name, pattern.strip()) for pattern in patterns.split(",")):
            return {"one grey level": 1}.get(value, value)
    return None


def check(facts, tensors, name, ours):
    """Compare with a unit tensor within its tolerance."""
    wanted, ours = tensors[name].double(), torch.as_tensor(ours).detach().double()
    assert ours.shape == wanted.shape, name
    error, atol = (ours - wanted).abs().max().item(), tolerance(facts, name)
    assert isinstance(atol, int | float), f"{name}: no tolerance"
    assert error <= atol, f"{name}: {error:.2e} > {atol:.0e}"


def pairs(expand):
    """Parameters (file, item) for every golden file, where `expand(facts, tensors)` lists the items."""
    found = []
    for case in golden_cases("isovem"):
        file = case.values[0]
        if file is None:
            found.append(pytest.param(None, None, marks=case.marks, id=case.id))
        else:
            found += [pytest.param(file, item, id=f"{case.id}-{item}") for item in expand(*loaded(file))]
    return found


def case_named(facts, name):
    return next(case for case in facts["cases"] if case["name"] == name)


def captured(net, key, channels_last):
    """Hook that stores the output of the module with an official name, in the layout of the file."""
    doublings = len(net.upsampler.doublings)
    for name, module in net.named_modules():
        if name and released_key(f"{name}.", doublings).removesuffix(".") == key:
            return hooked(module, channels_last)
    raise AssertionError(f"no module for {key}")


def hooked(module, channels_last):
    store = []

    def keep(module, _input, y):  # convolutions give (b * frames, c, h, w), everything else (b, d, h, w, c)
        store.append(y if channels_last or isinstance(module, torch.nn.Conv2d) else y.movedim(-1, 1))

    return store, module.register_forward_hook(keep)


def official_module(name):
    """`stage1.group1.block1` of the file's intermediate names is `stage1.residual_group1.blocks.1` of the code."""
    return re.sub(r"\bblock(\d+)", r"blocks.\1", re.sub(r"\bgroup(\d)", r"residual_group\1", name))


@pytest.mark.parametrize(("file", "name"), pairs(lambda facts, _: [case["name"] for case in facts["cases"]]))
def test_network_outputs_and_intermediates_in_float32(file, name):
    facts, tensors = loaded(file)
    net, case = network(file), case_named(facts, name)
    video = tensors[case["input"]]
    hooks = {}
    for inter in case.get("intermediates", {}):
        key = inter.removeprefix(f"inter.{name}.")
        hooks[inter] = captured(net, official_module(key), bool(re.search(r"block\d+$", key)))
    with torch.no_grad():
        ours = net(video, case["current_scale"])
    torch.testing.assert_close(ours, tensors[case["output"]], rtol=0, atol=case["recommended_atol_float32"])
    for inter, (store, handle) in hooks.items():
        handle.remove()
        wanted = tensors[inter]
        value = store[0] if store[0].dim() == 5 else store[0].unflatten(0, video.shape[:2]).transpose(1, 2)
        atol = case["intermediates"][inter]["recommended_atol_float32"]
        torch.testing.assert_close(value, wanted, rtol=0, atol=atol, msg=lambda text, inter=inter: f"{inter}: {text}")


@pytest.mark.parametrize(("file", "name"), pairs(lambda facts, _: [case["name"] for case in facts["cases"]]))
def test_network_outputs_in_float64(file, name):
    facts, tensors = loaded(file)
    case = case_named(facts, name)
    if "output_float64_run" not in case:
        pytest.skip(f"case {name} of {file.name} has no float64 run")
    atol = float(re.search(r"atol ([\d.e-]+\d)", facts["tensor_names"]["output_f64"])[1])
    with torch.no_grad():
        ours = network(file, torch.float64)(tensors[case["input"]].double(), case["current_scale"])
    torch.testing.assert_close(ours, tensors[case["output_float64_run"]].double(), rtol=0, atol=atol)


@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_released_weights_tell_their_configuration_and_round_trip(file):
    facts, tensors = loaded(file)
    state, config = state_of(facts, tensors), facts["model_config"]
    found = released_config(state)
    assert found["upscale"] == shuffle_factor(config["upscale"])
    assert list(found["window_size"]) == list(config["window_size"])
    for key in ("in_chans", "out_chans", "embed_dims", "depths", "num_heads", "mlp_ratio", "qkv_bias"):
        assert found[key] == config[key], key
    again = to_released(load_released(state))
    assert again.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6 if "position_bias" in key else 0)


@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_parameter_count_equals_the_released_network(file):
    assert sum(p.numel() for p in network(file).parameters()) == loaded(file)[0]["parameter_count"]


def facts_with(file, key):
    facts, _ = loaded(file)
    if key not in facts:
        pytest.skip(f"{file.name} has no '{key}'")
    return facts[key]


@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_default_network_has_the_released_names_and_shapes(file):
    wanted = facts_with(file, "default_x8_state_shapes")
    assert {key: list(value.shape) for key, value in to_released(IsoVEMNet()).items()} == wanted


@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_stochastic_depth_rises_as_in_the_released_network(file):
    wanted = facts_with(file, "default_stochastic_depth_per_block")
    net = IsoVEMNet()
    blocks = {
        released_key(f"{name}.norm1.bias", 3).removesuffix(".norm1.bias"): module.drop_path.rate
        for name, module in net.named_modules()
        if isinstance(module, WindowBlock)
    }
    assert blocks == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_row_shuffle_is_the_nearest_power_of_two(file):
    for scale, factor in facts_with(file, "approximate_power_of_two_scale").items():
        assert shuffle_factor(float(scale)) == factor, scale


def unit_attn(file, facts, tensors):
    net, unit, words = network(file), "unit.attn.", facts["units"]["unit.attn"]
    table = released_names(net)[f"{words['module']}.relative_position_bias_table"]
    module = net.get_submodule(table.rpartition(".")[0])
    windows, patterns = tensors[f"{unit}windows"], tensors[f"{unit}mask"]
    mask = WindowMask(patterns, torch.arange(len(patterns)))
    half = windows.shape[1] // 2
    mutual = module.mutual_attention(windows, mask)
    yield f"{unit}self", module.self_attention(windows, module.bias(windows.shape[1]), mask)
    yield f"{unit}aligned_first", mutual[:, :half]
    yield f"{unit}aligned_second", mutual[:, half:]
    yield f"{unit}output", module(windows, mask)
    # the mask itself, and the padded grid, as the description of the unit states them
    shift = numbers(re.search(r"shifted by \(([^)]*)\)", words["windows"])[1])
    window = numbers(re.search(r"window \(([^)]*)\)", words["windows"])[1])
    extent = numbers(re.search(r"extent \(([^)]*)\)", words["grid"])[1])
    ours = shift_mask(extent, window, shift, windows.device, windows.dtype).dense()
    yield f"{unit}mask", ours[tensors[f"{unit}window_numbers"]]


def numbers(text):
    return tuple(int(number) for number in re.findall(r"\d+", text))


def unit_upsampler(file, facts, tensors):
    upsampler = network(file).upsampler
    features = tensors["unit.upsampler.input"]
    frames = features.transpose(1, 2).flatten(0, 1)  # (b * frames, c, h, w)

    def back(y):
        return y.unflatten(0, (len(features), -1)).transpose(1, 2)

    for name in (n for n in tensors if n.startswith("unit.upsampler.")):
        if found := re.fullmatch(r"unit\.upsampler\.(conv_last|interpolated)_scale([\d.]+)", name):
            ours = upsampler.resized(frames, int(features.shape[3] * float(found[2])))
            yield name, back(upsampler.last(ours) if found[1] == "conv_last" else ours)
        elif found := re.fullmatch(r"unit\.upsampler\.shuffled_x(\d+)", name):
            assert int(found[1]) == upsampler.factor
            yield name, back(upsampler.enlarge(frames))


def unit_shuffle(file, facts, tensors):
    yield "unit.shuffle.output", shuffle_rows(tensors["unit.shuffle.input"].squeeze(2)).unsqueeze(2)


def unit_sine(file, facts, tensors):
    for name in (n for n in tensors if n.startswith("unit.sine.")):
        h, w, channels = numbers(name)
        yield name, sine_code((h, w), channels)


def unit_relindex(file, facts, tensors):
    for name in (n for n in tensors if n.startswith("unit.relindex.")):
        yield name, relative_index(numbers(name))


def unit_mask(file, facts, tensors):
    for name in (n for n in tensors if n.startswith("unit.mask.")):
        extent, window, shift = (numbers(part) for part in name.split("_"))
        yield name, shift_mask(extent, window, shift, torch.device("cpu"), torch.float32).dense()


def unit_rot8(file, facts, tensors):
    volume = tensors["unit.rot8.input"]
    rotated = [rotate(volume, i) for i in range(8)]
    yield "unit.rot8.outputs", torch.stack(rotated)
    weighted = [rotate_back(r * (i + 1) / 8, i) for i, r in enumerate(rotated)]
    yield "unit.rot8.weighted_inverse_mean", torch.stack(weighted).mean(dim=0)


def unit_degrade(file, facts, tensors):
    for name in (n for n in tensors if n.startswith("unit.degrade.factor")):
        factor, *rows = numbers(name.removeprefix("unit.degrade."))
        truth = tensors["unit.degrade.input"]
        yield name, average_rows(truth[..., : rows[0], :] if rows else truth, factor)


def unit_loss(file, facts, tensors):
    prediction, truth = tensors["unit.loss.pred"], tensors["unit.loss.target"]
    yield "unit.loss.l1", F.l1_loss(prediction, truth).reshape(1)
    yield "unit.loss.ssim", structural_similarity(prediction, truth).reshape(1)
    yield "unit.loss.total", l1_ssim_loss(prediction, truth).reshape(1)
    strict = structural_similarity(prediction.double(), truth.double()).item()
    atol = tolerance(facts, "unit.loss.ssim")
    assert strict == pytest.approx(facts["units"]["unit.loss"]["ssim_float64"], abs=atol)


def unit_metrics(file, facts, tensors):
    truth = tensors["unit.metrics.target"].long()
    prediction = (3 * truth + truth.roll(1, dims=2)) // 4  # "prediction_recipe" of the file
    a, b = prediction.double(), truth.double()

    def four(volume_value, plane_values):
        planes = [plane_values(a.permute(order), b.permute(order)).mean() for order in PLANES]
        return torch.stack([volume_value, *planes])

    def ssim(x, y, dims=2):
        return structural_similarity(x / 255, y / 255, dims=dims, reduce=False)

    def ms_ssim(x, y):
        return multiscale_similarity(x, y, VARIANTS["p5"])

    def psnr(x, y):
        return decibels((x - y).square().mean(dim=(1, 2)))

    yield "unit.metrics.ssim", four(ssim(a, b, dims=3), ssim)
    yield "unit.metrics.ms_ssim", four(ms_ssim(a[None], b[None])[0], ms_ssim)
    yield "unit.metrics.psnr", four(decibels((a - b).square().mean()), psnr)


def truncated(volume):
    return (volume.clamp(0, 1) * 255).to(torch.uint8)


def unit_pipeline(file, facts, tensors):
    unit = facts["units"]["unit.pipeline"]
    volume, tile = tensors["unit.pipeline.volume"].float() / 255, tuple(unit["tile"])
    scale, overlap = unit["scale"], unit["overlap"]

    def stand_in(video, scale, rows=None):
        filtered = F.conv3d(video.transpose(1, 2), tensors["unit.pipeline.kernel"], padding=1)
        size = (filtered.shape[2], int(filtered.shape[3] * scale), filtered.shape[4])
        return F.interpolate(filtered, size=size, mode="trilinear", align_corners=False).transpose(1, 2)

    starts = [tile_starts(n, size, overlap) for n, size in zip(volume.shape, tile, strict=True)]
    assert [len(s) for s in starts] == unit["tiles"]
    origins = torch.tensor(list(itertools.product(*starts)))
    yield "unit.pipeline.tile_centres", (origins + torch.tensor(tile) // 2).T
    first = volume[: tile[0], : tile[1], : tile[2]]
    mean, deviation = reconstruct_rotated(stand_in, first, scale)
    yield "unit.pipeline.tile0_mean", mean
    yield "unit.pipeline.tile0_std", deviation
    mean, deviation = reconstruct_volume(stand_in, volume, scale, tile, overlap)
    yield "unit.pipeline.isosr_float", mean
    yield "unit.pipeline.isosr_uint8", truncated(mean)
    yield "unit.pipeline.uncertainty_uint8", truncated(deviation)
    sections = unit["inpaint_indices"]
    repaired = inpaint_sections(stand_in, volume, sections, tile, overlap=overlap, blank=False)
    for section in sections:
        yield f"unit.pipeline.inpaint_slice_{section}", truncated(repaired[section])


def unit_stitch(file, facts, tensors):
    unit = facts["units"]["unit.stitch"]
    tiles = list(tensors["unit.stitch.tiles"])
    yield "unit.stitch.output", fuse(tiles, tuple(unit["grid"]), unit["whole"], unit["scale"], unit["overlap"])


UNITS = {name.removeprefix("unit_"): rule for name, rule in list(globals().items()) if name.startswith("unit_")}
INPUTS = (
    r"unit\.(attn\.(windows|window_numbers)|(upsampler|shuffle|rot8|degrade)\.input|loss\.(pred|target)|metrics\.target|"
    r"pipeline\.(kernel|volume)|stitch\.tiles)"
)


def topics(facts, tensors):
    found = {name.split(".")[1] for name in tensors if name.startswith("unit.")}
    found |= {name.removeprefix("unit.") for name in facts["units"]}
    return sorted(found - {"grad"})  # gradients have a test of their own


@pytest.mark.parametrize(("file", "topic"), pairs(topics))
def test_every_tensor_of_a_unit_is_reproduced(file, topic):
    facts, tensors = loaded(file)
    if topic not in UNITS:
        pytest.skip(f"no rule for unit.{topic} of {file.name}")
    left = {name for name in tensors if name.startswith(f"unit.{topic}.") and not re.fullmatch(INPUTS, name)}
    with torch.no_grad():
        for name, ours in UNITS[topic](file, facts, tensors):
            check(facts, tensors, name, ours)
            left.discard(name)
    assert not left, f"not compared: {sorted(left)}"


def gradients_of_the_released_loss(file, net, tensors, unit):
    case, dtype = unit["case"], next(net.parameters()).dtype
    scale = float(re.search(r"scale ([\d.]+)", case)[1])
    video = tensors[re.match(r"[\w.]+", case)[0]].to(dtype)
    net.zero_grad()
    loss = l1_ssim_loss(net(video, scale), tensors["unit.grad.target"].to(dtype))
    loss.backward()
    parameters, names = dict(net.named_parameters()), released_names(net)
    return loss.item(), {theirs: parameters[names[theirs]].grad for theirs in unit["grads"]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("file", golden_cases("isovem"))
def test_loss_and_gradients_equal_the_released_network(file, dtype):
    facts, tensors = loaded(file)
    if "unit.grad" not in facts["units"]:
        pytest.skip(f"{file.name} has no gradients")
    unit = facts["units"]["unit.grad"]
    loss, gradients = gradients_of_the_released_loss(file, network(file, dtype), tensors, unit)
    # The reference rounds its window to float32 in float64 runs too, which moves the loss by 4e-7.
    wanted_loss = unit["loss_float64" if dtype == torch.float64 else "loss"]
    assert loss == pytest.approx(wanted_loss, abs=tolerance(facts, "unit.loss.total"))
    words = tolerance(facts, "unit.grad.d_any")
    noise, share = (float(number) for number in re.fullmatch(r"([\d.]+) x .*, or ([\d.e-]+) x .*", words).groups())
    for name, gradient in gradients.items():
        entry, wanted = unit["grads"][name], tensors[f"unit.grad.d_{name}"]
        atol = max(noise * entry["max_abs_diff_float32_vs_float64"], share * entry["max_abs"])
        ours = gradient.float().reshape(wanted.shape)
        torch.testing.assert_close(ours, wanted, rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")
