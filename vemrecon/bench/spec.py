"""`RunSpec`: the identity of a run. Whatever changes a number is in it, whatever does not is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.missing import Missing
from vemrecon.bench.track import Track
from vemrecon.errors import DataError
from vemrecon.files import canonical_json, digest_of, from_plain, read_json, slug
from vemrecon.plugins import Origin
from vemrecon.volume.planes import AXES

if TYPE_CHECKING:
    from vemrecon.methods.registry import MethodEntry

CONTAMINATED = "contaminated"
"""Mode of a method that learns from what is scored, as the protocol of a paper has it."""
TRANSFER = "transfer"
"""Mode of a method that learns from another dataset than the one that is scored."""
VALIDATION = "validation"
"""What of the training of a run names the volumes that its weights are chosen by; absent where nothing is chosen."""
WEIGHTS = "weights"
"""Mode of a method that was given what others have learned, and learns nothing more."""
LEARNED_FROM_SCORED = "learned from what is scored"
"""What it means, for whoever reads a table."""


@dataclass(frozen=True)
class DegradationVariant:
    """A degradation with its arguments; the scale is that of the task."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodVariant:
    """A method with its arguments."""

    name: str
    """For tables: with the arguments that were changed."""
    entry: str
    """What it is loaded by: its name, or a class path."""
    class_path: str
    version: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    """Where its code comes from, if that is another package. No part of the identity of a run: edited code makes it
    `stale`, see `changes.py`"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without an origin where it has none."""
        return {name: value for name, value in asdict(self).items() if name != "origin" or value}

    def found(self) -> MethodEntry:
        """The method, as it is here.

        Raises:
            VemreconError: If it is not.
        """
        from vemrecon.methods.registry import recorded_entry

        return recorded_entry(self.entry, self.class_path)


FLOAT32, BF16 = "32", "bf16"
"""What networks compute in while they reconstruct."""
KIND_AXES = {"reference": "z", "lateral": "y", "native": "z"}
"""The axis that is reconstructed, by kind of task."""


@dataclass(frozen=True)
class Task:
    """What is asked of every method: one split of a dataset, degraded in one way at one scale.

    `kind` is `reference` (an isotropic volume is degraded along z, and is the truth), `lateral` (an anisotropic volume
    is degraded along y, and its sections are the truth) or `native` (z of an anisotropic volume is reconstructed; there
    is no truth, and `degradation` says how its sections are taken to have come about).
    """

    dataset: str
    split: str
    scale: float
    degradation: DegradationVariant
    dataset_digest: str
    split_digest: str
    kind: str = "reference"
    axis: str = "z"
    degradation_seed: int = 0
    missing: Missing | None = None
    """Sections that nobody gets to see but who scores; None where the observed volume is whole"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without what has been added to them since, where that is not asked for."""
        values = {name: value for name, value in asdict(self).items() if name != "missing"}
        return {**values, "missing": self.missing.as_dict()} if self.missing else values

    @property
    def axis_number(self) -> int:
        """0, 1 or 2: the axis that is reconstructed."""
        return AXES.index(self.axis)

    @property
    def slug(self) -> str:
        """Folder name, such as fib25s-test-reference-z-subsample-x8."""
        missing = f"-missing-{self.missing}" if self.missing else ""
        name = f"{self.dataset}-{self.split}-{self.kind}-{self.axis}-{self.degradation.name}-x{self.scale:g}"
        return slug(f"{name}{missing}")


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the numbers of one run."""

    task: Task
    method: MethodVariant
    preset: str
    seed: int
    protocol: int
    metrics: tuple[str, ...] = field(default=())
    precision: str = FLOAT32
    """What networks compute in while they reconstruct; they learn as their preset says"""
    training: Mapping[str, Any] | None = None
    """What a method that learns may learn from: mode, split and digests; None for training-free methods"""
    track: Track | None = None
    """What the training may take; None for as long as the preset says, and for methods that do not learn"""
    segmenters: tuple[str, ...] = ()
    """Class paths of what looks at the reconstruction besides the segmenters of the dataset"""

    @property
    def run_id(self) -> str:
        """12 digits of the sha256 of what makes the reconstruction: a new metric trains nothing anew."""
        return digest_of(self.made())[:12]

    def made(self) -> dict[str, Any]:
        """Plain values of what decides the reconstruction, whatever that is scored by."""
        found = {name: value for name, value in self.as_dict().items() if name not in ("metrics", "segmenters")}
        return {**found, "method": replace(self.method, origin=None).as_dict()}

    @property
    def mode(self) -> str:
        """How the method learns: inductive, transductive, contaminated, transfer or weights; else empty."""
        return str(self.training.get("mode", "")) if self.training else ""

    @property
    def contaminated(self) -> bool:
        """Whether the method learns from what is scored, so that its numbers are shown but never ranked."""
        return self.mode == CONTAMINATED

    @property
    def learning_kind(self) -> str:
        """Kind of task of the dataset that is learned from: reference where it is isotropic."""
        return str((self.training or {}).get("kind", self.task.kind))

    @property
    def learning_scale(self) -> float:
        """Scale at which is learned."""
        return float((self.training or {}).get("scale", self.task.scale))

    @property
    def learned_from(self) -> str:
        """What is learned from in place of the dataset that is scored, in words; empty where it is that one."""
        training = self.training or {}
        said = " + ".join(f"{part['dataset']} {part['split']}" for part in training.get("from", ()))
        if self.mode == WEIGHTS:
            said = str(training["source"])
        if said and self.learning_scale != self.task.scale:
            said += f" x{self.learning_scale:g}"
        if "weights" in training and self.mode != WEIGHTS:
            scale = "" if self.weights_scale == self.task.scale else f" x{self.weights_scale:g}"
            said = f"{training['source']}{scale}, then {said or 'here'}"
        return said

    @property
    def weights_scale(self) -> float:
        """Scale at which the weights were learned that a training goes on from."""
        return float((self.training or {}).get("weights_scale", self.learning_scale))

    @property
    def learning_id(self) -> str:
        """Identity of what methods learn from in this run."""
        return digest_of({"task": self.task.as_dict(), "training": self.training, "precision": FLOAT32})[:12]

    @property
    def task_id(self) -> str:
        """Identity of the observed volume, which all methods of a task share."""
        return digest_of(self.task.as_dict())[:12]

    def folder(self, runs: Path) -> Path:
        """Where the run lives."""
        return runs / self.task.slug / f"{slug(self.method.name)}-{self.run_id}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without what has been added to them since, where that is not asked for."""
        parts = {"task": self.task.as_dict(), "method": self.method.as_dict(), "metrics": list(self.metrics)}
        values = {**asdict(self), **parts}
        added = {"track": self.track, "segmenters": self.segmenters}
        return {name: value for name, value in values.items() if added.get(name, True)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunSpec:
        """The specification of plain values.

        Raises:
            DataError: If they are not those of a specification.
        """
        spec = from_plain(cls, data)
        spec.check()
        return spec

    def check(self) -> None:
        """Refuse what no run can be.

        Raises:
            DataError: With what is wrong.
        """
        if not 0 < self.task.scale < math.inf or self.task.axis not in AXES:
            raise DataError(f"scale {self.task.scale:g} along '{self.task.axis}' is no task")
        try:
            canonical_json(self.as_dict())
        except ValueError as error:
            raise DataError(f"'spec' cannot be written as JSON ({error})") from error

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Read spec.json.

        Raises:
            DataError: If the file is damaged.
        """
        try:
            return cls.from_dict(read_json(path))
        except DataError as error:
            raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
