"""The fit of one bundle: Gaussians and a deformation, learned from its observed sections in three stages."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vemrecon.methods.emgauss import density
from vemrecon.methods.emgauss.bundle import Bundle
from vemrecon.methods.emgauss.canonical import Canonical, Deltas, canonical_grid
from vemrecon.methods.emgauss.losses import photometric_loss
from vemrecon.methods.emgauss.renderer import Renderer
from vemrecon.methods.emgauss.schedule import GAIN, PATIENCE, Schedule
from vemrecon.seeding import derive, derive_seed
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple

TEACHERS = ("ema", "linear", "none")
RATES = {"scales": 5e-3, "rotations": 1e-3, "opacities": 0.05, "greys": 2.5e-3, "frames": 0.02}
POSITION_RATE = 0.05  # pixels
EPSILON = 1e-15  # of Adam: gradients of Gaussians are small
CLIP = 1.0  # norm of the gradient of the network


@dataclass(frozen=True)
class Recipe:
    """How bundles are fitted.

    Attributes:
        schedule: Steps.
        renderer: Of sections.
        deformation: Makes a new deformation for a number of sections on a grid.
        per_pixel: Gaussians per pixel at the start.
        frames: Whether opacities have key frames.
        background: Grey value behind all Gaussians; None for the mean of the observed sections.
        teacher: Who labels sections: `ema`, `linear` or `none`.
        decay: What the teacher keeps of itself in a step.
        waits: Whether the teacher waits until the Gaussians alone gain little.
        smoothing: Whether times of observed sections are noisy at first.
        slab: Renderings whose mean is compared with a section that is the mean of a slab.
        rate: Learning rate of the deformation network.
        cap: Most Gaussians per pixel; None to leave their number as it is.
    """

    schedule: Schedule
    renderer: Renderer
    deformation: Callable[[int, SectionGrid], nn.Module]
    per_pixel: float = 0.25
    frames: bool = False
    background: float | None = None
    teacher: str = "ema"
    decay: float = 0.995
    waits: bool = False
    smoothing: bool = True
    slab: int = 3
    rate: float = 8e-4
    cap: float | None = None


@dataclass(frozen=True)
class Movie:
    """What a fit has found.

    Attributes:
        canonical: The Gaussians.
        deformation: Maps them and a time to deltas.
        background: Grey value behind them, shape (1,).
        renderer: Of sections.
        size: Rows and columns.
    """

    canonical: Canonical
    deformation: nn.Module
    background: Tensor
    renderer: Renderer
    size: tuple[int, int]

    @torch.no_grad()
    def section(self, time: float, zoom: float = 1.0) -> Tensor:
        """The section at a time in [0, 1], not clipped.

        Args:
            time: See `Bundle.time`.
            zoom: Rendered pixels per observed one along y and x.

        Returns:
            Shape (round(y * zoom), round(x * zoom)).
        """
        splats = self.canonical.splats(self.deformation(self.canonical, time)).zoomed(zoom)
        size = round(self.size[0] * zoom), round(self.size[1] * zoom)
        return self.renderer.zoomed(zoom)(splats, self.background, size)


def fit(bundle: Bundle, recipe: Recipe, seed: int, origin: Triple) -> Movie:
    """Fit a bundle.

    Args:
        bundle: On the device that computes; gradients must be enabled.
        recipe: How.
        seed: Of the run.
        origin: Where the tile lies in the observed volume. Randomness belongs to it, so that a fit is the same in any
            order and with any number of workers.

    Raises:
        FloatingPointError: If the loss is not finite any more.
    """
    return Fit(bundle, recipe, seed, origin).run()


class Fit:
    """A fit at work; see `fit`."""

    def __init__(self, bundle: Bundle, recipe: Recipe, seed: int, origin: Triple) -> None:
        self.bundle, self.recipe, self.origin = bundle, recipe, origin
        self.schedule = recipe.schedule
        self.rng = derive(seed, "emgauss", *origin)
        sections = bundle.sections
        grey = float(sections.mean()) if recipe.background is None else recipe.background
        self.background = sections.new_tensor([grey])
        self.canonical = canonical_grid(
            sections, recipe.per_pixel, recipe.renderer.mode, grey, self.rng, len(bundle) if recipe.frames else 0
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "emgauss weights", *origin))
            self.deformation = recipe.deformation(len(bundle), bundle.grid).to(sections.device)
        self.teacher: nn.Module | None = None
        groups = [{"params": [p], "name": name} for name, p in self.canonical.named_parameters()]
        self.gaussian_steps = torch.optim.Adam(groups, lr=POSITION_RATE, eps=EPSILON)
        weights = list(self.deformation.parameters())
        self.network_steps = torch.optim.Adam(weights, lr=recipe.rate, eps=EPSILON) if weights else None
        self.gradients = density.Gradients.of(self.canonical)
        self.generator = torch.Generator().manual_seed(derive_seed(seed, "emgauss splits", *origin) >> 1)
        self.order: deque[int] = deque()
        self.quality = Quality(len(bundle), round(PATIENCE * self.schedule.total))

    def run(self) -> Movie:
        """All steps."""
        for step in range(self.schedule.total):
            self._wait_with_the_teacher(step)
            if self.recipe.teacher == "ema" and step == self.schedule.taught_from:
                self.teacher = copy.deepcopy(self.deformation).requires_grad_(False)
            self._set_rates(step)
            if self._labels(step):
                self._labelled_step(step)
            else:
                self._observed_step(step)
            if self.teacher is not None:
                follow(self.teacher, self.deformation, self.recipe.decay)
        best = self.teacher if self.teacher is not None else self.deformation
        return Movie(self.canonical, best, self.background, self.recipe.renderer, self.bundle.size)

    def _observed_step(self, step: int) -> None:
        """Learn from the next observed section."""
        if not self.order:
            self.order.extend(self.rng.permutation(len(self.bundle)).tolist())
        number = self.order.popleft()
        still = step < self.schedule.warm_up
        noise = self.schedule.smoothing(step, len(self.bundle)) * self.rng.standard_normal()
        times = self.bundle.observed_times(number, self.recipe.slab, self.rng)
        if still:
            rendered = self._render(Deltas())
        else:
            shift = noise if self.recipe.smoothing else 0.0
            renders = [self._render(self.deformation(self.canonical, time + shift)) for time in times]
            rendered = torch.stack(renders).mean(dim=0)
        section = self.bundle.sections[number]
        self._learn(photometric_loss(rendered, section), step)
        if self.recipe.waits:
            self.quality.add(number, rendered, section)
        self.gaussian_steps.step()
        self.canonical.clamp_scales()
        if not still:
            self._step_network()
        if self.recipe.cap is not None:
            self._densify(step)

    def _labelled_step(self, step: int) -> None:
        """Learn from a section that the teacher labels; the Gaussians stay as they are."""
        position = self.bundle.between(self.schedule.label_reach(step), self.rng)
        time = self.bundle.time(position)
        with torch.no_grad():
            if self.teacher is None:
                section = self.bundle.interpolated(position)
            else:
                section = self._render(self.teacher(self.canonical, time))
        rendered = self._render(self.deformation(self.canonical, time), learn=False)
        self._learn(self.schedule.label_weight(step) * photometric_loss(rendered, section), step)
        self._step_network()

    def _labels(self, step: int) -> bool:
        """Whether the step takes a labelled section."""
        if self.recipe.teacher == "none" or step < self.schedule.taught_from or len(self.bundle) < 2:
            return False
        return bool(self.rng.uniform() < self.schedule.label_share(step))

    def _wait_with_the_teacher(self, step: int) -> None:
        """Put off the bootstrapped stage while observed sections still get better, up to the end of the fit."""
        if self.recipe.waits and self.teacher is None and step == self.schedule.taught_from and self.quality.rises():
            self.schedule = self.schedule.postponed(step + 1)

    def _render(self, deltas: Deltas, *, learn: bool = True) -> Tensor:
        return self.recipe.renderer(self.canonical.splats(deltas, learn=learn), self.background, self.bundle.size)

    def _learn(self, loss: Tensor, step: int) -> None:
        """Gradients of a loss.

        Raises:
            FloatingPointError: If it is not finite.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"EMGauss: the loss is {loss.item()} in step {step} of {self.schedule.total} of the tile at "
                f"{tuple(self.origin)} (z, y, x); smaller learning rates or a larger eps2d help"
            )
        self.gaussian_steps.zero_grad(set_to_none=True)
        if self.network_steps is not None:
            self.network_steps.zero_grad(set_to_none=True)
        loss.backward()

    def _step_network(self) -> None:
        if self.network_steps is not None:
            nn.utils.clip_grad_norm_(self.deformation.parameters(), CLIP)
            self.network_steps.step()

    def _set_rates(self, step: int) -> None:
        for group in self.gaussian_steps.param_groups:
            if group["name"] == "means":
                group["lr"] = self.schedule.position_rate(step, POSITION_RATE)
            else:
                group["lr"] = self.schedule.other_rate(step, RATES[group["name"]])
        if self.network_steps is not None:
            for group in self.network_steps.param_groups:
                group["lr"] = self.schedule.network_rate(step, self.recipe.rate)

    def _densify(self, step: int) -> None:
        """Every so often until half of the bootstrapped stage is over."""
        assert self.recipe.cap is not None
        if step >= self.schedule.taught_from + self.schedule.bootstrapped / 2:
            return
        self.gradients.add(self.canonical)
        if step < density.FIRST or step % density.EVERY:
            return
        with torch.no_grad():
            deltas = [self._deltas(number, step) for number in range(len(self.bundle))]
            opacities = torch.stack([self.canonical.splats(found).opacities for found in deltas])
        rows, columns = self.bundle.size
        cap = round(self.recipe.cap * rows * columns)
        density.densify(self.canonical, self.gaussian_steps, self.gradients, opacities.amax(dim=0), cap, self.generator)
        self.gradients = density.Gradients.of(self.canonical)

    def _deltas(self, number: int, step: int) -> Deltas:
        """At the time of an observed section."""
        if step < self.schedule.warm_up:
            return Deltas()
        found: Deltas = self.deformation(self.canonical, self.bundle.time(number))
        return found


class Quality:
    """PSNR of the last rendering of each observed section, averaged over the bundle, and how it went before.

    Args:
        sections: Of the bundle.
        span: Steps over which a gain is measured.
    """

    def __init__(self, sections: int, span: int) -> None:
        self.each = np.full(sections, np.nan)
        self.curve: deque[float] = deque(maxlen=max(span, 1) + 1)

    def add(self, number: int, rendered: Tensor, section: Tensor) -> None:
        """Take in one rendering."""
        error = float((rendered.detach() - section).square().mean())
        self.each[number] = -10 * np.log10(max(error, 1e-10))
        self.curve.append(float(np.nanmean(self.each)))

    def rises(self) -> bool:
        """Whether the last steps have gained enough to go on like this."""
        assert self.curve.maxlen is not None
        return len(self.curve) < self.curve.maxlen or self.curve[-1] - self.curve[0] >= GAIN


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Move a running average of weights towards a network."""
    for mean, weight in zip(teacher.parameters(), student.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
