"""Train a segmenter on true voxels; a killed training goes on where it stopped."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vemrecon.errors import DataError
from vemrecon.files import output_error
from vemrecon.kept import set_aside
from vemrecon.progress import Share
from vemrecon.seeding import derive
from vemrecon.segment.network import make_network, multiple, standardised
from vemrecon.segment.recipe import Recipe, patch_shape
from vemrecon.volume import VoxelSize
from vemrecon.volume.region import triple

SAVE_EVERY = 50
"""Batches from one checkpoint to the next."""


@dataclass(frozen=True)
class Example:
    """A true volume and what is to be found in it, shape (z, y, x) each."""

    grey: NDArray[np.float32]
    """In [0, 1]."""
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Trained:
    """A trained segmenter, and what its training took."""

    net: nn.Module
    batches: int
    seconds: float
    loss: float
    """Mean of the last tenth of the batches."""


def train(
    examples: Sequence[Example],
    recipe: Recipe,
    voxel_size: VoxelSize,
    checkpoint: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Share = lambda share: None,
) -> Trained:
    """Train a segmenter.

    Args:
        examples: What is learned from.
        recipe: Network, patches and rate.
        voxel_size: Of the examples.
        checkpoint: Where the training is kept; it goes on from there if there is one.
        seed: Decides initial weights and patches.
        device: Where to train.
        progress: Told the finished share.

    Raises:
        DataError: If there is nothing to learn: a mask is empty or full everywhere, or a volume is too small.
        OutputError: If the checkpoint cannot be written.
    """
    _check(examples, recipe, voxel_size)
    total = recipe.batches(sum(example.grey.size for example in examples))
    share = sum(int(example.mask.sum()) for example in examples) / sum(example.mask.size for example in examples)
    net, optimizer = _fresh(recipe, voxel_size, share, seed, device)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total) if recipe.falling else None
    parts: dict[str, Any] = {"net": net, "optimizer": optimizer, **({"schedule": schedule} if schedule else {})}
    first, seconds, losses = _resumed(checkpoint, parts, device)
    clock = time.perf_counter() - seconds
    net.train()
    for number in range(first, total):
        grey, mask = (t.to(device) for t in _batch(examples, recipe, voxel_size, seed, number))
        loss = binary_cross_entropy_with_logits(net(standardised(grey)), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule:
            schedule.step()
        losses.append(float(loss.detach()))
        if (number + 1) % SAVE_EVERY == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            _save(checkpoint, {**state, "done": number + 1, "seconds": time.perf_counter() - clock, "losses": losses})
        progress((number + 1) / total)
    return Trained(net.eval(), total, time.perf_counter() - clock, float(np.mean(losses[-max(1, total // 10) :])))


def _check(examples: Sequence[Example], recipe: Recipe, voxel_size: VoxelSize) -> None:
    if not any(example.mask.any() and not example.mask.all() for example in examples):
        raise DataError("a segmenter cannot learn: nothing is labelled in what it may learn from, or everything")
    for example in examples:
        if any(n < m for n, m in zip(example.grey.shape, multiple(recipe, voxel_size), strict=True)):
            raise DataError(f"a segmenter cannot learn from a volume of shape {example.grey.shape}: it is too small")


def _fresh(
    recipe: Recipe, voxel_size: VoxelSize, share: float, seed: int, device: str
) -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive(seed, "segmenter").integers(2**62)))
        net = make_network(recipe, voxel_size, share).to(device)
    return net, torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)


def _batch(
    examples: Sequence[Example], recipe: Recipe, voxel_size: VoxelSize, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Grey and mask (batch, 1, z, y, x) of a batch: places, mirroring, contrast and brightness by seed and number."""
    rng = derive(seed, "segmenter", number)
    within = triple([min(example.grey.shape[axis] for example in examples) for axis in range(3)])
    shape = patch_shape(recipe.voxels, multiple(recipe, voxel_size), voxel_size, within)
    sizes = np.array([example.grey.size for example in examples], dtype=float)
    pairs = []
    for _ in range(recipe.batch):
        example = examples[int(rng.choice(len(examples), p=sizes / sizes.sum()))]
        start = [int(rng.integers(n - m + 1)) for n, m in zip(example.grey.shape, shape, strict=True)]
        place = tuple(slice(a, a + m) for a, m in zip(start, shape, strict=True))
        grey = (example.grey[place] - 0.5) * (1 + 0.1 * rng.standard_normal()) + 0.5 + 0.04 * rng.standard_normal()
        pair = np.stack([grey, example.mask[place]]).astype(np.float32)
        pair = np.flip(pair, tuple(axis for axis in (1, 2, 3) if rng.random() < 0.5))
        if shape[1] == shape[2] and rng.random() < 0.5:
            pair = pair.swapaxes(2, 3)
        pairs.append(pair)
    batch = torch.from_numpy(np.stack(pairs))
    return batch[:, :1], batch[:, 1:]


def _resumed(checkpoint: Path, parts: dict[str, Any], device: str) -> tuple[int, float, list[float]]:
    if not checkpoint.exists():
        return 0, 0.0, []
    try:
        with zipfile.ZipFile(checkpoint) as file:  # its members have checksums
            damaged = file.testzip() is not None
        state = torch.load(checkpoint, map_location=device, weights_only=True)
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, RuntimeError):
        damaged = True
    if damaged:
        set_aside(checkpoint, "the segmenter is trained anew")
        return 0, 0.0, []
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["done"], state["seconds"], state["losses"]


def _save(checkpoint: Path, state: dict[str, Any]) -> None:
    part = checkpoint.with_suffix(".part")
    try:
        torch.save(state, part)
        part.replace(checkpoint)
    except (OSError, RuntimeError) as error:  # torch says both of a full disk
        raise output_error(checkpoint, error if isinstance(error, OSError) else OSError(str(error))) from error
