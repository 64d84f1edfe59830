"""The reconstruction that every method should beat, for metrics that compare with it."""

from __future__ import annotations

from pathlib import Path

from vemrecon.bench.scene import Scene
from vemrecon.volume import Volume, open_volume

FLOOR = "bicubic"
"""The training-free method that every other one should beat."""


def floor_volume(scene: Scene, path: Path) -> Volume:
    """The reconstruction of a scene by `FLOOR`, written to a path."""
    from vemrecon.infer.reconstruct import reconstruct_volume
    from vemrecon.methods.build import build_method
    from vemrecon.methods.registry import choose_preset, method_entry

    kind, _, presets = method_entry(FLOOR).resolved()
    arguments = choose_preset(FLOOR, "default", presets)[1]
    method = build_method(kind, FLOOR, arguments, grid=scene.observed.require_grid(), seed=0)
    reconstruct_volume(method.eval(), scene.observed, path, like=scene.like, axis=scene.axis)
    return open_volume(path, intensity_range=scene.like.intensity_range)
