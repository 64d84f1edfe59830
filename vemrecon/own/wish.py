"""`Wish`: what is wanted of a reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vemrecon.errors import ConfigError
from vemrecon.fit.learned import Learned
from vemrecon.methods.card import USUAL
from vemrecon.methods.short_floats import require_bfloat16
from vemrecon.own.method import check_wishes
from vemrecon.version import __version__
from vemrecon.volume import Region, Volume
from vemrecon.volume.made import source_of
from vemrecon.volume.region import Triple

AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Method, training and part, whoever asks for them.

    Attributes:
        method: Name or class path.
        settings: Arguments of the method that are changed.
        weights: File of weights.
        train: Preset of the training on the volume itself.
        train_minutes: What it is to take, where not as long as the preset says.
        save_weights: File to write with what was learned.
        seed: Of the training.
        missing: Numbers of sections to fill first, or `auto` for those that are not stored, black or constant.
        damage: File of a mask that is not zero where voxels are damaged.
        region: First and last voxel along z, y and x of the part that is reconstructed, as `Region.read` takes them.
        uncertainty: Whether it is wanted, too.
        rotations: Whether to average over eight rotations.
        blend: Whether to fuse tiles linearly.
        bfloat16: Whether to compute in bfloat16.
        devices: Where the method runs; it learns on the first.
        resample: Whether to make sections at the next whole scale that the method takes, and resample them.
        memory: Most bytes that the process may take.
        at: Positions of the sections that are made in place of the isotropic volume, counted in observed sections.
    """

    method: str = USUAL
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    train: str | None = None
    train_minutes: float | None = None
    save_weights: Path | None = None
    seed: int = 0
    missing: Sequence[int] | Literal["auto"] = ()
    damage: Path | None = None
    region: Sequence[str] | None = None
    uncertainty: bool = False
    rotations: bool = False
    blend: bool = False
    bfloat16: bool = False
    devices: Sequence[str] = ("cpu",)
    resample: bool = False
    memory: int | None = None
    at: Sequence[float] = ()

    @property
    def preset(self) -> str | None:
        """Preset of the training, if there is one."""
        return self.train or ("cpu" if self.train_minutes is not None else None)

    @property
    def here(self) -> Sequence[str]:
        """Devices of this machine: that from which workers are told what to do may have no GPU."""
        import torch

        return self.devices if torch.cuda.is_available() else ["cpu" for _ in self.devices]

    def check(self, scale: float | None) -> None:
        """Refuse what the method cannot do, before anything is read or computed.

        Args:
            scale: As far as it is known.

        Raises:
            ConfigError: With what to choose instead.
            DataError: If the weights cannot be read.
        """
        if self.save_weights is not None:
            _check_kept(self.save_weights, self.preset)
        both = [name for name in ("uncertainty", "rotations", "resample") if getattr(self, name)]
        if self.at and both:
            raise ConfigError(f"--at: makes single sections; give it without --{both[0]}")
        check_wishes(
            self.method,
            train=self.preset,
            minutes=self.train_minutes,
            weights=self.weights,
            overrides=self.settings,
            scale=scale,
            uncertainty=self.uncertainty and not self.rotations,
            missing=bool(self.missing) or self.damage is not None,
            at=bool(self.at),
        )
        if self.bfloat16 and list(self.here) == list(self.devices):
            import torch

            require_bfloat16(torch.device(self.devices[0]))

    def part(self, volume: Volume) -> Region | None:
        """What of an observed volume is reconstructed; None for all.

        Raises:
            ConfigError: If the words are no ranges, or reach beyond the volume.
        """
        return None if self.region is None else Region.read(self.region, volume.shape)

    def made_shape(self, volume: Volume) -> Triple:
        """Shape of what is made of an observed volume."""
        grid, part = volume.require_grid(), self.part(volume) or volume.whole
        if self.at:
            return len(self.at), *part.shape[1:]
        return grid.extent(part.stop[0]) - grid.extent(part.start[0]), *part.shape[1:]

    def check_positions(self, volume: Volume) -> None:
        """Refuse sections where nothing is reconstructed.

        Raises:
            ConfigError: If one lies beyond the reconstruction, or a part along z is asked for, too.
        """
        if not self.at:
            return
        grid, count = volume.require_grid(), volume.shape[0]
        first, last = (float(p) for p in grid.sections_at(np.array([-0.5, grid.extent(count) - 0.5])))
        if outside := [position for position in self.at if not first <= position <= last]:
            raise ConfigError(
                f"--at {outside[0]:g}: the reconstruction of {count} sections reaches from {first:g} to {last:g}, "
                f"counted in sections"
            )
        part = self.part(volume)
        if part is not None and part.shape[0] != count:
            raise ConfigError("--region: give : along z with --at, which says where sections are made")

    def how(self, volume: Volume) -> dict[str, Any]:
        """What the outputs say about how they were made, beside their source."""
        said = {
            "command": "reconstruct",
            "method": self.method,
            "scale": volume.require_grid().scale,
            "missing_sections": self.missing if self.missing == AUTO else list(self.missing),
            "damage": source_of(self.damage) if self.damage else None,
            "preset": self.preset,
            "train_minutes": self.train_minutes,
            "seed": self.seed if self.preset else None,
            "weights": source_of(self.weights) if self.weights else None,
            "applied": [name for name in ("rotations", "blend", "bfloat16") if getattr(self, name)],
            "at": list(self.at),
            "arguments": {name: str(value) for name, value in self.settings.items()},
        }
        return {name: value for name, value in said.items() if value not in (None, [], {})}

    def identity(self, volume: Volume) -> dict[str, Any]:
        """All that decides the voxels, beside the file they are made from."""
        facts = {"region": self.region, "uncertainty": self.uncertainty, "version": __version__}
        facts |= {"devices": sorted({device.partition(":")[0] for device in self.devices})}
        facts["resample"] = self.resample
        said = {"shape": volume.shape, "grid": volume.require_grid().as_dict(), "range": volume.span}
        return self.how(volume) | facts | said | {"size": list(volume.voxel_size or ())}


def method_of(given: str | None, weights: Path | None) -> str:
    """The method that is wanted: the one that is named, else that of the weights, else a kernel.

    Raises:
        DataError: If the weights cannot be read.
    """
    return given or (Learned.read(weights).method if weights else None) or USUAL


def _check_kept(path: Path, preset: str | None) -> None:
    """Refuse a file of weights that could not be written at the end, or that nothing would be written to."""
    if preset is None:
        raise ConfigError(f"--save-weights {path}: nothing is trained; give --train or --train-minutes, too")
    if path.suffix != ".safetensors":
        raise ConfigError(f"--save-weights {path}: must end in .safetensors")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist")
