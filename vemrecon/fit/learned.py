"""`Learned`: what a file of weights says about itself, and which tasks its weights serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from vemrecon.arguments import argument_names
from vemrecon.data.split import gaps_between
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import from_plain, sha256_of
from vemrecon.fit.stages import save_weights, trained_parts, weights_facts
from vemrecon.methods.base import Method
from vemrecon.methods.batches import lengths
from vemrecon.methods.registry import with_settings
from vemrecon.volume import Region, SectionGrid
from vemrecon.volume.region import Triple

NETWORK_SCALE = "network_scale"
"""Constructor argument of methods whose network is built for a scale, but takes any other."""


@dataclass(frozen=True)
class LearnedRegion:
    """A part of a volume that weights were learned from.

    Attributes:
        dataset: Its name; that of the file for a volume of one's own.
        split: Of the dataset.
        digest: sha256 of the volume's file; empty where nobody knows it.
        start: First voxel (z, y, x); None for the whole volume.
        stop: Behind the last one.
        watched: Whether nothing was learned from it, but weights were chosen by it.
    """

    dataset: str
    split: str = ""
    digest: str = ""
    start: Triple | None = None
    stop: Triple | None = None
    watched: bool = False

    def __str__(self) -> str:
        return f"{self.dataset} {self.split}".strip()

    def near(self, digest: str, region: Region | None, guard: Triple) -> bool:
        """Whether it shares voxels with a part of the same volume, or no gap between them is long enough.

        Args:
            digest: Of the volume.
            region: The part; None for all of it.
            guard: Length of a gap in voxels (z, y, x); one along any axis is enough.
        """
        if not digest or self.digest != digest:
            return False
        if region is None or self.start is None or self.stop is None:
            return True
        gaps = gaps_between(Region(self.start, self.stop), region)
        return not any(gap >= least for gap, least in zip(gaps, guard, strict=True))


@dataclass(frozen=True)
class Learned:
    """Where weights come from.

    Attributes:
        path: The file.
        method: Its name; None where the file does not say it.
        arguments: Of its constructor, apart from the task's.
        grid: Of the sections that it has learned from; None where the file does not say it, as where the weights are
            those that authors have published.
        regions: What it has learned from, as far as the file says it.
    """

    path: Path
    method: str | None
    arguments: Mapping[str, Any]
    grid: SectionGrid | None
    regions: tuple[LearnedRegion, ...] = ()

    @property
    def source(self) -> str:
        """What it has learned from, in words."""
        return " + ".join(str(region) for region in self.regions if not region.watched) or f"weights {self.digest}"

    @cached_property
    def digest(self) -> str:
        """12 digits of the sha256 of the file."""
        return sha256_of(self.path)[:12]

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file says.

        Raises:
            DataError: If it cannot be read.
        """
        facts = weights_facts(path)
        stored, scale = facts.get("grid"), facts.get("scale", 0.0)
        known = stored if isinstance(stored, Mapping) or scale else None  # a word alone does not say the scale
        grid = SectionGrid.stored(known, scale) if known else None
        try:
            regions = tuple(from_plain(LearnedRegion, one) for one in facts.get("regions", ()))
        except (DataError, TypeError) as error:
            raise DataError(f"{path}: what it was learned from cannot be read ({error})") from error
        return cls(path, facts.get("method"), facts.get("arguments", {}), grid, regions)

    def keep(self, trained: Method) -> None:
        """Write the weights of a method, and this beside them.

        Raises:
            OutputError: If the file cannot be written.
        """
        facts: dict[str, Any] = {"method": self.method, "arguments": dict(self.arguments)}
        if self.grid is not None:
            facts |= {"scale": self.grid.scale, "grid": self.grid.as_dict()}
        facts["regions"] = [asdict(region) for region in self.regions]
        save_weights(trained, self.path, trained_parts(trained), facts)

    def arguments_for(self, kind: type[Method], as_long_as: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a method is made with that gets these weights, at any scale.

        Args:
            kind: Its class.
            as_long_as: Arguments of a method that learns for as long as this one is to go on learning; None if it is
                not to. All else is as it was when the weights were learned, so that they mean what they meant.
        """
        found = dict(self.arguments)
        if self.grid is not None and NETWORK_SCALE in argument_names(kind):
            found = {NETWORK_SCALE: self.grid.scale, **found}
        return found if as_long_as is None else with_settings(found, lengths(kind, as_long_as))

    def require(self, name: str, grid: SectionGrid, what: str) -> None:
        """Refuse weights of another method, or of another kind of sections.

        Args:
            name: Of the method that is to get them.
            grid: Of the sections that they are to serve.
            what: Whose sections these are, for the message.

        Raises:
            ConfigError: With what to do.
        """
        if self.method not in (None, name):
            raise ConfigError(f"{self.path}: weights of method '{self.method}', not of '{name}'")
        if self.grid is not None and self.grid.kind != grid.kind:
            raise ConfigError(
                f"{self.path}: learned on {self.grid.kind} sections, but those of {what} are {grid.kind}; "
                f"if that is wrong, give --grid {self.grid.kind}"
            )

    def refusal(self, method: Method, scale: float) -> str | None:
        """Why weights do not serve a method at a scale; None if they do."""
        if self.grid is None or method.any_scale or scale == self.grid.scale:
            return None
        return f"its weights were learned at a scale of {self.grid.scale:g}, and its network serves no other"
