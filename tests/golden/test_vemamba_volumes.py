"""Degradation, tiling, rotation and blending of VEMamba against tensors of the original parts."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from vemamba_golden import assert_close, contrast_of, first_number, read, sections, under

from vemrecon.degrade.released import anisotropic_kernel, bicubic_resize, blur, isotropic_kernel, released_pipeline
from vemrecon.methods.vemamba.encoder import contrastive_pair, embedding_input
from vemrecon.methods.vemamba.inference import (
    ROTATIONS,
    enlarge,
    released_volume,
    rotate,
    rotate_back,
    stitch,
    tile_starts,
)
from vemrecon.methods.vemamba.released import import_network


@sections("degradation")
def test_degradation_of_the_release(file, section):
    _, part, tensors = read(file, section)
    values = under(tensors, part["prefix"])
    sections_of_volume = values["input.volume"][0, 0].double().numpy()
    iso, aniso = part["kernel_iso"], part["kernel_aniso"]
    kernel = isotropic_kernel(iso["size"], iso["sigma"])
    turned = anisotropic_kernel(aniso["size"], aniso["lambda_1"], aniso["lambda_2"], aniso["theta_degrees"])
    scale = int(re.search(r"mean over (\d+)", part["lr_released"])[1])

    def each(change):
        return torch.from_numpy(np.stack([change(image) for image in sections_of_volume]))[None, None]

    def coarse(volume):
        return F.avg_pool3d(volume / 255, (1, scale, 1))

    rounded = each(lambda image: released_pipeline(image, kernel))
    observed = coarse(each(lambda image: image))
    size = tuple(map(int, re.search(r"\[(.*)\]", part["moco_resized"])[1].split(",")))
    resized = F.interpolate(observed, size=size, mode="trilinear", align_corners=False)
    ours = {
        "kernel_iso": torch.from_numpy(kernel)[None],
        "kernel_aniso": torch.from_numpy(turned)[None],
        "blur_iso": each(lambda image: blur(image, kernel)),
        "blur_aniso": each(lambda image: blur(image, turned)),
        "blur_round_clamp": rounded,
        "bicubic_half": each(lambda image: bicubic_resize(image, 1 / 2)),
        "bicubic_quarter": each(lambda image: bicubic_resize(image, 1 / 4)),
        "lr_released": observed,
        "lr_blurred": coarse(rounded),
        "moco_resized": resized,
    }
    grey, unit = (
        float(re.search(rf"([\d.e-]+)[a-z ]* on the 0..{top} scale", part["tolerance"])[1]) for top in (255, 1)
    )
    for name, wanted in under(values, "output.").items():
        error = (ours[name] - wanted).abs()
        assert ours[name].shape == wanted.shape, name
        if "round" in name or "blurred" in name:  # one level at a tie
            level = 1 if "round" in name else 1 / 255
            assert error.max() <= level + unit and (error > grey).float().mean() < 0.01, name
        else:
            assert error.max() <= (grey if wanted.max() > 2 else unit), name


def test_contrastive_pairs_are_resized_as_in_the_release():
    volume = torch.rand(1, 1, 16, 2, 16, generator=torch.Generator().manual_seed(0))

    query, key = contrastive_pair(volume, size=(16, 16, 16))

    resized = F.interpolate(volume, size=(16, 16, 16), mode="trilinear")
    assert torch.equal(query, embedding_input(resized)) and torch.equal(key, resized[:, 0, 8:])


@sections("inference")
def test_rotations(file, section):
    _, part, tensors = read(file, section)
    values = under(tensors, part["prefix"])
    volume = values["rotations_input"]
    for rotation, wanted in zip(ROTATIONS, values["rotations_output"], strict=True):
        assert torch.equal(rotate(volume, rotation), wanted)
        assert torch.equal(rotate_back(wanted, rotation), volume)


@sections("inference")
def test_tile_positions(file, section):
    _, part, _ = read(file, section)
    for name, wanted in part["tile_centres"].items():
        size, tile = (list(map(int, m.split(","))) for m in re.findall(r"\[(.*?)\]", name))
        overlap = int(name.split()[-1])
        axes = [tile_starts(n, t, overlap) for n, t in zip(size, tile, strict=True)]
        assert [len(starts) for starts in axes] == wanted["counts"]
        centres = [[z, y, x] for z in axes[0] for y in axes[1] for x in axes[2]]
        assert [[i + t // 2 for i, t in zip(at, tile, strict=True)] for at in centres] == wanted["centres_zyx"]


@sections("inference")
def test_blending(file, section):
    _, part, tensors = read(file, section)
    values, alone = under(tensors, part["prefix"]), part["stitch_alone"]
    layout = (alone["volume"], alone["tile"], alone["overlap"], alone["scale"])
    tolerance = first_number(part["tolerance"]["stitched"])

    exact = stitch(values["stitch_tiles"], *layout, dtype=torch.float64)

    assert_close(exact, values["stitch_output_exact"], 1e-6, "float64 accumulator")  # stored as float32
    for dtype in (torch.float16, torch.float32):
        error = (stitch(values["stitch_tiles"], *layout, dtype=dtype) - values["stitch_output_float16"]).abs().max()
        assert error <= tolerance, dtype
    volume = values["input.volume_uint8"]
    whole = stitch(values["output.tiles"], volume.shape, part["tile"], part["overlap"], part["scale"], torch.float16)
    assert (whole - values["output.stitched_float16"]).abs().max() <= tolerance


@sections("inference")
@torch.no_grad()
def test_released_inference(file, section):
    facts, part, tensors = read(file, section)
    values = under(tensors, part["prefix"])
    if "moco" not in facts:
        pytest.skip("the file stores no encoder for the embedding")
    net = import_network(under(values, "state.")).eval()
    encoder = contrast_of(facts["moco"], tensors, torch.float32).eval()
    volume, tile = values["input.volume_uint8"], part["tile"]
    axis = "Z" if "along Z" in part["embedding_rule"] else "F"
    starts = [tile_starts(n, t, part["overlap"]) for n, t in zip(volume.shape, tile, strict=True)]
    positions = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]

    for at, wanted in zip(positions, values["output.tiles"], strict=True):
        observed = volume[tuple(slice(i, i + t) for i, t in zip(at, tile, strict=True))].float()[None, None] / 255
        ours = enlarge(net, encoder, observed, ROTATIONS, axis)[0, 0]
        assert (ours - wanted).abs().max() <= first_number(part["tolerance"]["tiles"])
    result = released_volume(
        net, encoder, volume, tile, part["overlap"], embedding_axis=axis, dtype=torch.float16, truncate=True
    )

    levels = (result.int() - values["output.volume_uint8"].int()).abs().max()
    assert levels <= first_number(part["tolerance"]["uint8"])
