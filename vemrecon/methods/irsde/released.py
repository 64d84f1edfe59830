"""Released weights of both noise networks: their names, and the arguments of the network that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vemrecon.errors import DataError
from vemrecon.methods.irsde.nafnet import NAFNet
from vemrecon.methods.irsde.unet import UNet


def our_name(name: str) -> str:
    """The name here of a released tensor: attention is one module here, and two wrappers around it there.

    >>> our_name("downs.0.2.fn.fn.to_qkv.weight"), our_name("downs.0.2.fn.norm.g"), our_name("intro.bias")
    ('downs.0.2.to_qkv.weight', 'downs.0.2.norm.g', 'intro.bias')
    """
    return name.replace(".fn.fn.", ".").replace(".fn.norm.", ".norm.")


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under the names here."""
    return {our_name(name): value for name, value in state.items()}


def network_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of `IRSDE` for released weights.

    Raises:
        DataError: If they belong to neither network.
    """

    def count(pattern: str) -> int:
        found = (re.match(pattern, name) for name in state)
        return 1 + max((int(match[1]) for match in found if match), default=-1)

    if "intro.weight" in state:
        return {
            "network": "nafnet",
            "width": state["intro.weight"].shape[0],
            "encoder": [count(rf"encoders\.{level}\.(\d+)\.") for level in range(count(r"downs\.(\d+)\."))],
            "middle": count(r"middle_blks\.(\d+)\."),
            "decoder": [count(rf"decoders\.{level}\.(\d+)\.") for level in range(count(r"ups\.(\d+)\."))],
        }
    if "init_conv.weight" in state:
        return {"network": "unet", "width": state["init_conv.weight"].shape[0], "depth": count(r"downs\.(\d+)\.")}
    raise DataError("IRSDE: these are weights of neither noise network (intro.weight and init_conv.weight are missing)")


def load_released(state: Mapping[str, Tensor]) -> nn.Module:
    """The network with released weights.

    Raises:
        DataError: If a tensor is missing, left over or of another shape.
    """
    options = network_options(state)
    kind = {"nafnet": NAFNet, "unet": UNet}[options.pop("network")]
    try:
        net: nn.Module = kind(**options)
        net.load_state_dict(from_released(state))
    except (RuntimeError, ValueError) as error:
        raise DataError(f"IRSDE: {' '.join(str(error).split())}") from error
    return net
