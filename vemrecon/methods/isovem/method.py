"""IsoVEM as a method.

He et al., "IsoVEM: isotropic reconstruction for volume electron microscopy based on transformer",
doi:10.1101/2023.11.22.567807.
What we changed: on kept sections the linear skip of the network is registered to them (the published method knows slab
means only); tiles are cut and stitched by this project's engine. Published (EPFL x8, VEMamba's protocol): 27.119 dB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vemrecon.data.patches import LateralPairs
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.eightfold import ALL, eightfold_tile
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.isovem.any_size import reconstruct_any_size
from vemrecon.methods.isovem.inpainting import Blanked, inpaint_sections
from vemrecon.methods.isovem.network import DEFAULT_DEPTHS, DEFAULT_WIDTHS, IsoVEMNet
from vemrecon.methods.isovem.training import blank_frames
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.nets.losses import l1_ssim_loss, structural_similarity
from vemrecon.volume import SectionGrid


class IsoVEM(Method):
    """Video transformer trained on laterally degraded blocks of sections.

    `network_scale` is the scale that its network is built for, which its weights decide; None for that of the task.
    `choice` is by SSIM, see `WeightChoice`. `blank_neighbours` says whether missing neighbours of a missing section are
    blanked, too, while it is predicted, as published; otherwise they are the means that stand in for them. A network
    that learned with one blanked section is far too dark beside a second one.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        window: Sequence[int] = (2, 2, 16),
        widths: Sequence[int] = DEFAULT_WIDTHS,
        depths: Sequence[int] = DEFAULT_DEPTHS,
        features: int = 64,
        drop_path: float = 0.2,
        crop: Sequence[int] = (16, 128, 128),
        batch: int = 2,
        budget: int = 50000,
        learning_rate: float = 1e-3,
        cosine: bool = False,
        blank_sections: bool = False,
        blank_neighbours: bool = True,
        choice: Keep = "last",
        rotations: Sequence[int] = ALL,
        tile: Sequence[int] = (16, 128, 128),
        halo: int = 8,
        blend: bool = False,
        network_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.scale, self.grid, self.rotations = scale, grid, tuple(rotations)
        self.crop, self.batch, self.budget = tuple(crop), batch, budget
        self.learning_rate, self.cosine = learning_rate, cosine
        self.blank_sections, self.blank_neighbours = blank_sections, blank_neighbours
        self.choice = WeightChoice(choice, "ssim")
        self.net = IsoVEMNet(
            upscale=network_scale or scale,
            window_size=tuple(window),
            embed_dims=widths,
            depths=depths,
            drop_path_rate=drop_path,
            features=features,
        )
        z, y, x = tile
        self.tile = TileShape(z, y, x, halo=(halo, halo, halo), blended=blend)

    @property
    def any_scale(self) -> bool:
        """Yes: rows are shuffled as its network is built for, and resized to any number."""
        return True

    def stages(self) -> tuple[Stage, ...]:
        """One stage on blocks of sections."""
        z, y, x = self.crop
        pairs, epoch = LateralPairs((z, y, x)), epoch_of(self.budget)
        return (Stage("fit", ("net",), pairs, self.budget, self.batch, epoch=epoch, choice=self.choice),)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Adam at a constant rate as published, or with a cosine to zero."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate)
        steps = self.stage.epochs * self.stage.batches_per_epoch if self.cosine else 10**12
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """L1 + (1 - SSIM) of every frame."""
        observed, target = batch["observed"], batch["target"]
        if self.blank_sections:
            frames = torch.randint(observed.shape[2], (len(observed),)).tolist()
            observed = blank_frames(observed.transpose(1, 2), frames).transpose(1, 2)
        rows = self.grid.covered(observed.shape[3])
        result = self.restore(observed)[:, :, :, :rows]
        return l1_ssim_loss(result[:, 0], target[:, 0, :, :rows], dims=2)

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """PSNR, and SSIM of every frame as in the loss."""
        observed, target = batch["observed"], batch["target"]
        restored, rows = self.restore(observed), self.grid.covered(observed.shape[3])
        error = (restored.clamp(0, 1) - target).square().mean()
        ssim = structural_similarity(restored[:, 0, :, :rows], target[:, 0, :, :rows])
        return {"psnr": -10 * torch.log10(error.clamp_min(1e-10)), "ssim": ssim}

    def restore(self, observed: Tensor) -> Tensor:
        """Blocks (b, 1, z, h, x) with h coarse, to (b, 1, z, h * scale, x)."""
        video = observed.transpose(1, 2)  # (b, frames, 1, h, x)
        rows = round(observed.shape[3] * self.scale)
        result = reconstruct_any_size(self.net, video, self.scale, rows)
        if self.grid.thin:
            result = result + register_skip(video, self.grid, rows)
        return result.transpose(1, 2)

    @property
    def fills_sections(self) -> bool:
        """Whether blanked sections were part of the training."""
        return self.blank_sections

    def inpaint(self, volume: Tensor, sections: Sequence[int]) -> Tensor:
        """Predict sections of (z, y, x) with the same weights at scale 1 (IsoVEM+, first step)."""
        z, y, x = self.crop
        blanked: Blanked = "all" if self.blank_neighbours else "one"
        return inpaint_sections(partial(reconstruct_any_size, self.net), volume, sections, (z, y, x), blanked=blanked)

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over the rotations."""
        return self.reconstruct_with_spread(tile)[0]

    @property
    def has_spread(self) -> bool:
        """Whether there are several rotations."""
        return len(self.rotations) > 1

    def reconstruct_with_spread(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over the rotations; the planes along y are the frames."""
        return eightfold_tile(self.restore, tile, self.rotations)


def register_skip(video: Tensor, grid: SectionGrid, rows: int) -> Tensor:
    """What must be added to a half-pixel linear skip so that it interpolates kept sections; shape (..., rows, x)."""
    h = video.shape[-2]
    half_pixel = SectionGrid.slabs(grid.scale)
    difference = interpolation_matrix("linear", h, grid) - interpolation_matrix("linear", h, half_pixel)
    return torch.from_numpy(difference[:rows]).to(video) @ video
