"""What the outputs of `reconstruct` and `degrade` say about how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.file_options import FileOptions
from vemrecon.volume import Made, Volume
from vemrecon.volume.made import source_of

if TYPE_CHECKING:
    from vemrecon.commands.volumes import DegradeOptions, ReconstructOptions


def reconstruction_made(options: ReconstructOptions, observed: Volume) -> Made:
    """Method, scale, arguments, training and source of a reconstruction."""
    facts: dict[str, Any] = {
        "command": "reconstruct",
        "method": options.method,
        "scale": observed.require_grid().scale,
        "missing_sections": options.missing_sections,
        "preset": options.train,
        "seed": options.seed if options.train else None,
        "weights": source_of(options.weights) if options.weights else None,
    }
    return _made(facts, options, options.set, options.input, options.dataset)


def degradation_made(options: DegradeOptions, scale: float) -> Made:
    """Degradation, scale, axis, arguments and source of an anisotropic volume."""
    facts: dict[str, Any] = {
        "command": "degrade",
        "degradation": options.degradation,
        "scale": scale,
        "axis": options.axis,
        "seed": options.seed,
    }
    return _made(facts, options, options.set, options.input, options.dataset)


def _made(
    facts: Mapping[str, Any], options: FileOptions, arguments: Mapping[str, Any], path: Path, dataset: str | None
) -> Made:
    """With what both have in common, and without what nobody has said."""
    said = {"arguments": {name: str(value) for name, value in arguments.items()}, "reading": options.reading.said()}
    said = {name: value for name, value in {**facts, **said}.items() if value not in (None, "", {})}
    return Made({**said, "source": source_of(path, dataset)})
