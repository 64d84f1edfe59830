"""Parts of IsoVEM against tensors made with the authors' code. Everything checked comes from the files."""

import itertools
import re

import torch
import torch.nn.functional as F
from golden_files import cases
from isovem_golden import network, tolerance
from isovem_inference import reconstruct_rotated, reconstruct_volume

from vemrecon.degradations import box_weights
from vemrecon.methods.eightfold import rotate, rotate_back
from vemrecon.methods.isovem.fusion import fuse, tile_starts
from vemrecon.methods.isovem.inpainting import inpaint_sections
from vemrecon.methods.isovem.released import (
    released_names,
)
from vemrecon.methods.isovem.resampling import shuffle_rows
from vemrecon.metrics.ms_ssim import VARIANTS, multiscale_similarity
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.losses import l1_ssim_loss, structural_similarity
from vemrecon.nets.windows import WindowMask, relative_index, shift_mask, sine_code

PLANES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # slices along z, y, x first


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
    repaired = inpaint_sections(stand_in, volume, sections, tile, overlap=overlap, blanked="none")
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
