"""`Score`: one number of one metric, with everything that is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One value of one metric.

    A metric that could not be computed has `value` None and says why in `note`.
    """

    metric: str
    """psnr, ssim, ms_ssim, fsc, ..."""
    variant: str
    """Named variant, e.g. gaussian11 or uniform7 for ssim, hann for fsc; empty where there is only one."""
    plane: str
    """xy, xz, yz, mean (of the three), volume; for fsc: all, z, y, x, lateral, ratio (axial over lateral)."""
    range: str
    """Scored range along the degraded axis: all, or span (no extrapolated section)."""
    block: str
    """Evaluation block, or 'all' for the whole scored region."""
    value: float | None
    unit: str = ""
    """dB, nm or empty."""
    std: float | None = None
    """Standard deviation over the sections of the plane (ddof 0)."""
    count: int | None = None
    """Number of sections that entered the mean."""
    note: str = ""
    """Why the value is missing or limited, e.g. 'no_crossing' (read as <= value) or 'a side is shorter than 176'."""
