"""What the real `lpips` package needs to run without torchvision and without the network.

A module `torchvision` with the layers of its AlexNet and VGG16, and files of weights that are filled by the formula of
the golden file. Distances with such weights check the way through the package; they are no LPIPS scores.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vemrecon import perceptual

ALEXNET = ((3, 64, 11, 4, 2), "pool", (64, 192, 5, 1, 2), "pool", (192, 384, 3, 1, 1), (384, 256, 3, 1, 1),
           (256, 256, 3, 1, 1), "pool")  # fmt: skip
VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")


def alexnet(pretrained: bool = False) -> SimpleNamespace:
    assert not pretrained, "weights come from the file that was checked, never from torchvision"
    layers: list[nn.Module] = []
    for layer in ALEXNET:
        if isinstance(layer, str):
            layers.append(nn.MaxPool2d(3, 2))
        else:
            inside, outside, size, stride, padding = layer
            layers += [nn.Conv2d(inside, outside, size, stride, padding), nn.ReLU(inplace=True)]
    return SimpleNamespace(features=nn.Sequential(*layers))


def vgg16(pretrained: bool = False) -> SimpleNamespace:
    assert not pretrained, "weights come from the file that was checked, never from torchvision"
    layers: list[nn.Module] = []
    inside = 3
    for outside in VGG16:
        if isinstance(outside, str):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(inplace=True)]
            inside = outside
    return SimpleNamespace(features=nn.Sequential(*layers))


MODELS = {"alex": alexnet, "vgg": vgg16}


def formula_weights(name: str) -> dict[str, torch.Tensor]:
    """Convolutions in their order from one RandomState(0): normal, times sqrt(2 / fan in); biases 0."""
    draw = np.random.RandomState(0)
    weights = {}
    for key, value in MODELS[name]().features.state_dict().items():
        if key.endswith("weight"):
            normal = draw.standard_normal(tuple(value.shape)) * np.sqrt(2 / value[0].numel())
            value = torch.from_numpy(normal.astype(np.float32))
        else:
            value = torch.zeros_like(value)
        weights[f"features.{key}"] = value
    return {**weights, "classifier.1.weight": torch.ones(1)}  # the files hold more than LPIPS needs


def loaded_parts() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "lpips"]


def with_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package above the stand-in; the test skips where the package is not installed."""
    for name in loaded_parts():
        monkeypatch.delitem(sys.modules, name)
    models = ModuleType("torchvision.models")
    vars(models).update(alexnet=alexnet, vgg16=vgg16)
    torchvision = ModuleType("torchvision")
    vars(torchvision).update(models=models)
    with monkeypatch.context() as meanwhile:  # no longer: other packages would take it for the real torchvision
        meanwhile.setitem(sys.modules, "torchvision", torchvision)
        meanwhile.setitem(sys.modules, "torchvision.models", models)
        pytest.importorskip("lpips", reason="needs the lpips package: `make` installs it, without torchvision")
    for name in loaded_parts():  # known to monkeypatch, so that the next test does not find it
        monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))


def without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install --no-deps lpips` leaves; without the package the reason is another one."""
    for name in loaded_parts():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)


def empty_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make a folder torch's cache; gives the place of weights in it."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return folder / "hub" / "checkpoints"


def put_weights(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Put files with weights by the formula into a cache, and let them count as the published ones."""
    checkpoints = empty_cache(monkeypatch, folder)
    checkpoints.mkdir(parents=True, exist_ok=True)
    for name in names:
        network = perceptual.NETWORKS[name]
        if not (path := checkpoints / network.file).exists():
            torch.save(formula_weights(name), path, _use_new_zipfile_serialization=False)  # as the published ones
        data = path.read_bytes()
        known = replace(network, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        monkeypatch.setitem(perceptual.NETWORKS, name, known)
