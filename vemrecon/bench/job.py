"""`Job`: where a run finds its data and what it may use. Kept beside the specification, but no part of its identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vemrecon.data import Located, Split, task_volume
from vemrecon.errors import DataError
from vemrecon.files import read_json, write_json
from vemrecon.volume import Region, Volume, VoxelSize


@dataclass(frozen=True)
class VolumeAt:
    """A part of a volume on this machine."""

    path: str
    dataset: str | None
    digest: str
    voxel_size: tuple[float, float, float] | None
    intensity_range: tuple[float, float] | None
    split: str
    region: tuple[tuple[int, int, int], tuple[int, int, int]] | None

    @classmethod
    def of(cls, located: Located, split: Split) -> VolumeAt:
        """A split of a located volume."""
        region = split.region
        return cls(
            path=str(located.path),
            dataset=located.dataset,
            digest=located.digest,
            voxel_size=tuple(located.voxel_size) if located.voxel_size else None,  # type: ignore[arg-type]
            intensity_range=located.intensity_range,
            split=split.name,
            region=(region.start, region.stop) if region else None,
        )

    @property
    def voxels(self) -> int | None:
        """Voxels of the region, where the split names one."""
        return Region(*self.region).voxels if self.region else None

    def open(self) -> Volume:
        """The part of the volume that the split names."""
        size = VoxelSize(*self.voxel_size) if self.voxel_size else None
        span = (self.intensity_range[0], self.intensity_range[1]) if self.intensity_range else None
        located = Located(Path(self.path), self.dataset, self.digest, size, span)
        return task_volume(located, Split(self.split, "", Region(*self.region) if self.region else None))


@dataclass(frozen=True)
class Job:
    """Data and devices of one run."""

    truth: VolumeAt
    training: VolumeAt | None = None
    """Isotropic volume whose degraded version (or, where the regime allows it, truth) is learned from; None to learn
    from the observed test volume itself."""
    validation: VolumeAt | None = None
    defects: tuple[int, ...] = ()
    """Damaged sections (z of the truth), left out of scores."""
    device: str = "cpu"
    processes: int = 1
    """Processes (GPUs, or CPU processes) that share the batches of one training."""
    loggers: tuple[str, ...] = ()
    """Logs of training beside loss.csv: wandb, tensorboard."""

    def write(self, path: Path) -> None:
        """Write job.json."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read job.json.

        Raises:
            DataError: If the file is damaged.
        """
        try:
            data: dict[str, Any] = read_json(path)
            parts = {k: VolumeAt(**data[k]) for k in ("truth", "training", "validation") if data[k] is not None}
            return cls(**{**data, **parts, "defects": tuple(data.get("defects", ()))})
        except (TypeError, KeyError) as error:
            raise DataError(f"{path}: not a job ({error})") from error
