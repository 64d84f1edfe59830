"""Lateral diffusion with data consistency: what xy sections look like, learned once, restores planes across them.

Our design, for the idea of Lee & Jeong, "Reference-free isotropic 3D EM reconstruction using diffusion models",
arXiv:2308.01594, whose details were not available (the numbers that the D2R papers print for lateral diffusion are
those of IRSDE, see there). A network learns to find the noise in xy sections, without pairs and without knowing the
degradation. A volume is then drawn whose xz and yz planes look like sections and whose sections are the observed ones:
`consistency` makes one volume; `replacement` is the sampler of DiffuseIR (Pan et al., MICCAI 2023, arXiv:2306.12109,
with released networks eight to ten times as large as ours). Published numbers of this method: none.

Norms and attention look at whole planes, and every step of `consistency` mixes both orientations. Results are the same
in any order and with any number of workers, since noise belongs to voxels, but change a little with the tiles:
`section` and `halo` decide, and are options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.base import Tile, TileShape
from vemrecon.methods.emdiffuse.base import NoiseMethod
from vemrecon.methods.emdiffuse.diffusion import clean, noisy, psnr, signed, sizes, unsigned
from vemrecon.methods.emdiffuse.samplers import Denoiser, Noise
from vemrecon.methods.emdiffuse.schedule import linear_schedule
from vemrecon.methods.emdiffuse.unet import NoiseUNet
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.lateral_diffusion.consistency import consistent, levels
from vemrecon.methods.lateral_diffusion.noisy_crops import NoisyCrops
from vemrecon.methods.lateral_diffusion.observation import Observation
from vemrecon.methods.lateral_diffusion.replacement import resampled, respaced
from vemrecon.methods.noise import noise_at, noise_key
from vemrecon.methods.preconditioning import of_learned, with_guess
from vemrecon.methods.short_floats import short_floats
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple, triple

SAMPLERS = ("consistency", "replacement")
TRAINING = linear_schedule(1000, 1e-4, 0.02)
ORIENTATIONS = {"xz": (1, 0, 2), "yz": (2, 0, 1)}
"""Axes of a volume in a batch of its planes, z in their rows."""
VALIDATION_SECTIONS, LOOK = 8, 0.3  # share of the image through which the training is watched


class LateralDiffusion(NoiseMethod):
    """A volume drawn from a network of its planes.

    Args:
        width: See `NoiseUNet`.
        multiples: See `NoiseUNet`.
        blocks: See `NoiseUNet`.
        head: See `NoiseUNet`.
        dropout: See `NoiseUNet`.
        contrast: Standard deviation of sections around the grey level in the middle, in intensities, see `with_guess`;
            None for the plain network.
        sampler: `consistency`, or `replacement` for kept sections.
        steps: Levels that are visited.
        start: Share of the interpolated volume at which `consistency` starts; 4e-5 is pure noise.
        eta: Noise that is added again in every step of `consistency`.
        uncertainty: Standard deviation of observed sections, in intensities; 0 meets them exactly.
        alternate: Whether `consistency` asks xz and yz planes in turn, at half of the cost, or both in every step.
        smooth: Whether `consistency` changes all rows smoothly to meet observed sections, see `Observation`.
        jump: Steps that `replacement` undoes together.
        visits: How often it makes every step.
        samples: See `NoiseMethod`.
        warm_up: See `NoiseMethod`.
        cosine: See `NoiseMethod`.
        average: See `NoiseMethod`.
        bf16: See `NoiseMethod`.
        section: Rows (of the result) and columns of a tile, margins included, see `TileShape.of_planes`.
        halo: Margins that are thrown away, in observed voxels along z and along y and x.
        at_once: Planes in a batch.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        head: int = 32,
        dropout: float = 0.2,
        contrast: float | None = None,
        sampler: str = "consistency",
        steps: int = 50,
        start: float = 0.05,
        eta: float = 0.85,
        uncertainty: float = 0.0,
        alternate: bool = False,
        smooth: bool = False,
        jump: int = 1,
        visits: int = 20,
        samples: int = 1,
        crop: int = 256,
        batch: int = 16,
        budget: int = 200000,
        learning_rate: float = 5e-5,
        warm_up: int = 1000,
        cosine: bool = False,
        average: bool = True,
        bf16: bool = False,
        section: Sequence[int] = (256, 256),
        halo: Sequence[int] = (2, 16),
        at_once: int = 16,
    ) -> None:
        if sampler not in SAMPLERS:
            raise unknown("lateral diffusion sampler", sampler, SAMPLERS)
        if not 1 <= steps <= TRAINING.steps or min(samples, jump, visits) < 1 or not 0 < start < 1 or not 0 <= eta <= 1:
            raise ConfigError(
                f"lateral diffusion: {steps} steps of {TRAINING.steps}, {samples} samples, {visits} visits, jumps of "
                f"{jump}, start {start:g}, eta {eta:g}: at least 1 each, start and eta between 0 and 1"
            )
        super().__init__(
            NoiseUNet(1, width, multiples, blocks, head=head, dropout=dropout, depths=False),
            samples=samples,
            learning_rate=learning_rate,
            warm_up=warm_up,
            cosine=cosine,
            average=average,
            bf16=bf16,
        )
        self.scale, self.grid, self.contrast = scale, grid, contrast
        self.sampler, self.steps, self.start, self.eta = sampler, steps, start, eta
        self.uncertainty, self.alternate, self.smooth = uncertainty, alternate, smooth
        self.jump, self.visits = jump, visits
        self.crop, self.batch, self.budget, self.at_once = crop, batch, budget, at_once
        self.tile = TileShape.of_planes(section, halo, scale)

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Anything; rows are replaced only where they were kept."""
        if self.sampler == "replacement" and not grid.thin:
            return "slab means are no rows that could be put back (sampler: consistency takes them)"
        return None

    @property
    def any_scale(self) -> bool:
        """Yes: what it learns is how sections look."""
        return True

    def stages(self) -> tuple[Stage, ...]:
        """One stage on parts of sections."""
        patches, epoch = NoisyCrops(self.crop, TRAINING.steps), epoch_of(self.budget)
        return (Stage("prior", self.learning, patches, self.budget, self.batch, epoch, VALIDATION_SECTIONS),)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Error of the noise."""
        return self.loss(self.net, batch)

    def loss(self, net: NoiseUNet, batch: Mapping[str, Tensor]) -> Tensor:
        """Of a network on sections, with the noise and the levels that they carry."""
        gamma = TRAINING.between(batch["step"], batch["share"])
        error = self.noise_in(net, noisy(signed(batch["target"]), batch["noise"], gamma), gamma) - batch["noise"]
        if self.contrast is not None:
            error = of_learned(error, *sizes(error, gamma, self.contrast))
        return error.square().mean()

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Loss of the average, and PSNR of one look through noise."""
        state = noisy(signed(batch["target"]), batch["noise"], LOOK)
        gamma = state.new_full((len(state),), LOOK)
        seen = unsigned(clean(state, self.noise_in(self.best, state, gamma), LOOK))
        return {"loss": self.loss(self.best, batch), "one-look psnr": psnr(seen, batch["target"])}

    def noise_in(self, net: NoiseUNet, state: Tensor, gamma: Tensor) -> Tensor:
        """Noise in states (b, 1, h, w) at gamma (b,)."""
        if self.contrast is None:
            return self._looked(net, state, gamma)
        signal, rest = sizes(state, gamma, self.contrast)
        learned = self._looked(net, state / (signal**2 + rest**2).sqrt(), gamma)
        return with_guess(state, learned, signal, rest)

    def _looked(self, net: NoiseUNet, images: Tensor, gamma: Tensor) -> Tensor:
        with short_floats(images.device, self.bf16):
            found: Tensor = net(images, gamma)
        return found.float()

    def finder(self, orientation: str) -> Denoiser:
        """What finds the noise in a volume (z, y, x) by looking at its planes of one orientation."""
        order = ORIENTATIONS[orientation]
        back = [order.index(axis) for axis in range(3)]

        def find(volume: Tensor, gamma: float) -> Tensor:
            planes = volume.permute(order)[:, None]
            found = [
                self.noise_in(self.best, part, part.new_full((len(part),), gamma))[:, 0]
                for part in planes.split(self.at_once)
            ]
            return torch.cat(found).permute(back)

        return find

    def sampled(self, tile: Tile, number: int = 0) -> Tensor:
        """One sample of a tile, shape (round(z * scale), y, x). Where y counts sections, xz planes alone are asked."""
        observed = signed(tile.observed[0, 0])
        weights = interpolation_matrix("cubic_a-0.75", len(observed), tile.grid)
        guess = torch.tensordot(torch.from_numpy(weights).to(observed), observed, dims=1)
        start = triple([tile.grid.extent(tile.origin[0]), *tile.origin[1:]])
        noise = self.noise(number, start, triple(guess.shape))
        finders = [self.finder(orientation) for orientation in (ORIENTATIONS if tile.turns else ("xz",))]
        if self.sampler == "replacement":
            return unsigned(self._replaced(finders, guess, Observation.of(observed, tile.grid), noise))
        observation = Observation.of(observed, tile.grid, smooth=self.smooth)
        gammas = levels(TRAINING, self.start, self.steps)
        volume = consistent(
            finders,
            observation.met,
            guess,
            gammas,
            noise,
            eta=self.eta,
            uncertainty=2 * self.uncertainty,
            alternate=self.alternate,
        )
        return unsigned(volume)

    def _replaced(self, finders: list[Denoiser], guess: Tensor, observation: Observation, noise: Noise) -> Tensor:
        """Mean over the orientations; each is drawn on its own."""
        schedule = respaced(TRAINING, self.steps)
        mask = observation.forward.sum(0)[:, None, None]
        known = torch.tensordot(observation.inverse, observation.sections, dims=1)
        found = [
            resampled(schedule, finder, guess, known, mask, noise, length=self.jump, times=self.visits)
            for finder in finders
        ]
        return torch.stack(found).mean(dim=0)

    def noise(self, number: int, start: Triple, shape: Triple) -> Noise:
        """Noise of every step of a sample in a box of the reconstruction."""

        def of_step(step: int | str) -> Tensor:
            return noise_at(noise_key(self.seed, "lateral", number, step), start, shape, self.device)

        return of_step
