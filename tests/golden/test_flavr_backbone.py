"""The backbone of AENet and DGEAN against tensors made with FLAVR's code. Sizes and tolerances come from the file."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.d2r.backbone import Backbone
from vemrecon.methods.d2r.network import AENet

FILES = golden_cases("flavr_backbone")
RENAMED = (
    (r"^encoder\.stem\.0", "encoder.stem"),
    (r"^encoder\.layer(\d)", lambda found: f"encoder.layers.{int(found[1]) - 1}"),
    (r"\.conv1\.0", ".first"),
    (r"\.conv2\.0", ".second"),
    (r"\.fg\.attn_layer\.0", ".gate.linear"),
    (r"\.downsample\.0", ".shortcut"),
    (r"^decoder\.(\d)\.(?:up)?conv", r"decoder.steps.\1"),
    (r"\.1\.attn_layer\.0", ".1.linear"),
    (r"^feature_fuse\.conv\.0", "fuse"),
    (r"^outconv\.1", "last"),
)


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def our_name(key):
    for pattern, replacement in RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


def check(file, name, ours):
    facts, tensors = loaded(file)
    rule = facts["recommended_tolerance"]
    atol = rule["atol_per_tensor"].get(name, rule["atol_default"])
    torch.testing.assert_close(
        ours.float(), tensors[name].float(), rtol=rule["rtol"], atol=atol, msg=lambda text: f"{name}: {text}"
    )


def network(file):
    """AENet without depth is the plain backbone with the mean of the sections."""
    facts, tensors = loaded(file)
    net = AENet(facts["config"]["widths"], depth_mode="none", base="mean").eval()
    state = {our_name(key): tensors[f"state.{key}"] for key in facts["state"]}
    gates = {name for name in state if name.endswith("linear.weight")}  # 1 x 1 x 1 convolutions in the original
    state = {name: value.flatten(1) if name in gates else value for name, value in state.items()}
    net.backbone.load_state_dict(state)
    return net


@pytest.mark.parametrize("file", FILES)
def test_backbone_and_every_activation(file):
    net, (_, tensors) = network(file), loaded(file)
    backbone = net.backbone
    parts = {
        "inter.x_0": backbone.encoder.gate,
        "inter.gate_block1": backbone.encoder.layers[0][0].gate,
        "inter.block1": backbone.encoder.layers[0][0],
        "inter.fuse": backbone.fuse,
        "inter.outconv": backbone.last,
    }
    parts |= {f"inter.x_{i}": layer for i, layer in enumerate(backbone.encoder.layers, start=1)}
    parts |= {f"inter.dec{i}": step for i, step in enumerate(backbone.decoder.steps)}
    kept = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _m, _x, y, name=name: kept.__setitem__(name, y))
    frames = tensors["input.frames"]
    with torch.no_grad():
        output = net(frames, torch.zeros(len(frames)))
    check(file, "output.y", output)
    assert set(kept) == {name for name in tensors if name.startswith("inter.")}
    for name, value in kept.items():
        check(file, name, value)


@pytest.mark.parametrize("file", FILES)
def test_full_backbone_has_the_official_shapes(file):
    facts, _ = loaded(file)
    wanted = {our_name(key): tuple(shape) for key, shape in facts["full_size_state_shapes"].items()}
    net = Backbone()
    state = net.state_dict()
    assert state.keys() == wanted.keys()
    assert all(tuple(value.shape) == wanted[key][: value.dim()] for key, value in state.items())
    wanted_count = facts["full_size_parameter_counts"]["grey_no_encoder_bias"]
    assert sum(p.numel() for p in net.parameters()) == wanted_count == 42_036_481
