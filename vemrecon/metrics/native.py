"""Scores that need no truth: how alike the axes of a reconstruction are, and rows of such scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vemrecon.metrics.isotropy import AxialContinuity, PowerAnisotropy, layer_contrast
from vemrecon.metrics.passes import spectral_pass, tile_pass
from vemrecon.metrics.score import Score
from vemrecon.metrics.spectrum import spectral_blocks
from vemrecon.metrics.tiles import Readable
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize

SHORTEST_SPECTRAL_SIDE = 16


def native_score(
    metric: str,
    variant: str,
    plane: str,
    value: float | None,
    unit: str = "",
    note: str = "",
    std: float | None = None,
    count: int | None = None,
) -> Score:
    """A row of a native task: there is one range, everything."""
    return Score(metric, variant, plane, "all", "all", value, unit, std, count, note)


def isotropy_scores(
    volume: Readable, scale: float, done: Callable[[float], None] = lambda voxels: None
) -> tuple[Score, ...]:
    """Axial against lateral structure of one volume.

    Rows of metric `isotropy`: `continuity` (mean absolute first difference along z over that along y and x: 1 for an
    isotropic volume, below 1 where z is too smooth), `power` (log10 of axial over lateral power between a quarter and
    three quarters of the Nyquist frequency: 0 is isotropic, negative means axial detail is missing) and
    `layer_contrast` (steps at the borders of observed sections against those inside them, 0 is best).

    Source: metrics.md, sections 3 and 4, on data without reference.
    """
    whole = Region.whole(volume.shape)
    continuity = AxialContinuity([whole])
    tile_pass(volume, volume, [whole], [continuity], 1, done)
    found = continuity.compute()[0]
    along_z, along_y, along_x = found["change"][0].tolist()
    lateral = 0.5 * (along_y + along_x)
    factor = int(scale) if float(scale).is_integer() else 0
    contrast = layer_contrast(found["steps"][0].reshape(-1).numpy(), 0, factor)
    size = volume.voxel_size or VoxelSize(1, 1, 1)  # only ratios of frequencies count
    power, note = None, "not defined"
    if min(whole.shape) >= SHORTEST_SPECTRAL_SIDE:
        parts = spectral_blocks(whole)
        metric = PowerAnisotropy(parts[0].shape, size, len(parts), 0)
        spectral_pass(volume, volume, parts, [], metric, done)
        values = metric.compute()[:, 0].numpy()
        power = float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else None
    return (
        native_score("isotropy", "continuity", "ratio", along_z / lateral if lateral else None),
        native_score("isotropy", "power", "ratio", power, "log10", "" if power is not None else note),
        native_score("isotropy", "layer_contrast", "z", contrast, note="" if contrast is not None else note),
    )


def missing(metric: str, rows: Sequence[tuple[str, str, str]], reason: str) -> tuple[Score, ...]:
    """Blank rows (variant, plane, unit) with the reason."""
    return tuple(native_score(metric, variant, plane, None, unit, reason) for variant, plane, unit in rows)
