"""What Example does: it keeps sections, as `subsample` does, and lets the brightness of each of them vary a little."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vemrecon.degradations import Subsample
from vemrecon.degradations.degradation import Float32
from vemrecon.seeding import derive


@dataclass(frozen=True)
class Example(Subsample):
    """Kept sections, each brighter or darker by a random factor.

    Args:
        spread: Standard deviation of the factors.
    """

    spread: float = 0.05

    name: ClassVar[str] = "example"
    keeps_truth: ClassVar[bool] = False  # observed sections are not those of the truth any more

    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """A section gets the same factor however a volume is cut: it is derived from the seed and its number."""
        kept = super().apply(truth, start, first, last, n, seed)
        factors = [1 + self.spread * derive(seed, "brightness", k).standard_normal() for k in range(first, last)]
        return np.clip(kept * np.array(factors, np.float32)[:, None, None], 0, 1)
