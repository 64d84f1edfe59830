"""What else there is for somebody who has named no method, what it costs, and what it has gained."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vemrecon.errors import VemreconError
from vemrecon.methods.card import USUAL
from vemrecon.methods.shipped_weights import ShippedWeights, shipped_weights
from vemrecon.own.method import choose_method
from vemrecon.own.wish import method_of
from vemrecon.report.columns import seconds_text
from vemrecon.volume import Volume


def other_choices(volume: Volume) -> Iterator[str]:
    """Lines for a reader: weights that fit the volume, and what learns from it.

    Args:
        volume: Knows where its sections lie.
    """
    yield f"made by {USUAL}, as no --method was named. Other choices:"
    grid = volume.require_grid()
    millions = grid.extent(volume.shape[0]) * math.prod(volume.shape[1:]) / 1e6
    for one in fitting(volume):
        time = seconds_text(one.seconds * millions)
        yield f"  --weights {one.name}: {one.unseen} dB over the best kernel on tissue it had not seen; about {time}"
    yield "  --method lateral-cnn --train cpu: learns from this volume, minutes; --train-minutes 10 sets how many"
    yield "  what each gained on which tissue: `vemrecon weights NAME`, and the leaderboards of the project"


def fitting(volume: Volume) -> Iterator[ShippedWeights]:
    """Weights that come with the package and serve the sections of a volume."""
    for one in shipped_weights().values():
        path = one.verified()
        try:
            choose_method(method_of(None, path), volume, train=None, weights=path, seed=0, overrides={})
        except VemreconError:
            continue  # made for another scale, or other sections
        yield one
