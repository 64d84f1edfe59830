"""`MethodSubject`: a method that is checked, on a small phantom, in the folder of a run like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vemrecon.bench.job import Job
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.check.findings import FailedError
from vemrecon.check.watch import Watch
from vemrecon.data.phantom import make_phantom
from vemrecon.data.source import Source
from vemrecon.data.volume_at import VolumeAt
from vemrecon.degradations import make_degradation
from vemrecon.files import make_folder, sha256_of
from vemrecon.fit.stages import WEIGHTS, load_weights
from vemrecon.methods.base import Method, Tile
from vemrecon.methods.batches import lengthened, lengths
from vemrecon.methods.build import build_method
from vemrecon.methods.card import MethodCard
from vemrecon.methods.condition import Situation
from vemrecon.methods.recipe import PROGRAM
from vemrecon.methods.registry import MethodEntry, choose_preset, method_entry
from vemrecon.plugins import source_files
from vemrecon.protocol import protocol
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.region import triple

SHAPE = (112, 96, 96)
PARTS = {"train": (0, 48), "validation": (48, 72), "test": (80, 112)}
"""Sections of the phantom."""
VOXEL = 8.0  # nm
SIDES = ("subsample", 4), ("average", 4), ("subsample", 8), ("average", 8), ("subsample", 6), ("subsample", 10)
"""Degradations and scales that are tried until the method does not decline: the first is trained and looked at."""
SMALL = ("smoke", "cpu", "default")
"""Presets from the smallest on."""
OBSERVED = (48, 56)
"""Rows and columns of what is reconstructed."""
TILE = (5, 32, 40)
"""Observed voxels of a tile that is looked at."""
ENOUGH = 12
"""Batches of a training that is long enough to be killed."""


@dataclass
class MethodSubject:
    """A method under check.

    Args:
        name: As it is asked for.
        folder: Everything is written here.
        asked_preset: Of the method; empty for the smallest.
    """

    name: str
    folder: Path
    asked_preset: str = ""
    _loaded: bool = False

    @cached_property
    def entry(self) -> MethodEntry:
        """The method."""
        return method_entry(self.name)

    @cached_property
    def watch(self) -> Watch:
        """Of its code."""
        top, files = source_files(self.entry.class_path)
        code = [top] if len(files) > 1 else files
        watch = Watch(code, self.folder.absolute(), [self.data.absolute()])
        watch.install()
        return watch

    @property
    def is_program(self) -> bool:
        """Whether it calls a program of others, which learns and reconstructs as one."""
        return self.entry.class_path == PROGRAM

    @property
    def data(self) -> Path:
        """Where the volumes are that its runs are made with: as in any folder of runs."""
        return self.folder / "runs" / "data"

    @cached_property
    def facts(self) -> tuple[type[Method], MethodCard, Mapping[str, Mapping[str, Any]]]:
        """Class, card and presets."""
        with self.watch.watching():
            return self.entry.resolved()

    @property
    def kind(self) -> type[Method]:
        """Its class."""
        return self.facts[0]

    @property
    def card(self) -> MethodCard:
        """Its card."""
        return self.facts[1]

    @cached_property
    def preset(self) -> str:
        """The preset that it runs with."""
        presets = self.facts[2]
        if self.asked_preset or not presets:
            return choose_preset(self.name, self.asked_preset or "default", presets)[0]
        return next((name for name in SMALL if name in presets), next(iter(presets)))

    def arguments(self, scale: float, degradation: str) -> dict[str, Any]:
        """What it is made with: those of the preset, and of a training that takes seconds."""
        _, preset = choose_preset(self.name, self.preset, self.facts[2])
        found = preset.arguments(Situation(scale, degradation, "phantom"))
        longest = max(lengths(self.kind, found).values(), default=0)
        return lengthened(self.kind, found, ENOUGH / longest) if longest > ENOUGH else found

    def built(self, grid: SectionGrid, degradation: str = "subsample") -> Method:
        """A new one."""
        with self.watch.watching():
            return build_method(self.kind, self.name, self.arguments(grid.scale, degradation), grid=grid, seed=0)

    @cached_property
    def setting(self) -> tuple[str, float]:
        """Degradation and scale at which it is looked at: the first that it does not decline."""
        reasons = {}
        for degradation, scale in SIDES:
            grid = make_degradation(degradation, scale).grid
            reason = self.built(grid, degradation).supports(scale, grid)
            if not reason:
                return degradation, float(scale)
            reasons[f"{degradation} x{scale}"] = reason
        said = "; ".join(f"{task}: {reason}" for task, reason in reasons.items())
        raise FailedError(f"it declines everything ({said}): `supports` should give None where it works")

    @property
    def grid(self) -> SectionGrid:
        """Of the sections that it is looked at with."""
        return make_degradation(*self.setting).grid

    @cached_property
    def run(self) -> RunFolder:
        """The folder of a run that learns from a part of the phantom and is scored on another."""
        degradation, scale = self.setting
        volumes = self.volumes
        arguments = self.arguments(scale, degradation)
        method = MethodVariant(self.entry.name, self.entry.asked, self.entry.class_path, self.card.version, arguments)
        task = Task("check", "test", scale, DegradationVariant(degradation), volumes["test"].digest, "")
        learns = {"mode": "inductive", "split": "train", "digest": volumes["train"].digest}
        training = learns if self.card.regime != "none" else None
        spec = RunSpec(task, method, self.preset, 0, protocol()["version"], training=training)
        folder = RunFolder.of(spec, self.folder / "runs")
        folder.create()
        self.job.write(folder.path / "job.json")
        return folder

    @cached_property
    def volumes(self) -> dict[str, VolumeAt]:
        """The parts of the phantom, which are files as those of a benchmark are."""
        place, found = make_folder(self.data / "check"), {}
        grey = None
        for name, (start, stop) in PARTS.items():
            path = place / f"{name}.npy"
            if not path.exists():
                grey = make_phantom(SHAPE, voxel_size_nm=VOXEL).grey if grey is None else grey
                np.save(path, grey[start:stop])
            size = (VOXEL, VOXEL, VOXEL)
            found[name] = VolumeAt(str(path.absolute()), None, sha256_of(path), size, (0.0, 255.0), name, None)
        return found

    @property
    def job(self) -> Job:
        """Where the run finds its volumes."""
        return Job(self.volumes["test"], (self.volumes["train"],), (self.volumes["validation"],))

    @cached_property
    def source(self) -> Source:
        """What it may learn from; its files are open already."""
        from vemrecon.bench.task_volumes import learning_source

        found = learning_source(self.run, self.job, self.card.regime)
        return WatchedSource(**vars(found))

    @cached_property
    def observed(self) -> Volume:
        """The observed volume, in memory."""
        from vemrecon.degradations import degrade

        degradation, scale = self.setting
        truth = open_volume(self.volumes["test"].path, voxel_size=VoxelSize(VOXEL, VOXEL, VOXEL))
        made = degrade(truth, make_degradation(degradation, scale))
        part = made.crop(Region.whole((made.shape[0], *OBSERVED)))
        return part.with_voxels(part.read(part.whole))

    def tile(self, grid: SectionGrid | None = None) -> Tile:
        """A tile of the observed volume, taken to lie as a grid says."""
        size = triple([min(n, most) for n, most in zip(self.observed.shape, TILE, strict=True)])
        return Tile(torch.from_numpy(self.observed.read(Region.whole(size)))[None, None], grid or self.grid)

    @property
    def training(self) -> Path:
        """Where its training is."""
        return self.folder / "train"

    @property
    def trained(self) -> bool:
        """Whether that is finished."""
        return all((self.training / stage.name / "stage.json").exists() for stage in self._fresh.stages())

    @cached_property
    def _fresh(self) -> Method:
        return self.built(self.grid, self.setting[0])

    @property
    def method(self) -> Method:
        """As it reconstructs, in evaluation mode: with what it has learned, as far as it has."""
        if self._loaded != self.trained:
            for stage in self._fresh.stages():
                load_weights(self._fresh, self.training / stage.name / WEIGHTS, stage.trains)
            self._loaded = True
        return self._fresh.eval()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While its code is at work."""
        with self.watch.watching():
            yield


@dataclass(frozen=True)
class WatchedSource(Source):
    """A source that remembers whether anybody has looked at the truth."""

    @property
    def truth(self) -> tuple[Volume, ...]:
        """As ever."""
        vars(self)["looked"] = True
        return super().truth

    @property
    def looked(self) -> bool:
        """Whether somebody has looked at it."""
        return bool(vars(self).get("looked"))
