"""IRSDE as a method: axial sections restored by a mean-reverting diffusion that was learned on lateral ones.

Stages I and II of D2R (Chen et al., arXiv:2411.16792, where "IRSDE" is this model on its own; the AENet paper calls it
reference-free 2D diffusion), after Luo et al., "Image restoration with mean-reverting stochastic differential
equations", ICML 2023. Upstream IR-SDE is under the MIT licence, the D2R code has no licence file. Published (kept
sections, x8): FIB-25 25.53 / 25.87 / 25.87 dB in xy / xz / yz, EPFL 24.38 / 24.92 / 24.92 dB.
What we changed: on kept sections the interpolation is registered to them; `registered: false` restores that of the
release, whose start is displaced by (scale - 1) / 2 rows, which the network learns to undo. Tiles are cut by this
project's engine, and fused only where `blend` asks for it, as the release does; noise belongs to voxels, not to tiles.
Fewer steps than levels, several samples and `residual` are ours; the first and the last make short trainings and quick
reconstructions useful.

Both networks look at all of what they are given (channel attention, linear attention), and by convolutions the NAFNet
reaches 78 voxels at every evaluation, farther than any halo after 100 of them. Results are therefore the same in any
order and with any number of workers, but change a little with the tiles: `section` and `halo` decide, and are options.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.average import average_decay, update_average
from vemrecon.methods.base import Tile, TileShape
from vemrecon.methods.interpolation import interpolated
from vemrecon.methods.irsde.continued import continued
from vemrecon.methods.irsde.diffusion import Denoiser, matching_loss
from vemrecon.methods.irsde.nafnet import NAFNet
from vemrecon.methods.irsde.noisy_sections import NoisySections
from vemrecon.methods.irsde.precondition import preconditioned
from vemrecon.methods.irsde.samplers import SAMPLERS, Noise, sample
from vemrecon.methods.irsde.schedule import make_schedule
from vemrecon.methods.irsde.unet import UNet
from vemrecon.methods.noise import noise_at, noise_key
from vemrecon.methods.rates import falling
from vemrecon.methods.samples import SampledMethod
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple, triple

NETWORKS = ("nafnet", "unet")
DIRECTIONS = ("mean", "xz", "yz")
"""Which axial sections are restored; `mean` does both."""
VALIDATION_SECTIONS, VALIDATION_STEPS = 8, 10  # a complete sampler would cost more than the training between
PIXELS = {
    "cpu": 1 << 15,
    "cuda": 1 << 21,
}  # restored at once: 8 and 512 MiB for each map of 64 channels; caches are small


class IRSDE(SampledMethod):
    """A noise network `net`, and the running average of its weights, which restores.

    Args:
        network: `nafnet`, that of D2R, or `unet`, that of IR-SDE.
        width: Channels of either network at full resolution.
        encoder: Blocks of the NAFNet, see there.
        middle: See `encoder`.
        decoder: See `encoder`.
        depth: Levels of the U-Net.
        schedule: cosine, linear or constant.
        levels: Noise levels that are learned.
        max_sigma: Largest noise, in grey levels of 255.
        registered: Whether kept sections stay where they were when they are interpolated.
        residual: Size of what interpolation misses, in intensities, see `preconditioned`; None for the plain network.
        sampler: `sde`, `ode` or `posterior`.
        steps: Evaluations of the network for one sample of a section; None for all levels.
        samples: Reconstructions that are averaged; more than one give an uncertainty.
        average_every: Batches between updates of the running average; 0 uses the weights as they are learned.
        choice: See `WeightChoice`; by PSNR. Network and running average are kept of the same batch.
        section: Rows and columns of what the network restores at once, margins included, see `TileShape.of_planes`.
        halo: Margins that are thrown away, in observed voxels along z and along y and x.
        blend: Whether neighbours are fused linearly over their margins, as the release does, which are then not thrown
            away.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        network: str = "nafnet",
        width: int = 64,
        encoder: Sequence[int] = (14, 1, 1, 1),
        middle: int = 1,
        decoder: Sequence[int] = (1, 1, 1, 1),
        depth: int = 4,
        schedule: str = "cosine",
        levels: int = 100,
        max_sigma: float = 50.0,
        registered: bool = True,
        residual: float | None = None,
        sampler: str = "sde",
        steps: int | None = None,
        direction: str = "mean",
        samples: int = 1,
        crop: int = 256,
        batch: int = 4,
        budget: int = 200000,
        learning_rate: float = 4e-5,
        final_rate: float = 1e-7,
        average_every: int = 10,
        choice: Keep = "last",
        section: Sequence[int] = (256, 256),
        halo: Sequence[int] = (4, 4),
        blend: bool = False,
    ) -> None:
        super().__init__()
        for what, name, known in (
            ("network", network, NETWORKS),
            ("sampler", sampler, SAMPLERS),
            ("direction", direction, DIRECTIONS),
        ):
            if name not in known:
                raise unknown(f"IRSDE {what}", name, known)
        self.schedule = make_schedule(schedule, levels, max_sigma)
        self.steps = levels if steps is None else steps
        if not 1 <= self.steps <= levels or samples < 1:
            raise ConfigError(f"IRSDE: {steps} steps of {levels} levels, {samples} samples: at least 1, at most levels")
        self.scale = scale
        self.registered = registered
        self.grid = grid if registered else SectionGrid.slabs(scale)
        self.residual = residual
        self.sampler, self.direction = sampler, direction
        self.samples = samples
        self.crop, self.batch, self.budget = round(math.ceil(crop / scale) * scale), batch, budget
        self.learning_rate, self.final_rate, self.average_every = learning_rate, final_rate, average_every
        self.choice = WeightChoice(choice)
        self.net = NAFNet(width, encoder, middle, decoder) if network == "nafnet" else UNet(width, depth)
        if average_every:
            self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.least = max(1, round(section[0] / (2 * scale))), section[1] // 2
        self.tile = replace(TileShape.of_planes(section, halo, scale), blended=blend)

    @property
    def evaluations_per_section(self) -> int:
        """Network evaluations for each restored axial section; `direction: mean` restores xz and yz sections."""
        return self.steps * self.samples

    def parameter_count(self) -> int:
        """Of the network; its running average is a copy."""
        return sum(p.numel() for p in self.net.parameters())

    @property
    def any_scale(self) -> bool:
        """Unless it learns to undo the displacement of one scale."""
        return self.registered

    def stages(self) -> tuple[Stage, ...]:
        """One stage on single sections."""
        patches = NoisySections(self.crop, self.crop, self.schedule.levels)
        trains = ("net", "average") if self.average_every else ("net",)
        length = self.budget, self.batch, epoch_of(self.budget)
        return (Stage("diffusion", trains, patches, *length, VALIDATION_SECTIONS, choice=self.choice),)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Adam with a cosine."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate, betas=(0.9, 0.99))
        return falling(optimizer, self.stage, self.final_rate)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Distance of a step back from the most likely one, over all rows."""
        return self.loss(self.net, batch)

    def loss(self, net: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Of a network on sections, with the noise and the levels that they carry."""
        mean = self.interpolated(batch["observed"])
        denoiser = self.denoiser(net)
        return matching_loss(self.schedule, denoiser, batch["target"], mean, batch["level"], batch["noise"])

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the running average."""
        if self.average_every:
            number = self.current_epoch * self.stage.batches_per_epoch + batch_idx + 1
            if (decay := average_decay(number, self.average_every)) is not None:
                update_average(self.average, self.net, decay)

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Loss of the average, and PSNR of what it restores in a few steps."""
        restored = self.restore(batch["observed"], sampler="posterior", steps=min(self.steps, VALIDATION_STEPS))
        error = (restored.clamp(0, 1) - batch["target"]).square().mean()
        return {"loss": self.loss(self.best, batch), "psnr": -10 * torch.log10(error.clamp_min(1e-10))}

    @property
    def best(self) -> nn.Module:
        """The network that restores."""
        return self.average if self.average_every else self.net

    def denoiser(self, net: nn.Module) -> Denoiser:
        """What finds the noise with the help of a network."""
        return net if self.residual is None else preconditioned(self.schedule, net, self.residual)

    def interpolated(self, observed: Tensor) -> Tensor:
        """Sections (b, 1, h, w) with h coarse, to (b, 1, h * scale, w): what the diffusion tends to."""
        return interpolated(observed, self.grid, "cubic_a-0.75")

    def restore(
        self, observed: Tensor, noise: Noise | None = None, *, sampler: str | None = None, steps: int | None = None
    ) -> Tensor:
        """One sample of each of a batch of sections.

        Args:
            observed: Shape (b, 1, h, w) with h coarse, in [0, 1].
            noise: Noise (b, 1, h * scale, w) for every step; by default that of consecutive planes of a volume.
            sampler: In place of that of the method.
            steps: In place of those of the method.

        Returns:
            Shape (b, 1, h * scale, w), not clipped.
        """
        mean = self.interpolated(observed)
        if noise is None:
            count, _, rows, columns = mean.shape
            noise = self.noise("sections", (0, 0, 0), (count, rows, columns), (0, 1, 2))
        denoiser, steps, sampler = self.denoiser(self.best), steps or self.steps, sampler or self.sampler
        return sample(self.schedule, denoiser, mean, steps, sampler, noise)

    def sampled(self, tile: Tile, number: int = 0) -> Tensor:
        """One sample of a tile, shape (round(z * scale), y, x): mean over all xz and all yz sections, or one of them.

        Where y counts sections (`tile.turns`), xz sections alone.
        """
        directions = DIRECTIONS[1:] if self.direction == "mean" else (self.direction,)
        if not tile.turns:
            directions = ("xz",)
        kept = dict(zip(("xz", "yz"), tile.kept, strict=True))
        found = [self.along(one, tile.observed[0, 0], tile.origin, number, kept[one]) for one in directions]
        return torch.stack(found).mean(dim=0)

    def along(
        self,
        direction: str,
        volume: Tensor,
        origin: Triple = (0, 0, 0),
        number: int = 0,
        kept: slice = slice(None),
    ) -> Tensor:
        """Restore all xz or all yz sections of a volume.

        Args:
            direction: `xz` or `yz`.
            volume: Observed, shape (z, y, x).
            origin: Where its first voxel lies in the observed volume, so that noise belongs to places.
            number: Of the sample.
            kept: The sections that are restored; others stay zero.

        Returns:
            Shape (round(z * scale), y, x), not clipped.
        """
        # axes of the volume in a batch of sections, and of such a batch in the volume
        order, back, counted = ((1, 0, 2), (1, 0, 2), 1) if direction == "xz" else ((2, 0, 1), (1, 2, 0), 2)
        sections = continued(volume.permute(order)[:, None], self.least)  # (n, 1, z, w)
        count, _, z, columns = sections.shape
        rows = round(z * self.scale)
        at_once = max(1, PIXELS.get(volume.device.type, PIXELS["cpu"]) // (rows * columns))
        restored = sections.new_zeros(count, rows, columns)
        wanted = range(count)[kept]
        for first in wanted[::at_once]:
            here = slice(first, min(first + at_once, wanted.stop))
            part = sections[here]
            start = [round(origin[0] * self.scale), *origin[1:]]
            start[counted] += first
            shape = [rows, columns, columns]
            shape[counted] = len(part)
            noise = self.noise(f"{direction} {number}", triple(start), triple(shape), order)
            restored[here] = self.restore(part, noise)[:, 0]
        return restored[:, : round(volume.shape[0] * self.scale), : volume.shape[order[2]]].permute(back)

    def noise(self, name: str, start: Triple, shape: Triple, order: tuple[int, int, int]) -> Noise:
        """Noise of every step in a box of the reconstruction, with its axes in the order of a batch of sections."""

        def of_step(step: int | str) -> Tensor:
            key = noise_key(self.seed, "irsde", name, step)
            return noise_at(key, start, shape, self.device).permute(order)[:, None]

        return of_step
