"""LPIPS as the `lpips` package computes it, with the published weights of its networks and never with others.

The package brings the weights of its heads. Those of the networks below them are files in torch's cache, which only
`vemrecon fetch lpips` downloads. The package, and torchvision that it needs, are an extra.

Source: Zhang et al. 2018, doi:10.1109/CVPR.2018.00068; package lpips 0.1.4, heads of version 0.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.files import sha256_of

UNAVAILABLE = "LPIPS is not available"
"""How every reason begins."""
REMEDY = "`vemrecon fetch lpips` gets it or says how"


class PerceptualError(ConfigError):
    """LPIPS cannot be computed here; the message says why and what to do."""


@dataclass(frozen=True)
class Network:
    """A classifier of ImageNet whose layers LPIPS compares, and the file that holds its weights."""

    file: str
    sha256: str
    bytes: int
    shortest: int
    """Side of the smallest image that reaches the last layer."""

    @property
    def url(self) -> str:
        """Where its publisher keeps the file."""
        return f"https://download.pytorch.org/models/{self.file}"

    @property
    def path(self) -> Path:
        """Where torchvision and others keep it too, so that it is on a machine once."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file


NETWORKS = {
    "vgg": Network(
        "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553_433_881, 16
    ),
    "alex": Network(
        "alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", 244_408_911, 31
    ),
}
"""VGG16 and AlexNet, by the names that the package has for them."""


def missing_package() -> str:
    """Why the package cannot be imported, in the words of Python; empty if it can."""
    try:
        import lpips  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a torchvision of another torch fails late
        return " ".join(str(error).split())
    return ""


def obstacle(name: str) -> str:
    """Why LPIPS with a network cannot be computed here, in one line; empty if it can. Reads no weights."""
    if reason := missing_package():
        return f"{UNAVAILABLE}: its package cannot be imported ({reason}); {REMEDY}"
    if not NETWORKS[name].path.is_file():
        return f"{UNAVAILABLE}: the weights {NETWORKS[name].file} are not in torch's cache; {REMEDY}"
    return ""


def perceptual_distance(name: str, device: torch.device | str = "cpu") -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS with a network: a function of two batches of grey images (n, 1, y, x) in [0, 1] that gives n distances.

    Distances are at least 0, and 0 for identical images. Grey is repeated in three channels; nothing is resized.

    Args:
        name: Network out of `NETWORKS`.
        device: Where the function works.

    Raises:
        PerceptualError: If the package or the weights are missing, or the file is another one.
    """
    if reason := obstacle(name):
        raise PerceptualError(reason)
    import lpips

    # a training draws the same random numbers with LPIPS and without
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # of torchvision, about an argument that the package gives
        net = lpips.LPIPS(net=name, version="0.1", pnet_rand=True, verbose=False)  # random weights, replaced at once
    net.net.load_state_dict(_weights(NETWORKS[name], net.net.state_dict()))  # strict: none stays random
    net = net.eval().requires_grad_(False).to(device)

    def measure(a: Tensor, b: Tensor) -> Tensor:
        colours = [2 * images.expand(-1, 3, -1, -1) - 1 for images in (a, b)]
        result: Tensor = net(*colours)
        return result.flatten()

    return measure


def _weights(network: Network, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that the package gives them: `slice2.5.bias` is `features.5.bias` in the file."""
    if sha256_of(network.path) != network.sha256:
        raise PerceptualError(f"{UNAVAILABLE}: {network.path} is damaged or another file; remove it, and {REMEDY}")
    found = torch.load(network.path, map_location="cpu", weights_only=True)
    return {name: found[f"features.{name.partition('.')[2]}"] for name in wanted}
