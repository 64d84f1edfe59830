"""`Job`: where a run finds its data and what it may use. Kept beside the specification, but no part of its identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vemrecon.data.volume_at import VolumeAt
from vemrecon.errors import DataError
from vemrecon.files import read_json, write_json
from vemrecon.judges.labelled import SegmentationAt


@dataclass(frozen=True)
class Job:
    """Data and devices of one run."""

    truth: VolumeAt
    training: tuple[VolumeAt, ...] = ()
    """Isotropic volumes whose degraded versions (or, where the regime allows it, truth) are learned from, or volumes of
    recorded sections; none to learn from the observed test volume itself."""
    validation: tuple[VolumeAt, ...] = ()
    defects: tuple[int, ...] = ()
    """Damaged sections (z of the truth), left out of scores."""
    segmentation: tuple[SegmentationAt, ...] = ()
    """What is segmented in the reconstruction, where the metric is asked for."""
    devices: tuple[str, ...] = ("cpu",)
    """Torch devices of this run alone, one for each process that shares the batches of its training; all else is done
    on the first."""
    weights: str | None = None
    """File of weights that the method is given."""
    loggers: tuple[str, ...] = ()
    """Logs of training beside loss.csv: wandb, tensorboard."""
    group: str = ""
    """Of the run in these logs: the name of its suite."""

    @property
    def device(self) -> str:
        """The first of the devices."""
        return self.devices[0]

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
            known = {
                "truth": VolumeAt(**data["truth"]),
                "training": _volumes(data["training"]),
                "validation": _volumes(data["validation"]),
                "defects": tuple(data.get("defects", ())),
                "devices": tuple(data.get("devices", ("cpu",))),
                "loggers": tuple(data.get("loggers", ())),
                "segmentation": tuple(SegmentationAt.from_dict(part) for part in data.get("segmentation", ())),
            }
            return cls(**{**data, **known})
        except (TypeError, KeyError) as error:
            raise DataError(f"{path}: not a job ({error}); `vemrecon bench` writes it anew") from error


def _volumes(data: Any) -> tuple[VolumeAt, ...]:
    """Those of a job; earlier versions wrote one, or null."""
    parts = data if isinstance(data, list) else [data] if data else []
    return tuple(VolumeAt(**part) for part in parts)
