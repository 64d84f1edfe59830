"""What Python sees of volumes: open, degrade, reconstruct and evaluate them; results of benchmarks are in `results`.

Volumes are paths of any readable format, arrays of numpy, zarr, dask or torch, or what `open` gives. Axes are
(z, y, x) and voxel sizes are in nm, in the same order.
"""

from __future__ import annotations

import math
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError
from vemrecon.progress import silent
from vemrecon.results import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vemrecon.progress import Progress
    from vemrecon.volume import Edges, RangeRule, Reading, Volume

Size = Sequence[float | str] | Mapping[str, float] | float
"""Edges of a voxel in nm: (z, y, x), one number for all three, or some of them as {"z": 40}."""
Range = tuple[float, float] | tuple[str, float, float] | str
"""Grey values that mean black and white, `auto`, or ("percentile", 0.1, 99.9)."""
Part = Sequence[slice | str] | str
"""Three slices, or words such as "10:40" or ":", along z, y and x."""


def open(
    path: Path | str,
    dataset: str | None = None,
    *,
    voxel_size: Size | None = None,
    intensity_range: Range | None = None,
    channel: int | None = None,
    time: int | None = None,
    axes: str | None = None,
    missing: str = "refuse",
    square_pixels: bool = False,
) -> Volume:
    """Open a volume of any readable format; its voxels are read when they are asked for.

    `volume.read_raw(volume.whole)` are its voxels as they are stored, `volume.read(region)` those of a region in
    [0, 1]. What was done to read it is in `volume.notes`.

    Args:
        path: See `vemrecon formats`.
        dataset: Name inside a file or folder that holds several.
        voxel_size: Where the file does not say it, or wrongly.
        intensity_range: Where it is not that of the type.
        channel: Which one is read, where there are several.
        time: Which time point is read, where there are several.
        axes: Letters of the axes as they are stored, such as `czyx`, where the file does not name them.
        missing: What was never stored is refused, or taken for the fill value (`fill`), or cut off (`exclude`).
        square_pixels: Whether to interpolate the coarser of y and x, where pixels are not square.

    Raises:
        DataError: If it cannot be read, or some of it is missing.
    """
    from vemrecon.volume import open_volume

    reading = _reading(channel, time, axes, missing, square_pixels)
    return open_volume(
        path, dataset, voxel_size=_edges(voxel_size), intensity_range=_range(intensity_range), reading=reading
    )


def degrade(
    volume: Any,
    scale: float,
    degradation: str = "average",
    *,
    axis: str = "z",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    voxel_size: Size | None = None,
    intensity_range: Range | None = None,
    out: Path | str | None = None,
) -> NDArray[Any] | Path:
    """Remove axial resolution from an isotropic volume.

    Args:
        volume: A path, an array, or what `open` gives.
        scale: Anisotropy factor.
        degradation: See `vemrecon degradations`.
        axis: Which one is degraded.
        seed: Of the noise of realistic degradations.
        settings: Arguments of the degradation, such as {"offset": 2}.
        voxel_size: See `open`.
        intensity_range: See `open`.
        out: File to write instead (see `vemrecon formats`); it keeps where the sections lie.

    Returns:
        The anisotropic volume in the type of the input, or the path that was written.

    Raises:
        VemreconError: If it cannot be read, degraded or written.
    """
    from vemrecon.bench.resolve import checked_degradation
    from vemrecon.degradations import degrade as degraded
    from vemrecon.volume import Made, require_content, require_output, write_volume
    from vemrecon.volume.geometry import require_square

    kind = checked_degradation(degradation, scale, settings or {})
    if axis not in ("z", "y", "x"):
        raise ConfigError(f"axis {axis!r}: must be z, y or x")
    if out is not None:
        require_output(Path(out))
    truth = _checked(_volume(volume, voxel_size, intensity_range))
    _warn(truth, truth.notes)
    require_square(truth)
    require_content(truth)
    observed = degraded(truth, kind, axis="zyx".index(axis), seed=seed)
    if out is None:
        return _voxels(observed, truth, volume)
    how = {"command": "degrade", "degradation": degradation, "scale": kind.scale, "axis": axis, "seed": seed}
    write_volume(Path(out), observed, truth.dtype, truth.intensity_range, Made(how))
    return Path(out)


def reconstruct(
    volume: Any,
    *,
    voxel_size: Size | None = None,
    method: str | None = None,
    scale: float | None = None,
    weights: Path | str | None = None,
    train: str | None = None,
    train_minutes: float | None = None,
    save_weights: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    grid: str | None = None,
    missing_sections: Sequence[int] = (),
    damage: Path | str | None = None,
    resample: bool = False,
    intensity_range: Range | None = None,
    region: Part | None = None,
    uncertainty: bool | Path | str = False,
    seed: int = 0,
    device: str | Sequence[str] = "cpu",
    rotations: bool = False,
    blend: bool = False,
    bfloat16: bool = False,
    memory: int | str | None = None,
    out: Path | str | None = None,
    dask: Any = None,
    progress: bool = True,
) -> NDArray[Any] | Path | tuple[NDArray[Any], NDArray[Any]] | tuple[Path, Path]:
    """Make an anisotropic volume isotropic.

    Args:
        volume: A path, an array, or what `open` gives.
        voxel_size: See `open`; for arrays this or the scale is needed.
        method: Name (see `vemrecon methods`) or class path; by default that of the weights, else bicubic.
        scale: Sections to make of one, by default the anisotropy of the voxels.
        weights: weights.safetensors of a run, or of `vemrecon import-weights`, or a name of `vemrecon weights`; a
            training begins with them.
        train: Train on this volume first, with this preset: `smoke`, `cpu`, `gpu10`, `paper` or `released`.
        train_minutes: Train on this volume first, with as many batches as this takes here; with the preset `cpu` unless
            `train` names another.
        save_weights: File to write with what was learned, for `weights`.
        settings: Arguments of the method.
        grid: `centred` (thick sections) or `aligned` (kept thin ones), where the file does not say it.
        missing_sections: Numbers of sections to fill first, by a method that does.
        damage: File of a mask of the shape of the volume, not zero where voxels are damaged: these are filled first.
        resample: Where the method does not take the scale: make sections at the next whole one, and resample them.
        intensity_range: See `open`.
        region: The part to reconstruct, in voxels of the input: three slices, or words such as "10:40". The method sees
            what lies around it.
        uncertainty: Whether to give the spread over rotations or samples, too; with `out`, the file to write it to.
        seed: Of the training.
        device: cpu, cuda or cuda:N; several share the blocks of what is written to `out`.
        rotations: Whether to average over the eight rotations that keep z.
        blend: Whether to fuse neighbouring tiles linearly.
        bfloat16: Whether to compute in bfloat16, where the device does.
        memory: Most that the process may take to write `out`: bytes, or words such as "2GiB".
        out: File to write instead (see `vemrecon formats`), which may be larger than memory. Of a path, a call that was
            killed is gone on with by the same call.
        dask: Who makes the blocks of what is written to `out`: a client of dask, the address of a scheduler, `local:4`
            for processes of this machine, or `slurm:20` for jobs of a batch system.
        progress: Whether to show it.

    Returns:
        The isotropic volume in the type of the input, shape (round(z * scale), y, x), or the path that was written;
        with the uncertainty, a pair: of paths, or of arrays, the second one float32, where 1 is from black to white.

    Raises:
        VemreconError: If the volume cannot be used, or the method cannot do it.

    Warns:
        UserWarning: Of what was done to read the volume, and of sections that are black, of another contrast than those
            beside them, or displaced.
    """
    from vemrecon.methods.shipped_weights import weights_path
    from vemrecon.own.damage import read_damage
    from vemrecon.own.reconstruction import emptied, reconstruct_file, stamped, work_folder, work_place
    from vemrecon.own.sections import anisotropic, reopened
    from vemrecon.own.steps import make_ready
    from vemrecon.own.wish import Wish, method_of
    from vemrecon.schedulers import require_place
    from vemrecon.volume import Made, require_output
    from vemrecon.volume.made import source_of

    target = None if out is None else Path(out)
    second = _uncertainty_path(uncertainty, target)
    given = None if weights is None else weights_path(weights)
    wish = Wish(
        method=method_of(method, given),
        settings=settings or {},
        weights=given,
        train=train,
        train_minutes=train_minutes,
        save_weights=None if save_weights is None else Path(save_weights),
        seed=seed,
        missing=sorted(set(missing_sections)),
        damage=None if damage is None else Path(damage),
        rotations=rotations,
        blend=blend,
        bfloat16=bfloat16,
        devices=[device] if isinstance(device, str) else list(device),
        region=_part(region),
        uncertainty=uncertainty is not False,
        memory=_bytes(memory, target),
        resample=resample,
    )
    wish.check(scale)
    if dask is not None and target is None:
        raise ConfigError("dask: workers write the blocks themselves; say where, out=FILE")
    if isinstance(dask, str):
        require_place(dask)
    outputs = [path for path in (target, second) if path is not None]
    for path in outputs:
        require_output(path)
    recorded = anisotropic(_volume(volume, voxel_size, intensity_range, scale), grid, scale)
    source = source_of(Path(volume)) if isinstance(volume, str | Path) else {}
    with ExitStack() as stack:
        if target is None:
            work = stack.enter_context(_scratch())
        else:
            work = work_folder(target, wish, recorded, stamped(Path(volume), source) if source else {})
            stack.enter_context(work_place(work))
            if not source:  # of an array nobody knows whether it is the one of an attempt before
                emptied(work)
        tell = stack.enter_context(_shown(progress, math.prod(wish.made_shape(recorded))))
        _warn(recorded, recorded.notes)
        opened = partial(reopened, Path(volume).resolve(), None, recorded.grid) if source else None
        if opened is not None:
            opened = partial(opened, voxel_size=_edges(voxel_size), intensity_range=recorded.intensity_range)
        masks = read_damage(wish.damage, recorded) if wish.damage else None
        ready = make_ready(
            wish, recorded, work / "train", tell, lambda line: _warn(recorded, [line]), masks=masks, opened=opened
        )
        if target is not None:
            made = Made(ready.how() | ({"source": source} if source else {}))
            reconstruct_file(ready, work, outputs, tell, made=made, dask=dask)
            return target if second is None else (target, second)
        if wish.uncertainty:
            voxels, spread = ready.array_with_spread(work, tell)
            return _typed(voxels, volume), spread
        voxels = ready.array(tell)
    return _typed(voxels, volume)


def evaluate(
    truth: Any,
    made: Any,
    *,
    voxel_size: Size | None = None,
    metrics: Sequence[str] = (),
    scale: float | None = None,
    degradation: str | None = None,
    settings: Mapping[str, Any] | None = None,
    intensity_range: Range | None = None,
    made_range: Range | None = None,
    trim: bool = False,
) -> list[dict[str, Any]]:
    """Score a reconstruction against its truth.

    Args:
        truth: Isotropic; a path, an array, or what `open` gives.
        made: The reconstruction, likewise.
        voxel_size: See `open`; of both.
        metrics: See `vemrecon metrics`; by default PSNR, SSIM and the others of the protocol.
        scale: Anisotropy factor of what it was made from, for layering measures.
        degradation: How that was made: kept sections are left out of xy means.
        settings: Arguments of the degradation.
        intensity_range: Of the truth, and of a reconstruction of the same type.
        made_range: Of the reconstruction.
        trim: Whether to score the first sections only when the reconstruction is shorter.

    Returns:
        A row for each score (metric, variant, plane, range, value, unit, std, note), as data frames take them.

    Raises:
        VemreconError: If the volumes cannot be read, or do not fit.
    """
    from vemrecon.bench.pair import scored_pair
    from vemrecon.volume.beside import on_one_grid, with_range_of

    first = with_range_of(None, _volume(truth, voxel_size, intensity_range))
    second = with_range_of(first, _volume(made, voxel_size, made_range), "made_range")
    for one in (first, second):
        _warn(one, one.notes)
    first, second, notes = on_one_grid(first, second, scale)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    found = scored_pair(
        first,
        second,
        metrics=tuple(metrics),
        scale=scale,
        degradation=degradation,
        arguments=settings,
        trim=trim,
    )
    return [plain(score.as_dict()) for score in found.scores]


def _reading(channel: int | None, time: int | None, axes: str | None, missing: str, square: bool) -> Reading:
    from vemrecon.volume import Reading

    if missing not in ("refuse", "fill", "exclude"):
        raise ConfigError(f"missing {missing!r}: must be refuse, fill or exclude")
    return Reading(channel, time, axes, missing, square)  # type: ignore[arg-type]  # checked above


def _edges(size: Size | None) -> Edges | None:
    from vemrecon.volume.edges import read_size

    if size is None:
        return None
    if isinstance(size, Mapping):
        return read_size([f"{axis}={value}" for axis, value in size.items()])
    return read_size([size] * 3 if isinstance(size, int | float) else list(size))


def _range(words: Range | None) -> tuple[float, float] | RangeRule | None:
    from vemrecon.volume.intensity import read_range

    if words is None:
        return None
    said = [words] if isinstance(words, str) else [word if isinstance(word, str) else float(word) for word in words]
    return read_range("intensity_range", said)


def _volume(value: Any, size: Size | None, span: Range | None, scale: float | None = None) -> Volume:
    """A volume of what the user gives."""
    from vemrecon.volume import Volume, open_volume
    from vemrecon.volume.arrays import volume_of

    edges = _edges(size)
    if isinstance(value, str | Path):
        return open_volume(value, voxel_size=edges, intensity_range=_range(span), scale=scale)
    if isinstance(value, Volume):
        if edges is not None and edges.size is not None:
            value = replace(value, voxel_size=edges.size)
        stated = _range(span)
        if stated is None:
            return value
        return value.stating(stated if isinstance(stated, tuple) else stated.find(value))
    if edges is not None and edges.size is None:
        raise ConfigError(f"voxel_size: an array does not say its other edges; {edges.lacking}")
    return volume_of(value, voxel_size=edges.size if edges else None, intensity_range=_range(span))


def _warn(volume: Volume, lines: Iterable[str]) -> None:
    for line in lines:
        warnings.warn(f"{volume.name}: {line}", stacklevel=3)


def _checked(volume: Volume) -> Volume:
    from vemrecon.volume import check_range

    return replace(volume, notes=(*volume.notes, *check_range(volume)))


def _voxels(volume: Volume, like: Volume, given: Any) -> NDArray[Any]:
    """All voxels of a volume in the dtype of what it was made from."""
    from vemrecon.volume import quantise

    return _typed(quantise(volume.read(volume.whole), like.dtype, like.intensity_range), given)


def _typed(voxels: NDArray[Any], given: Any) -> NDArray[Any]:
    """In the type of the array that the user gave; floats of other sizes are read as float32."""
    import numpy as np

    dtype: Any = getattr(given, "dtype", None)
    known = dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else voxels.dtype
    return voxels.astype(known, copy=False)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vemrecon-") as folder:
        yield Path(folder)


def _part(region: Part | None) -> Sequence[str] | None:
    """The words of a region.

    Raises:
        ConfigError: If it is not three slices or words.
    """
    if region is None:
        return None
    parts = region.split() if isinstance(region, str) else list(region)
    if len(parts) != 3 or any(isinstance(part, slice) and part.step not in (None, 1) for part in parts):
        raise ConfigError(f"region {region}: must be three slices without steps, or words such as '10:40', for z, y, x")
    ends = [(part.start, part.stop) if isinstance(part, slice) else None for part in parts]
    return [
        str(part) if end is None else ":".join("" if n is None else str(n) for n in end)
        for part, end in zip(parts, ends, strict=True)
    ]


def _uncertainty_path(uncertainty: bool | Path | str, target: Path | None) -> Path | None:
    """Where the uncertainty is written; None where it is not.

    Raises:
        ConfigError: If it is a path where nothing is written, or none where all else is.
    """
    if uncertainty is False or (uncertainty is True and target is None):
        return None
    if uncertainty is True or target is None:
        raise ConfigError("uncertainty: is a path with out=, and True without it")
    return Path(uncertainty)


def _bytes(memory: int | str | None, target: Path | None) -> int | None:
    """A size in bytes.

    Raises:
        ConfigError: If it is none, or nothing is written.
    """
    from vemrecon.quantities import byte_count

    if memory is None:
        return None
    if target is None:
        raise ConfigError("memory: an array is made in memory as a whole; give out= to write a file")
    return byte_count("memory", str(memory))


@contextmanager
def _shown(wanted: bool, voxels: int) -> Iterator[Progress]:
    if not wanted:
        yield silent
        return
    from vemrecon.commands.bars import PhaseBar

    sys.stderr.flush()
    with PhaseBar() as bar:
        bar.pace.voxels = {"reconstruct": voxels}
        yield bar.progress
