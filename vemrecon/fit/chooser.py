"""`Chooser`: follows a `WeightChoice` while a stage is trained.

What it keeps is part of every checkpoint, so that weights, their batch and their number belong to the moment that the
training goes on from, whatever was killed or damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import unknown
from vemrecon.files import finite
from vemrecon.methods.stage import Stage
from vemrecon.methods.weight_choice import LAST, ChosenWeights

NOTHING_HELD_OUT = "nothing was held out to choose by"
NEVER_A_NUMBER = "no epoch gave a number to choose by"
TOO_SHORT = "the stage ended before the epochs that were to be averaged"


class Chooser:
    """Weights that a stage may keep, as far as it has gone.

    Args:
        stage: Says how they are chosen, and which parts learn.
        watched: Whether there are held-out patches.
    """

    def __init__(self, stage: Stage, watched: bool) -> None:
        self.stage, self.choice = stage, stage.choice
        self.watched = watched and self.choice.watches
        self.batch = self.batches = self.count = 0
        self.value: float | None = None
        self.latest: float | None = None
        self.weights: dict[str, Tensor] = {}

    def after_epoch(
        self, batch: int, numbers: Mapping[str, float], weights: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        """Look at what an epoch has made.

        Args:
            batch: That was the last one of the epoch.
            numbers: Of the held-out patches, the same on all devices.
            weights: Gives those of the parts that learn.

        Raises:
            ConfigError: If the number that is to be watched is not among them.
        """
        self.batches = batch
        if self.watched:
            if self.choice.of not in numbers:
                raise unknown(f"validation number of stage '{self.stage.name}'", self.choice.of, numbers)
            self.latest = numbers[self.choice.of]
            if self.choice.better(self.latest, self.value):
                self.batch, self.value = batch, self.latest
                if self.choice.keep == "best":
                    self.weights = {name: _copy(value) for name, value in weights().items()}
        first = (self.stage.epochs - self.choice.epochs) * self.stage.batches_per_epoch
        if self.choice.keep == "average" and batch > first:
            self.batch, self.count = batch, self.count + 1
            self.weights = {name: self._mean(name, value) for name, value in weights().items()}

    def _mean(self, name: str, value: Tensor) -> Tensor:
        """Of all epochs so far; counts and the like have none."""
        if name not in self.weights or not value.is_floating_point():
            return _copy(value)
        return self.weights[name].lerp(value.detach().cpu(), 1 / self.count)

    @property
    def over(self) -> bool:
        """Whether nothing has become better for longer than is waited for."""
        if not self.watched or self.choice.patience is None:
            return False
        return self.batches - self.batch > self.choice.patience * self.stage.batches_per_epoch

    def end(self, module: torch.nn.Module) -> ChosenWeights | None:
        """Give a module the weights that are kept, and say which ones; None where these are the last in any case."""
        if self.choice == LAST:
            return None
        if self.weights:
            module.load_state_dict({**module.state_dict(), **self.weights})
        reason, keep = self._reason(), self.choice.keep
        facts: dict[str, Any] = {"batches": self.batches, "reason": reason}
        if self.watched:
            facts |= {"of": self.choice.of, "last": finite(self.latest), "early": self._ended_early()}
        if reason or keep == "last":
            return ChosenWeights("last", self.batches, value=finite(self.latest), **facts)
        if keep == "average":
            return ChosenWeights("average", self.batch, epochs=self.count, **facts)
        return ChosenWeights("best", self.batch, value=finite(self.value), **facts)

    def _ended_early(self) -> bool:
        return self.over and self.batches < self.stage.epochs * self.stage.batches_per_epoch

    def _reason(self) -> str:
        """Why what was asked for was not possible."""
        if self.choice.watches and not self.watched:
            return NOTHING_HELD_OUT
        if self.choice.keep == "last" or self.weights:
            return ""
        return NEVER_A_NUMBER if self.watched else TOO_SHORT

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold; empty where nothing is chosen."""
        if self.choice == LAST:
            return {}
        return {name: getattr(self, name) for name in ("batch", "batches", "count", "value", "latest", "weights")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name, value in state.items():
            setattr(self, name, value)


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()
