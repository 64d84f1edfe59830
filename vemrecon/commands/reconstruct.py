"""The command that makes an anisotropic volume isotropic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vemrecon.bench.request import known_presets, read_scale
from vemrecon.commands.options import device_of, require_devices, settings
from vemrecon.commands.pairs import say_notes
from vemrecon.errors import ConfigError
from vemrecon.file_options import OUTPUT, FileOptions, version_option
from vemrecon.methods.card import USUAL
from vemrecon.methods.shipped_weights import weights_path
from vemrecon.options import flag, option
from vemrecon.version import __version__
from vemrecon.volume.grid import GRID_KINDS

if TYPE_CHECKING:
    from vemrecon.commands.json_log import JsonLog
    from vemrecon.own.steps import Ready
    from vemrecon.own.wish import Wish
    from vemrecon.progress import Progress
    from vemrecon.volume import Volume
    from vemrecon.volume.region import Triple


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(FileOptions):
    """Options of `reconstruct`."""

    input: Path = option("anisotropic volume, any readable format (see `vemrecon formats`)", positional=True)
    output: Path = option(f"isotropic volume to write: {OUTPUT}", positional=True)
    method: str | None = option(
        "name (see `vemrecon methods`) or class path", None, unset=f"that of the weights, else {USUAL}"
    )
    scale: float | None = option("sections to make of one", None, read=read_scale, unset="the anisotropy of the voxels")
    weights: Path | None = option(
        "weights.safetensors of a run, or of `vemrecon import-weights`, or a name of `vemrecon weights`; with --train "
        "the training begins with them",
        None,
        read=weights_path,
    )
    save_weights: Path | None = option("file to write with what --train has learned, for --weights", None)
    train: str | None = option(
        "train on this volume first, with this preset", None, choices=known_presets, noun="preset"
    )
    train_minutes: float | None = option(
        "train on this volume first, with as many batches as this takes here", None, unset="as long as --train says"
    )
    grid: str | None = option(
        "centred (thick sections) or aligned (kept thin ones)",
        None,
        choices=GRID_KINDS,
        noun="grid",
        unset="as the file says",
    )
    missing_sections: str = option(
        "numbers of sections to fill first, such as 11,40, or auto for those that are not stored, black or constant "
        "(isovem-plus)",
        "",
    )
    damage: Path | None = option(
        "mask of the shape of INPUT, not zero where voxels are damaged: these are filled first, and others stay",
        None,
    )
    resample: bool = option(
        "where the method does not take the scale: make sections at the next whole one, and resample them", False
    )
    uncertainty: Path | None = option("also write the spread over rotations or samples, as OUTPUT", None)
    seed: int = option("seed of the training", 0, least=0)
    set: Mapping[str, Any] = option(
        "ARGUMENT=VALUE of the method", factory=dict, metavar="ARGUMENT=VALUE", read=settings
    )
    rotations: bool = option("average over the eight rotations that keep z", False)
    blend: bool = option("fuse neighbouring tiles linearly, which hides their borders", False)
    bfloat16: bool = option("compute in bfloat16, where the device does", False)
    device: tuple[str, ...] = option(
        "cpu, cuda or cuda:N; several GPUs share the blocks of the output", ("cpu",), read=device_of
    )
    memory: str | None = option(
        "most that the process may take, such as 2GiB", None, unset="about 1 GiB for the voxels"
    )
    region: tuple[str, str, str] | None = option(
        "reconstruct a part alone, in voxels of the input, such as 10:40 : 200:456",
        None,
        metavar=("Z", "Y", "X"),
        unset="all",
    )
    at: tuple[float, ...] = option(
        "make the sections at these positions in place of the isotropic volume, counted in sections of the input: 0 is "
        "the centre of the first, 0.5 half-way to the next",
        (),
        unset="an isotropic volume",
    )
    dask: str | None = option(
        "who makes the blocks: local:N processes, slurm:N jobs (also pbs, sge, lsf, htcondor), or the address of a "
        "scheduler",
        None,
        unset="this process",
    )
    preview: tuple[int, ...] | None = option(
        "make a block around this voxel of the input alone (without numbers: the middle), beside bicubic, as the "
        "picture OUTPUT-preview.png, and stop",
        None,
        metavar="Z Y X",
        bare=True,
        least=0,
    )
    json_log: str | None = option(
        "append what happens to this file, a line of JSON for each event (docs/files.md); - is standard error",
        None,
        metavar="PATH",
    )
    dry_run: bool = option("say what it would take (time, memory, disk) and stop", False)
    ome_zarr: Literal["0.5", "0.4"] | None = version_option()
    dataset: str | None = option("name inside a file or folder that holds several", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preview is not None and len(self.preview) not in (0, 3):
            said = " ".join(map(str, self.preview))
            raise ConfigError(f"--preview {said}: must be the three numbers Z Y X of a voxel, or none for the middle")
        if self.preview is not None and self.dry_run:
            raise ConfigError("give --preview or --dry-run, not both")
        if self.preview is not None and self.resample:
            raise ConfigError("give --preview or --resample, not both; --region makes a part that is resampled")
        alone = [name for name in ("preview", "dask", "dry_run") if getattr(self, name) not in (None, False)]
        if self.at and alone:
            raise ConfigError(f"--at: makes single sections; give it without {flag(alone[0])}")
        if self.json_log is not None and Path(self.json_log) in (self.output, self.uncertainty):
            raise ConfigError(f"--json-log {self.json_log}: is an output; choose another name")


def reconstruct(options: ReconstructOptions) -> int:
    """Make one volume isotropic."""
    from vemrecon.commands.json_log import JsonLog

    with JsonLog.to(options.json_log) as log:
        return _reconstruct(options, log)


def _reconstruct(options: ReconstructOptions, log: JsonLog) -> int:
    from functools import partial

    from vemrecon.commands.bars import PhaseBar
    from vemrecon.commands.choices import other_choices
    from vemrecon.figure.drawing import require_matplotlib
    from vemrecon.own.damage import read_damage
    from vemrecon.own.missing import reading_to_fill, sections_to_fill
    from vemrecon.own.preview import place_of
    from vemrecon.own.reconstruction import reconstruct_file, reconstruct_sections, stamped, work_folder, work_place
    from vemrecon.own.sections import open_anisotropic, reopened
    from vemrecon.own.steps import make_ready
    from vemrecon.own.wish import AUTO
    from vemrecon.schedulers import require_place
    from vemrecon.volume import Made, require_output
    from vemrecon.volume.made import source_of

    wish = _wish(options)
    wish.check(options.scale)
    if previewed := options.preview is not None:
        require_matplotlib()
    outputs = [path for path in (options.output, options.uncertainty) if path]
    for path in outputs:
        require_output(path, options.ome_zarr)
    if options.dask is not None:
        require_place(options.dask)
    else:
        require_devices(options.device)
    volume = open_anisotropic(
        options.input,
        options.dataset,
        grid=options.grid,
        scale=options.scale,
        voxel_size=options.voxels,
        intensity_range=options.grey_range,
        reading=reading_to_fill(options.reading) if wish.missing == AUTO else options.reading,
    )
    masks = read_damage(options.damage, volume) if options.damage else None
    wish.check_positions(volume)
    at = place_of(volume, options.preview or None, wish.part(volume))
    log.event("start", **_begun(options, wish, volume))

    opened = partial(
        reopened,
        options.input.resolve(),
        options.dataset,
        volume.grid,
        voxel_size=options.voxels,
        intensity_range=volume.intensity_range,
        reading=reading_to_fill(options.reading) if wish.missing == AUTO else options.reading,
    )

    def warn(line: str) -> None:
        say_notes([replace(volume, notes=(line,))])
        log.event("warning", message=f"{volume.name}: {line}")

    for note in volume.notes:
        warn(note)
    source, reading = source_of(options.input, options.dataset), options.reading.said()
    work = work_folder(options.output, wish, volume, stamped(options.input, source) | reading)
    find = partial(sections_to_fill, options.input, options.dataset, options.reading, volume)
    writes = not options.dry_run and (not previewed or wish.preset is not None)
    with work_place(work, write=writes), PhaseBar(log) as bar:
        bar.pace.voxels = {"reconstruct": math.prod(wish.made_shape(volume))}
        ready = make_ready(
            wish, volume, work / "train", bar.progress, warn,
            missing=find, masks=masks, opened=opened, learn=not options.dry_run, examine=not previewed,
        )  # fmt: skip
        if options.dry_run:
            done = _estimated(ready, options.output, bar.progress)
        elif previewed:
            done = _previewed(ready, at, options.output, work, bar.progress)
        else:
            made = Made(ready.how() | ({"reading": reading} if reading else {}) | {"source": source})
            if wish.at:
                result = reconstruct_sections(
                    ready, work, options.output, bar.progress, made=made, ome_zarr=options.ome_zarr
                )
            else:
                result = reconstruct_file(
                    ready, work, outputs, bar.progress, made=made, ome_zarr=options.ome_zarr, dask=options.dask
                )
            done = _written(ready, outputs, result)
    for line in done.lines:
        print(line)
    if options.method is None and options.weights is None:
        print("\n".join(other_choices(volume)))
    log.event("done", output=[str(path) for path in done.output], shape=list(done.shape))
    return 0


@dataclass(frozen=True)
class _Done:
    """What was written, and what the user is told of it."""

    output: Sequence[Path]
    shape: Triple
    lines: Sequence[str]


def _wish(options: ReconstructOptions) -> Wish:
    from vemrecon.own.wish import AUTO, Wish, method_of
    from vemrecon.quantities import byte_count

    missing = options.missing_sections
    return Wish(
        method=method_of(options.method, options.weights),
        settings=options.set,
        weights=options.weights,
        train=options.train,
        train_minutes=options.train_minutes,
        save_weights=options.save_weights,
        seed=options.seed,
        missing=AUTO if missing == AUTO else section_numbers(missing),
        damage=options.damage,
        region=options.region,
        uncertainty=options.uncertainty is not None,
        rotations=options.rotations,
        blend=options.blend,
        bfloat16=options.bfloat16,
        devices=options.device,
        resample=options.resample,
        memory=byte_count("--memory", options.memory) if options.memory else None,
        at=options.at,
    )


def _begun(options: ReconstructOptions, wish: Wish, volume: Volume) -> dict[str, Any]:
    """What the log says about what begins."""
    from vemrecon.commands.json_log import SCHEMA

    return {
        "schema": SCHEMA,
        "version": __version__,
        "input": str(options.input),
        "output": str(options.output),
        "method": wish.method,
        "preset": wish.preset,
        "devices": list(wish.devices),
        "scale": volume.require_grid().scale,
        "shape": list(volume.shape),
        "made_shape": list(wish.made_shape(volume)),
        "voxel_size": volume.voxel_size and list(volume.voxel_size),
        "dtype": str(volume.dtype),
    }


def _estimated(ready: Ready, output: Path, progress: Progress) -> _Done:
    from vemrecon.commands.estimates import estimate_lines

    progress("one tile", 0.0)
    taken = ready.estimated()
    return _Done([], taken.made, list(estimate_lines(taken, output, ready.wish.resample)))


def _previewed(ready: Ready, at: Triple, output: Path, work: Path, progress: Progress) -> _Done:
    from vemrecon.commands.preview import made_preview, preview_lines, preview_path, write_preview

    shown, picture = made_preview(ready, at, progress), preview_path(output)
    write_preview(picture, shown)
    lines = list(preview_lines(picture, shown))
    if ready.wish.preset is not None:
        lines.append(f"the training is kept in {work} for the same command without --preview")
    return _Done([picture], shown.block.box.shape, lines)


def _written(ready: Ready, outputs: Sequence[Path], result: Volume) -> _Done:
    said = f"{' x '.join(map(str, result.shape))} voxels of {result.voxel_size or 'unknown size'}"
    return _Done(outputs, result.shape, [*map(str, ready.filled), *(f"{path}: {said}" for path in outputs)])


def section_numbers(text: str) -> Sequence[int]:
    """Section numbers such as `11,40`.

    Raises:
        ConfigError: If one is no number.
    """
    try:
        return sorted({int(word) for word in text.replace(",", " ").split()})
    except ValueError as error:
        raise ConfigError(f"--missing-sections {text}: must be section numbers such as 11,40, or auto") from error
