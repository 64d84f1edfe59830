"""Weights released by the authors of a method, to the `weights.safetensors` that `reconstruct --weights` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import ConfigError, DataError, unknown

State = Mapping[str, Tensor]
Imported = tuple[dict[str, Any], dict[str, Tensor]]
"""Arguments of our method, and its tensors."""


def import_weights(method: str, file: Path, encoder: Path | None = None) -> Imported:
    """Read an authors' checkpoint.

    Args:
        method: Name of the method.
        file: State dict of the network, as torch or safetensors file.
        encoder: State dict of a separate encoder, for methods that have one.

    Raises:
        ConfigError: If there is no importer for the method, or the encoder is missing or not wanted.
        DataError: If a file is damaged, or a key is missing or left over.
    """
    if method not in IMPORTERS:
        raise unknown("method with an importer", method, IMPORTERS)
    return IMPORTERS[method](read_state(file), read_state(encoder) if encoder else None)


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint, without running any code that it may carry.

    Raises:
        DataError: If the file is missing or damaged, or holds something else than tensors.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling and safetensors have many
        raise DataError(
            f"{path}: damaged, or a whole pickled model; save its state_dict() where the authors' code is installed"
        ) from error
    for key in ("state_dict", "model", "params", "net"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{path}: holds no state dict")
    return {str(key).removeprefix("module."): value for key, value in found.items()}


def _vemamba(state: State, encoder: State | None) -> Imported:
    from vemrecon.methods.vemamba.method import LAYOUTS
    from vemrecon.methods.vemamba.released import import_encoder, import_network, network_options

    options = network_options(state)
    found = {key: options[key] for key in ("expansion", "feed_forward")}
    layouts = [name for name, layout in LAYOUTS.items() if dict(layout) == found]
    if not layouts:
        raise DataError(f"VEMamba: no layout with {found}; known are {', '.join(LAYOUTS)}")
    moco = options["embedding"] is not None
    if moco != (encoder is not None):
        advice = "needs its encoder too: give --encoder FILE" if moco else "has no encoder: leave --encoder out"
        raise ConfigError(f"VEMamba: this network {advice}")
    arguments = {
        "width": options["width"],
        "depths": list(options["depths"]),
        "state": options["state"],
        "layout": layouts[0],
        "moco": moco,
    }
    tensors = _prefixed("net", import_network(state).state_dict())
    if encoder is not None:
        contrast = import_encoder(encoder)
        arguments["moco_queue"] = contrast.queue.shape[1]
        tensors |= _prefixed("contrast", contrast.state_dict())
    return arguments, tensors


def _isovem(state: State, encoder: State | None) -> Imported:
    from vemrecon.methods.isovem.released import load_released, released_config

    if encoder is not None:
        raise ConfigError("IsoVEM has no encoder; leave --encoder out")
    config = released_config(state)
    arguments = {
        "window": list(config["window_size"]),
        "widths": list(config["embed_dims"]),
        "depths": list(config["depths"]),
        "network_scale": config["upscale"],
    }
    return arguments, _prefixed("net", load_released(state).state_dict())


def _cyclegan_ir(state: State, encoder: State | None) -> Imported:
    from torch import nn

    from vemrecon.methods.cyclegan_ir.released import generator_options, load_released

    if encoder is not None:
        raise ConfigError("CycleGAN-IR reconstructs with G_LR2HR alone; leave --encoder out")
    arguments = {"inference_only": True, **generator_options(state)}
    return arguments, _prefixed("net", load_released(state, nn.Identity()).state_dict())


def _emdiffuse(planes: list[str], state: State, encoder: State | None) -> Imported:
    from vemrecon.methods.emdiffuse.released import load_released, network_options, network_state

    if encoder is not None:
        raise ConfigError("vEMDiffuse has no encoder; leave --encoder out")
    arguments = {"planes": planes, "depth": "layer", "average": False, **network_options(network_state(state))}
    return arguments, _prefixed("net", load_released(state).state_dict())


def _irsde(state: State, encoder: State | None) -> Imported:
    from vemrecon.methods.irsde.released import load_released, network_options

    if encoder is not None:
        raise ConfigError("IRSDE has no encoder; leave --encoder out")
    arguments = {"registered": False, "average_every": 0, **network_options(state)}
    return arguments, _prefixed("net", load_released(state).state_dict())


def _prefixed(part: str, state: State) -> dict[str, Tensor]:
    return {f"{part}.{name}": value.detach().clone().contiguous() for name, value in state.items()}


IMPORTERS: Mapping[str, Callable[[State, State | None], Imported]] = {
    "vemamba": _vemamba,
    "isovem": _isovem,
    "cyclegan-ir": _cyclegan_ir,
    "irsde": _irsde,
    "emdiffuse-i": partial(_emdiffuse, ["xy"]),
    "emdiffuse-a": partial(_emdiffuse, ["xz"]),
}
