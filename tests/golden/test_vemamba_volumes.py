"""Degradation, tiling, rotation and blending of VEMamba against tensors of the original parts."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import cases
from released_degradation import anisotropic_kernel, bicubic_resize, released_pipeline
from vemamba_golden import check, contrast_of, first_number, names_of, sections, under
from vemamba_inference import (
    ROTATIONS,
    enlarge,
    released_volume,
    rotate,
    rotate_back,
    stitch,
    tile_starts,
)

from vemrecon.degradations.released import blur, isotropic_kernel
from vemrecon.methods.vemamba.released import import_network


def each_section(volume, change):
    """Change every section of (1, 1, z, y, x)."""
    return torch.from_numpy(np.stack([change(image.double().numpy()) for image in volume[0, 0]]))[None, None]


@sections("degradation")
def test_degradation_of_the_release(golden, case):
    prefix = golden.facts[case]["prefix"]
    volume = golden.given(f"{prefix}input.volume")
    iso, aniso = golden.fact(case, "kernel_iso"), golden.fact(case, "kernel_aniso")
    kernel = isotropic_kernel(iso["size"], iso["sigma"])
    turned = anisotropic_kernel(aniso["size"], aniso["lambda_1"], aniso["lambda_2"], aniso["theta_degrees"])
    scale = int(golden.numbers(r"mean over (\d+)", case, "lr_released")[0])
    rounded = each_section(volume, lambda image: released_pipeline(image, kernel))
    observed = F.avg_pool3d(volume.double() / 255, (1, scale, 1))
    size = tuple(map(int, golden.numbers(r"\[(\d+), (\d+), (\d+)\]", case, "moco_resized")))
    ours = {
        "kernel_iso": torch.from_numpy(kernel)[None],
        "kernel_aniso": torch.from_numpy(turned)[None],
        "blur_iso": each_section(volume, lambda image: blur(image, kernel)),
        "blur_aniso": each_section(volume, lambda image: blur(image, turned)),
        "blur_round_clamp": rounded,
        "bicubic_half": each_section(volume, lambda image: bicubic_resize(image, 1 / 2)),
        "bicubic_quarter": each_section(volume, lambda image: bicubic_resize(image, 1 / 4)),
        "lr_released": observed,
        "lr_blurred": F.avg_pool3d(rounded / 255, (1, scale, 1)),
        "moco_resized": F.interpolate(observed, size=size, mode="trilinear", align_corners=False),
    }
    grey, unit = (golden.numbers(rf"([\d.e-]+)[a-z ]* on the 0..{top} scale", case, "tolerance")[0] for top in (255, 1))
    for name in (name for name in ours if f"{prefix}output.{name}" in golden):
        wanted = golden.expected(f"{prefix}output.{name}")
        assert ours[name].shape == wanted.shape, name
        error = (ours[name] - wanted).abs()
        if "round" in name or "blurred" in name:  # one level at a tie
            level = 1 if "round" in name else 1 / 255
            assert error.max() <= level + unit and (error > grey).float().mean() < 0.01, name
        else:
            assert error.max() <= (grey if wanted.max() > 2 else unit), name


@sections("inference")
def test_rotations(golden, case):
    prefix = golden.facts[case]["prefix"]
    volume = golden.given(f"{prefix}rotations_input")
    for rotation, wanted in zip(ROTATIONS, golden.expected(f"{prefix}rotations_output"), strict=True):
        assert torch.equal(rotate(volume, rotation), wanted)
        assert torch.equal(rotate_back(wanted, rotation), volume)


def tilings(golden):
    """Section and tiling of every list of tile centres."""
    return [(name, tiling) for name in names_of(golden, "inference") for tiling in golden.listed(name, "tile_centres")]


@cases("vemamba", tilings)
def test_tile_positions(golden, case):
    size, tile = (list(map(int, m.split(","))) for m in re.findall(r"\[(.*?)\]", case[1]))
    overlap = int(case[1].split()[-1])
    wanted = golden.expected_fact(case[0], "tile_centres", case[1])
    axes = [tile_starts(n, t, overlap) for n, t in zip(size, tile, strict=True)]
    assert [len(starts) for starts in axes] == wanted["counts"]
    centres = [[z, y, x] for z in axes[0] for y in axes[1] for x in axes[2]]
    assert [[i + t // 2 for i, t in zip(at, tile, strict=True)] for at in centres] == wanted["centres_zyx"]


@sections("inference")
def test_blending(golden, case):
    prefix, alone = golden.facts[case]["prefix"], golden.fact(case, "stitch_alone")
    layout = (alone["volume"], alone["tile"], alone["overlap"], alone["scale"])
    tiles = golden.given(f"{prefix}stitch_tiles")
    tolerance = first_number(golden, case, "tolerance", "stitched")

    exact = stitch(tiles, *layout, dtype=torch.float64)

    check(golden, f"{prefix}stitch_output_exact", exact, 1e-6)  # stored as float32
    for dtype in (torch.float16, torch.float32):
        golden.check(f"{prefix}stitch_output_float16", stitch(tiles, *layout, dtype=dtype), atol=tolerance)


@sections("inference")
def test_tiles_of_the_volume_are_blended_as_released(golden, case):
    prefix, tolerance = golden.facts[case]["prefix"], first_number(golden, case, "tolerance", "stitched")
    shape, tiles = golden.given(f"{prefix}input.volume_uint8").shape, golden.given(f"{prefix}output.tiles")
    layout = (golden.fact(case, name) for name in ("tile", "overlap", "scale"))
    whole = stitch(tiles, shape, *layout, torch.float16)
    golden.check(f"{prefix}output.stitched_float16", whole, atol=tolerance)


@sections("inference")
@torch.no_grad()
def test_released_inference(golden, case):
    prefix, moco = golden.facts[case]["prefix"], names_of(golden, "moco")
    if not moco:
        pytest.skip(f"{golden.path.name} stores no encoder for the embedding")
    net = import_network(under(golden, f"{prefix}state.")).eval()
    encoder = contrast_of(golden, moco[0], torch.float32).eval()
    volume, tile = golden.given(f"{prefix}input.volume_uint8"), golden.fact(case, "tile")
    overlap = golden.fact(case, "overlap")
    axis = "Z" if "along Z" in golden.fact(case, "embedding_rule") else "F"
    starts = [tile_starts(n, t, overlap) for n, t in zip(volume.shape, tile, strict=True)]
    positions = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]

    for at, wanted in zip(positions, golden.expected(f"{prefix}output.tiles"), strict=True):
        observed = volume[tuple(slice(i, i + t) for i, t in zip(at, tile, strict=True))].float()[None, None] / 255
        ours = enlarge(net, encoder, observed, ROTATIONS, axis)[0, 0]
        assert (ours - wanted).abs().max() <= first_number(golden, case, "tolerance", "tiles")
    result = released_volume(
        net, encoder, volume, tile, overlap, embedding_axis=axis, dtype=torch.float16, truncate=True
    )

    levels = (result.int() - golden.expected(f"{prefix}output.volume_uint8").int()).abs().max()
    assert levels <= first_number(golden, case, "tolerance", "uint8")
