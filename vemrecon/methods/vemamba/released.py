"""Checkpoints of the authors of VEMamba, strictly: every key is used, none is missing, every shape fits.

The layout (width, depths, scale, feed-forward, conditioning) is read from the checkpoint itself. The release had no
trained weights when this was written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vemrecon.errors import DataError
from vemrecon.methods.vemamba.encoder import MomentumContrast
from vemrecon.methods.vemamba.network import VEMambaNet

State = Mapping[str, Tensor]

Names = list[tuple[str, str]]
BLOCK = "body.0.blocks.0."

# Part of a released key, and ours; the first rules are the special ones.
NETWORK_NAMES: Names = [
    ("first_conv.0.", "first_conv."),
    *((f"ln_{i}.kernel.0.", f"norm_{i}.map.") for i in (1, 2)),
    *((f"ln_{i}.", f"norm_{i}.") for i in (1, 2)),
    *((f"skip_scale{i}", f"skip_{i}") for i in (1, 2)),
    ("mamba3d.conv3d.", "mamba.conv."),
    ("mamba3d.out_norm.", "mamba.norm."),
    *((f"mamba3d.fusion{i}.", f"mamba.fusions.{i - 1}.") for i in (1, 2)),
    *((f"mamba3d.x_proj_weight_s{i}", f"mamba.scans.{i - 1}.x_proj") for i in (1, 2)),
    *((f"mamba3d.dt_projs_weight_s{i}", f"mamba.scans.{i - 1}.dt_proj") for i in (1, 2)),
    *((f"mamba3d.dt_projs_bias_s{i}", f"mamba.scans.{i - 1}.dt_bias") for i in (1, 2)),
    *((f"mamba3d.A_logs_s{i}", f"mamba.scans.{i - 1}.a_log") for i in (1, 2)),
    *((f"mamba3d.Ds_s{i}", f"mamba.scans.{i - 1}.skip") for i in (1, 2)),
    ("mamba3d.", "mamba."),
    ("conv_blk.conv.conv_constant", "ffn.conv.impulse"),
    ("conv_blk.conv.conv.", "ffn.conv."),
    ("conv_blk.", "ffn."),
]
ENCODER_NAMES: Names = [
    *((f"encoder_{x[0]}.E.", f"{x}.features.") for x in ("query", "key")),
    *((f"encoder_{x[0]}.mlp.", f"{x}.head.") for x in ("query", "key")),
    ("queue_ptr", "pointer"),
]


def renamed(key: str, names: Names) -> str:
    """Our name of a released key."""
    for theirs, ours in names:
        key = key.replace(theirs, ours)
    return key


def network_options(state: State) -> dict[str, Any]:
    """Arguments of `VEMambaNet` that fit a released checkpoint.

    Raises:
        DataError: If a key that tells the layout is missing or has an unexpected number of axes.
    """

    def shape(key: str, axes: tuple[int, ...]) -> tuple[int, ...]:
        if key not in state or state[key].dim() not in axes:
            found = f"with shape {tuple(state[key].shape)}" if key in state else "missing"
            raise DataError(f"not a checkpoint of VEMamba: {key} is {found}; expected {axes} axes")
        return tuple(state[key].shape)

    width = shape("first_conv.0.weight", (5,))[0]
    blocks = {tuple(map(int, m.groups())) for key in state if (m := re.match(r"body\.(\d+)\.blocks\.(\d+)\.", key))}
    groups = max((group for group, _ in blocks), default=-1) + 1
    layers = sorted(int(m[1]) for key in state if (m := re.fullmatch(r"upsample\.(\d+)\.weight", key)))
    fc1 = shape(BLOCK + "conv_blk.fc1.weight", (2, 5))
    kernel = BLOCK + "ln_1.kernel.0.weight"
    return {
        "scale": math.prod(shape(f"upsample.{i}.weight", (5,))[0] // width for i in layers[:-1]),
        "width": width,
        "depths": tuple(sum(group == g for group, _ in blocks) for g in range(groups)),
        "state": shape(BLOCK + "mamba3d.A_logs_s1", (2,))[1],
        "expansion": shape(BLOCK + "mamba3d.in_proj.weight", (2,))[0] / 2 / width,
        "feed_forward": "linear" if len(fc1) == 2 else "conv",
        "feed_forward_expansion": fc1[0] / width,
        "embedding": shape(kernel, (2,))[1] if kernel in state else None,
    }


def load_strictly(module: nn.Module, state: State, names: Names) -> None:
    """Fill a module from released keys.

    Raises:
        DataError: If keys are missing, left over, twice there, or have other shapes; the message lists the first few.
    """
    wanted = module.state_dict()
    released = {renamed(key, names): key for key in state}
    problems = [f"{key} is missing" for key in wanted if key not in released]
    problems += [f"{theirs} is left over" for ours, theirs in released.items() if ours not in wanted]
    problems += [f"{key} stands for the same as another key" for key in set(state) - set(released.values())]
    problems += [
        f"{theirs} has shape {tuple(state[theirs].shape)}, expected {tuple(wanted[ours].shape)}"
        for ours, theirs in released.items()
        if ours in wanted and state[theirs].shape != wanted[ours].shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DataError(f"checkpoint of VEMamba does not fit: {'; '.join(problems[:5])}{more}")
    module.load_state_dict({ours: state[theirs] for ours, theirs in released.items()})


def import_network(state: State) -> VEMambaNet:
    """The network of a released state dict."""
    net = VEMambaNet(**network_options(state))
    load_strictly(net, state, NETWORK_NAMES)
    return net


def import_encoder(state: State, momentum: float = 0.999, temperature: float = 0.07) -> MomentumContrast:
    """The degradation encoder, its key encoder and its queue from a released state dict."""
    if "queue" not in state or state["queue"].dim() != 2:
        raise DataError("not a checkpoint of VEMamba's degradation encoder: 'queue' is missing or is not a matrix")
    contrast = MomentumContrast(state["queue"].shape[1], momentum, temperature)
    load_strictly(contrast, state, ENCODER_NAMES)
    return contrast
