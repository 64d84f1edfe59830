"""D2R as methods: a 3D network that learns from a volume which a lateral diffusion has made isotropic.

Stage I trains IRSDE on lateral sections; stage II restores the observed training volume with it; stage III trains
AENet, DGEAN or SRUNet on sequences of xz and yz planes of the result, which no section of the truth has entered. The
trained network is then used along z.

Chen et al., "From Diffusion to Resolution", arXiv:2411.16792, and the conference paper with AENet; stage I and II are
released, stage III is not. Published (FIB-25 x8): D2R-AENet 27.64 dB (xy), 27.83 dB (xz); D2R-DGEAN 27.57, 27.64;
D2R-SRUNet 27.01, 27.24. What we changed: see IRSDE, `SliceInterpolation` and `SRUNet`; the noise of stage II belongs to
voxels; the training is watched on one tile of the validation volume, restored in the same way.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.stack import long_enough
from vemrecon.device_clock import DeviceClock
from vemrecon.errors import ConfigError, unknown
from vemrecon.files import digest_of
from vemrecon.methods.base import Method, Tile
from vemrecon.methods.d2r.method import SliceInterpolation
from vemrecon.methods.d2r.pseudo_truth import DIRECTIONS, OVERLAP, TILE, RestorePass, Tiling, stored_pseudo_truth
from vemrecon.methods.irsde.method import IRSDE
from vemrecon.methods.srunet.method import SRUNet
from vemrecon.methods.stage import Stage
from vemrecon.volume import Region, SectionGrid, Volume
from vemrecon.volume.region import Triple, triple

LATERAL_AXES = (1, 2)
"""Axes that planes of training sequences follow each other along; xy sections of a pseudo truth were never restored."""
STUDENTS = ("aenet", "dgean", "srunet")
PLANES = 8
"""Of a tile, whose restoration is timed."""


class D2R(Method):
    """IRSDE `diffusion`, and the `student` that learns from what it restores.

    Args:
        student: `aenet`, `dgean` or `srunet`.
        diffusion: Arguments of `IRSDE`.
        distil: Arguments of `SliceInterpolation` or of `SRUNet`.
        pseudo_scale: Sections that stage II makes of each observed one; None for the scale, rounded up. 1 leaves the
            diffusion out and learns from the observed volume.
        tile: Of stage II, in observed voxels (z, y, x), even.
        overlap: Of its tiles, in observed voxels (z, y, x).
    """

    sees_across_sections: ClassVar[bool] = True

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        student: str = "aenet",
        diffusion: Mapping[str, Any] | None = None,
        distil: Mapping[str, Any] | None = None,
        pseudo_scale: int | None = None,
        tile: Sequence[int] = TILE,
        overlap: Sequence[int] = OVERLAP,
    ) -> None:
        super().__init__()
        if student not in STUDENTS:
            raise unknown("D2R student", student, STUDENTS)
        self.factor = math.ceil(scale) if pseudo_scale is None else pseudo_scale
        if not 1 <= self.factor <= math.ceil(scale):
            raise ConfigError(f"D2R: pseudo_scale {pseudo_scale} must be a whole number from 1 to {math.ceil(scale)}")
        self.pieces: Triple = triple(tile)
        self.overlap: Triple = triple(overlap)
        self.diffusion = (
            IRSDE(self.factor, SectionGrid.of_kind(grid.kind, self.factor), **diffusion or {})
            if self.factor > 1
            else None
        )
        self.recipe = {"irsde": dict(diffusion or {}), "factor": self.factor, "grid": grid.kind}
        arguments = {"axes": LATERAL_AXES, **(distil or {})}
        self.student: SRUNet | SliceInterpolation = (
            SRUNet(scale, grid, **arguments)
            if student == "srunet"
            else SliceInterpolation(scale, grid, network=student, **arguments)
        )
        self.tile = self.student.tile

    @classmethod
    def inner(cls, arguments: Mapping[str, Any]) -> Mapping[str, type[Any]]:
        """The diffusion and the student."""
        return {"diffusion": IRSDE, "distil": SRUNet if arguments.get("student") == "srunet" else SliceInterpolation}

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """What the student supports."""
        return self.student.supports(scale, grid)

    @property
    def any_scale(self) -> bool:
        """Whether the student serves others; the diffusion does."""
        return self.student.any_scale

    @property
    def continuous(self) -> bool:
        """Whether the student is."""
        return self.student.continuous

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """Those of the student."""
        return self.student.sections_at(tile, positions)

    def parameter_count(self) -> int:
        """Of both networks."""
        return self.student.parameter_count() + (self.diffusion.parameter_count() if self.diffusion else 0)

    def stages(self) -> tuple[Stage, ...]:
        """Those of the diffusion and of the student."""
        first = self.diffusion.stages() if self.diffusion else ()
        return (
            *(replace(stage, name="diffusion", trains=("diffusion",), recipe=self.recipe) for stage in first),
            *(replace(stage, name="distil", trains=("student",)) for stage in self.student.stages()),
        )

    @property
    def at_work(self) -> IRSDE | SRUNet | SliceInterpolation:
        """Who learns in this stage."""
        return self.diffusion if self.diffusion and self.stage.name == "diffusion" else self.student

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Sections degraded by the factor of stage II, or the volumes that stage II makes.

        Raises:
            DataError: If memory will not hold these.
        """
        source.require_memory(source.observed, self.factor)
        owner = self.at_work
        owner.stage, owner.seed = stage, self.seed
        if owner is self.diffusion:
            return replace(source, degradation=replace(source.degradation, scale=float(self.factor)))
        return owner.prepare(stage, self.with_pseudo_truth(source, scratch), scratch)

    def rehearsal(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """One tile of observed sections, repeated, in place of what stage II will make."""
        owner = self.at_work
        if owner is self.diffusion:
            return self.prepare(stage, source, scratch)
        owner.stage, owner.seed = stage, self.seed
        part = middle(max(source.observed, key=lambda volume: volume.shape[0]), self.pieces)
        truth = Volume(part.read(part.whole).repeat(self.factor, axis=0), None, part.name)
        seen, known = ([part], [truth]) if source.validation else ([], [])
        made = Source.of(
            [part], source.degradation, "isotropic", truth=[truth], validation=seen, validation_truth=known
        )
        return owner.prepare(stage, made, scratch)

    def preparation(self, stage: Stage, source: Source) -> float:
        """Seconds of stage II, from some planes of one tile."""
        if self.diffusion is None or stage.name == "diffusion":
            return 0.0
        observed, watched = self.to_restore(source)
        z, y, x = self.pieces
        part = middle(observed[0], (z, min(y, PLANES), x))
        tile, restore = torch.from_numpy(part.read(part.whole)).to(self.device), self.restorer(0)
        for _ in range(2):  # the first one also loads libraries
            clock = DeviceClock(str(self.device))
            restore("xz", tile, (0, 0, 0)).cpu()
            seconds = clock.lap()
        tiles = [tile for volume in (*observed, *watched) for tile in self.tiling(volume).regions]
        return len(DIRECTIONS) * sum(tile.voxels for tile in tiles) * seconds / tile.numel()

    def to_restore(self, source: Source) -> tuple[list[Volume], list[Volume]]:
        """Volumes that stage II makes isotropic: to learn from, and to watch that by."""
        longest = sorted(source.validation, key=lambda volume: -volume.shape[0])
        watched = [middle(volume, self.pieces) for volume in longest[:1]]
        return list(long_enough(source.observed, math.ceil(self.student.crop / self.factor))), watched

    def tiling(self, volume: Volume) -> Tiling:
        """How stage II cuts a volume."""
        return Tiling(volume.shape, self.factor, self.pieces, self.overlap)

    def with_pseudo_truth(self, source: Source, scratch: Path) -> Source:
        """What the student learns from: stage II of all observed volumes, as if it were the truth."""
        folder = scratch / f"pseudo-truth-{self.restorer_digest()}"
        observed, watched = self.to_restore(source)
        volumes, count = [*observed, *watched], len(observed)
        made = [
            self.restored(volume, folder / f"{'training' if n < count else 'validation'}-{n}.zarr", n, len(volumes))
            for n, volume in enumerate(volumes)
        ]
        return Source.of(
            observed,
            source.degradation,
            "isotropic",
            truth=made[:count],
            validation=watched,
            validation_truth=made[count:],
            memory=source.memory,
        )

    def restored(self, volume: Volume, path: Path, number: int, of: int) -> Volume:
        """Stage II of one volume, by its number among all that are restored."""
        if self.diffusion is None:
            return volume
        return stored_pseudo_truth(
            volume,
            self.restorer(number),
            self.tiling(volume),
            path,
            device=self.device,
            progress=lambda done: self.progress((number + done) / of),
        )

    def restorer(self, number: int) -> RestorePass:
        """Stage II of tiles of one volume, by its number among all that are restored."""
        assert self.diffusion is not None
        diffusion = self.diffusion.eval()
        diffusion.seed = self.seed

        def restore(direction: str, tile: Tensor, origin: Triple) -> Tensor:
            samples = [
                diffusion.along(direction, tile, origin, number * diffusion.samples + n)
                for n in range(diffusion.samples)
            ]
            return torch.stack(samples).mean(dim=0)

        return restore

    def restorer_digest(self) -> str:
        """Of all that decides stage II besides the observed volume, so that no volume of other weights is taken."""
        if self.diffusion is None:
            return "observed"
        digest = hashlib.sha256()
        for name, value in self.diffusion.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
        sampling = [self.diffusion.sampler, self.diffusion.steps, self.diffusion.samples, self.seed]
        return digest_of([digest.hexdigest(), *sampling, self.factor, self.pieces, self.overlap])[:12]

    def configure_optimizers(self) -> object:  # type: ignore[override]  # Lightning takes several forms
        """Of who learns."""
        return self.at_work.configure_optimizers()

    def on_train_epoch_start(self) -> None:
        """Of who learns."""
        self.at_work.on_train_epoch_start()

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Of who learns."""
        return self.at_work.training_step(batch, index)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Of who learns."""
        self.at_work.on_train_batch_end(outputs, batch, batch_idx)

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Of who learns; that of the student compares with the pseudo truth."""
        return self.at_work.validate(batch)

    def reconstruct(self, tile: Tile) -> Tensor:
        """By the student alone."""
        return self.student.reconstruct(tile)


def middle(volume: Volume, extent: Triple) -> Volume:
    """The middle of a volume, no larger than stated."""
    start = triple([max(0, (n - wanted) // 2) for n, wanted in zip(volume.shape, extent, strict=True)])
    stop = triple([min(n, s + wanted) for n, s, wanted in zip(volume.shape, start, extent, strict=True)])
    return volume.crop(Region(start, stop))
