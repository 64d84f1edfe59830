"""vEMDiffuse-i and vEMDiffuse-a as methods: every section between two observed ones is drawn from a diffusion.

Lu et al., "Diffusion-based deep learning method for augmenting ultrastructural imaging and volume electron microscopy",
Nature Communications 15, 2024; code under the MIT licence. vEMDiffuse-i learns from isotropic truth; vEMDiffuse-a from
planes across the observed sections, which follow each other along a lateral axis. Published (D2R-DGEAN, kept sections,
x8, xy): -i 25.86 dB on FIB-25 and 24.88 dB on EPFL, -a 23.33 dB and 23.26 dB; how many samples were averaged is not
said. The article's weighing of errors (`loss: difficulty`) is in no released training.
What we changed: the running average of the weights reconstructs; blocks start by adding nothing; the sampler starts
from the interpolated section and takes few steps (`ancestral` is the released one; the presets `paper` and `released`
keep to the originals in all three); noise belongs to voxels, so that tiles agree on it; thin volumes give planes that
are not square. `residual`, and `depth: fraction` for any scale and for slab means, are ours.

Norms and the attention look at all of what the network is given. Results are therefore the same in any order and with
any number of workers, but change a little with the tiles: `section` and `halo` decide, and are options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.supervised import with_known_validation
from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.base import Tile, TileShape
from vemrecon.methods.emdiffuse.base import NoiseMethod
from vemrecon.methods.emdiffuse.diffusion import (
    clean,
    difficulty_loss,
    like,
    noisy,
    psnr,
    ranking_loss,
    signed,
    sizes,
    unsigned,
)
from vemrecon.methods.emdiffuse.gaps import Gaps, turned
from vemrecon.methods.emdiffuse.samplers import SAMPLERS, Denoiser, Noise, ancestral, ddim, dpmpp_2m_warm
from vemrecon.methods.emdiffuse.schedule import linear_schedule
from vemrecon.methods.emdiffuse.unet import NoiseUNet
from vemrecon.methods.noise import noise_at, noise_key
from vemrecon.methods.preconditioning import of_learned, with_guess
from vemrecon.methods.samples import mean_and_spread
from vemrecon.methods.section_places import places, predict_sections, voxel_positions
from vemrecon.methods.short_floats import short_floats
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.seeding import derive
from vemrecon.volume import SectionGrid
from vemrecon.volume.planes import NORMALS

"""Planes that can be learned, and the axis that they follow each other along."""
DEPTHS = ("layer", "fraction")
LOSSES = ("mse", "difficulty", "ranked")
TRAINING = linear_schedule(2000, 1e-6, 0.01)
VALIDATION_SECTIONS, VALIDATION_STEPS = 8, 5  # a complete sampler would cost more than the training between
EARLY = 0.027  # share of the image from which one look should be as good as interpolation before noise is trusted


class VEMDiffuse(NoiseMethod):
    """Every section between two observed ones, drawn by a network that is given both and a depth.

    Args:
        planes: What is learned: `xy` of the truth, or `xz` and `yz` of observed sections.
        depth: Whether the network is told the number of the wanted section in its gap, as released ones are, which
            ties it to one scale and to kept sections; or how far it lies between the observed ones, for any task.
        width: See `NoiseUNet`.
        multiples: See `NoiseUNet`.
        blocks: See `NoiseUNet`.
        head: See `NoiseUNet`.
        dropout: See `NoiseUNet`.
        init: See `NoiseUNet`.
        residual: Size of what linear interpolation misses, in intensities, see `with_guess`; None for the plain
            network.
        loss: `mse`; `difficulty` weighs errors by a variance that a second head tells; `ranked` also wants variances
            in the order of the errors.
        sampler: `dpmpp_2m_warm`, `ddim` or `ancestral`.
        steps: Evaluations of the network for one sample of a section.
        samples: See `NoiseMethod`.
        shared_noise: Whether all sections of a gap get the same noise, so that they flicker less.
        brightness: Whether `ancestral` draws the mean of a section towards that of its neighbours.
        blur: Whether observed sections are blurred in training, see `Gaps`; useful where sections are out of focus.
        warm_up: See `NoiseMethod`.
        cosine: See `NoiseMethod`.
        average: See `NoiseMethod`.
        bf16: See `NoiseMethod`.
        section: Extent of what the network looks at along y and x, margins included.
        halo: Margin that is thrown away.
        at_once: Sections predicted together.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        planes: Sequence[str] = ("xy",),
        depth: str = "layer",
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        head: int = 32,
        dropout: float = 0.2,
        init: str = "zero",
        residual: float | None = None,
        loss: str = "mse",
        sampler: str = "dpmpp_2m_warm",
        steps: int = 20,
        samples: int = 2,
        shared_noise: bool = False,
        brightness: bool = False,
        crop: int = 256,
        blur: bool = True,
        batch: int = 16,
        budget: int = 200000,
        learning_rate: float = 5e-5,
        warm_up: int = 1000,
        cosine: bool = False,
        average: bool = True,
        bf16: bool = False,
        section: int = 512,
        halo: int = 32,
        at_once: int = 4,
    ) -> None:
        for what, names, known in (
            ("plane", planes, NORMALS),
            ("depth", [depth], DEPTHS),
            ("loss", [loss], LOSSES),
            ("sampler", [sampler], SAMPLERS),
        ):
            for name in names:
                if name not in known:
                    raise unknown(f"vEMDiffuse {what}", name, known)
        if not planes or ("xy" in planes and len(planes) > 1):
            raise ConfigError("vEMDiffuse learns from xy planes of the truth, or from xz and yz planes, not from both")
        if min(steps, samples) < 1 or section <= 2 * halo:
            raise ConfigError(
                f"vEMDiffuse: {steps} steps, {samples} samples, sections of {section} voxels with margins of {halo}: "
                "at least one step and one sample, and something between the margins"
            )
        super().__init__(
            NoiseUNet(3, width, multiples, blocks, head=head, dropout=dropout, variance=loss != "mse", init=init),
            samples=samples,
            learning_rate=learning_rate,
            warm_up=warm_up,
            cosine=cosine,
            average=average,
            bf16=bf16,
        )
        self.scale, self.grid, self.planes, self.depth = scale, grid, tuple(planes), depth
        self.residual, self.loss_name = residual, loss
        self.sampler, self.steps, self.at_once = sampler, steps, at_once
        self.shared_noise, self.brightness = shared_noise, brightness
        self.crop, self.blur, self.batch, self.budget = crop, blur, batch, budget
        self.tile = TileShape(16, section - 2 * halo, section - 2 * halo, halo=(1, halo, halo))

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Kept sections and whole scales only, if the network counts sections between them."""
        if self.depth == "fraction" or (grid.thin and float(scale).is_integer()):
            return None
        return "its network counts the sections between kept ones (depth: fraction takes slab means and any scale)"

    @property
    def any_scale(self) -> bool:
        """Unless the network counts the sections between kept ones."""
        return self.depth == "fraction"

    @property
    def evaluations_per_section(self) -> int:
        """Network evaluations for each predicted section."""
        return self.steps * self.samples

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Where it learns from truth, watch the training only where that of the validation region is known."""
        return with_known_validation(source) if "xy" in self.planes else source

    def stages(self) -> tuple[Stage, ...]:
        """One stage on gaps."""
        patches = Gaps(self.crop, tuple(NORMALS[name] for name in self.planes), TRAINING.steps, self.blur)
        epoch = epoch_of(self.budget)
        return (Stage("fit", self.learning, patches, self.budget, self.batch, epoch, VALIDATION_SECTIONS),)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Error of the noise, in batches that are turned every second time."""
        number = self.current_epoch * self.stage.batches_per_epoch + index
        if derive(self.seed, "turn", number).random() < 0.5:
            batch = {name: turned(value) if value.dim() == 4 else value for name, value in batch.items()}
        return self.loss(self.net, batch)

    def loss(self, net: NoiseUNet, batch: Mapping[str, Tensor]) -> Tensor:
        """Of a network on sections, with the noise and the levels that they carry."""
        gamma = TRAINING.between(batch["step"], batch["share"])
        condition, target, noise = signed(batch["condition"]), signed(batch["target"]), batch["noise"]
        found, log_variance = self.noise_in(net, condition, batch["depth"], noisy(target, noise, gamma), gamma)
        error = found - noise
        if self.residual is not None:
            error = of_learned(error, *sizes(error, gamma, self.residual))
        if log_variance is None:
            return error.square().mean()
        loss = difficulty_loss(error, log_variance)
        return loss + ranking_loss(error, log_variance) if self.loss_name == "ranked" else loss

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Loss of the average, PSNR of what it draws in a few steps, and of one look through nearly nothing but noise.

        The latter says when samplers that start from pure noise can be trusted.
        """
        condition, target, depth = batch["condition"], batch["target"], batch["depth"]
        noise = self.noise(0, [0] * len(target), (0, 0), (target.shape[-2], target.shape[-1]))
        drawn = self.draw(condition, depth, noise, steps=min(self.steps, VALIDATION_STEPS))
        state = noisy(signed(target), batch["noise"], EARLY)
        denoise = self.denoiser(signed(condition), depth)
        early = unsigned(clean(state, denoise(state, EARLY), EARLY))
        return {
            "loss": self.loss(self.best, batch),
            "psnr": psnr(drawn.clamp(0, 1), target),
            "early psnr": psnr(early, target),
        }

    def noise_in(
        self, net: NoiseUNet, condition: Tensor, depth: Tensor, state: Tensor, gamma: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Noise in a state, and the logarithm of the variance of its error if the network tells it.

        Args:
            net: The network.
            condition: Later and earlier section, shape (b, 2, y, x), in [-1, 1].
            depth: Behind the earlier one, in distances between both, shape (b,).
            state: Shape (b, 1, y, x).
            gamma: Share of the image, shape (b,).
        """
        told = depth if self.depth == "fraction" else (depth * self.scale).round() - 1
        image = state
        if self.residual is not None:
            signal, rest = sizes(state, gamma, self.residual)
            difference = state - like(state, gamma).sqrt() * between(condition, depth)
            image = difference / (signal**2 + rest**2).sqrt()
        images = torch.cat([condition, image], dim=1)
        with short_floats(images.device, self.bf16):
            found, log_variance = net.with_variance(images, gamma, told)
        found = found.float()
        if self.residual is not None:
            found = with_guess(difference, found, signal, rest)
        return found, None if log_variance is None else log_variance.float()

    def denoiser(self, condition: Tensor, depth: Tensor) -> Denoiser:
        """What finds the noise in states of some sections; see `noise_in`."""

        def denoise(state: Tensor, gamma: float) -> Tensor:
            return self.noise_in(self.best, condition, depth, state, state.new_full((len(state),), gamma))[0]

        return denoise

    def draw(self, condition: Tensor, depth: Tensor, noise: Noise, *, steps: int | None = None) -> Tensor:
        """One sample of each of a batch of sections.

        Args:
            condition: Later and earlier observed section, shape (b, 2, y, x), in [0, 1].
            depth: Behind the earlier one, shape (b,).
            noise: Shape (b, 1, y, x) for every step.
            steps: Of a quick sample by `dpmpp_2m_warm`, in place of the method's sampler.

        Returns:
            Shape (b, 1, y, x).
        """
        given = signed(condition)
        denoise = self.denoiser(given, depth)
        if steps is not None or self.sampler == "dpmpp_2m_warm":
            image = dpmpp_2m_warm(denoise, between(given, depth), noise, steps or self.steps)
        elif self.sampler == "ddim":
            image = ddim(TRAINING, denoise, noise, self.steps)
        else:
            mean = given.mean((1, 2, 3)) if self.brightness else None
            image = ancestral(linear_schedule(self.steps, 1e-4, 0.09), denoise, noise, mean)
        return unsigned(image)

    def sampled(self, tile: Tile, number: int = 0) -> Tensor:
        """One sample of a tile, shape (round(z * scale), y, x)."""
        return self._sampled_at(tile, number, voxel_positions(tile.observed.shape[2], tile.grid))

    @property
    def continuous(self) -> bool:
        """Only if it is told fractions of the distance."""
        return self.depth == "fraction"

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """Mean over all samples of sections at any depth, with the noise of the voxel that is nearest."""
        mean, _ = mean_and_spread(lambda number: self._sampled_at(tile, number, positions), self.samples)
        return mean[None, None]

    def _sampled_at(self, tile: Tile, number: int, positions: Sequence[float]) -> Tensor:
        volume, grid = tile.observed[0, 0], tile.grid
        where = places(len(volume), grid, positions)
        nearest = [round(grid.first + position * grid.scale) for position in positions]
        top = grid.extent(tile.origin[0])

        def predict(windows: Tensor, depth: Tensor, wanted: list[int]) -> Tensor:
            rows = [tile.origin[0] + where[z].before if self.shared_noise else top + nearest[z] for z in wanted]
            noise = self.noise(number, rows, tile.origin[1:], (windows.shape[2], windows.shape[3]))
            return self.draw(windows.flip(1), depth, noise)[:, 0]

        return predict_sections(predict, volume, grid, sections=2, at_once=self.at_once, positions=positions)

    def noise(self, number: int, sections: list[int], start: tuple[int, int], shape: tuple[int, int]) -> Noise:
        """Noise of every step of a sample in parts of some sections, shape (sections, 1, y, x)."""

        def of_step(step: int | str) -> Tensor:
            key = noise_key(self.seed, "emdiffuse", number, step)
            return torch.stack([noise_at(key, (z, *start), (1, *shape), self.device) for z in sections])

        return of_step


def between(condition: Tensor, depth: Tensor) -> Tensor:
    """Linear interpolation between later and earlier sections (b, 2, y, x), shape (b, 1, y, x)."""
    later, earlier = condition[:, :1], condition[:, 1:]
    return torch.lerp(earlier, later, like(condition, depth))
