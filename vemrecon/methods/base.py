"""The one interface of every method."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.errors import ConfigError
from vemrecon.methods.card import MethodCard
from vemrecon.methods.stage import Stage
from vemrecon.progress import Share
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple


@dataclass(frozen=True)
class TileShape:
    """Size of the tile that a method reconstructs at once, and the margin it needs, in observed voxels (z, y, x).

    Attributes:
        z: Without the halo, as y and x.
        halo: Margin on every side.
        blended: Whether neighbours are fused linearly where their halos and cores overlap, because a halo is narrower
            than what a voxel depends on; else the halo is cut off.
        largest: Observed voxels of a tile with its halo up to which the engine may make the core larger than that, so
            that less is made twice; 0 where voxels depend on how a volume is cut, so that a core is part of the method.
    """

    z: int
    y: int
    x: int
    halo: Triple = (0, 0, 0)
    blended: bool = False
    largest: int = 0

    @classmethod
    def of_planes(cls, plane: Sequence[int], halo: Sequence[int], scale: float) -> TileShape:
        """For methods that restore planes across sections.

        Args:
            plane: Rows of the result and columns of what is restored at once, margins included; more rows where margins
                at a large scale would leave no section between them.
            halo: Margins, in observed voxels along z and along y and x.
            scale: Axial voxels to make of each observed section.

        Raises:
            ConfigError: If margins leave no columns.
        """
        z, lateral = max(1, round(plane[0] / scale) - 2 * halo[0]), plane[1] - 2 * halo[1]
        if lateral < 1:
            raise ConfigError(f"sections of {tuple(plane)} voxels leave nothing between margins {tuple(halo)}")
        return cls(z, lateral, lateral, halo=(halo[0], halo[1], halo[1]))

    @property
    def core(self) -> Triple:
        """Size without the halo."""
        return self.z, self.y, self.x

    def as_dict(self) -> dict[str, Any]:
        """Plain values; without what has been added to them since, where it says nothing."""
        return {name: value for name, value in asdict(self).items() if name != "largest" or value}


@dataclass(frozen=True)
class Tile:
    """What `reconstruct` gets.

    Attributes:
        observed: Shape (1, 1, z, y, x), float32 in [0, 1].
        grid: Where the observed sections lie among the reconstructed ones.
        origin: Position of the tile's first voxel in the observed volume (z, y, x).
        turns: Whether y and x may change places. Not where the axial axis of a tile is a lateral axis of sections and
            its second axis counts these sections (lateral tasks): a network has never seen planes across them.
        kept: Rows and columns of the result that are used. The rest is margin, where it may be anything finite.
    """

    observed: Tensor
    grid: SectionGrid
    origin: Triple = (0, 0, 0)
    turns: bool = True
    kept: tuple[slice, slice] = (slice(None), slice(None))

    @property
    def scale(self) -> float:
        """Axial voxels to make of each observed section."""
        return self.grid.scale


class Method(LightningModule, ABC):
    """A reconstruction method. Only `reconstruct` is required.

    A method of another package also states its `card` and, if it wants named settings, its `presets`; those of the
    built-in methods stand in `benchmark/methods/`.
    """

    card: ClassVar[MethodCard | Path | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]] | Path] = {}
    tile: TileShape = TileShape(16, 128, 128, halo=(2, 16, 16))
    unused_parameters: ClassVar[bool] = False
    """Whether some of what learns rests in a backward pass, as in adversarial training; asked on several devices."""
    sees_across_sections: ClassVar[bool] = False
    """Whether it learns from planes across recorded sections; lateral tasks, where these are too thick, forbid that."""
    fits_at_test: ClassVar[bool] = False
    """Whether `reconstruct` learns, too, as one does that fits every tile: it then runs with gradients."""
    any_grid: ClassVar[bool] = False
    """Whether it asks `tile.grid` where sections lie. To all others sections begin with the volume, see
    `reconstruct_tile`: what they learn from, their constructor and their tiles know `SectionGrid.canonical` alone."""
    in_batches: ClassVar[tuple[str, ...]] = ("budget",)
    """Constructor arguments that count batches; a training of a given time changes all of them by the same factor."""
    stage: Stage
    """The stage at work; set by the runner before each one."""
    source: Source
    """What the stage learns from; set by the runner. Asking it for more than the regime allows raises `LeakError`."""
    seed: int = 0
    """Of the run; set when the method is built. Methods with randomness of their own derive it from here."""
    progress: Share
    """Told the finished share of `prepare`; set by the runner."""

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Reason why this task is out of scope, or None."""
        return None

    def stages(self) -> tuple[Stage, ...]:
        """Training stages in order; none for a training-free method."""
        return ()

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Turn what the method may see into what this stage learns from.

        The method is on its device and in evaluation mode, and holds the weights of all earlier stages. What takes long
        is kept in `scratch`, so that a killed run need not do it again, and shared by all processes of the training.
        """
        return source

    def rehearsal(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """What is like the result of `prepare` as far as batches of it take as long, but is there at once."""
        return self.prepare(stage, source, scratch)

    def preparation(self, stage: Stage, source: Source) -> float:
        """Seconds that `prepare` will take, from a small part of it; 0 where it makes nothing."""
        return 0.0

    def validate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Numbers that tell how the stage goes on, from held-out patches; by default the PSNR of `restore`."""
        error = (self.restore(batch["observed"]).clamp(0, 1) - batch["target"]).square().mean()
        return {"psnr": -10 * torch.log10(error.clamp_min(1e-10))}

    def restore(self, observed: Tensor) -> Tensor:
        """Network output for a batch of observed patches, where the method has one network to watch."""
        raise TypeError(f"{type(self).__name__} has stages but neither restore() nor validate()")

    @abstractmethod
    def reconstruct(self, tile: Tile) -> Tensor:
        """The isotropic tile, shape (1, 1, round(z * scale), y, x), in [0, 1]."""

    @property
    def continuous(self) -> bool:
        """Whether `sections_at` makes sections at any depth, not only where voxels lie."""
        return False

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """Sections at any depth, if the method is `continuous`; that of a voxel is the one that `reconstruct` makes.

        Args:
            tile: What is observed.
            positions: Counted in sections of the tile: 0 is the centre of the first one, 0.5 half-way to the next one.

        Returns:
            Shape (1, 1, n, y, x), in [0, 1].
        """
        raise TypeError(f"{type(self).__name__} makes sections where voxels lie alone")

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """Get ready for weights of other shapes than one has; only where these say all about themselves."""

    @property
    def any_scale(self) -> bool:
        """Whether weights that were learned at one scale serve others; else they are refused there."""
        return False

    @classmethod
    def inner(cls, arguments: Mapping[str, Any]) -> Mapping[str, type[Any]]:
        """Classes that are made with arguments of arguments, by the name of the argument that holds these."""
        return {}

    @classmethod
    def weight_file(cls, name: str) -> Path:
        """A file of weights that the card declares; its bytes are those that are declared.

        Raises:
            PluginError: If the card does not declare it.
            DataError: If it is missing or is another one, with what to do.
        """
        from vemrecon.methods.weight_files import weight_file

        card = MethodCard.read(cls.card) if isinstance(cls.card, Path) else cls.card
        return weight_file(f"{cls.__module__}.{cls.__qualname__}", card.weights if card else (), name)

    @property
    def has_spread(self) -> bool:
        """Whether it tells how far its rotations or samples disagree; not if it makes only one of them."""
        return False

    def reconstruct_with_spread(self, tile: Tile) -> tuple[Tensor, Tensor] | None:
        """Reconstruction and its uncertainty, both shaped like the former; None for methods that have none."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Without what only a training needs: a copy elsewhere makes the same voxels."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("source", "progress")}

    def parameter_count(self) -> int:
        """Number of learnable numbers."""
        return sum(p.numel() for p in self.parameters())


@contextmanager
def at_work(method: Method, tile: Tile) -> Iterator[Tile]:
    """What torch records while a method reconstructs: nothing, unless it fits tiles; gives the tile that it may see."""
    fits = method.fits_at_test
    with torch.inference_mode(not fits), torch.set_grad_enabled(fits):
        taken = fits and tile.observed.is_inference()  # what was made without gradients can never take part in a fit
        yield replace(tile, observed=tile.observed.clone()) if taken else tile


def reconstruct_tile(method: Method, tile: Tile, *, spread: bool = False) -> tuple[Tensor, ...]:
    """Reconstruct one tile, clipped to [0, 1].

    Where sections begin behind the first voxel, and the method does not know that (`Method.any_grid`), it gets one more
    section in front, the first one again, and what it makes is cut to the tile. A tile inside a volume should then have
    one more section of halo.

    Args:
        method: In evaluation mode.
        tile: What is observed.
        spread: Whether the uncertainty is wanted too.

    Returns:
        The reconstruction, and the uncertainty if wanted, shape (1, 1, round(z * scale), y, x), float32 each.

    Raises:
        ConfigError: If the method has no uncertainty, or sections do not begin at a whole voxel of its grid.
        ValueError: If the method returns another shape than promised, or values that are not finite.
    """
    z, y, x = tile.observed.shape[2:]
    lead = lead_of(method, tile.grid)
    if lead:
        tile = _with_section_in_front(tile)
    rows = tile.grid.extent(tile.observed.shape[2])
    wanted, name = (1, 1, rows, y, x), type(method).__name__
    with at_work(method, tile) as seen:
        results = method.reconstruct_with_spread(seen) if spread else (method.reconstruct(seen),)
    if results is None:
        raise ConfigError(f"{name} has no uncertainty; methods that average over rotations or samples have one")
    clipped = []
    for result in results:
        if tuple(result.shape) != wanted:
            raise ValueError(f"{name} returned shape {tuple(result.shape)}, expected {wanted}")
        result = result.detach().float()  # networks may compute in bfloat16
        least, most = torch.stack(result.aminmax()).tolist()  # NaN if any voxel is
        if not (math.isfinite(least) and math.isfinite(most)):
            raise ValueError(f"{name} returned NaN or infinite values")
        part = result[:, :, lead : lead + tile.grid.extent(z)]
        clipped.append(part if least >= 0 and most <= 1 else part.clamp(0, 1))
    return tuple(clipped)


def tile_sections_at(method: Method, tile: Tile, positions: Sequence[float]) -> Tensor:
    """Sections of a tile at any depth, clipped to [0, 1]; see `Method.sections_at` and `reconstruct_tile`."""
    if lead_of(method, tile.grid):
        tile, positions = _with_section_in_front(tile), [position + 1 for position in positions]
    with at_work(method, tile) as seen:
        return method.sections_at(seen, positions).detach().float().clamp(0, 1)


def _with_section_in_front(tile: Tile) -> Tile:
    """The first section once more, which begins before the tile."""
    sections = torch.cat([tile.observed[:, :, :1], tile.observed], dim=2)
    return replace(tile, observed=sections, grid=tile.grid.canonical)


def lead_of(method: Method, grid: SectionGrid) -> int:
    """Reconstructed sections of the additional observed one that lie in front of a tile; 0 where there is none.

    Raises:
        ConfigError: If sections are moved by parts of a voxel, or towards the front.
    """
    shift = grid.first - grid.canonical.first
    if method.any_grid or shift == 0:
        return 0
    lead = grid.scale - shift
    if shift < 0 or not lead.is_integer():
        raise ConfigError(
            f"{type(method).__name__} takes sections that begin with the volume, or whole voxels behind; these do not "
            f"({grid})"
        )
    return int(lead)
