"""The steps of a reconstruction in their one order: examine the volume, prepare the method, fill, make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError
from vemrecon.files import make_folder
from vemrecon.infer.inpainting import Filled, fill_sections, require_fillable
from vemrecon.methods.applied import Applied
from vemrecon.methods.base import Method
from vemrecon.methods.batches import batches_of
from vemrecon.own.learning import SOUND, Faults
from vemrecon.own.method import choose_method, prepare_method
from vemrecon.own.scales import Resampling
from vemrecon.own.sections import reopened
from vemrecon.own.wish import AUTO, Wish
from vemrecon.progress import Progress, Say
from vemrecon.volume import Region, SectionGrid, Volume, open_volume, quantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vemrecon.data.damage import Damage
    from vemrecon.infer.estimate import Estimate
    from vemrecon.infer.reconstruct import Workers
    from vemrecon.own.damage import Masks


@dataclass(frozen=True)
class Ready:
    """A method and a volume that only wait for being computed.

    Attributes:
        wish: What is wanted.
        volume: As it was given; tells dtype and intensity range.
        observed: The same with missing sections filled.
        method: Ready to reconstruct.
        filled: What was filled.
        batches: Of every stage of the training, if there was one.
        region: What is reconstructed, in observed voxels.
        most: Voxels of a block, where the memory is bounded.
        opened: Opens the volume once more, elsewhere; None if it was not read from a file.
        resampling: From the grid of `observed`, for which the method is ready, to that of `volume`; None if they are
            the same.
    """

    wish: Wish
    volume: Volume
    observed: Volume
    method: Method
    filled: Sequence[Filled]
    batches: Mapping[str, int]
    region: Region | None
    most: int | None
    opened: Opener | None = None
    resampling: Resampling | None = None

    @property
    def part(self) -> Region | None:
        """What the method makes, in observed voxels; None for all."""
        if self.resampling is None or self.region is None:
            return self.region
        return self.resampling.observed(self.region, self.observed.shape[0])

    def estimated(self) -> Estimate:
        """What it will take, from one tile that is made."""
        from vemrecon.infer.estimate import estimate

        found = estimate(self.method, self.observed, self.wish.here[0], self.most, self.wish.uncertainty, self.part)
        shape = self.wish.made_shape(self.volume)
        return replace(found, made=shape, made_bytes=found.made_bytes * prod(shape) // prod(found.made))

    def how(self) -> dict[str, Any]:
        """What the outputs say about how they were made, beside their source; also how many batches were learned."""
        way = {"resampled_from_scale": self.resampling.made.scale} if self.resampling else {}
        return self.wish.how(self.volume) | way | ({"batches": dict(self.batches)} if self.batches else {})

    def array(self, progress: Progress) -> NDArray[Any]:
        """The isotropic voxels, in memory, as they would be written."""
        from vemrecon.infer.reconstruct import reconstruct_array

        made = reconstruct_array(
            self.method,
            self.observed,
            like=self.volume,
            device=self.wish.here[0],
            region=self.part,
            progress=lambda share: progress("reconstruct", share),
        )
        if self.resampling is None:
            return made
        return self._grey(Volume(made, None, self.volume.name, intensity_range=self.volume.span))

    def resampled(self, made: Volume) -> Volume:
        """What the method has made, at the scale that is wanted."""
        if self.resampling is None:
            return made
        first = self.part.start[0] if self.part else 0
        return self.resampling.resampled(made, first, self.region or self.observed.whole, self.observed)

    def _grey(self, made: Volume) -> NDArray[Any]:
        """Grey levels of what the method has made, at the scale that is wanted."""
        found = self.resampled(made)
        return quantise(found.read(found.whole), self.volume.dtype, self.volume.span)

    def array_with_spread(self, scratch: Path, progress: Progress) -> tuple[NDArray[Any], NDArray[Any]]:
        """The isotropic voxels, and their uncertainty as float32 where black is 0 and white is 1; both in memory.

        Args:
            scratch: Folder where they are put together.
            progress: Told phase and finished share.

        Raises:
            ConfigError: If the method has no uncertainty.
        """
        from vemrecon.infer.reconstruct import reconstruct_volume

        paths = scratch / "reconstruction.zarr", scratch / "uncertainty.zarr"
        reconstruct_volume(
            self.method,
            self.observed,
            paths[0],
            like=self.volume,
            uncertainty=paths[1],
            devices=self.wish.here,
            most=self.most,
            region=self.part,
            progress=lambda share: progress("reconstruct", share),
        )
        made, spread = (open_volume(path) for path in paths)
        if self.resampling is not None:
            spread = self.resampled(spread)
            return self._grey(open_volume(paths[0], intensity_range=self.volume.span)), spread.read(spread.whole)
        return made.read_raw(made.whole), spread.read_raw(spread.whole)

    @contextmanager
    def workers(self, where: Any, work: Path) -> Iterator[Workers | None]:
        """Whoever makes the blocks: workers of dask, or this process.

        Args:
            where: Address, `local:N`, `slurm:N` or a client of dask; None for this process.
            work: Working folder; a volume that is in no file is kept there for the workers.
        """
        if where is None:
            yield None
            return
        from vemrecon.infer.cluster import Cluster
        from vemrecon.schedulers import connected

        with connected(where) if isinstance(where, str) else nullcontext(where) as client:
            opened = self.opened if self.opened and not self.filled else self._kept(work)
            yield Cluster(client, self.method, opened, self.wish.devices[0])

    def _kept(self, work: Path) -> Opener:
        """Opens a copy of what is observed."""
        from vemrecon.volume.ome_zarr import copy_to_zarr

        path = (work / "observed.zarr").resolve()
        if not path.exists():
            make_folder(work)
            copy_to_zarr(path, self.observed, "float32")
        return partial(reopened, path, None, self.observed.grid)


Opener = Callable[[], Volume]


def _on_grid(opened: Opener, grid: SectionGrid) -> Volume:
    """A volume, with its sections taken to lie elsewhere."""
    return replace(opened(), grid=grid)


def make_ready(
    wish: Wish,
    volume: Volume,
    scratch: Path,
    progress: Progress,
    warn: Say,
    *,
    missing: Callable[[Damage], Sequence[int]] | None = None,
    masks: Masks | None = None,
    opened: Opener | None = None,
    learn: bool = True,
    examine: bool = True,
) -> Ready:
    """Take every step before the first voxel is made.

    Args:
        wish: What is wanted; checked.
        volume: Knows where its sections lie.
        scratch: Where the training is kept.
        progress: Told phase and finished share.
        warn: Told what is wrong with the sections.
        missing: Finds the sections to fill where they are `auto`.
        masks: Damaged voxels to replace, of sections that are not filled as a whole.
        opened: Opens the volume once more, in another process.
        learn: Without it nothing is examined, trained or filled: for an estimate.
        examine: Without it all sections are read for what is wrong with them only where that decides what is made.

    Raises:
        ConfigError: If the method cannot do it, or what is wanted does not fit into the memory.
        DataError: If the volume cannot be read, or weights do not fit.
    """
    region = wish.part(volume)
    gaps = [] if wish.missing == AUTO else checked_sections(wish.missing, volume.shape[0])
    require_fillable(list({*gaps, *(masks or ())}), volume.shape[0])
    choice = choose_method(
        wish.method,
        volume,
        train=wish.preset,
        weights=wish.weights,
        seed=wish.seed,
        overrides=wish.settings,
        resample=wish.resample,
    )
    given = volume
    if choice.resampling:
        volume, opened = replace(volume, grid=choice.grid), opened and partial(_on_grid, opened, choice.grid)
    faults = SOUND
    if learn and (examine or wish.preset or wish.missing == AUTO):
        from vemrecon.data.damage import examined

        _, damage = examined(volume, progress)
        if wish.missing == AUTO:
            gaps = list(missing(damage)) if missing else sorted(damage.constant)
            require_fillable(gaps, volume.shape[0])
        for line in damage.warnings(gaps):
            warn(line)
        faults = Faults(damage.unfit.union(gaps, masks or ()), frozenset(damage.displaced))
    if masks is not None and not masks:
        warn("the mask of damage is empty, so nothing is replaced")
    masks = {z: mask for z, mask in (masks or {}).items() if z not in gaps}
    gaps = sorted([*gaps, *masks])
    require_fillable(gaps, volume.shape[0])
    method = prepare_method(
        choice,
        volume,
        train=wish.preset,
        minutes=wish.train_minutes,
        weights=wish.weights,
        scratch=scratch,
        seed=wish.seed,
        device=wish.here[0],
        progress=progress,
        say=warn,
        faults=faults,
        memory=wish.memory,
        learn=learn,
        keep=wish.save_weights,
    )
    batches = batches_of(method) if wish.preset else {}
    observed, filled = fill_sections(method, wish.method, volume, gaps, masks) if learn else (volume, [])
    if wish.rotations or wish.blend or wish.bfloat16:
        method = Applied(method, rotations=wish.rotations, short=wish.bfloat16, blended=wish.blend).eval()
    most = None
    if wish.memory is not None:
        from vemrecon.infer.estimate import most_voxels

        most = most_voxels(wish.memory // len(wish.devices), method, volume, wish.uncertainty)
    return Ready(wish, given, observed, method, filled, batches, region, most, opened, choice.resampling)


def checked_sections(sections: Sequence[int], count: int) -> list[int]:
    """Numbers of sections to fill, in order.

    Raises:
        ConfigError: If one is not in the volume, or too few would be left.
    """
    wrong = [section for section in sections if not 0 <= section < count]
    if wrong:
        raise ConfigError(f"missing sections: {wrong[0]} is not in the volume, whose sections are 0 to {count - 1}")
    require_fillable(sections, count)
    return sorted(set(sections))
