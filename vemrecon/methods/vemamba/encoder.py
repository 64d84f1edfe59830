"""Degradation embedding of VEMamba: a small encoder of sections, trained by momentum contrast (MoCo).

Source: arXiv:2603.00887 and its released code; He et al. 2020, arXiv:1911.05722, for queue and momentum.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.errors import ConfigError
from vemrecon.nets.shared_batch import SharedBatchNorm2d, sharing, whole_batch

SECTIONS = 8  # the sections are the channels of the encoder
EMBEDDING = 128


def reflected(count: int, length: int) -> list[int]:
    """Indices 0 .. count - 1, mirrored at the last sample of an axis without repeating it.

    >>> reflected(8, 3)
    [0, 1, 2, 1, 0, 1, 2, 1]
    """
    period = max(2 * (length - 1), 1)
    return [min(i % period, period - i % period) if length > 1 else 0 for i in range(count)]


def embedding_input(volume: Tensor, first: int = 0) -> Tensor:
    """What the encoder sees of a volume: eight sections along F, as channels.

    Args:
        volume: Shape (b, 1, F, h, W), in model order.
        first: Index of the first section; volumes that end before the eighth from there are mirrored.

    Returns:
        Shape (b, 8, h, W).

    Raises:
        ConfigError: If there is no section from there on.
    """
    rest = volume[:, 0, first:]
    if not rest.shape[1]:
        raise ConfigError(
            f"VEMamba's encoder needs sections {first} to {first + SECTIONS - 1} along F, got a volume of shape "
            f"{tuple(volume.shape)}"
        )
    return rest[:, :SECTIONS] if rest.shape[1] >= SECTIONS else rest[:, reflected(SECTIONS, rest.shape[1])]


class DegradationEncoder(nn.Module):
    """Eight sections to an embedding of 128 numbers, and on to the projection that is contrasted."""

    def __init__(self) -> None:
        super().__init__()
        widths = (SECTIONS, 32, 32, 64, 64, EMBEDDING, EMBEDDING)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if i in (2, 4) else 1
            layers += [nn.Conv2d(before, after, 3, stride, 1), SharedBatchNorm2d(after), nn.LeakyReLU(0.1)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.LeakyReLU(0.1), nn.Linear(EMBEDDING, EMBEDDING))

    def forward(self, sections: Tensor) -> Tensor:
        """Embedding (b, 128) of sections (b, 8, y, x) of any size, not normalised."""
        return self.features(sections).mean((2, 3))

    def project(self, embedding: Tensor) -> Tensor:
        """Unit projection (b, 128) of an embedding."""
        return F.normalize(self.head(embedding), dim=1)


class MomentumContrast(nn.Module):
    """Query encoder, slowly following key encoder, and a queue of past keys.

    Args:
        queue: Number of past keys; a multiple of the batch size.
        momentum: Share of itself that the key encoder keeps in a step.
        temperature: Divides the similarities.
    """

    queue: Tensor
    pointer: Tensor

    def __init__(self, queue: int = 4096, momentum: float = 0.999, temperature: float = 0.07) -> None:
        super().__init__()
        self.momentum, self.temperature = momentum, temperature
        self.query = DegradationEncoder()
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(EMBEDDING, queue), dim=0))  # one key per column
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))

    def forward(self, sections: Tensor) -> Tensor:
        """Embedding (b, 128) of sections (b, 8, y, x), from the query encoder."""
        return self.query(sections)

    def contrast(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """One contrastive step: logits to minimise with `losses.contrast_loss`, and the embedding of the query.

        In this order: project the query, move the key encoder, project the key, compare with the queue as it was, put
        the keys into the queue. The norms of the key encoder see batches as those of the query encoder do.

        Args:
            query: Sections (b, 8, y, x).
            key: Other sections of the same crops.

        Returns:
            Logits (b, 1 + queue), the matching key first, and the embedding (b, 128).

        Raises:
            ConfigError: If the batch does not divide the queue.
        """
        length, batch = self.queue.shape[1], len(query) * sharing()
        if length % batch:
            raise ConfigError(f"VEMamba: a queue of {length} keys is no multiple of the batch size {batch}")
        embedding = self.query(query)
        q = self.query.project(embedding)
        with torch.no_grad():
            self.key.train(self.query.training)  # also if a runner put what does not learn in evaluation mode
            for ours, theirs in zip(self.key.parameters(), self.query.parameters(), strict=True):
                ours.mul_(self.momentum).add_(theirs, alpha=1 - self.momentum)
            k = self.key.project(self.key(key))
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ self.queue.clone()], dim=1) / self.temperature
        with torch.no_grad():
            start = int(self.pointer)
            self.queue[:, start : start + batch] = whole_batch(k).T
            self.pointer[0] = (start + batch) % length
        return logits, embedding
