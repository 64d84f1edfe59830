"""What the output of `degrade` says about how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vemrecon.volume import Made
from vemrecon.volume.made import source_of

if TYPE_CHECKING:
    from vemrecon.commands.volume_options import DegradeOptions


def degradation_made(options: DegradeOptions, scale: float) -> Made:
    """Degradation, scale, axis, arguments and source of an anisotropic volume."""
    said: dict[str, Any] = {
        "command": "degrade",
        "degradation": options.degradation,
        "scale": scale,
        "axis": options.axis,
        "seed": options.seed,
        "arguments": {name: str(value) for name, value in options.set.items()},
        "reading": options.reading.said(),
    }
    return Made(
        {name: value for name, value in said.items() if value != {}}
        | {"source": source_of(options.input, options.dataset)}
    )
