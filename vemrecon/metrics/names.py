"""Names of the metrics that a user may ask for; importing this module loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping

SSIM_VARIANTS: dict[str, str] = {
    "ssim": "gaussian11",
    "ssim_uniform7": "uniform7",
    "ssim_torchmetrics": "torchmetrics",
}
"""Metric name to the variant that a `Score` row carries."""

MS_SSIM_VARIANTS: dict[str, str] = {"ms_ssim": "", "ms_ssim_p11": "p11", "ms_ssim_p5": "p5"}
"""Metric name to the variant that a `Score` row carries."""

LPIPS_NETWORKS: dict[str, tuple[str, ...]] = {"lpips": ("vgg", "alex"), "lpips_vgg": ("vgg",), "lpips_alex": ("alex",)}
"""Metric name to the networks that it asks for; a network is the variant that a `Score` row carries, `vgg` the primary
one."""

FSC_WINDOWS: dict[str, str] = {"fsc": "hann", "fsc_none": "none"}
"""Metric name to the taper that is applied before the Fourier transform."""

SECTION_METRICS: tuple[str, ...] = ("psnr", *SSIM_VARIANTS, *MS_SSIM_VARIANTS, "fsim", *LPIPS_NETWORKS)
"""Metrics that are means over sections, so that single planes can be scored."""

PAIR_METRICS: tuple[str, ...] = (*SECTION_METRICS, *FSC_WINDOWS, "axial")
"""What a reconstruction and its truth can be scored by, without labels or knowledge of the method."""

SEGMENTATION = "segmentation"
"""IoU, Dice, adapted Rand error, VOI and breaks of what a segmenter of the dataset finds in the reconstruction."""

SAM2 = "sam2"
"""IoU of objects that SAM 2 follows through the xy sections; its row is `sam2_iou`."""

KIND_METRICS: Mapping[str, tuple[str, ...]] = {
    "reference": (*PAIR_METRICS, "uncertainty", SEGMENTATION, SAM2),
    "lateral": (*SECTION_METRICS, "frc", SEGMENTATION, SAM2),
    "native": ("holdout", "isotropy", "uncertainty", "inpainting"),
}
"""What each kind of task can be scored by; names in the order in which they are shown."""

METRICS: tuple[str, ...] = tuple(dict.fromkeys(name for names in KIND_METRICS.values() for name in names))
"""Every metric; `ssim`, `ms_ssim` and `fsc` are the primary variants."""
