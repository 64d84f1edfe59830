"""CycleGAN-IR (IsoRecon) as a method: lateral and axial sections of one volume, translated into each other.

Deng et al., "Isotropic reconstruction of 3D EM images with unsupervised degradation learning", MICCAI 2020, LNCS 12265,
163-173; the released code has no licence file. Published by others: EPFL x6 22.05 dB, FIB-25 x6 22.39 dB (EMGauss, kept
sections); FIB-25 x8 23.99 dB in xy (D2R, kept sections); the authors' own numbers were not available.
What we changed: any whole scale (released: 10); on kept sections both resamplers of rows are registered to them,
`registered: false` restores those of the release, whose result is displaced by (scale - 1) / 2 voxels there; xz and yz
sections are averaged (the release leaves separate images); sections are drawn at random, and cropped where they are
larger than `crop`; the learning rates fall by batches, not by passes over a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.unpaired import UnpairedSections
from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.cyclegan_ir.adversarial import Networks, iterate
from vemrecon.methods.cyclegan_ir.critics import LEAST_COLUMNS, LEAST_ROWS, axial_critic, lateral_critic
from vemrecon.methods.cyclegan_ir.generator import Enlarge, Generator, Reduce, reach_of, start_orthogonal
from vemrecon.methods.cyclegan_ir.image_pool import ImagePool
from vemrecon.methods.cyclegan_ir.schedule import degrader_factor, linear_factor
from vemrecon.methods.plane_by_plane import LARGEST, mean_of_planes
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.seeding import derive
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import triple

DIRECTIONS = ("xz", "yz", "mean")
"""Which axial sections are reconstructed; `mean` does both."""


class CycleGANIR(Method):
    """Reconstruction network `net`, learned degradation `degrader`, and a critic of either kind of section."""

    unused_parameters = True

    in_batches: ClassVar[tuple[str, ...]] = ("budget", "epoch")

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        width: int = 64,
        blocks: int = 9,
        critic_width: int = 32,
        crop: Sequence[int] = (500, 500),
        orientations: bool = False,
        batch: int = 2,
        budget: int = 25000,
        epoch: int = 500,
        learning_rates: Sequence[float] = (3e-4, 2e-4, 1e-4),
        registered: bool = True,
        direction: str = "mean",
        inference_only: bool = False,
        tile: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if direction not in DIRECTIONS:
            raise unknown("direction of CycleGAN-IR", direction, DIRECTIONS)
        self.automatic_optimization = False
        self.scale, self.direction, self.inference_only = max(1, round(scale)), direction, inference_only
        self.registered = registered
        self.grid = grid if registered else SectionGrid.slabs(scale)
        self.crop, self.orientations, self.batch, self.budget = tuple(crop), orientations, batch, budget
        self.epoch, self.learning_rates = epoch, tuple(learning_rates)
        self.net = Generator(Enlarge(self.grid), width, blocks)
        start_orthogonal(self.net)
        if not inference_only:  # released weights are those of the reconstruction network alone
            self.degrader = Generator(Reduce(self.grid), width, blocks)
            self.lateral_critic, self.axial_critic = lateral_critic(critic_width), axial_critic(critic_width)
        self.pools = {"axial": ImagePool(), "lateral": ImagePool()}
        reach = reach_of(blocks)
        halo = (-(-reach // self.scale) + 1, reach, reach)
        largest = 0 if tile else LARGEST // self.scale
        self.tile = TileShape(*triple(tile or (32, 128, 128)), halo=halo, largest=largest)

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Whole scales of at least 2: the learned degradation starts from means of whole slabs."""
        whole = float(scale).is_integer() and scale >= 2
        return None if whole else "its learned degradation pools whole slabs: it needs a whole scale of at least 2"

    @property
    def any_scale(self) -> bool:
        """Unless it learns to undo the displacement of one scale: it works on enlarged sections."""
        return self.registered

    def stages(self) -> tuple[Stage, ...]:
        """One adversarial stage."""
        parts = ("net",) if self.inference_only else ("net", "degrader", "lateral_critic", "axial_critic")
        rows, columns = self.crop
        patches = UnpairedSections(rows, columns, self.grid, self.orientations)
        return (Stage("fit", parts, patches, self.budget, self.batch, epoch=epoch_of(self.budget)),)

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Refuse volumes that are too small for the critics.

        Raises:
            ConfigError: If there is nothing to learn with.
            DataError: If sections are too small.
        """
        if self.inference_only:
            raise ConfigError("cyclegan-ir cannot learn with inference_only, which leaves its other networks out")
        rows, columns = cast(UnpairedSections, stage.patches).extent(source)
        rows = self.grid.covered(rows)
        if rows < LEAST_ROWS or columns < LEAST_COLUMNS:
            raise DataError(
                f"cyclegan-ir learns from lateral sections of at least {LEAST_ROWS} x {LEAST_COLUMNS} voxels, but crop "
                f"{self.crop} of {source.observed[0].name} leaves {rows} x {columns}; the first number is also limited "
                f"by the number of sections (that follow each other) times the scale"
            )
        return source

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for both generators, Adam for both critics; the rates are set before every batch."""
        degrader, net, critics = self.learning_rates
        groups = [{"params": self.degrader.parameters(), "lr": degrader}, {"params": self.net.parameters(), "lr": net}]
        judges = [*self.axial_critic.parameters(), *self.lateral_critic.parameters()]
        return [
            torch.optim.Adam(groups, betas=(0.5, 0.999)),
            torch.optim.Adam(judges, lr=critics, betas=(0.5, 0.999)),
        ]

    def rates(self, number: int) -> tuple[float, float, float]:
        """Learning rates of the degrader, the network and the critics at a batch of the stage."""
        degrader, net, critics = self.learning_rates
        epoch = number // self.epoch
        linear = linear_factor(epoch, self.budget / self.epoch)
        return degrader * degrader_factor(epoch), net * linear, critics * linear

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
        """One iteration; all losses by name."""
        number = self.current_epoch * self.stage.batches_per_epoch + index
        generators, critics = cast(list[Any], self.optimizers())
        groups = [*generators.param_groups, *critics.param_groups]
        for group, rate in zip(groups, self.rates(number), strict=True):
            group["lr"] = rate
        pools = {name: partial(self._exchange, name, number) for name in self.pools}
        lateral, axial = (2 * batch[name] - 1 for name in ("lateral", "axial"))
        return iterate(self.networks(), generators, critics, pools, lateral, axial, self.manual_backward)

    def networks(self) -> Networks:
        """The four networks, on sections in [-1, 1]; reconstructed sections end where lateral ones are drawn to end."""

        def recover(axial: Tensor) -> Tensor:
            result: Tensor = self.net(axial)
            return result[:, :, : self.grid.covered(axial.shape[2])]

        return Networks(recover, self.degrader, self.lateral_critic, self.axial_critic)

    def _exchange(self, name: str, number: int, fakes: Tensor) -> Tensor:
        """Show fakes to a pool: those of all devices, in the order of the batch, so that all devices hold one pool."""
        chance = derive(self.seed, "pool", name, number)
        if self.trainer.world_size == 1:
            return self.pools[name].exchange(fakes, chance)
        together = cast(Tensor, self.all_gather(fakes)).transpose(0, 1).flatten(0, 1)  # (b * devices, 1, h, w)
        return self.pools[name].exchange(together, chance)[self.trainer.global_rank :: self.trainer.world_size]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the pools."""
        checkpoint["image_pools"] = {name: pool.state() for name, pool in self.pools.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the pools of the checkpoint."""
        for name, images in checkpoint["image_pools"].items():
            self.pools[name].load(images)

    def restore(self, observed: Tensor) -> Tensor:
        """Sections (b, 1, h, w) in [0, 1] to (b, 1, h * scale, w)."""
        result: Tensor = self.net(2 * observed - 1)
        return (result + 1) / 2

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over all xz and all yz sections, or one of them; xz alone where y counts sections."""
        directions = DIRECTIONS[:2] if self.direction == "mean" else (self.direction,)
        return mean_of_planes(self.restore, tile, directions if tile.turns else ("xz",), self.scale)
