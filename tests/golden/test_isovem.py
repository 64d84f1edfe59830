"""IsoVEM against tensors made with the authors' code. Names, sizes and tolerances come from the files."""

import fnmatch
import itertools
import re
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from golden_files import cases, each
from isovem_inference import reconstruct_rotated, reconstruct_volume

from vemrecon.degrade import box_weights
from vemrecon.methods.eightfold import rotate, rotate_back
from vemrecon.methods.isovem.fusion import fuse, tile_starts
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
from vemrecon.metrics.ms_ssim import VARIANTS, multiscale_similarity
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.losses import l1_ssim_loss, structural_similarity
from vemrecon.nets.window_block import WindowBlock
from vemrecon.nets.windows import WindowMask, relative_index, shift_mask, sine_code

FILES = each("isovem")
PLANES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # slices along z, y, x first


def state_of(golden):
    return golden.below(golden.fact("tensor_names", "state").split("<")[0])


@cache
def network(golden, dtype=torch.float32):
    config = {key: value for key, value in golden.fact("model_config").items() if key != "img_size"}
    net = IsoVEMNet(**config)
    net.load_state_dict(from_released(state_of(golden), net))
    return net.to(dtype).eval()


def tolerance(golden, name):
    """Absolute tolerance of a unit tensor, or the words in which the file describes it."""
    for patterns, value in golden.fact("unit_tolerances_absolute").items():
        if any(fnmatch.fnmatchcase(name, pattern.strip()) for pattern in patterns.split(",")):
            return {"one grey level": 1}.get(value, value)
    return pytest.skip(f"{golden.path.name} states no tolerance of {name}")


def cases_named(golden, having="output"):
    """Cases of the whole network by their names."""
    listed = {case["name"]: i for i, case in enumerate(golden.listed("cases")) if having in case}
    return {name: (name, ("cases", i)) for name, i in listed.items()}


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


@cases("isovem", cases_named)
def test_network_outputs_and_intermediates_in_float32(golden, case):
    name, path = case
    net, facts = network(golden), golden.fact(*path)
    video = golden.given(facts["input"])
    hooks = {}
    for inter in facts.get("intermediates", {}):
        key = inter.removeprefix(f"inter.{name}.")
        hooks[inter] = captured(net, official_module(key), bool(re.search(r"block\d+$", key)))
    with torch.no_grad():
        ours = net(video, facts["current_scale"])
    golden.check(facts["output"], ours, atol=facts["recommended_atol_float32"])
    for inter, (store, handle) in hooks.items():
        handle.remove()
        value = store[0] if store[0].dim() == 5 else store[0].unflatten(0, video.shape[:2]).transpose(1, 2)
        golden.check(inter, value, atol=facts["intermediates"][inter]["recommended_atol_float32"])


@cases("isovem", lambda golden: cases_named(golden, having="output_float64_run"))
def test_network_outputs_in_float64(golden, case):
    facts = golden.fact(*case[1])
    (atol,) = golden.numbers(r"atol ([\d.e-]+\d)", "tensor_names", "output_f64")
    with torch.no_grad():
        ours = network(golden, torch.float64)(golden.given(facts["input"]).double(), facts["current_scale"])
    golden.check(facts["output_float64_run"], ours, atol=atol)


@FILES
def test_released_weights_tell_their_configuration_and_round_trip(golden):
    state, config = state_of(golden), golden.expected_fact("model_config")
    found = released_config(state)
    assert found["upscale"] == shuffle_factor(config["upscale"])
    assert list(found["window_size"]) == list(config["window_size"])
    for key in ("in_chans", "out_chans", "embed_dims", "depths", "num_heads", "mlp_ratio", "qkv_bias"):
        assert found[key] == config[key], key
    again = to_released(load_released(state))
    assert again.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6 if "position_bias" in key else 0)


@FILES
def test_parameter_count_equals_the_released_network(golden):
    golden.agree(("parameter_count",), sum(p.numel() for p in network(golden).parameters()))


@each("isovem", having="default_x8_state_shapes")
def test_default_network_has_the_released_names_and_shapes(golden):
    ours = {key: list(value.shape) for key, value in to_released(IsoVEMNet()).items()}
    golden.agree(("default_x8_state_shapes",), ours)


@each("isovem", having="default_stochastic_depth_per_block")
def test_stochastic_depth_rises_as_in_the_released_network(golden):
    net = IsoVEMNet()
    blocks = {
        released_key(f"{name}.norm1.bias", 3).removesuffix(".norm1.bias"): module.drop_path.rate
        for name, module in net.named_modules()
        if isinstance(module, WindowBlock)
    }
    golden.agree(("default_stochastic_depth_per_block",), blocks, abs=1e-6)


@each("isovem", having="approximate_power_of_two_scale")
def test_row_shuffle_is_the_nearest_power_of_two(golden):
    for scale in golden.listed("approximate_power_of_two_scale"):
        golden.agree(("approximate_power_of_two_scale", scale), shuffle_factor(float(scale)))


def unit_attn(golden):
    net, unit, words = network(golden), "unit.attn.", golden.fact("units", "unit.attn")
    table = released_names(net)[f"{words['module']}.relative_position_bias_table"]
    module = net.get_submodule(table.rpartition(".")[0])
    windows, patterns = golden.given(f"{unit}windows"), golden.given(f"{unit}mask")
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
    yield f"{unit}mask", ours[golden.given(f"{unit}window_numbers")]


def named(golden, prefix):
    return [name for name in golden.tensors if name.startswith(prefix)]


def numbers(text):
    return tuple(int(number) for number in re.findall(r"\d+", text))


def unit_upsampler(golden):
    upsampler = network(golden).upsampler
    features = golden.given("unit.upsampler.input")
    frames = features.transpose(1, 2).flatten(0, 1)  # (b * frames, c, h, w)

    def back(y):
        return y.unflatten(0, (len(features), -1)).transpose(1, 2)

    for name in named(golden, "unit.upsampler."):
        if found := re.fullmatch(r"unit\.upsampler\.(conv_last|interpolated)_scale([\d.]+)", name):
            ours = upsampler.resized(frames, int(features.shape[3] * float(found[2])))
            yield name, back(upsampler.last(ours) if found[1] == "conv_last" else ours)
        elif found := re.fullmatch(r"unit\.upsampler\.shuffled_x(\d+)", name):
            assert int(found[1]) == upsampler.factor
            yield name, back(upsampler.enlarge(frames))


def unit_shuffle(golden):
    yield "unit.shuffle.output", shuffle_rows(golden.given("unit.shuffle.input").squeeze(2)).unsqueeze(2)


def unit_sine(golden):
    for name in named(golden, "unit.sine."):
        h, w, channels = numbers(name)
        yield name, sine_code((h, w), channels)


def unit_relindex(golden):
    for name in named(golden, "unit.relindex."):
        yield name, relative_index(numbers(name))


def unit_mask(golden):
    for name in named(golden, "unit.mask."):
        extent, window, shift = (numbers(part) for part in name.split("_"))
        yield name, shift_mask(extent, window, shift, torch.device("cpu"), torch.float32).dense()


def unit_rot8(golden):
    volume = golden.given("unit.rot8.input")
    golden.agree(("units", "unit.rot8", "shape"), list(volume.shape))
    rotated = [rotate(volume, i) for i in range(8)]
    yield "unit.rot8.outputs", torch.stack(rotated)
    weighted = [rotate_back(r * (i + 1) / 8, i) for i, r in enumerate(rotated)]
    yield "unit.rot8.weighted_inverse_mean", torch.stack(weighted).mean(dim=0)


def unit_degrade(golden):
    for name in named(golden, "unit.degrade.factor"):
        factor, *rows = numbers(name.removeprefix("unit.degrade."))
        truth = golden.given("unit.degrade.input")
        truth = truth[..., : rows[0], :] if rows else truth
        weights = box_weights(factor, 0, int(truth.shape[-2] / factor + 1e-9), 0, truth.shape[-2])
        yield name, torch.from_numpy(weights).to(truth) @ truth


def unit_loss(golden):
    prediction, truth = golden.given("unit.loss.pred"), golden.given("unit.loss.target")
    golden.agree(("units", "unit.loss", "shape"), list(truth.shape))
    found = {
        "l1": F.l1_loss(prediction, truth),
        "ssim": structural_similarity(prediction, truth),
        "total": l1_ssim_loss(prediction, truth),
    }
    for name, value in found.items():
        golden.agree(("units", "unit.loss", name), value.item(), abs=tolerance(golden, f"unit.loss.{name}"))
        yield f"unit.loss.{name}", value.reshape(1)
    strict = structural_similarity(prediction.double(), truth.double()).item()
    golden.agree(("units", "unit.loss", "ssim_float64"), strict, abs=tolerance(golden, "unit.loss.ssim"))


def unit_metrics(golden):
    truth = golden.given("unit.metrics.target").long()
    own, shift, divisor = golden.numbers(
        r"(\d+)\*target \+ target rolled by \+(\d+) along X, wrapping\) // (\d+)",
        "units",
        "unit.metrics",
        "prediction_recipe",
    )
    prediction = (int(own) * truth + truth.roll(int(shift), dims=2)) // int(divisor)
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

    found = {
        "ssim": four(ssim(a, b, dims=3), ssim),
        "ms_ssim": four(ms_ssim(a[None], b[None])[0], ms_ssim),
        "psnr": four(decibels((a - b).square().mean()), psnr),
    }
    for name, values in found.items():
        allowed = golden.fact("units", "unit.metrics", "tolerance")
        golden.agree(("units", "unit.metrics", name), values.tolist(), abs=allowed)
        yield f"unit.metrics.{name}", values


def truncated(volume):
    return (volume.clamp(0, 1) * 255).to(torch.uint8)


def unit_pipeline(golden):
    unit = golden.fact("units", "unit.pipeline")
    volume, tile = golden.given("unit.pipeline.volume").float() / 255, tuple(unit["tile"])
    scale, overlap = unit["scale"], unit["overlap"]

    def stand_in(video, scale, rows=None):
        filtered = F.conv3d(video.transpose(1, 2), golden.given("unit.pipeline.kernel"), padding=1)
        size = (filtered.shape[2], int(filtered.shape[3] * scale), filtered.shape[4])
        return F.interpolate(filtered, size=size, mode="trilinear", align_corners=False).transpose(1, 2)

    starts = [tile_starts(n, size, overlap) for n, size in zip(volume.shape, tile, strict=True)]
    golden.agree(("units", "unit.pipeline", "tiles"), [len(s) for s in starts])
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


def unit_stitch(golden):
    unit = golden.fact("units", "unit.stitch")
    tiles = list(golden.given("unit.stitch.tiles"))
    yield "unit.stitch.output", fuse(tiles, tuple(unit["grid"]), unit["whole"], unit["scale"], unit["overlap"])


UNITS = {name.removeprefix("unit_"): rule for name, rule in list(globals().items()) if name.startswith("unit_")}


def topics(golden):
    """Units that we know by what their tensors are called."""
    return sorted({found[1] for found in golden.matching(r"unit\.(\w+)\..+")} & set(UNITS))


@cases("isovem", topics)
def test_every_tensor_of_a_unit_is_reproduced(golden, case):
    with torch.no_grad():
        for name, ours in UNITS[case](golden):
            if name in golden:
                golden.check(name, ours, atol=tolerance(golden, name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@each("isovem", having=("units", "unit.grad"))
def test_loss_and_gradients_equal_the_released_network(golden, dtype):
    where = ("units", "unit.grad")
    text, net = golden.fact(*where, "case"), network(golden, dtype)
    (scale,) = golden.numbers(r"scale ([\d.]+)", *where, "case")
    video = golden.given(re.match(r"[\w.]+", text)[0]).to(dtype)
    net.zero_grad()
    loss = l1_ssim_loss(net(video, scale), golden.given("unit.grad.target").to(dtype))
    loss.backward()

    # The reference rounds its window to float32 in float64 runs too, which moves the loss by 4e-7.
    allowed = tolerance(golden, "unit.loss.total")
    golden.agree((*where, "loss_float64" if dtype == torch.float64 else "loss"), loss.item(), abs=allowed)
    golden.check("unit.grad.loss", loss.reshape(1), atol=allowed)
    words = tolerance(golden, "unit.grad.d_any")
    noise, share = (float(number) for number in re.fullmatch(r"([\d.]+) x .*, or ([\d.e-]+) x .*", words).groups())
    parameters, names = dict(net.named_parameters()), released_names(net)
    for name, entry in golden.fact(*where, "grads").items():
        gradient = parameters[names[name]].grad.reshape(golden.given(f"unit.grad.d_{name}").shape)
        atol = max(noise * entry["max_abs_diff_float32_vs_float64"], share * entry["max_abs"])
        golden.check(f"unit.grad.d_{name}", gradient, atol=atol)
