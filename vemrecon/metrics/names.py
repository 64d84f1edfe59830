"""Names of the metrics that a user may ask for; importing this module loads nothing heavy."""

from __future__ import annotations

METRICS: tuple[str, ...] = (
    "psnr",
    "ssim",
    "ssim_uniform7",
    "ssim_torchmetrics",
    "ms_ssim",
    "ms_ssim_p11",
    "ms_ssim_p5",
    "fsc",
    "fsc_none",
    "axial",
)
"""Every name that `evaluate` understands; `ssim`, `ms_ssim` and `fsc` are the primary variants."""

SSIM_VARIANTS: dict[str, str] = {
    "ssim": "gaussian11",
    "ssim_uniform7": "uniform7",
    "ssim_torchmetrics": "torchmetrics",
}
"""Metric name to the variant that a `Score` row carries."""

MS_SSIM_VARIANTS: dict[str, str] = {"ms_ssim": "", "ms_ssim_p11": "p11", "ms_ssim_p5": "p5"}
"""Metric name to the variant that a `Score` row carries."""

FSC_WINDOWS: dict[str, str] = {"fsc": "hann", "fsc_none": "none"}
"""Metric name to the taper that is applied before the Fourier transform."""
