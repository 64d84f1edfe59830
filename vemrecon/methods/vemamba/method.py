"""VEMamba as a method: a contrastive degradation encoder first, then the reconstruction network.

Gao & Gao, "VEMamba: efficient isotropic reconstruction of volume electron microscopy with axial-lateral consistent
Mamba", CVPR 2026, arXiv:2603.00887; released code under the MIT licence, no weights. Published (EPFL, x4): 0.94 M
parameters. What we changed: the encoder sees the network's own input (sections along F, at the scale in use) in both
stages and at inference; sections turned upside down are kept in register; tiles are cut and stitched by this project's
engine. `skip: true` adds registered linear interpolation to the output, which the paper does not have: it lets short
trainings start from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from vemrecon.data.patches import LateralPairs
from vemrecon.errors import unknown
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.eightfold import ALL, eightfold_tile
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.vemamba.encoder import EMBEDDING, SECTIONS, MomentumContrast, embedding_input
from vemrecon.methods.vemamba.losses import contrast_loss, reconstruction_loss, warmup_cosine
from vemrecon.methods.vemamba.network import PAPER, RELEASED, VEMambaNet
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.volume import SectionGrid

LAYOUTS = {"paper": PAPER, "released": RELEASED}
WARMUP = 0.05  # of the budget: 10 of 200 epochs


class VEMamba(Method):
    """State-space network over eight scan orders, conditioned on a degradation embedding; `choice` is by PSNR."""

    in_batches: ClassVar[tuple[str, ...]] = ("budget", "moco_budget")

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        width: int = 32,
        depths: Sequence[int] = (4, 4, 4, 4),
        state: int = 16,
        layout: str = "paper",
        alcssm: bool = True,
        dwam: bool = True,
        moco: bool = True,
        skip: bool = False,
        recompute: bool = False,
        crop: Sequence[int] = (16, 128, 128),
        batch: int = 2,
        budget: int = 51200,
        learning_rate: float = 5e-4,
        moco_batch: int = 64,
        moco_budget: int = 80000,
        moco_queue: int = 4096,
        choice: Keep = "last",
        rotations: Sequence[int] = ALL,
        tile: Sequence[int] = (16, 128, 128),
        halo: int = 8,
        blend: bool = False,
    ) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            raise unknown("VEMamba layout", layout, LAYOUTS)
        self.scale, self.grid, self.rotations, self.skip = scale, grid, tuple(rotations), skip
        self.crop, self.batch, self.budget, self.learning_rate = tuple(crop), batch, budget, learning_rate
        self.moco_batch, self.moco_budget = moco_batch, moco_budget
        self.choice = WeightChoice(choice)
        self.contrast = MomentumContrast(moco_queue) if moco else None
        self.net = VEMambaNet(
            max(2, round(scale)),
            width,
            tuple(depths),
            state,
            embedding=EMBEDDING if moco else None,
            alcssm=alcssm,
            dwam=dwam,
            recompute=recompute,
            **LAYOUTS[layout],
        )
        z, y, x = tile
        self.tile = TileShape(z, y, x, halo=(halo, halo, halo), blended=blend)

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Whole scales of at least 2 only."""
        return None if float(scale).is_integer() and scale >= 2 else "its upsampler needs a whole scale of at least 2"

    def stages(self) -> tuple[Stage, ...]:
        """Contrast of degradations, then reconstruction."""
        z, y, x = self.crop
        pairs = LateralPairs((z, y, x))
        epoch = epoch_of(self.budget)
        fit = Stage("fit", ("net",), pairs, self.budget, self.batch, epoch=epoch, choice=self.choice)
        if self.contrast is None:
            return (fit,)
        epoch = epoch_of(self.moco_budget)
        views = LateralPairs((max(z, 2 * SECTIONS), y, x))
        return (
            Stage("degradation", ("contrast",), views, self.moco_budget, self.moco_batch, epoch=epoch, validation=0),
            fit,
        )

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """SGD for the encoder, Adam with warm-up and cosine for the network."""
        optimizer: torch.optim.Optimizer
        if self.stage.name == "degradation" and self.contrast is not None:
            parameters = self.contrast.query.parameters()
            optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4)
            halving = max(1, self.moco_budget // 100)  # every 100 of 10000 epochs
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 ** (step // halving))
        else:
            trained = [p for p in self.net.parameters() if p.requires_grad]
            optimizer = torch.optim.Adam(trained, lr=self.learning_rate, betas=(0.9, 0.99))
            total = self.stage.epochs * self.stage.batches_per_epoch
            warmup = max(1, round(WARMUP * total))
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """The loss of the stage at work."""
        if self.stage.name == "degradation" and self.contrast is not None:
            volume = batch["observed"]  # (b, 1, F, h, W)
            last = max(0, volume.shape[2] - SECTIONS)
            logits, _ = self.contrast.contrast(embedding_input(volume), embedding_input(volume, last))
            return contrast_loss(logits)
        rows = self.grid.covered(batch["observed"].shape[3])
        result = self.restore(batch["observed"])[:, :, :, :rows]
        return reconstruction_loss(result, batch["target"][:, :, :, :rows])

    def restore(self, observed: Tensor) -> Tensor:
        """Blocks (b, 1, F, h, W) with h coarse, to (b, 1, F, h * scale, W)."""
        embedding = None
        if self.contrast is not None:
            with torch.no_grad():
                embedding = self.contrast(embedding_input(observed))
        result: Tensor = self.net(observed, embedding)
        if self.skip:
            weights = interpolation_matrix("linear", observed.shape[3], self.grid)
            result = result + torch.from_numpy(weights).to(observed) @ observed
        return result

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
