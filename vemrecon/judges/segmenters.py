"""The segmenter of a dataset: trained once, kept beside the runs, and the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.environment import environment
from vemrecon.files import digest_of, make_folder, sha256_of, slug
from vemrecon.judges.labelled import SegmentationAt
from vemrecon.kept import read_mark, set_aside, write_mark
from vemrecon.locks import exclusive
from vemrecon.progress import Share
from vemrecon.segment.pretrained import Plugged, finds, obstacle_of
from vemrecon.segment.recipe import Recipe, recipe
from vemrecon.volume import Region, Volume, VoxelSize

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Plugged", "Segmenter", "finds", "obstacle_of", "segmenter"]

PATIENCE = 7 * 24 * 3600
"""Seconds to wait for another run that trains the same segmenter."""


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter."""

    net: nn.Module
    recipe: Recipe
    voxel_size: VoxelSize
    facts: dict[str, Any]
    """What it is and how it was trained, for the report."""

    @property
    def identity(self) -> list[Any]:
        """What decides what it finds."""
        return [self.facts["weights_sha256"]]

    def probability(self, volume: Volume, region: Region, device: str, progress: Share) -> NDArray[np.float16]:
        """Probability of what it finds, in every voxel of a region of a volume; nothing outside the region is seen."""
        from vemrecon.segment.network import predict

        part = volume.crop(region)
        return predict(self.net, self.recipe, self.voxel_size, part.read, part.shape, device=device, progress=progress)

    @staticmethod
    def instances(probability: NDArray[np.floating], voxel_size: VoxelSize) -> NDArray[np.int32]:
        """Neurons between membranes."""
        from vemrecon.segment.instances import instances

        return instances(probability, voxel_size)


def segmenter(at: SegmentationAt, store: Path, device: str, progress: Share) -> Segmenter:
    """The segmenter of a dataset and preset; trained now if no run has done so before.

    Args:
        at: What it finds, and what it learns from.
        store: Folder of trained segmenters.
        device: Where to train it.
        progress: Told the finished share of the training.

    Raises:
        DataError: If there is nothing to learn from.
    """
    from safetensors.torch import load_file

    from vemrecon.segment.network import make_network, set_weights

    name, how = recipe(at.preset)
    size = at.training[0].volume.open().require_voxel_size()
    identity = digest_of({"learning": at.learning_id, "recipe": how.as_dict(), "voxel_size": list(size)})[:12]
    place = make_folder(store / slug(f"{at.dataset}-{at.what}-{name}-{identity}"))
    weights, facts = place / "weights.safetensors", place / "segmenter.json"
    with exclusive(place / "lock", f"{place}", patience=PATIENCE):
        known = read_mark(facts)
        if known and sha256_of(weights) != known["weights_sha256"]:
            known = {}
            if weights.exists():
                set_aside(weights, "not the weights that were trained; trained again")
        if not known:
            _train(at, name, how, size, place, device, progress)
            known = read_mark(facts)
    net = make_network(how, size)
    set_weights(net, load_file(weights))
    return Segmenter(net.eval(), how, size, known)


def _train(
    at: SegmentationAt,
    name: str,
    how: Recipe,
    size: VoxelSize,
    place: Path,
    device: str,
    progress: Share,
) -> None:
    from safetensors.torch import save_file

    from vemrecon.segment.network import weights_of
    from vemrecon.segment.target import target
    from vemrecon.segment.train import Example, train

    examples = []
    for part in at.training:
        volume = part.volume.open()
        mask = target(part.labels.read(part.region), at.kind, size)
        examples.append(Example(volume.read(volume.whole), mask))
    done = train(examples, how, size, place / "last.ckpt", device=device, progress=progress)
    save_file(weights_of(done.net), place / "weights.part")
    (place / "weights.part").replace(place / "weights.safetensors")
    write_mark(
        place / "segmenter.json",
        {
            "dataset": at.dataset,
            "what": at.what,
            "preset": name,
            "recipe": how.as_dict(),
            "learning_id": at.learning_id,
            "learned_from": [{"file": Path(p.volume.path).name, "region": p.volume.region} for p in at.training],
            "weights_sha256": sha256_of(place / "weights.safetensors"),
            "parameters": sum(p.numel() for p in done.net.parameters()),
            "batches": done.batches,
            "seconds": done.seconds,
            "loss": done.loss,
            "voxels": sum(example.grey.size for example in examples),
            "environment": environment() | {"device": device},
        },
    )
    (place / "last.ckpt").unlink(missing_ok=True)
