"""The commands of a benchmark: bench, plan, run, status, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vemrecon.commands.options import devices, integer, intensity_range, positive, require_runs, voxel_size, words
from vemrecon.errors import ConfigError, unknown

if TYPE_CHECKING:
    from vemrecon.bench.plan import PlannedRun
    from vemrecon.bench.request import Place, Request


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
            table.add_row(escape(spec.method.name), spec.preset, str(spec.seed), spec.run_id, folder.state())
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
    from vemrecon.bench.worker import recorded

    folder = RunFolder.open(options.folder)
    if folder.state() == "done":
        print(f"{folder.path}: is done; remove the folder to repeat it")
        return 0
    with exclusive(folder.path / "lease", f"run {folder.path.name}"):
        code = recorded(folder, lambda phase, share: print(f"{phase} {share:4.0%}", flush=True))
    result = folder.result()
    print(f"{folder.path}: {result.status if result else 'no result'} {result.reason if result else ''}".rstrip())
    return code


def status(options: Any) -> int:
    """Every run of a folder."""
    from vemrecon.bench.store import run_folders

    require_runs(options.runs)
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

    require_runs(options.runs)
    out = options.out or options.runs / "report"
    console = Console(highlight=False)
    print_table(write_report(options.runs, out), console)
    console.print(f"report: {out / 'index.html'}")
    return 0


def _request(options: Any) -> Request:
    """What was asked: the suite, with every option given on the command line in its place."""
    from vemrecon.bench.request import Request, TaskRequest, parse_overrides, read_suite, task_requests
    from vemrecon.data.card import KINDS
    from vemrecon.degrade import check_scale

    suite = read_suite(options.suite)
    tasks = task_requests(suite.get("tasks", []))
    if options.dataset:
        tasks = tuple(TaskRequest(name) for name in words(options.dataset))
    changes: dict[str, Any] = {}
    if options.split:
        changes["split"] = options.split
    if options.task:
        if options.task not in KINDS:
            raise unknown("task", options.task, KINDS)
        changes["kind"] = options.task
    if options.scale:
        changes["scales"] = tuple(check_scale(text) for text in words(options.scale))
    if options.degradation:
        changes["degradations"] = words(options.degradation)
    tasks = tuple(replace(task, **changes) for task in tasks)
    if not tasks:
        raise ConfigError(f"suite {options.suite} has no tasks; give --dataset")
    methods = words(options.methods) or tuple(suite.get("methods", []))
    return Request(
        tasks=tasks,
        methods=methods,
        seeds=tuple(integer("--seeds", s) for s in words(options.seeds)) or tuple(suite.get("seeds", [0])),
        preset=options.preset or suite.get("preset", "cpu"),
        metrics=words(options.metrics) or tuple(suite.get("metrics", [])),
        mode=options.mode or suite.get("mode", "inductive"),
        overrides=parse_overrides(options.set, methods),
    )


def _place(options: Any) -> Place:
    from vemrecon.bench.request import Place
    from vemrecon.fit.loggers import check_loggers

    if options.runs.exists() and not options.runs.is_dir():
        raise ConfigError(f"--runs {options.runs}: is a file, not a folder")
    return Place(
        runs=options.runs.absolute() if not options.runs.is_absolute() else options.runs,
        data_root=options.data_root,
        voxel_size=voxel_size(options.voxel_size),
        intensity_range=intensity_range(options.intensity_range),
        devices=devices(getattr(options, "devices", ["cpu"])),
        processes=positive("--processes", getattr(options, "processes", "1")),
        loggers=check_loggers(words(getattr(options, "log", None))),
    )


def _results(runs: Sequence[PlannedRun]) -> list[Any]:
    return [(run.folder.path, result) for run in runs if (result := run.folder.result()) is not None]


def _jobs(text: str | None, runs: Sequence[PlannedRun], devices: Sequence[str]) -> int:
    """Runs at once: as told, or one per GPU, or one per core while nothing learns; trainings on a CPU go one by one."""
    from vemrecon.bench.environment import cores

    if text is not None:
        return positive("--jobs", text)
    if devices[0] != "cpu":
        return len(devices)
    return 1 if any(run.learns for run in runs) else cores()
