"""How alike the axes of a reconstruction are, without a truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vemrecon.metrics.isotropy import AxialContinuity, PowerAnisotropy, layer_contrast, section_period
from vemrecon.metrics.passes import spectral_pass, tile_pass, too_short
from vemrecon.metrics.score import Reference, Score
from vemrecon.metrics.spectrum import spectral_blocks
from vemrecon.metrics.tiles import Readable
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize


def isotropy_scores(
    volume: Readable, grid: SectionGrid | None, done: Callable[[float], None] = lambda voxels: None
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
    factor, begins = section_period(grid)
    contrast = layer_contrast(found["steps"][0].reshape(-1).numpy(), -begins, factor)
    size = volume.voxel_size or VoxelSize(1, 1, 1)  # only ratios of frequencies count
    power, note = None, "not defined"
    if not too_short(whole):
        parts = spectral_blocks(whole)
        metric = PowerAnisotropy(parts[0].shape, size, len(parts), 0)
        spectral_pass(volume, volume, parts, [metric], done)
        values = metric.compute()[:, 0].numpy()
        power = float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else None

    def row(variant: str, plane: str, value: float | None, unit: str = "") -> Score:
        why = "" if value is not None else note
        return Score("isotropy", variant, plane, "all", "all", value, unit, note=why, reference=Reference.NONE)

    return (
        row("continuity", "ratio", along_z / lateral if lateral else None),
        row("power", "ratio", power, "log10"),
        row("layer_contrast", "z", contrast),
    )
