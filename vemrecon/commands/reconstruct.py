"""The command that makes an anisotropic volume isotropic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vemrecon.bench.request import known_presets, read_scale
from vemrecon.commands.options import device_of, require_devices, settings
from vemrecon.commands.pairs import say_notes
from vemrecon.errors import ConfigError
from vemrecon.file_options import OUTPUT, FileOptions, version_option
from vemrecon.options import option
from vemrecon.volume.grid import GRID_KINDS


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(FileOptions):
    """Options of `reconstruct`."""

    input: Path = option("anisotropic volume, any readable format (see `vemrecon formats`)", positional=True)
    output: Path = option(f"isotropic volume to write: {OUTPUT}", positional=True)
    method: str = option("name (see `vemrecon methods`) or class path", "bicubic")
    scale: float | None = option("sections to make of one", None, read=read_scale, unset="the anisotropy of the voxels")
    weights: Path | None = option("weights.safetensors of a run, or of `vemrecon import-weights`", None)
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


def reconstruct(options: ReconstructOptions) -> int:
    """Make one volume isotropic."""
    from functools import partial

    from vemrecon.commands.bars import PhaseBar
    from vemrecon.commands.estimates import estimate_lines
    from vemrecon.commands.prepare import byte_count
    from vemrecon.commands.preview import made_preview, preview_lines, preview_path, write_preview
    from vemrecon.figure.drawing import require_matplotlib
    from vemrecon.own.missing import reading_to_fill, sections_to_fill
    from vemrecon.own.preview import place_of
    from vemrecon.own.reconstruction import reconstruct_file, stamped, work_folder, work_place
    from vemrecon.own.sections import open_anisotropic, reopened
    from vemrecon.own.steps import make_ready
    from vemrecon.own.wish import AUTO, Wish
    from vemrecon.volume import Made, require_output
    from vemrecon.volume.made import source_of

    missing = options.missing_sections
    wish = Wish(
        method=options.method,
        settings=options.set,
        weights=options.weights,
        train=options.train,
        train_minutes=options.train_minutes,
        seed=options.seed,
        missing=AUTO if missing == AUTO else section_numbers(missing),
        region=options.region,
        uncertainty=options.uncertainty is not None,
        rotations=options.rotations,
        blend=options.blend,
        bfloat16=options.bfloat16,
        devices=options.device,
        memory=byte_count("--memory", options.memory) if options.memory else None,
    )
    wish.check(options.scale)
    previewed = options.preview is not None
    if previewed:
        require_matplotlib()
    outputs = [path for path in (options.output, options.uncertainty) if path]
    for path in outputs:
        require_output(path, options.ome_zarr)
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
    say_notes([volume])
    at = place_of(volume, options.preview or None, wish.part(volume))
    source, reading = source_of(options.input, options.dataset), options.reading.said()
    work = work_folder(options.output, wish, volume, stamped(options.input, source) | reading)
    find = partial(sections_to_fill, options.input, options.dataset, options.reading, volume)

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

    writes = not options.dry_run and (not previewed or wish.preset is not None)
    with work_place(work, write=writes), PhaseBar() as bar:
        ready = make_ready(
            wish, volume, work / "train", bar.progress, warn,
            missing=find, opened=opened, learn=not options.dry_run, examine=not previewed,
        )  # fmt: skip
        if options.dry_run:
            bar.progress("one tile", 0.0)
            taken = ready.estimated()
            bar.close()
            print("\n".join(estimate_lines(taken, options.output)))
            return 0
        if previewed:
            shown = made_preview(ready, at, bar.progress)
            bar.close()
            picture = preview_path(options.output)
            write_preview(picture, shown)
            print("\n".join(preview_lines(picture, shown)))
            if wish.preset is not None:
                print(f"the training is kept in {work} for the same command without --preview")
            return 0
        made = Made(ready.how() | ({"reading": reading} if reading else {}) | {"source": source})
        result = reconstruct_file(
            ready, work, outputs, bar.progress, made=made, ome_zarr=options.ome_zarr, dask=options.dask
        )
    for found in ready.filled:
        print(found)
    for path in outputs:
        print(f"{path}: {' x '.join(map(str, result.shape))} voxels of {result.voxel_size or 'unknown size'}")
    return 0


def section_numbers(text: str) -> Sequence[int]:
    """Section numbers such as `11,40`.

    Raises:
        ConfigError: If one is no number.
    """
    try:
        return sorted({int(word) for word in text.replace(",", " ").split()})
    except ValueError as error:
        raise ConfigError(f"--missing-sections {text}: must be section numbers such as 11,40, or auto") from error
