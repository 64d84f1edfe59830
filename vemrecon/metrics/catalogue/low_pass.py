"""PSNR and SSIM after a Gaussian low-pass of both volumes: what is left when fine detail, most of it noise, is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vemrecon.metrics.column import Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import LATERAL, MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence
    from vemrecon.metrics.low_pass import LowPass

SIGMAS = (1, 2)
"""Standard deviations of the low-pass, in voxels of the scored volumes."""
SHOWN = ("psnr_lowpass", "sigma1")
"""Metric and variant of which one column is in the main table; all others are folded away."""


def _columns(metric: str, sigma: int, kind: str, axis: str) -> Sequence[Column]:
    of, planes = ("PSNR", ("xy", "volume")) if metric == "psnr_lowpass" else ("SSIM", ("xy",))
    where = ", within sections" if kind == LATERAL else ""
    words = {"PSNR": "peak signal-to-noise", "SSIM": "structural similarity"}[of]
    found = section_columns(
        metric, f"{of} \N{GREEK SMALL LETTER SIGMA}{sigma}",
        f"{words} after a Gaussian low-pass of {sigma} voxel{'s' * (sigma > 1)} of both volumes{where}",
        variant=f"sigma{sigma}", primary=False, unit="dB" if of == "PSNR" else "", style="2" if of == "PSNR" else "4",
        default=("volume",), lateral=planes, volume="all voxels" if of == "PSNR" else "three-dimensional window",
        ranks={"volume": 2, "xy": 2},
    )(kind, axis)  # fmt: skip
    shown = found[0].plane if (metric, f"sigma{sigma}") == SHOWN else ""
    return tuple(replace(column, default=column.plane == shown) for column in found)


def _low_pass(sigma: int, evidence: Evidence) -> LowPass:
    from vemrecon.metrics.low_pass import WITHIN_SECTIONS, LowPass

    return LowPass(f"sigma{sigma}", WITHIN_SECTIONS) if evidence.kind == LATERAL else LowPass(f"sigma{sigma}")


def _accumulator(metric: str, sigma: int, evidence: Evidence) -> Any:
    from vemrecon.metrics.low_pass import LowPassPSNR, LowPassSSIM

    kind = LowPassPSNR if metric == "psnr_lowpass" else LowPassSSIM
    return kind(evidence.regions, _low_pass(sigma, evidence))


def _scores(name: str, metric: str, sigma: int, unit: str, evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.low_pass import low_pass_scores

    return low_pass_scores(evidence, metric, f"sigma{sigma}", unit, evidence.shown[name])


SPECS = tuple(
    MetricSpec(
        name := f"{metric}{sigma}",
        f"{words} after a Gaussian low-pass of {sigma} voxel{'s' * (sigma > 1)} of both volumes",
        partial(_columns, metric, sigma),
        partial(_scores, name, metric, sigma, unit),
        tiles=partial(_accumulator, metric, sigma),
        halo=lambda accumulator: int(accumulator.halo),
        tile_work=work,
        place=place + sigma,
    )
    for metric, words, unit, work, place in (
        ("psnr_lowpass", "peak signal-to-noise ratio", "dB", 2, 14),
        ("ssim_lowpass", "structural similarity", "", 7, 24),
    )
    for sigma in SIGMAS
)
