"""`ImagePool`: earlier outputs of a generator, which its critic sees now and then in place of the newest ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

CAPACITY = 50


class Chance(Protocol):
    """What a pool asks of a random generator; numpy's have it."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def integers(self, high: int, /) -> int:
        """A whole number below `high`."""


class ImagePool:
    """Holds up to `capacity` images and no gradients. It has no random state: chance is handed in."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, chance: Chance) -> Tensor:
        """Show images to the pool, one after the other.

        While the pool fills, every image is stored and returned. Later half of them are stored in place of an older
        one, which is returned instead; the others are returned and not stored.

        Args:
            images: Shape (b, 1, rows, columns).
            chance: Decides; one draw for each image shown to a full pool, and a second where it is exchanged.

        Returns:
            As many images, detached.
        """
        shown = []
        for image in images.detach():
            if len(self.images) < self.capacity:
                self.images.append(image.clone())  # a view would keep its whole batch alive
                shown.append(image)
            elif chance.random() > 0.5:
                place = int(chance.integers(self.capacity))
                shown.append(self.images[place].to(image))
                self.images[place] = image.clone()
            else:
                shown.append(image)
        return torch.stack(shown)

    def state(self) -> list[Tensor]:
        """What a checkpoint keeps."""
        return [image.cpu() for image in self.images]

    def load(self, images: Sequence[Tensor]) -> None:
        """Go on with the images of a checkpoint."""
        self.images = list(images)
