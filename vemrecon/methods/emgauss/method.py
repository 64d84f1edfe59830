"""EMGauss as a method: a movie of 2D Gaussians is fitted to the observed sections of each tile, then played slowly.

He et al., "EMGauss: continuous slice-to-3D reconstruction via dynamic Gaussian modeling in volume electron microscopy",
CVPR 2026, arXiv:2512.06684. There is no released code; this is written from the paper, and where it is silent after
Deformable 3D Gaussians (Yang et al., CVPR 2024) and 3DGS (Kerbl et al., SIGGRAPH 2023), with their numbers in pixels.
Published (kept sections, x6): FIB-25 27.37 dB / 0.7275 and EPFL 26.59 dB / 0.6977 on withheld sections.
What we chose: an orthographic view of a plane, one angle per Gaussian, one grey value, index order as depth order,
deltas of scales and opacities before exponential and sigmoid, a floor and a cap of scales, and as many frequencies of
time as the number of sections supports. Sections that are slab means are compared with the mean of renderings over the
slab, which the paper does not treat. `teacher: linear` (labels by linear interpolation) and `deformation: keyframes`
(opacities alone, without a network) are ours, no part of EMGauss, and go by other names in tables.

Nothing is learned before: every tile, a bundle of sections and a window of them, is a fit of its own whose randomness
belongs to its place. On a CPU a fit runs in one thread, so that it is the same however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.emgauss.bundle import Bundle
from vemrecon.methods.emgauss.deformation import DeformationNetwork, KeyFrames, time_frequencies
from vemrecon.methods.emgauss.fit import TEACHERS, Movie, Recipe, fit
from vemrecon.methods.emgauss.renderer import Renderer
from vemrecon.methods.emgauss.schedule import Schedule
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import triple

DEFORMATIONS = ("network", "keyframes")
PER_GAUSSIAN = 7  # centre, scales, angle, opacity, grey value


def key_frames(sections: int, grid: SectionGrid) -> nn.Module:
    """A deformation that is learned for every section by itself."""
    return KeyFrames(grid)


class EMGauss(Method):
    """Deformable 2D Gaussians, fitted while a tile is reconstructed.

    Args:
        steps: Of the warm-up, the joint and the bootstrapped stage.
        mode: How Gaussians add up, `alpha` (front to back) or `additive`.
        per_pixel: Gaussians per pixel at the start.
        cut: Opacity below which a Gaussian is not drawn.
        eps2d: Floor of covariances in square pixels.
        background: Grey value behind all Gaussians; None for the mean of the observed sections.
        depth: Hidden layers of the deformation network.
        width: Of each layer.
        space_frequencies: Of the code of positions.
        time_frequencies: Of the code of times; None for about one radian from section to section.
        reach: Pixels per unit of the network's shifts.
        deltas: What changes with time: position, scale, opacity, rotation.
        deformation: `network`, or `keyframes` of opacities, which is not EMGauss.
        teacher: `ema` (a running average of the network labels unobserved sections), `none`, or `linear`
            (interpolation labels them), which is not EMGauss.
        decay: What the teacher keeps of itself in a step.
        waits: Whether the teacher waits until a tenth of the steps has gained less than half a dB.
        ramp: How the weight of labelled sections grows, `linear` or `exponential`.
        weight: From and to which value.
        share: From and to which share of steps takes a labelled section.
        widening: Shares of the bootstrapped stage after which labels reach half of each gap, and all of it.
        smoothing: Whether the times of observed sections are noisy at first.
        learning_rate: Of the network.
        densify: Whether Gaussians are copied, split and removed.
        cap: Most Gaussians per pixel, if so.
        keep_observed: Whether sections that were observed are passed through; otherwise they are rendered, too.
        slab: Renderings over the thickness of a section that is a slab mean.
        kernel: `torch`, or `gsplat` (CUDA, the package of this name), whose sections differ by up to 1e-3.
        tile: Sections of a bundle less its two shared ones, rows and columns.
        halo: Margins in observed voxels along z, y and x. One section joins bundles.
    """

    fits_at_test: ClassVar[bool] = True
    any_grid: ClassVar[bool] = True
    sees_across_sections: ClassVar[bool] = (
        True  # where y is the coarse axis, the frames of its movie lie across sections
    )

    def __init__(
        self,
        steps: Sequence[int] = (2000, 1000, 15000),
        mode: str = "alpha",
        per_pixel: float = 0.25,
        cut: float = 1 / 255,
        eps2d: float = 0.02,
        background: float | None = None,
        depth: int = 8,
        width: int = 256,
        space_frequencies: int = 10,
        time_frequencies: int | None = None,
        reach: float = 8.0,
        deltas: Sequence[str] = ("position", "scale", "opacity"),
        deformation: str = "network",
        teacher: str = "ema",
        decay: float = 0.995,
        waits: bool = False,
        ramp: str = "linear",
        weight: Sequence[float] = (0.1, 1.0),
        share: Sequence[float] = (0.2, 0.5),
        widening: Sequence[float] = (0.2, 0.4),
        smoothing: bool = True,
        learning_rate: float = 8e-4,
        densify: bool = False,
        cap: float = 0.375,
        keep_observed: bool = True,
        slab: int = 3,
        kernel: str = "torch",
        tile: Sequence[int] = (8, 512, 512),
        halo: Sequence[int] = (1, 16, 16),
    ) -> None:
        super().__init__()
        for what, name, known in (("deformation", deformation, DEFORMATIONS), ("teacher", teacher, TEACHERS)):
            if name not in known:
                raise unknown(f"EMGauss {what}", name, known)
        if deformation == "keyframes" and teacher != "none":
            raise ConfigError("EMGauss: key frames have no network that could be taught; set teacher: none")
        if min(per_pixel, eps2d, cap, depth, width, slab) <= 0:
            raise ConfigError("EMGauss: per_pixel, eps2d, cap, depth, width and slab must be positive")
        self.frequencies, self.keep_observed = time_frequencies, keep_observed
        self.network = (depth, width, space_frequencies, tuple(deltas), reach)
        self.recipe = Recipe(
            schedule=Schedule(*triple(steps), ramp, _pair(weight), _pair(share), _pair(widening)),
            renderer=Renderer(mode, eps2d, cut, kernel),
            deformation=self.new_deformation if deformation == "network" else key_frames,
            per_pixel=per_pixel,
            frames=deformation == "keyframes",
            background=background,
            teacher=teacher,
            decay=decay,
            waits=waits,
            smoothing=smoothing,
            slab=slab,
            rate=learning_rate,
            cap=cap if densify else None,
        )
        self.tile = TileShape(*triple(tile), halo=triple(halo), blended=True)
        self.parameter_count()  # refuses a network that cannot be built

    def new_deformation(self, sections: int, grid: SectionGrid) -> nn.Module:
        """The network for a bundle of some sections."""
        depth, width, space, deltas, reach = self.network
        time = time_frequencies(sections) if self.frequencies is None else self.frequencies
        return DeformationNetwork(depth, width, space, time, deltas, reach)

    def parameter_count(self) -> int:
        """Of the fit of one tile with its margins: Gaussians at the start, and the deformation."""
        sections, rows, columns = (
            core + 2 * margin for core, margin in zip(self.tile.core, self.tile.halo, strict=True)
        )
        deformation = sum(p.numel() for p in self.recipe.deformation(sections, SectionGrid.kept_every(1)).parameters())
        each = PER_GAUSSIAN + sections * self.recipe.frames
        return round(rows * columns * self.recipe.per_pixel) * each + deformation

    def reconstruct(self, tile: Tile) -> Tensor:
        """Fit the tile, then render all of its sections; observed ones that were kept are passed through."""
        rows = np.arange(tile.grid.extent(tile.observed.shape[2]))
        return self.sections_at(tile, tile.grid.sections_at(rows).tolist())

    @property
    def continuous(self) -> bool:
        """Yes: Gaussians move in a time that has no steps."""
        return True

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """Fit the tile, then render sections at any depth; observed ones that were kept are passed through."""
        with _one_thread(tile.observed.device):
            movie, bundle = self.fitted(tile)
            kept = [bundle.kept_at(position) if self.keep_observed else None for position in positions]
            with torch.no_grad():
                sections = [
                    movie.section(bundle.time(position)) if number is None else bundle.sections[number]
                    for number, position in zip(kept, positions, strict=True)
                ]
        return torch.stack(sections)[None, None]

    def fitted(self, tile: Tile) -> tuple[Movie, Bundle]:
        """The fit of a tile, and what it was fitted to."""
        with _one_thread(tile.observed.device):
            bundle = Bundle(tile.observed[0, 0].clone(), tile.grid)
            return fit(bundle, self.recipe, self.seed, tile.origin), bundle


def _pair(values: Sequence[float]) -> tuple[float, float]:
    first, last = values
    return first, last


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """One thread on a CPU: sums do not depend on how many there are, and small operations are not slowed by more."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
