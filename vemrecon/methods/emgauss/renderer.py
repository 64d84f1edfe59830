"""`Renderer`: how the sections of a fit are rendered, and by whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.emgauss.gsplat_kernel import CUT, render_gsplat
from vemrecon.methods.emgauss.splats import Splats, check_mode
from vemrecon.methods.emgauss.tiled import render_tiled

KERNELS = ("torch", "gsplat")


@dataclass(frozen=True)
class Renderer:
    """Renders splats of one channel.

    Attributes:
        mode: `alpha` or `additive`.
        eps2d: Floor of the covariances in square pixels; without one, Gaussians shrink until the fit diverges.
        cut: Opacity below which samples are skipped.
        kernel: `torch`, or `gsplat`, which needs the package, CUDA, mode `alpha` and a cut of 1/255.
    """

    mode: str = "alpha"
    eps2d: float = 0.02
    cut: float = CUT
    kernel: str = "torch"

    def __post_init__(self) -> None:
        check_mode(self.mode)
        if self.kernel not in KERNELS:
            raise unknown("EMGauss kernel", self.kernel, KERNELS)
        if self.cut <= 0:
            raise ConfigError(f"EMGauss: cut {self.cut:g} must be above 0")
        if self.kernel == "gsplat" and (self.mode != "alpha" or abs(self.cut - CUT) > 1e-9):
            raise ConfigError("EMGauss: kernel gsplat renders mode alpha with a cut of 1/255 only; use kernel: torch")

    def zoomed(self, factor: float) -> Renderer:
        """For splats that are zoomed by a factor: the floor is in rendered pixels."""
        return replace(self, eps2d=self.eps2d * factor**2)

    def __call__(self, splats: Splats, background: Tensor, size: tuple[int, int]) -> Tensor:
        """The section, shape (rows, columns), not clipped."""
        if self.kernel == "gsplat":
            return render_gsplat(splats, background, size, eps2d=self.eps2d)[0][0]
        return render_tiled(splats, background, size, mode=self.mode, eps2d=self.eps2d, cut=self.cut)[0][0]
