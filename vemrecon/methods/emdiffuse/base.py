"""`NoiseMethod`: what methods with a noise U-Net share: the running average of its weights, its optimizer, samples."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch

from vemrecon.methods.average import update_average
from vemrecon.methods.emdiffuse.unet import NoiseUNet
from vemrecon.methods.rates import warmed
from vemrecon.methods.samples import SampledMethod

MOST = 0.9999  # of itself that the running average keeps


class NoiseMethod(SampledMethod):
    """A noise network `net`, and the running average of its weights, which reconstructs.

    Args:
        net: The network.
        samples: Reconstructions that are averaged; more than one give an uncertainty.
        learning_rate: Of Adam.
        warm_up: Batches until the learning rate is reached.
        cosine: Whether it falls to 0 then.
        average: Whether the running average reconstructs; otherwise the last weights.
        bf16: Whether the network computes in bfloat16.
    """

    correction: ClassVar[int] = 1
    in_batches: ClassVar[tuple[str, ...]] = ("budget", "warm_up")

    def __init__(
        self,
        net: NoiseUNet,
        *,
        samples: int,
        learning_rate: float,
        warm_up: int,
        cosine: bool,
        average: bool,
        bf16: bool,
    ) -> None:
        super().__init__()
        self.net = net
        self.average = copy.deepcopy(net).requires_grad_(False) if average else None
        self.samples, self.bf16 = samples, bf16
        self.learning_rate, self.warm_up, self.cosine = learning_rate, warm_up, cosine

    @property
    def best(self) -> NoiseUNet:
        """The network that reconstructs."""
        return self.net if self.average is None else self.average

    @property
    def learning(self) -> tuple[str, ...]:
        """Submodules that change in a training."""
        return ("net",) if self.average is None else ("net", "average")

    def parameter_count(self) -> int:
        """Of the network; its running average is a copy."""
        return sum(p.numel() for p in self.net.parameters())

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Adam, warmed up."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate)
        return warmed(optimizer, self.stage, self.warm_up, cosine=self.cosine)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the running average."""
        if self.average is not None:
            number = self.current_epoch * self.stage.batches_per_epoch + batch_idx + 1
            update_average(self.average, self.net, min(MOST, (1 + number) / (10 + number)))
