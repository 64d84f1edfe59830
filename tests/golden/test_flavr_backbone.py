"""The backbone of AENet and DGEAN against tensors made with FLAVR's code. Sizes and tolerances come from the file."""

import re

import torch
from golden_files import each

from vemrecon.methods.d2r.backbone import Backbone
from vemrecon.methods.d2r.network import AENet

FILES = each("flavr_backbone")
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


def our_name(key):
    for pattern, replacement in RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


def network(golden):
    """AENet without depth is the plain backbone with the mean of the sections."""
    config = golden.fact("config")  # what else it says is so in our backbone, or the weights would not fit
    net = AENet(config["widths"], depth_mode="none", base="mean").eval()
    state = {our_name(key): value for key, value in golden.below("state.").items()}
    gates = {name for name in state if name.endswith("linear.weight")}  # 1 x 1 x 1 convolutions in the original
    state = {name: value.flatten(1) if name in gates else value for name, value in state.items()}
    net.backbone.load_state_dict(state)
    return net


@FILES
def test_backbone_and_every_activation(golden):
    net = network(golden)
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
    frames = golden.given("input.frames")
    with torch.no_grad():
        output = net(frames, torch.zeros(len(frames)))
    golden.check("output.y", output)
    for name, value in kept.items():
        golden.check(name, value)


@FILES
def test_full_backbone_has_the_official_shapes(golden):
    wanted = {our_name(key): tuple(shape) for key, shape in golden.expected_fact("full_size_state_shapes").items()}
    widths = [wanted[f"encoder.layers.{i}.1.second.weight"][0] for i in range(4)]
    net = Backbone(widths, planes=wanted["encoder.stem.weight"][1])
    state = net.state_dict()
    assert state.keys() == wanted.keys()
    assert all(tuple(value.shape) == wanted[key][: value.dim()] for key, value in state.items())
    count = sum(p.numel() for p in net.parameters())
    golden.agree(("full_size_parameter_counts", "grey_no_encoder_bias"), count)
