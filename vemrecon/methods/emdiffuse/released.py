"""Weights as the authors of vEMDiffuse released them, strictly: every key is used, none is missing, every shape fits.

A checkpoint holds the network under `denoise_fn.` and the schedule of its training, which is not needed; a second head,
if there is one, only served the training. It does not tell the scale, to which these networks are tied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.methods.emdiffuse.unet import NoiseUNet

State = Mapping[str, Tensor]
PREFIX, UNUSED = "denoise_fn.", "out_variance."
BUFFERS = frozenset(
    {
        "gammas",
        "sqrt_recip_gammas",
        "sqrt_recipm1_gammas",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    }
)


def network_state(state: State) -> dict[str, Tensor]:
    """Tensors of the network, under the names here."""
    found = {key.removeprefix(PREFIX): value for key, value in state.items() if key not in BUFFERS}
    return {key: value for key, value in found.items() if not key.startswith(UNUSED)}


def network_options(state: State) -> dict[str, Any]:
    """Width, multiples and blocks of a network, from the tensors of `network_state`.

    Raises:
        DataError: If it is none.
    """
    first = state.get("input_blocks.0.0.weight")
    if first is None or first.dim() != 4 or first.shape[1] != 3:
        raise DataError(
            "not a network of vEMDiffuse: 'input_blocks.0.0.weight' is missing or does not take three images "
            "(EMDiffuse-n and -r take two)"
        )
    widths = {}
    for key, value in state.items():
        if found := re.fullmatch(r"output_blocks\.(\d+)\.0\.in_layers\.2\.bias", key):
            widths[int(found[1])] = len(value)
    ups = sum(key.endswith(".1.in_layers.2.bias") for key in state if key.startswith("output_blocks."))
    blocks, rest = divmod(len(widths), ups + 1)
    if rest or blocks < 2 or sorted(widths) != list(range(len(widths))):
        raise DataError(f"not a network of vEMDiffuse: {len(widths)} decoder blocks for {ups + 1} levels")
    width = len(first)
    levels = [widths[i] for i in range(0, len(widths), blocks)]  # from the coarsest on
    return {"width": width, "multiples": [n // width for n in reversed(levels)], "blocks": blocks - 1}


def load_released(state: State) -> NoiseUNet:
    """A network with released weights.

    Raises:
        DataError: If keys are missing or left over, or have other shapes; the message lists the first few.
    """
    found = network_state(state)
    with torch.device("meta"):
        net = NoiseUNet(**network_options(found))
    own = net.state_dict()
    problems = [f"{key} is missing" for key in own if key not in found]
    problems += [f"{key} is left over" for key in found if key not in own]
    problems += [
        f"{key} has shape {tuple(found[key].shape)}, expected {tuple(value.shape)}"
        for key, value in own.items()
        if key in found and found[key].shape != value.shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DataError(f"checkpoint of vEMDiffuse does not fit: {'; '.join(problems[:5])}{more}")
    net.load_state_dict(found, assign=True)
    return net
