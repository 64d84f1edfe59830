"""`Stage`: one training stage of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vemrecon.methods.weight_choice import LAST, WeightChoice

if TYPE_CHECKING:
    from vemrecon.data.patches import Patches


@dataclass(frozen=True)
class Stage:
    """What learns, from what, and for how long.

    Attributes:
        name: Folder of the stage, such as `fit`.
        trains: Names of the submodules that learn; all others rest in evaluation mode.
        patches: What is learned from.
        budget: Number of batches.
        batch: Examples per batch over all devices.
        epoch: Batches between checkpoints and validations; a kill loses at most one epoch.
        validation: Patches that are scored after every epoch, or 0.
        recipe: All that decides the stage besides name, budget, batch, choice, data and seed, if other methods may have
            the same stage with the same names of what learns: then it is trained once for all of them.
        choice: Which weights are kept.
    """

    name: str
    trains: tuple[str, ...]
    patches: Patches
    budget: int
    batch: int
    epoch: int = 100
    validation: int = 32
    recipe: Mapping[str, Any] | None = None
    choice: WeightChoice = LAST

    @property
    def epochs(self) -> int:
        """Number of epochs; the budget is cut into equal ones."""
        return max(1, round(self.budget / self.epoch))

    @property
    def batches_per_epoch(self) -> int:
        """Batches in each of the equal epochs."""
        return max(1, round(self.budget / self.epochs))


def epoch_of(budget: int) -> int:
    """Batches between checkpoints: a twentieth of short trainings, a few hundred of long ones.

    >>> epoch_of(20), epoch_of(2000), epoch_of(50000)
    (1, 100, 500)
    """
    return max(1, min(500, budget // 20))
