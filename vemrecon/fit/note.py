"""`Note`: how a stage goes, in a few words beside its bar."""

from __future__ import annotations

from collections.abc import Mapping

MEMORY = 0.98  # of the loss: about the last 50 batches


class Note:
    """The loss, smoothed over some fifty batches, and the latest PSNR of held-out patches.

    Args:
        held_out: What that PSNR is of. It is not the score of a reconstruction, and must not be taken for it.
    """

    def __init__(self, held_out: str) -> None:
        self.held_out = held_out
        self.name, self.total, self.weight = "", 0.0, 0.0
        self.psnr: float | None = None

    def add(self, losses: Mapping[str, float]) -> None:
        """Numbers of a batch, of which `loss` or the first is followed."""
        self.name = "loss" if "loss" in losses else next(iter(losses))
        self.total = MEMORY * self.total + (1 - MEMORY) * losses[self.name]
        self.weight = MEMORY * self.weight + (1 - MEMORY)

    def __str__(self) -> str:
        words = [f"{self.name} {self.total / self.weight:.4g}"] if self.weight else []
        words += [f"{self.held_out} {self.psnr:.2f} dB"] if self.psnr is not None else []
        return ", ".join(words)
