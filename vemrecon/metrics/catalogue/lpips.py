"""LPIPS: a distance of sections that a network has learned from photographs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better
from vemrecon.metrics.score import Need, Score
from vemrecon.metrics.spec import MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

WORK = {"vgg": 650, "alex": 25}
"""Networks, the primary one first, and what they cost per voxel and plane, where reading and PSNR cost 1."""


def _scores(network: str, evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.lpips import PerceptualSimilarity
    from vemrecon.metrics.rows import whole_section_scores

    metric = PerceptualSimilarity(evidence.whole_regions, network, evidence.planes)
    return whole_section_scores(evidence, "lpips", network, metric, "", WORK[network])


def _obstacle(network: str) -> str:
    from vemrecon import perceptual

    return perceptual.obstacle(network)


_COLUMNS = {
    network: section_columns(
        "lpips", "LPIPS" if network == "vgg" else f"LPIPS {network}", f"learned perceptual distance, {network}",
        variant=network, primary=network == "vgg", better=Better.LOW, volume="",
    )
    for network in WORK
}  # fmt: skip
SPECS = (
    MetricSpec(
        "lpips", "learned perceptual distance of sections, with VGG16 and AlexNet", lambda kind, axis: (),
        lambda evidence: (), slow=True, place=50, stands_for=tuple(f"lpips_{network}" for network in WORK),
    ),
    *(
        MetricSpec(
            f"lpips_{network}", f"learned perceptual distance of sections, with {network} alone", _COLUMNS[network],
            partial(_scores, network), needs=frozenset({Need.TRUTH, Need.WEIGHTS}), slow=True, work=3 * WORK[network],
            obstacle=partial(_obstacle, network), place=51 + n,
        )
        for n, network in enumerate(WORK)
    ),
)  # fmt: skip
