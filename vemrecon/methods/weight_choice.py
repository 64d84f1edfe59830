"""`WeightChoice`: which weights a stage keeps, and when it ends early. `ChosenWeights`: which ones it has kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from vemrecon.errors import ConfigError, unknown

Keep = Literal["last", "best", "average"]


@dataclass(frozen=True)
class WeightChoice:
    """Which weights a stage keeps, and when it ends before its budget.

    Attributes:
        keep: The `last` ones; the `best` ones, by a number that held-out patches give after every epoch; or the
            `average`, the mean of the weights after each of the last epochs.
        of: That number, as `Method.validate` names it.
        higher: Whether more of it is better.
        patience: Epochs without a better number that are still waited for; the stage ends with one more. None to learn
            as long as the budget lasts.
        epochs: How many are averaged.
    """

    keep: Keep = "last"
    of: str = "psnr"
    higher: bool = True
    patience: int | None = None
    epochs: int = 5

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise unknown("choice of weights", self.keep, get_args(Keep))
        if self.patience is not None and self.patience < 0:
            raise ConfigError(f"patience {self.patience}: a number of epochs, from 0 on")
        if self.keep == "average" and self.patience is not None:
            raise ConfigError("the average is that of the last epochs of a whole stage: leave out the patience")
        if self.epochs < 1:
            raise ConfigError(f"the average of {self.epochs} epochs: at least 1")

    @property
    def chooses(self) -> bool:
        """Whether other weights may be kept than those after the last batch of the budget."""
        return self.keep != "last" or self.patience is not None

    @property
    def watches(self) -> bool:
        """Whether it needs a number of held-out patches."""
        return self.keep == "best" or self.patience is not None

    def better(self, value: float, than: float | None) -> bool:
        """Whether a number beats another one, or is the first; NaN beats none, and equal ones do not."""
        if than is None:
            return value == value
        return value > than if self.higher else value < than


LAST = WeightChoice()
CHOICE: Final = "choice"
"""Constructor argument of methods that says what is kept, and decides nothing else."""
PATIENCE: Final = "patience"
"""Constructor argument of methods that says what `WeightChoice.patience` is."""


def watches(arguments: Mapping[str, Any]) -> bool:
    """Whether arguments of a method make what it learns depend on held-out patches.

    >>> watches({"distil": {"choice": "best"}}), watches({"choice": "average", "patience": None})
    (True, False)
    """
    inner = [value for value in arguments.values() if isinstance(value, Mapping)]
    return arguments.get(CHOICE) == "best" or arguments.get(PATIENCE) is not None or any(map(watches, inner))


@dataclass(frozen=True)
class ChosenWeights:
    """Weights that a stage has kept.

    Attributes:
        keep: How they were chosen.
        batch: After which they were learned; of an average, the last one.
        batches: Of the whole stage, as far as it went.
        of: Number of held-out patches that was watched; None where none was.
        value: That number after `batch`.
        last: The same after all batches.
        epochs: Whose weights are averaged.
        early: Whether the stage ended because nothing had become better for long.
        reason: Why the choice that was asked for was not followed.
    """

    keep: Keep
    batch: int
    batches: int
    of: str | None = None
    value: float | None = None
    last: float | None = None
    epochs: int = 1
    early: bool = False
    reason: str = ""

    @property
    def text(self) -> str:
        """In words.

        >>> ChosenWeights("best", 1200, 1500, "psnr", 27.314, 27.2).text
        'best validation psnr (27.31) at batch 1200 of 1500, 27.20 at the last'
        >>> ChosenWeights("last", 1500, 1500, reason="nothing was held out to choose by").text
        'last, batch 1500: nothing was held out to choose by'
        """
        if self.keep == "best":
            number = "" if self.value is None else f" ({self.value:#.4g})"
            words = f"best validation {self.of}{number} at batch {self.batch} of {self.batches}"
            words += f", {self.last:#.4g} at the last" if self.last is not None and self.batch < self.batches else ""
        elif self.keep == "average":
            words = f"average of the last {self.epochs} epochs, up to batch {self.batches}"
        else:
            words = f"last, batch {self.batches}"
        words += ", ended early" if self.early else ""
        return f"{words}: {self.reason}" if self.reason else words
