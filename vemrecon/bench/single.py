"""Reconstruct one anisotropic volume, outside any benchmark."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vemrecon.data.source import Source
from vemrecon.degrade import Degradation, check_scale, make_degradation
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import digest_of, make_folder
from vemrecon.methods.base import Method
from vemrecon.methods.registry import check_preset, choose_preset, method_entry, with_settings
from vemrecon.volume import (
    RangeRule,
    Reading,
    SectionGrid,
    Volume,
    VoxelSize,
    check_range,
    open_volume,
    require_content,
)
from vemrecon.volume.ome_zarr import copy_to_zarr
from vemrecon.volume.tiff import write_tiff

Progress = Callable[[str, float], None]


def grid_of(volume: Volume, kind: str | None, scale: float | None) -> SectionGrid:
    """Where the sections of a volume lie: as the user says, or as its file does, or in the middle of slabs.

    Raises:
        ConfigError: If neither the file nor the user says how many sections to make of one, or they say otherwise.
    """
    if kind is not None:
        return SectionGrid.of_kind(kind, scale or (volume.grid.scale if volume.grid else _anisotropy(volume)))
    if volume.grid is None:
        return SectionGrid.slabs(scale or _anisotropy(volume))
    if scale and abs(scale - volume.grid.scale) > 1e-6:
        raise ConfigError(
            f"--scale {scale:g}: {volume.name} has {volume.grid}; leave --scale out, or if the file is wrong, say "
            f"--grid centred or --grid aligned too"
        )
    return volume.grid


def _anisotropy(volume: Volume) -> float:
    """The scale that makes a volume isotropic.

    Raises:
        ConfigError: If its voxel size does not say.
    """
    if volume.voxel_size is None:
        raise ConfigError(f"{volume.name}: the file does not say its voxel size; give --scale or --voxel-size Z Y X")
    anisotropy = volume.voxel_size.anisotropy
    if anisotropy < 1.2:
        raise ConfigError(f"{volume.name}: voxels of {volume.voxel_size} are isotropic already; give --scale to insist")
    return check_scale(round(anisotropy) if abs(anisotropy - round(anisotropy)) < 0.05 else anisotropy)


def learning_degradation(grid: SectionGrid) -> Degradation:
    """How a lateral axis is degraded for training: as the volume's sections came about."""
    return make_degradation("subsample" if grid.thin else "average", grid.scale)


def prepare_method(
    name: str,
    volume: Volume,
    *,
    train: str | None,
    weights: Path | None,
    scratch: Path,
    seed: int,
    overrides: Mapping[str, Any],
    device: str,
    progress: Progress,
) -> Method:
    """A method that is ready to reconstruct: training-free, with given weights, or trained on the volume itself.

    Raises:
        ConfigError: If a method that learns gets neither weights nor a training preset, or declines the scale.
        DataError: If weights do not fit.
    """
    from vemrecon.fit.stages import load_weights, trained_parts
    from vemrecon.fit.stages import train as fit
    from vemrecon.methods.build import build_method

    grid = volume.require_grid()
    kind, card, presets = method_entry(name).resolved()
    preset, arguments = choose_preset(name, check_preset(train or "cpu"), presets)
    if weights is not None:
        arguments = _fitting_arguments(name, weights, volume)
    arguments = with_settings(arguments, overrides)
    method = build_method(kind, name, arguments, grid=grid, seed=seed)
    if reason := method.supports(grid.scale, grid):
        raise ConfigError(f"method '{name}' cannot do this volume: {reason}")
    if weights is not None:
        load_weights(method, weights, trained_parts(method))
    elif method.stages():
        if train is None:
            raise ConfigError(f"method '{name}' learns: give --weights FILE, or --train cpu to train it on this volume")
        if card.regime != "self":
            raise ConfigError(f"method '{name}' needs isotropic truth to learn from; give --weights FILE")
        source = Source.of([volume], learning_degradation(grid), card.regime)
        identity = digest_of([name, card.version, preset, arguments, seed, list(volume.shape), volume.name])
        fit(method, source, scratch, identity=identity, seed=seed, device=device, progress=progress)
    return method.eval().to(device)


def _fitting_arguments(name: str, weights: Path, volume: Volume) -> dict[str, Any]:
    """Arguments that a weights file was made with.

    Raises:
        ConfigError: If it belongs to another method or another kind of sections.
    """
    from vemrecon.fit.stages import weights_facts

    facts = weights_facts(weights)
    if facts.get("method") not in (None, name):
        raise ConfigError(f"{weights}: weights of method '{facts['method']}', not of '{name}'")
    grid, stored = volume.require_grid(), facts.get("grid")
    kind, learned = grid.kind, stored and SectionGrid.stored(stored, grid.scale).kind
    if learned not in (None, kind):
        raise ConfigError(
            f"{weights}: learned on {learned} sections, but those of {volume.name} are {kind}; "
            f"if that is wrong, give --grid {learned}"
        )
    return dict(facts.get("arguments", {}))


def reconstruct_file(
    work: Path,
    outputs: Mapping[Path, str],
    volume: Volume,
    observed: Volume,
    method: Method,
    device: str,
    progress: Progress,
) -> Volume:
    """Write the isotropic volume; an interrupted reconstruction goes on where it stopped.

    Args:
        work: Working folder; removed at the end.
        outputs: Path and format (`zarr` or `tiff`) of the reconstruction and, if wanted, of its uncertainty.
        volume: The anisotropic volume as it was given; tells dtype and intensity range.
        observed: The same with missing sections filled.
        method: Ready to reconstruct.
        device: Where it runs.
        progress: Told phase and finished share.

    Returns:
        The reconstruction as written.

    Raises:
        ConfigError: If the uncertainty is wanted of a method that has none.
    """
    from vemrecon.infer.reconstruct import reconstruct_volume

    make_folder(work)
    parts = [work / "reconstruction.zarr", work / "uncertainty.zarr"][: len(outputs)]
    spread = parts[1] if len(parts) > 1 else None
    reconstruct_volume(
        method,
        observed,
        parts[0],
        like=volume,
        uncertainty=spread,
        device=device,
        progress=lambda share: progress("reconstruct", share),
    )
    spans = [volume.intensity_range, None]  # the uncertainty is kept in [0, 1]
    results = [open_volume(part, intensity_range=span) for part, span in zip(parts, spans, strict=False)]
    for (path, kind), result in zip(outputs.items(), results, strict=True):
        (copy_to_zarr if kind == "zarr" else write_tiff)(path, result, volume.dtype, volume.intensity_range)
    shutil.rmtree(work, ignore_errors=True)
    return results[0]


def open_anisotropic(
    path: Path,
    dataset: str | None = None,
    *,
    grid: str | None = None,
    scale: float | None = None,
    voxel_size: VoxelSize | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    reading: Reading | None = None,
) -> Volume:
    """Open and check the volume to reconstruct; it knows where its sections lie.

    Args:
        path: See `open_volume`.
        dataset: See `open_volume`.
        grid: `centred` or `aligned`, if the file does not say or is wrong.
        scale: Sections to make of one, by default as the file says, or the anisotropy.
        voxel_size: See `open_volume`.
        intensity_range: See `open_volume`.
        reading: See `open_volume`.

    Raises:
        ConfigError: If the scale is not known, or not that of the file.
        DataError: If it cannot be used.
    """
    volume = open_volume(
        path, dataset, voxel_size=voxel_size, intensity_range=intensity_range, scale=scale, reading=reading
    )
    volume = replace(volume, notes=(*volume.notes, *check_range(volume)))
    require_content(volume)
    if volume.shape[0] < 2:
        raise DataError(f"{volume.name}: a single section cannot be reconstructed")
    return replace(volume, grid=grid_of(volume, grid, scale))


def work_folder(out: Path, request: Mapping[str, Any]) -> Path:
    """Where training and reconstruction are kept until the output is whole.

    Its name depends on everything that was asked for, so that no other request goes on with what this one left.
    """
    return out.with_name(f".{out.name}.work-{digest_of(request)[:12]}")
