"""SRUNet as a method: 3D U-Net trained on isotropic blocks and their degraded versions.

The baseline of both D2R papers, after Heinrich et al., MICCAI 2017, arXiv:1706.03142; code shared by D2R (no licence)
and vEMDiffuse (MIT). What we changed, as the published training script has defects: a constant rate of 1e-4, halved on
plateaus (published: an effective 1e-8 to 3e-7); the interpolation that weights the loss is registered with the
sections (published: stretched end to end). `skip: true` adds registered linear interpolation to the output, which the
published network does not have: it lets short trainings start from there. Published (FIB-25 x8, D2R-AENet): 27.01 dB
(xy), 27.24 dB (xz).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.supervised import IsotropicBlocks, with_known_validation
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.interpolation import Kernel, interpolated
from vemrecon.methods.padding import cropped, padded
from vemrecon.methods.plateau import Plateau
from vemrecon.methods.rates import falling
from vemrecon.methods.short_floats import short_floats
from vemrecon.methods.srunet.loss import weighted_error
from vemrecon.methods.srunet.network import WIDTHS, SRUNetwork
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.volume import SectionGrid

EPOCHS = 100
MULTIPLE = 4  # of y and x: two poolings


def start_at_interpolation(net: SRUNetwork) -> None:
    """Let training start at linear interpolation, with features that are alive.

    With usual weights the features of narrow networks fade from layer to layer, and the last ReLUs soon give nothing.
    """
    for name, parameter in net.named_parameters():
        if name.endswith("bias") or name.startswith("last"):
            torch.nn.init.zeros_(parameter)
        else:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")


class SRUNet(Method):
    """Supervised 3D U-Net; even scales only.

    For `axes` see `IsotropicBlocks`; `bf16` is for training alone. `choice` and `patience` go by PSNR, see
    `WeightChoice`.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        widths: Sequence[int] = WIDTHS,
        skip: bool = False,
        axes: Sequence[int] = (0,),
        sections: int = 8,
        crop: int = 128,
        batch: int = 4,
        budget: int = 50000,
        learning_rate: float = 1e-4,
        cosine: bool = False,
        bf16: bool = False,
        choice: Keep = "last",
        patience: int | None = None,
        tile: Sequence[int] = (8, 128, 128),
        halo: Sequence[int] = (4, 16, 16),
    ) -> None:
        super().__init__()
        self.scale, self.grid, self.skip = scale, grid, skip
        self.axes, self.sections, self.crop, self.batch, self.budget = tuple(axes), sections, crop, batch, budget
        self.learning_rate, self.cosine = learning_rate, cosine
        self.bf16, self.choice = bf16, WeightChoice(choice, patience=patience)
        self.net = SRUNetwork(tuple(widths))
        self.net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a third faster on a CPU
        if skip:
            start_at_interpolation(self.net)
        self.plateau = Plateau()
        self.tile = TileShape(tile[0], tile[1], tile[2], halo=(halo[0], halo[1], halo[2]))

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Even scales only: one of its steps enlarges by half the scale, after another by two."""
        return None if scale % 2 == 0 else "its two-step enlargement needs an even scale"

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Watch the training only where the truth of the validation region is known."""
        return with_known_validation(source)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on isotropic blocks."""
        epoch = epoch_of(self.budget) if self.cosine else max(1, self.budget // EPOCHS)
        patches = IsotropicBlocks(self.sections, self.crop, self.axes)
        return (
            Stage("fit", ("net",), patches, self.budget, self.batch, epoch=epoch, validation=16, choice=self.choice),
        )

    def configure_optimizers(self) -> object:  # type: ignore[override]  # Lightning takes both forms
        """Adam; its rate is halved on plateaus, or follows a cosine to zero."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate)
        return falling(optimizer, self.stage) if self.cosine else optimizer

    def on_train_epoch_start(self) -> None:
        """Halve the rate on a plateau."""
        if not self.cosine:
            self.plateau.set_rate(self.trainer, self.learning_rate)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Squared error on grey levels in [-1, 1], weighted where cubic interpolation fails."""
        observed, target = batch["observed"], batch["target"]
        interpolated = self.interpolate(observed, "bspline3")
        loss = weighted_error(2 * interpolated - 1, 2 * self.restore(observed) - 1, 2 * target - 1)
        self.plateau.add(loss)
        return loss

    def restore(self, observed: Tensor) -> Tensor:
        """Blocks (b, 1, z, y, x) in [0, 1], to (b, 1, z * scale, y, x)."""
        with short_floats(observed.device, self.bf16 and self.training):
            made = self.net(padded(2 * observed - 1, MULTIPLE), round(self.scale))
        result = cropped(made.float(), observed)
        return self.interpolate(observed, "linear") + result / 2 if self.skip else (result + 1) / 2

    def interpolate(self, observed: Tensor, kernel: Kernel) -> Tensor:
        """Registered interpolation along z."""
        return interpolated(observed, self.grid, kernel)

    def reconstruct(self, tile: Tile) -> Tensor:
        """One pass over the tile."""
        return self.restore(tile.observed)
