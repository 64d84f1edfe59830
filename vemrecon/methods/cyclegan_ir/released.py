"""Generators as the authors of CycleGAN-IR released them, strictly: every key is used, none is missing, every shape
fits.

Both generators have the same keys, so a file does not tell which one it is: `G_LR2HR` is the reconstruction network.
Its resampling has no weights, so a file fits every scale; it was trained at 10. No critics were released.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from vemrecon.errors import DataError
from vemrecon.methods.cyclegan_ir.generator import Generator

State = Mapping[str, Tensor]
FIRST_BLOCK = 3  # of the released list of layers, which begins with the resampling
PARTS = {"first": "conv_block.0", "second": "conv_block.2"}


def released_key(key: str) -> str:
    """The authors' name of one of our state-dict keys.

    >>> released_key("layers.0.weight"), released_key("layers.2.second.bias")
    ('model.1.weight', 'model.3.conv_block.2.bias')
    """
    _, number, *rest = key.split(".")
    return ".".join(["model", str(int(number) + 1), *(PARTS.get(part, part) for part in rest)])


def generator_options(state: State) -> dict[str, int]:
    """Width and blocks of a released generator.

    Raises:
        DataError: If it is none.
    """
    first = state.get("model.1.weight")
    if first is None or first.dim() != 4:
        raise DataError("not a generator of CycleGAN-IR: 'model.1.weight' is missing or has not four axes")
    blocks = {int(found[1]) for key in state if (found := re.match(r"model\.(\d+)\.conv_block\.", key))}
    return {"width": len(first), "blocks": max(blocks, default=FIRST_BLOCK - 1) - FIRST_BLOCK + 1}


def load_released(state: State, resample: nn.Module) -> Generator:
    """A generator with released weights.

    Raises:
        DataError: If keys are missing or left over, or have other shapes; the message lists the first few.
    """
    net = Generator(resample, **generator_options(state))
    own = net.state_dict()
    names = {released_key(key): key for key in own}
    problems = [f"{key} is missing" for key in names if key not in state]
    problems += [f"{key} is left over" for key in state if key not in names]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(own[ours].shape)}"
        for key, ours in names.items()
        if key in state and state[key].shape != own[ours].shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DataError(f"checkpoint of CycleGAN-IR does not fit: {'; '.join(problems[:5])}{more}")
    net.load_state_dict({ours: state[theirs] for theirs, ours in names.items()})
    return net
