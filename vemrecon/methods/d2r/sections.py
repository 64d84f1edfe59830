"""Sections between observed ones, each predicted from the two observed neighbours on either side.

Source: D2R (kept sections are copied, sections between them predicted from four); see `places` for the ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from vemrecon.methods.d2r.backbone import SECTIONS
from vemrecon.methods.section_places import places, predict_sections
from vemrecon.volume import SectionGrid

Predict = Callable[[Tensor, Tensor], Tensor]
"""Windows (b, 1, 4, y, x) and depths (b,) to sections (b, 1, y, x)."""


def depths_between(grid: SectionGrid) -> list[float]:
    """Depths of the sections between two neighbouring observed ones, far from the ends of a volume.

    >>> depths_between(SectionGrid.kept_every(4)), depths_between(SectionGrid.slabs(2))
    ([0.25, 0.5, 0.75], [0.25, 0.75])
    """
    return [p.depth for p in places(SECTIONS, grid) if p.before == 1 and not p.copied]


def interpolate_sections(
    predict: Predict,
    volume: Tensor,
    grid: SectionGrid,
    at_once: int = 4,
    positions: Sequence[float] | None = None,
) -> Tensor:
    """All sections of a volume.

    Args:
        predict: The network.
        volume: Observed sections, shape (z, y, x), in [0, 1].
        grid: Where they lie.
        at_once: Windows in a batch.
        positions: See `predict_sections`.

    Returns:
        Shape (n, y, x), by default (round(z * scale), y, x), not clipped.
    """

    def each(windows: Tensor, depth: Tensor, numbers: list[int]) -> Tensor:
        return predict(windows[:, None], depth)[:, 0]

    return predict_sections(each, volume, grid, sections=SECTIONS, at_once=at_once, positions=positions)
