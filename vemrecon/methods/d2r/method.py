"""AENet and DGEAN, trained with supervision, as methods: Sup-AENet and Sup-DGEAN of the D2R papers.

Chen et al., "From Diffusion to Resolution: Leveraging 2D Diffusion Models for 3D Super-Resolution Task",
arXiv:2411.16792 (DGEAN), and the conference paper with AENet. Neither network was released; they are rebuilt from the
papers and from FLAVR, on which both rest. What we changed: slab means are placed where they were (the papers know kept
sections only); the rate is halved on plateaus of the training loss.
Published (FIB-25 x8): Sup-AENet 27.89 dB (xy), 28.24 dB (xz); Sup-DGEAN 27.69 dB, 28.02 dB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.supervised import SectionWindows, with_known_validation
from vemrecon.errors import unknown
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.d2r.backbone import WIDTHS
from vemrecon.methods.d2r.base_image import Base
from vemrecon.methods.d2r.losses import section_loss
from vemrecon.methods.d2r.network import DGEAN, AENet, DepthMode, PositionMode
from vemrecon.methods.d2r.sections import depths_between, interpolate_sections
from vemrecon.methods.padding import cropped, padded
from vemrecon.methods.plateau import Plateau
from vemrecon.methods.rates import falling
from vemrecon.methods.short_floats import short_floats
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.nets.continuity import Distance, SmoothSign, continuity_loss, perceptual_distance
from vemrecon.volume import SectionGrid

EPOCHS = 60
MULTIPLE = 8  # of y and x: three halvings
BASES: Mapping[str, Base] = {"aenet": "mean", "dgean": "rl"}


class SliceInterpolation(Method):
    """A network that predicts the section at any depth between observed ones; trained on windows of true sections.

    Args:
        network: `aenet` or `dgean`.
        base: None for that of the network.
        continuity: Weight of the continuity loss; DGEAN's is 0.1.
        continuity_every: Batches from one continuity loss to the next; each costs as many passes as there are sections.
        bf16: Whether the network is trained in bfloat16, where a device computes in it.
        at_once: Sections predicted together in a reconstruction.
        axes: See `SectionWindows`.
        choice: See `WeightChoice`; by PSNR.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        network: str = "aenet",
        widths: Sequence[int] = WIDTHS,
        depth_mode: DepthMode = "features",
        position_mode: PositionMode = "learnt",
        base: Base | None = None,
        ssim: float = 1.0,
        frequency: float = 100.0,
        continuity: float = 0.0,
        continuity_every: int = 4,
        smooth_sign: SmoothSign = "gini",
        axes: Sequence[int] = (0,),
        crop: int = 128,
        batch: int = 8,
        budget: int = 60000,
        learning_rate: float = 2e-4,
        cosine: bool = False,
        bf16: bool = False,
        choice: Keep = "last",
        tile: Sequence[int] = (16, 256, 256),
        halo: int = 32,
        at_once: int = 4,
    ) -> None:
        super().__init__()
        if network not in BASES:
            raise unknown("D2R network", network, BASES)
        self.scale, self.grid = scale, grid
        self.ssim, self.frequency, self.continuity = ssim, frequency, continuity
        self.continuity_every, self.smooth_sign = continuity_every, smooth_sign
        self.axes, self.crop, self.batch, self.budget = tuple(axes), crop, batch, budget
        self.learning_rate, self.cosine, self.bf16, self.at_once = learning_rate, cosine, bf16, at_once
        self.choice = WeightChoice(choice)
        base = base or BASES[network]
        self.net = (
            AENet(widths, depth_mode=depth_mode, base=base)
            if network == "aenet"
            else DGEAN(widths, depth_mode=depth_mode, base=base, position_mode=position_mode)
        )
        self.plateau = Plateau()
        self._distance: list[Distance | None] = []  # in a list, so that its weights are none of ours
        self.tile = TileShape(tile[0], tile[1], tile[2], halo=(2, halo, halo))  # windows reach two sections far

    @property
    def any_scale(self) -> bool:
        """Yes: it is told the relative depth of the section it makes."""
        return True

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Watch the training only where the truth of the validation region is known."""
        return with_known_validation(source)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on windows of sections."""
        epoch = epoch_of(self.budget) if self.cosine else max(1, self.budget // EPOCHS)
        patches = SectionWindows(self.crop, self.axes)
        return (
            Stage("fit", ("net",), patches, self.budget, self.batch, epoch=epoch, validation=16, choice=self.choice),
        )

    def configure_optimizers(self) -> object:  # type: ignore[override]  # Lightning takes both forms
        """Adam; its rate is halved on plateaus, or follows a cosine to zero."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate, betas=(0.9, 0.99))
        return falling(optimizer, self.stage) if self.cosine else optimizer

    def on_train_epoch_start(self) -> None:
        """Halve the rate on a plateau."""
        if not self.cosine:
            self.plateau.set_rate(self.trainer, self.learning_rate)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """L1 + SSIM + focal frequency loss of the wanted section; sometimes the continuity of one window."""
        prediction = self.predict(batch["observed"], batch["depth"])
        loss = section_loss(prediction, batch["target"], ssim=self.ssim, frequency=self.frequency)
        self.plateau.add(loss)
        if self.continuity and index % self.continuity_every == 0 and (distance := self.distance()):
            slices = self.sections_between(batch["observed"][:1])
            loss = loss + self.continuity * continuity_loss(slices, distance, self.smooth_sign)
        return loss

    def distance(self) -> Distance | None:
        """LPIPS, made when it is first needed, or None."""
        if not self._distance:
            self._distance.append(perceptual_distance(self.device))
        return self._distance[0]

    def sections_between(self, window: Tensor) -> Tensor:
        """All sections from the second of (1, 1, 4, y, x) up to the third, shape (n, 1, y, x); the latter left out."""
        depths = window.new_tensor(depths_between(self.grid))
        sections = self.predict(window.expand(len(depths), -1, -1, -1, -1), depths)
        return torch.cat([window[:, :, 1], sections]) if self.grid.thin else sections

    def predict(self, windows: Tensor, depth: Tensor) -> Tensor:
        """Windows (b, 1, 4, y, x) of any extent and depths (b,) to sections (b, 1, y, x)."""
        with short_floats(windows.device, self.bf16 and self.training):
            made = self.net(padded(windows, MULTIPLE), depth)
        return cropped(made.float(), windows)

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """PSNR of the wanted section."""
        prediction = self.predict(batch["observed"], batch["depth"]).clamp(0, 1)
        error = (prediction - batch["target"]).square().mean()
        return {"psnr": -10 * torch.log10(error.clamp_min(1e-10))}

    def reconstruct(self, tile: Tile) -> Tensor:
        """Kept sections as they are, all others predicted one by one."""
        volume = tile.observed[0, 0]
        return interpolate_sections(self.predict, volume, tile.grid, self.at_once)[None, None]

    @property
    def continuous(self) -> bool:
        """Yes: it is told the relative depth of the section it makes."""
        return True

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """The same at any depth."""
        return interpolate_sections(self.predict, tile.observed[0, 0], tile.grid, self.at_once, positions)[None, None]
