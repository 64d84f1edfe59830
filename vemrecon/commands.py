"""What the subcommands do. Each function gets the parsed options and gives an exit code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError, DataError, unknown

if TYPE_CHECKING:
    from vemrecon.bench.plan import Place, PlannedRun, Request
    from vemrecon.volume import Region, Volume, VoxelSize


def bench(options: Any) -> int:
    """Plan, execute, report."""
    from rich.console import Console

    from vemrecon.bench.plan import make_plan
    from vemrecon.bench.runner import execute, to_do
    from vemrecon.progress import Bars
    from vemrecon.report import print_table, write_report

    if options.dry_run:
        return plan(options)
    console = Console(highlight=False)
    request, place = _request(options), _place(options)
    runs = make_plan(request, place, fetch=True, say=lambda text: console.print(text, style="dim"))
    jobs = _jobs(options.jobs, runs, place.devices)
    todo = to_do(runs, retry_failed=options.retry == "failed")
    console.print(f"{len(runs)} runs, {len(runs) - len(todo)} of them finished before; folder {place.runs}")
    with Bars(console, total=len(todo)) as bars:
        execute(todo, place.runs, bars, jobs=jobs, devices=place.devices)
    states = [run.folder.state() for run in runs]
    report = write_report(place.runs, place.runs / "report", results=_results(runs))
    print_table(report, console)
    console.print(f"report: {place.runs / 'report' / 'index.html'} (and README.md, leaderboard.csv, leaderboard.json)")
    bad = sum(state not in ("done", "declined") for state in states)
    if bad:
        console.print(
            f"{bad} of {len(runs)} runs did not finish; reasons are in the table, details in log.txt of each run"
        )
    return 1 if bad else 0


def plan(options: Any) -> int:
    """Show runs and states."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vemrecon.bench.plan import make_plan

    runs = make_plan(_request(options), _place(options), fetch=False)
    console = Console(highlight=False, soft_wrap=True)
    for task in dict.fromkeys(run.folder.spec.task.slug for run in runs):
        console.print(f"[bold]{task}[/bold]")
        table = Table("method", "preset", "seed", "run", "state", box=None, pad_edge=False, padding=(0, 2))
        for folder in (run.folder for run in runs if run.folder.spec.task.slug == task):
            spec = folder.spec
            table.add_row(escape(spec.method["name"]), spec.preset, str(spec.seed), spec.run_id, folder.state())
        console.print(table)
    disk = sum(run.job.truth.voxels or 0 for run in runs) / 1e9
    todo = sum(run.folder.state() in ("planned", "interrupted") for run in runs)
    console.print(
        f"{len(runs)} runs, {todo} to do; at most {disk:.2g} GB of reconstructions at 8 bit before compression"
    )
    return 0


def run(options: Any) -> int:
    """One run in this process."""
    from vemrecon.bench.store import RunFolder, exclusive
    from vemrecon.bench.worker import run as work

    folder = RunFolder.open(options.folder)
    if folder.state() == "done":
        print(f"{folder.path}: is done; remove the folder to repeat it")
        return 0
    with exclusive(folder.path / "lease", f"run {folder.path.name}"):
        work(folder, lambda phase, share: print(f"{phase} {share:4.0%}", flush=True))
    result = folder.result()
    if result is None or result.status not in ("done", "declined"):
        return 1
    print(f"{folder.path}: {result.status} {result.reason}")
    return 0


def status(options: Any) -> int:
    """Every run of a folder."""
    from vemrecon.bench.store import run_folders

    _require_runs(options.runs)
    folders = list(run_folders(options.runs))
    for folder in folders:
        result = folder.result()
        reason = f"  {result.reason}" if result and result.reason else ""
        print(f"{folder.state():12} {folder.path.parent.name}/{folder.path.name}{reason}")
    if not folders:
        print("no runs yet")
    return 0


def report(options: Any) -> int:
    """Rebuild the report of a folder of runs."""
    from rich.console import Console

    from vemrecon.report import print_table, write_report

    _require_runs(options.runs)
    out = options.out or options.runs / "report"
    console = Console(highlight=False)
    print_table(write_report(options.runs, out), console)
    console.print(f"report: {out / 'index.html'}")
    return 0


def methods(options: Any) -> int:
    """Names, regimes and titles, or all about one method."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.methods.registry import built_in_methods, method_entry, plugin_methods

    if options.name:
        entry = method_entry(options.name)
        card, presets = entry.card, entry.presets
        if card is None:
            _, card, presets = entry.resolved()
        return _show({"method": entry.name, "class": entry.class_path, "package": entry.package, **vars(card)}, presets)
    table = Table("method", "regime", "presets", "title", box=None, pad_edge=False, padding=(0, 2))
    built_in, plugins = built_in_methods(), plugin_methods()
    for name, entry in built_in.items():
        assert entry.card is not None
        table.add_row(name, entry.card.regime, " ".join(entry.presets), entry.card.title)
    for entry in plugins:
        others = [e.package for e in plugins if e.name == entry.name and e is not entry]
        others += ["vemrecon"] if entry.name in built_in else []
        clash = f"name clash with {' and '.join(others)}: give the class path instead" if others else ""
        table.add_row(entry.name, "", "", clash or f"{entry.class_path} (package {entry.package})")
    Console(highlight=False).print(table)
    return 0


def datasets(options: Any) -> int:
    """Names, splits and titles, or all about one dataset."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.data.catalogue import dataset_card, dataset_names

    if options.name:
        card = dataset_card(options.name)
        facts = {"dataset": card.name, "title": card.title, "voxel size": card.voxel_size, "licence": card.licence}
        facts |= {"citation": card.citation, "source": card.source}
        files = {f"file {key}": file.url or file.path or "made on demand" for key, file in card.files.items()}
        splits = {f"split {key}": f"{s.file} {s.region or ''} ({s.use})" for key, s in card.splits.items()}
        return _show(facts | files, splits)
    table = Table("dataset", "splits", "title", box=None, pad_edge=False, padding=(0, 2))
    for name in dataset_names():
        card = dataset_card(name)
        table.add_row(name, " ".join(card.splits), card.title)
    table.add_row("local:PATH", "whole", "a file of your own (local:PATH:DATASET inside HDF5 or zarr)")
    Console(highlight=False).print(table)
    return 0


def reconstruct(options: Any) -> int:
    """Make one volume isotropic."""
    from vemrecon.bench import inpainting, single
    from vemrecon.progress import PhaseBar
    from vemrecon.volume import output_format

    if options.weights and options.train:
        raise ConfigError("give --weights or --train, not both")
    outputs = {path: output_format(path) for path in (options.output, options.uncertainty) if path}
    (device,) = _devices([options.device])
    volume = single.open_anisotropic(
        options.input,
        options.dataset,
        options.grid,
        voxel_size=_voxel_size(options.voxel_size),
        intensity_range=_intensity_range(options.intensity_range),
    )
    missing = inpainting.parse_sections(options.missing_sections or "", volume.shape[0])
    scale, work = single.scale_of(volume, options.scale), single.work_folder(options.output)
    with PhaseBar() as bar:
        method = single.prepare_method(
            options.method,
            inpainting.without_sections(volume, missing) if missing else volume,
            scale,
            train=options.train,
            weights=options.weights,
            scratch=work / "train",
            seed=_integer("--seed", options.seed),
            overrides=_settings(options.set),
            device=device,
            progress=bar.progress,
        )
        observed, filled = inpainting.fill_sections(method, options.method, volume, missing)
        result = single.reconstruct_file(work, outputs, volume, observed, scale, method, device, bar.progress)
    for found in filled:
        print(found)
    for path in outputs:
        print(f"{path}: {' x '.join(map(str, result.shape))} voxels of {result.voxel_size or 'unknown size'}")
    return 0


def import_weights(options: Any) -> int:
    """Convert an authors' checkpoint."""
    from vemrecon.fit.stages import save_tensors
    from vemrecon.methods.importers import import_weights as read

    if options.output.exists():
        raise ConfigError(f"{options.output}: already exists; remove it or choose another name")
    arguments, tensors = read(options.method, options.file, options.encoder)
    save_tensors(options.output, tensors, {"method": options.method, "arguments": arguments})
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{options.output}: {len(tensors)} tensors, {count} numbers, arguments {arguments}")
    return 0


def degrade(options: Any) -> int:
    """Write an anisotropic volume."""
    import numpy as np

    from vemrecon.degrade import degrade as degraded
    from vemrecon.degrade import make_degradation
    from vemrecon.volume import open_volume, output_format, require_content
    from vemrecon.volume.ome_zarr import copy_to_zarr
    from vemrecon.volume.tiff import write_tiff
    from vemrecon.volume.volume import GREY_DTYPES

    if options.axis not in ("z", "y", "x"):
        raise unknown("axis", options.axis, "zyx")
    if options.dtype is not None and options.dtype not in GREY_DTYPES:
        raise unknown("dtype", options.dtype, GREY_DTYPES)
    degradation = make_degradation(options.degradation, options.scale, _settings(options.set))
    size, span = _voxel_size(options.voxel_size), _intensity_range(options.intensity_range)
    volume = open_volume(options.input, options.dataset, voxel_size=size, intensity_range=span)
    kind = output_format(options.output)
    require_content(volume)
    observed = degraded(volume, degradation, axis="zyx".index(options.axis), seed=_integer("--seed", options.seed))
    dtype = np.dtype(options.dtype or volume.dtype)
    spread = volume.intensity_range if dtype == volume.dtype else None
    (copy_to_zarr if kind == "zarr" else write_tiff)(options.output, observed, dtype, spread)
    shape, voxel = " x ".join(map(str, observed.shape)), observed.voxel_size or "unknown size"
    print(f"{options.output}: {shape} voxels of {voxel}, {observed.grid} sections")
    return 0


def evaluate(options: Any) -> int:
    """Score one file against another."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon import protocol
    from vemrecon.files import write_json
    from vemrecon.metrics.evaluate import evaluate as score
    from vemrecon.volume import open_volume, require_content

    size, span = _voxel_size(options.voxel_size), _intensity_range(options.intensity_range)
    truth = open_volume(options.truth, options.truth_dataset, voxel_size=size, intensity_range=span)
    reconstruction = open_volume(options.reconstruction, options.reconstruction_dataset, intensity_range=span)
    truth.require_voxel_size()
    reconstruction = replace(reconstruction, voxel_size=truth.voxel_size)
    require_content(truth)
    truth = _trimmed_like(truth, reconstruction) if options.trim else truth
    ranges, kept, scale = _ranges(truth, options.scale, options.degradation)
    result = score(
        truth,
        reconstruction,
        metrics=_words(options.metrics) or tuple(protocol.protocol()["metrics"]),
        ranges=ranges,
        kept_sections=kept,
        scale=scale,
    )
    table = Table("metric", "plane", "range", "value", "unit", "std", "note", box=None, pad_edge=False)
    for row in result.scores:
        name = f"{row.metric} {row.variant}".strip()
        value = "" if row.value is None else f"{row.value:.4f}"
        table.add_row(
            name, row.plane, row.range, value, row.unit, "" if row.std is None else f"{row.std:.4f}", row.note
        )
    Console(highlight=False).print(table)
    if options.json:
        write_json(
            options.json,
            {"schema": 1, "scores": [asdict(row) for row in result.scores], "curves": result.curves},
        )
    return 0


def _show(facts: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    for name, value in (*facts.items(), *more.items()):
        if value not in ("", None):
            print(f"{name + ':':14} {value}")
    return 0


def _ranges(
    truth: Volume, scale: str | None, degradation: str | None
) -> tuple[dict[str, Region], list[int], float | None]:
    from vemrecon.bench.phases import scored_ranges
    from vemrecon.degrade import make_degradation
    from vemrecon.degrade.degradation import check_scale

    if degradation is None:
        return {"all": truth.whole}, [], check_scale(scale) if scale else None
    if scale is None:
        raise ConfigError("--degradation needs --scale, the anisotropy factor of the input")
    kind = make_degradation(degradation, check_scale(scale))
    if truth.shape[0] < kind.scale:
        raise DataError(f"{truth.name}: {truth.shape[0]} sections are fewer than the scale {kind.scale:g}")
    ranges, kept = scored_ranges(truth, kind, kind.sections(truth.shape[0]))
    return ranges, kept, kind.scale


def _trimmed_like(truth: Volume, reconstruction: Volume) -> Volume:
    from vemrecon.volume import Region

    sections = min(truth.shape[0], reconstruction.shape[0])
    return truth.crop(Region((0, 0, 0), (sections, *truth.shape[1:])))


def _request(options: Any) -> Request:
    """What was asked: the suite, with every option given on the command line in its place."""
    from vemrecon.bench.plan import Request, TaskRequest, parse_overrides, read_suite, task_requests

    suite = read_suite(options.suite)
    tasks = task_requests(suite.get("tasks", []))
    if options.dataset:
        tasks = tuple(TaskRequest(name) for name in _words(options.dataset))
    changes: dict[str, Any] = {}
    if options.split:
        changes["split"] = options.split
    if options.scale:
        changes["scales"] = tuple(_scale(text) for text in _words(options.scale))
    if options.degradation:
        changes["degradations"] = _words(options.degradation)
    tasks = tuple(replace(task, **changes) for task in tasks)
    if not tasks:
        raise ConfigError(f"suite {options.suite} has no tasks; give --dataset")
    return Request(
        tasks=tasks,
        methods=_words(options.methods) or tuple(suite.get("methods", [])),
        seeds=tuple(_integer("--seeds", s) for s in _words(options.seeds)) or tuple(suite.get("seeds", [0])),
        preset=options.preset or suite.get("preset", "cpu"),
        metrics=_words(options.metrics) or tuple(suite.get("metrics", [])),
        mode=options.mode or suite.get("mode", "inductive"),
        overrides=parse_overrides(options.set),
    )


def _place(options: Any) -> Place:
    from vemrecon.bench.plan import Place
    from vemrecon.fit.loggers import check_loggers

    if options.runs.exists() and not options.runs.is_dir():
        raise ConfigError(f"--runs {options.runs}: is a file, not a folder")
    return Place(
        runs=options.runs.absolute() if not options.runs.is_absolute() else options.runs,
        data_root=options.data_root,
        voxel_size=_voxel_size(options.voxel_size),
        intensity_range=_intensity_range(options.intensity_range),
        devices=_devices(getattr(options, "devices", ["cpu"])),
        processes=_positive("--processes", getattr(options, "processes", "1")),
        loggers=check_loggers(_words(getattr(options, "log", None))),
    )


def _results(runs: Sequence[PlannedRun]) -> list[Any]:
    return [(run.folder.path, result) for run in runs if (result := run.folder.result()) is not None]


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    import yaml

    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: must read ARGUMENT=VALUE")
        settings[name] = yaml.safe_load(value)
    return settings


def _words(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Words separated by spaces or commas, as they come from a shell or from make."""
    return tuple(word for text in texts or [] for word in text.replace(",", " ").split())


def _scale(text: str) -> float:
    from vemrecon.degrade.degradation import check_scale

    return check_scale(text)


def _integer(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a whole number") from error


def _positive(option: str, text: str) -> int:
    if (value := _integer(option, text)) < 1:
        raise ConfigError(f"{option} {value}: must be at least 1")
    return value


def _voxel_size(texts: Sequence[str] | None) -> VoxelSize | None:
    from vemrecon.volume import VoxelSize

    return VoxelSize(*_numbers("--voxel-size", texts)) if texts else None


def _intensity_range(texts: Sequence[str] | None) -> tuple[float, float] | None:
    if not texts:
        return None
    low, high = _numbers("--intensity-range", texts)
    return low, high


def _numbers(option: str, texts: Sequence[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise ConfigError(f"{option} {' '.join(texts)}: must be numbers") from error


def _devices(texts: Sequence[str]) -> tuple[str, ...]:
    devices: list[str] = []
    for word in _words(texts):
        if word.isdigit() and int(word) > 0:
            devices += [f"cuda:{i}" for i in range(int(word))]
        elif word == "cpu" or word == "cuda" or (word.startswith("cuda:") and word[5:].isdigit()):
            devices.append(word)
        else:
            raise ConfigError(f"--devices {word}: must be cpu, cuda, cuda:N or a number of GPUs")
    if any(device != "cpu" for device in devices):
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--devices: this machine has no CUDA device that torch can use; leave it at cpu")
    return tuple(devices) or ("cpu",)


def _jobs(text: str | None, runs: Sequence[PlannedRun], devices: Sequence[str]) -> int:
    """Runs at once: as told, or one per GPU, or one per core while nothing learns; trainings on a CPU go one by one."""
    if text is not None:
        return _positive("--jobs", text)
    if devices[0] != "cpu":
        return len(devices)
    return 1 if any(run.learns for run in runs) else os.cpu_count() or 1


def _require_runs(runs: Path) -> None:
    if not runs.is_dir():
        raise DataError(f"{runs}: no such folder of runs; `vemrecon bench` makes one, or name it with --runs")
