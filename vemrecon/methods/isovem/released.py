"""Weights released by the authors of IsoVEM to ours and back, strictly.

The released checkpoints are whole pickled model objects; only their state dict is read here. To get it, load the
checkpoint where the authors' code is installed and save `model.state_dict()`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.methods.isovem.network import STAGES, IsoVEMNet
from vemrecon.nets.window_attention import WindowAttention

LISTED = 5  # names in a message
CODE_TOLERANCE = 1e-5  # position codes are sines of float32 angles

BLOCK_PARTS = {
    "attention.bias_table": "attn.relative_position_bias_table",
    "attention.qkv": "attn.qkv_self",
    "attention.mutual_qkv": "attn.qkv_mut",
    "attention.project": "attn.proj",
    "mlp.gate": "mlp.fc11",
    "mlp.value": "mlp.fc12",
    "mlp.out": "mlp.fc2",
}
PLAIN_PARTS = {
    "first": "conv_first",
    "widen.0": "stage8.0.1",
    "widen.1": "stage8.0.2",
    "narrow": "conv_after_body",
    "upsampler.first": "conv_before_upsample.0",
    "upsampler.last": "conv_last",
}
STAGE_PARTS = {
    "mutual_linear": "linear1",
    "plain_linear": "linear2",
    "resample.norm": "reshape.1",
    "resample.linear": "reshape.2",
    "resample": "reshape.1",
    "mutual": "residual_group1.blocks",
    "plain": "residual_group2.blocks",
}


def _replaced(key: str, parts: Mapping[str, str]) -> str:
    """The key with its leading part renamed, if the part is listed."""
    for ours, theirs in parts.items():
        if key == ours or key.startswith(f"{ours}."):
            return theirs + key[len(ours) :]
    return key


def released_key(key: str, doublings: int) -> str:
    """The authors' name of one of our state-dict keys.

    Args:
        key: Our key.
        doublings: Row shuffles of the network; each fills three places of the authors' list of layers.

    >>> released_key("stages.0.mutual.1.attention.qkv.weight", 3)
    'stage1.residual_group1.blocks.1.attn.qkv_self.weight'
    >>> released_key("upsampler.smooth.bias", 3)
    'upsample.9.bias'
    """
    if found := re.fullmatch(r"upsampler\.doublings\.(\d+)\.(\w+)", key):
        return f"upsample.{3 * int(found[1])}.{found[2]}"
    if key.startswith("upsampler.smooth."):
        return key.replace("upsampler.smooth", f"upsample.{3 * doublings}")
    if found := re.fullmatch(r"(stages|groups)\.(\d+)\.(.*)", key):
        place, rest = int(found[2]) + 1, found[3]
        if found[1] == "groups":
            prefix, rest = f"stage{STAGES + 1}.{place}", _replaced(rest, {"blocks": "residual_group.blocks"})
        else:
            prefix, rest = f"stage{place}", _replaced(rest, STAGE_PARTS)
        if block := re.fullmatch(r"(.*\.blocks\.\d+)\.(.*)", rest):
            rest = f"{block[1]}.{_replaced(block[2], BLOCK_PARTS)}"
        return f"{prefix}.{rest}"
    return _replaced(key, PLAIN_PARTS)


def released_names(net: IsoVEMNet) -> dict[str, str]:
    """The authors' name of every parameter to ours."""
    doublings = len(net.upsampler.doublings)
    return {released_key(key, doublings): key for key in net.state_dict()}


def _derived(net: IsoVEMNet) -> dict[str, Tensor]:
    """Buffers that the authors' state dict holds and that follow from the configuration."""
    buffers = {}
    doublings = len(net.upsampler.doublings)
    for name, module in net.named_modules():
        if isinstance(module, WindowAttention):
            prefix = released_key(f"{name}.bias_table", doublings).removesuffix("relative_position_bias_table")
            buffers[f"{prefix}relative_position_index"] = module.index
            if module.mutual:
                half = module.position.shape[1] // 2
                buffers[f"{prefix}position_bias"] = module.position[:, :half]
    return buffers


def to_released(net: IsoVEMNet) -> dict[str, Tensor]:
    """State dict with the authors' names and shapes (copies)."""
    state = net.state_dict()
    released = {theirs: state[ours].detach().clone() for theirs, ours in released_names(net).items()}
    # Convolutions inside a frame are three-dimensional there, with one frame.
    released = {key: value.unsqueeze(2) if value.dim() == 4 else value for key, value in released.items()}
    return released | {key: value.clone() for key, value in _derived(net).items()}


def _some(names: Iterable[str]) -> str:
    """The first few names, and how many there are."""
    names = sorted(names)
    return ", ".join(names[:LISTED]) + (f", ... ({len(names)} in all)" if len(names) > LISTED else "")


def from_released(state: Mapping[str, Tensor], net: IsoVEMNet) -> dict[str, Tensor]:
    """The authors' state dict as one for `net.load_state_dict`.

    Args:
        state: With the authors' names and shapes, all of them.
        net: Network of the same configuration; it is not changed.

    Raises:
        DataError: If a key is missing or left over, a shape is wrong, or a derived buffer is that of another window.
    """
    wanted = to_released(net)
    problems = []
    if missing := wanted.keys() - state.keys():
        problems.append(f"missing: {_some(missing)}")
    if left_over := state.keys() - wanted.keys():
        problems.append(f"left over: {_some(left_over)}")
    shared = sorted(wanted.keys() & state.keys())
    if wrong := [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in shared
        if state[key].shape != wanted[key].shape
    ]:
        problems.append(f"wrong shape: {_some(wrong)}")
    if not problems and (
        other := [
            key
            for key, value in _derived(net).items()
            if not torch.allclose(state[key].to(value).double(), value.double(), rtol=0, atol=CODE_TOLERANCE)
        ]
    ):
        problems.append(f"computed for another window: {_some(other)}")
    if problems:
        raise DataError(
            f"released IsoVEM weights do not fit window {net.window} and shuffle {net.upsampler.factor}: "
            f"{'; '.join(problems)}. released_config(state) tells the configuration of the weights."
        )
    names = released_names(net)
    own = net.state_dict()
    return {ours: state[theirs].reshape(own[ours].shape).clone() for theirs, ours in names.items()}


def released_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of `IsoVEMNet` that can be read off the authors' state dict.

    `upscale` is the power of two of the row shuffle: the scale of training is not stored. Neither are `qk_scale` and
    the rate of stochastic depth.

    Raises:
        DataError: If it is no state dict of IsoVEM.
    """
    try:
        return _config(state)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"not a released IsoVEM state dict ({len(state)} entries): {error!r}") from error


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Number of list entries below a prefix."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({found[1] for key in state if (found := pattern.match(key))})


def _frames(state: Mapping[str, Tensor], block: str, plane: int) -> int:
    """Temporal window of a block, from its bias table; `plane` is the number of relative positions in the plane."""
    return (len(state[f"{block}.attn.relative_position_bias_table"]) // plane + 1) // 2


def _config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    stages = [f"stage{i}" for i in range(1, STAGES + 1)]
    groups = [f"stage{STAGES + 1}.{i}" for i in range(1, _count(state, f"stage{STAGES + 1}."))]
    mutual = [_count(state, f"{stage}.residual_group1.blocks.") for stage in stages]
    plain = [_count(state, f"{stage}.residual_group2.blocks.") for stage in stages]
    code = state["stage1.residual_group1.blocks.0.attn.position_bias"][0]  # (rows * columns, channels)
    row_half = code[:, : code.shape[1] // 2]  # the same for all tokens of a row
    columns = int(((row_half - row_half[0]).abs() < CODE_TOLERANCE).all(dim=1).sum())
    rows = len(code) // columns
    plane = (2 * rows - 1) * (2 * columns - 1)
    frames = _frames(state, f"{stages[0]}.residual_group2.blocks.0", plane)
    blocks = [f"{stage}.residual_group1.blocks.0" for stage in stages]
    blocks += [f"{group}.residual_group.blocks.0" for group in groups]
    last = max(int(found[1]) for key in state if (found := re.match(r"upsample\.(\d+)\.", key)))
    gate = state["stage1.residual_group1.blocks.0.mlp.fc11.weight"]
    independent = [
        STAGES + i
        for i, group in enumerate(groups)
        if frames > 1 and _frames(state, f"{group}.residual_group.blocks.0", plane) == 1
    ]
    return {
        "upscale": 2 ** (last // 3),
        "in_chans": state["conv_first.weight"].shape[1],
        "out_chans": state["conv_last.weight"].shape[0],
        "window_size": (frames, rows, columns),
        "embed_dims": [len(state[f"{block}.norm1.weight"]) for block in blocks],
        "depths": [m + p for m, p in zip(mutual, plain, strict=True)]
        + [_count(state, f"{group}.residual_group.blocks.") for group in groups],
        "num_heads": [state[f"{block}.attn.relative_position_bias_table"].shape[1] for block in blocks],
        "mul_attn_ratio": max(m / (m + p) for m, p in zip(mutual, plain, strict=True)),  # the least that fits all
        "mlp_ratio": gate.shape[0] / gate.shape[1],
        "qkv_bias": "stage1.residual_group1.blocks.0.attn.qkv_self.bias" in state,
        "indep_reconsts": independent,
    }


def load_released(state: Mapping[str, Tensor]) -> IsoVEMNet:
    """Network with the authors' weights, its configuration taken from them.

    Raises:
        DataError: If the state dict is not exactly that of an IsoVEM network.
    """
    net = IsoVEMNet(**released_config(state))
    net.load_state_dict(from_released(state, net))
    return net
