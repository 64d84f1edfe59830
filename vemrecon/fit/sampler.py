"""Which patches a device gets: every batch is the same set of patches, however many devices share it."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler


class StridedSampler(Sampler[int]):
    """Numbers of the patches of one epoch for one device: of each global batch, those at rank, rank + world, ...

    Automatic distributed samplers shuffle and repeat, so that two devices would learn from other data than one.
    """

    def __init__(self, batches: int, batch: int, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise ValueError(f"a global batch of {batch} cannot be shared by {world} devices")
        self.batches, self.batch, self.rank, self.world = batches, batch, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer at the start of every epoch, also after a restart."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * self.batch // self.world

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.batches * self.batch
        for number in range(self.batches):
            start = first + number * self.batch
            yield from range(start + self.rank, start + self.batch, self.world)
