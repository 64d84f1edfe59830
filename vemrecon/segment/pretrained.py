"""`PretrainedSegmenter`: what looks at reconstructions with published weights, beside the segmenter of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import getfile, isabstract
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError, PluginError
from vemrecon.files import digest_of, sha256_of
from vemrecon.plugins import class_path_of, load_class
from vemrecon.progress import Share
from vemrecon.segment import instances as watershed
from vemrecon.volume import Region, Volume, VoxelSize


class PretrainedSegmenter(ABC):
    """A network that others have trained, as `bench --segmenter PACKAGE.Class` uses it. Made without arguments.

    A wrapper is a subclass that names its weights and gives a probability. It is the same for all datasets, presets and
    runs; it should have learned from none of the volumes that it judges, and `learned_from` says what it has.
    """

    finds: ClassVar[str] = "membranes"
    """What it looks for, as cards name it."""
    version: ClassVar[int] = 1
    """To be raised when it finds other things with the same weights."""
    source: ClassVar[str] = ""
    """Publication, or address of the weights, with their licence."""
    learned_from: ClassVar[str] = ""
    """What its weights have learned from."""

    @property
    @abstractmethod
    def weights(self) -> Sequence[Path]:
        """Files of its weights, which nothing downloads during a run."""

    def obstacle(self) -> str:
        """Why it cannot be used here, with what to do about it; empty if it can. Asked about before anything else."""
        missing = [str(path) for path in self.weights if not path.is_file()]
        where = f" ({self.source})" if self.source else ""
        return f"the weights {', '.join(missing)} of {type(self).__name__} are missing{where}" if missing else ""

    @abstractmethod
    def probability(
        self, grey: NDArray[np.float32], voxel_size: VoxelSize, device: str, progress: Share
    ) -> NDArray[np.floating]:
        """Probability of what it finds, shape (z, y, x), in [0, 1].

        Args:
            grey: Shape (z, y, x) in [0, 1], the whole of what is looked at: nothing outside may count.
            voxel_size: In nm.
            device: Of torch.
            progress: Told the finished share.
        """

    def instances(self, probability: NDArray[np.floating], voxel_size: VoxelSize) -> NDArray[np.integer]:
        """Neurons (z, y, x) from 1 between its membranes, by default by the watershed of our own segmenters."""
        return watershed.instances(probability, voxel_size)


def segmenter_class(class_path: str) -> type[PretrainedSegmenter]:
    """The class of a segmenter.

    Raises:
        PluginError: If it cannot be imported, or is no segmenter.
    """
    name = class_path.rpartition(".")[2]
    found: type[PretrainedSegmenter] = load_class(
        f"segmenter '{name}'", class_path_of(class_path), PretrainedSegmenter, "vemrecon.segment.PretrainedSegmenter"
    )
    if isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise PluginError(f"segmenter '{name}' ({class_path}) does not say all that it must: {missing}")
    return found


def finds(class_path: str) -> str:
    """What a segmenter looks for.

    Raises:
        PluginError: See `segmenter_class`.
    """
    return segmenter_class(class_path).finds


def obstacle_of(class_path: str) -> str:
    """Why a segmenter cannot be used here; empty if it can."""
    try:
        found = segmenter_class(class_path)()
        return found.obstacle() or (watershed.obstacle() if found.finds == "membranes" else "")
    except Exception as error:  # a plugin may fail in any way
        return " ".join(str(error).split()) or type(error).__name__


class SegmenterError(DataError):
    """A segmenter of another package has not done what it must."""


class Plugged:
    """A segmenter of another package without an obstacle, as the judge of reconstructions asks it."""

    def __init__(self, class_path: str) -> None:
        self.network = segmenter_class(class_path)()
        digests = [sha256_of(path) for path in self.network.weights]
        self.facts: dict[str, Any] = {
            "class_path": class_path,
            "version": self.network.version,
            "code_sha256": sha256_of(Path(getfile(type(self.network)))),
            "source": self.network.source,
            "learned_from": self.network.learned_from,
            "weights_sha256": digests[0] if len(digests) == 1 else digest_of(digests),
        }

    @property
    def identity(self) -> list[Any]:
        """What decides what it finds."""
        return [self.facts[name] for name in ("class_path", "version", "code_sha256", "weights_sha256")]

    def probability(self, volume: Volume, region: Region, device: str, progress: Share) -> NDArray[np.float16]:
        """Probability of what it finds, in every voxel of a region of a volume; nothing outside the region is seen.

        Raises:
            SegmenterError: If it fails, or gives no probability of every voxel.
        """
        size, grey = volume.require_voxel_size(), volume.read(region)
        with self._named():
            found = np.asarray(self.network.probability(grey, size, device, progress))
            low, high = float(found.min()), float(found.max())  # not a number where any voxel is
            if found.shape != region.shape or not (low >= 0 and high <= 1):
                raise ValueError(
                    f"its probability must have the shape {region.shape} and lie in [0, 1], but it has {found.shape}, "
                    f"{low:g} to {high:g}"
                )
            return found.astype(np.float16)

    def instances(self, probability: NDArray[np.floating], voxel_size: VoxelSize) -> NDArray[np.integer]:
        """Neurons between membranes.

        Raises:
            SegmenterError: If it fails, or gives no number to every voxel.
        """
        with self._named():
            found = np.asarray(self.network.instances(probability, voxel_size))
            if found.shape != probability.shape or not np.issubdtype(found.dtype, np.integer):
                raise ValueError(f"its instances must be whole numbers of the shape {probability.shape}")
            return found

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a plugin may fail in any way; no reconstruction is lost by that
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SegmenterError(f"the segmenter {self.facts['class_path']} failed: {reason}") from error
