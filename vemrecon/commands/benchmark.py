"""The commands of a benchmark: bench, plan, run, report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.request import Request, Setup
from vemrecon.bench.suite import as_file, layered, read_file, read_suite, requests_and_setup
from vemrecon.commands.options import require_devices, require_runs
from vemrecon.errors import ConfigError
from vemrecon.options import Options, option, options_of
from vemrecon.progress import Say

if TYPE_CHECKING:
    from vemrecon.bench.executors.warm_process import WarmProcess
    from vemrecon.bench.plan import PlannedRun


@dataclass(frozen=True, kw_only=True)
class _PageOptions(Options):
    """Options of what writes a report."""

    pictures: int | None = option(
        "rows of each table whose sections the page shows, the best ones; 0 for none", None, least=0, unset="a few"
    )


@dataclass(frozen=True, kw_only=True)
class _CallOptions(_PageOptions):
    """Options of `bench` and `plan` that are about where the others stand, and about this call."""

    name: str | None = option("suite, as --suite", None, positional=True)
    config: Path | None = option("YAML file with any of these options, before those of the suite", None)
    suite: str = option("named suite or YAML file that fills in what is not given here", "default")
    dry_run: bool = option("show the plan and stop", False)
    rehearse: bool = option(
        "with plan: fetch the data, and time some batches and a tile of methods of which no run has finished", False
    )
    prepare: bool = option("make the folders of runs and stop, so that `vemrecon run` can do them one by one", False)
    print_config: bool = option(
        "print all options as a file for --config or --suite, and stop", False, also=("--print_config",)
    )


STORED_ALSO = ("suite", "dry_run", "prepare", "pictures")
"""What a file for --config may hold besides requests and setup."""


@dataclass(frozen=True)
class BenchOptions(Options):
    """What `bench` and `plan` are asked for: everything, wherever it stood."""

    requests: tuple[Request, ...]
    setup: Setup
    dry_run: bool = False
    print_config: bool = False
    prepare: bool = False
    pictures: int | None = None
    rehearse: bool = False
    suite: str = "default"

    @classmethod
    def parts(cls) -> tuple[type[Any], ...]:
        """Dataclasses whose fields are the options."""
        return _CallOptions, Request, Setup

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> BenchOptions:
        """From the options that were given: those of the suite hold where neither the file nor the words say else."""
        call = {name: value for name, value in given.items() if name in options_of(_CallOptions)}
        words = {name: value for name, value in given.items() if name not in call}
        file = read_file(Path(call["config"]), STORED_ALSO) if "config" in call else [{}]
        call = {name: file[0][name] for name in STORED_ALSO if name in file[0]} | call
        if (name := call.pop("name", None)) is not None:
            if "suite" in given and given["suite"] != name:
                raise ConfigError(f"two suites are named, {name} and --suite {given['suite']}; give one of them")
            call["suite"] = name
        asked = _CallOptions(**call)
        requests, setup = requests_and_setup(layered(read_suite(asked.suite), file, [words]))
        call_only = (asked.dry_run, asked.print_config, asked.prepare, asked.pictures, asked.rehearse)
        return cls(requests, setup, *call_only, suite=asked.suite)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(_PageOptions):
    """Options of `report`."""

    runs: Path = option("folder of runs", Path("runs"))
    out: Path | None = option("folder of the report", None, unset="RUNS/report")
    board: Path | None = option("a leaderboard.json whose tables to build again, in place of runs", None)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Options of `run`."""

    folder: Path = option("run folder, as `vemrecon status` lists it", positional=True)
    together: bool = option(
        "share the training with the other processes that torchrun or srun has begun, also on other nodes", False
    )


def bench(options: BenchOptions) -> int:
    """Plan, execute, report."""
    from vemrecon.bench.executors.warm_process import WarmProcess
    from vemrecon.fit.loggers import check_loggers
    from vemrecon.schedulers import on_this_machine

    if options.dry_run or options.print_config or options.rehearse:
        return plan(options)
    if options.setup.dask is None:
        require_devices(options.setup.torch_devices)
    check_loggers(options.setup.log)
    if options.prepare or not (options.setup.dask is None or on_this_machine(options.setup.dask)):
        return _bench(options, None)
    with closing(WarmProcess()) as warm:  # imports libraries while runs are planned
        return _bench(options, warm)


def _bench(options: BenchOptions, warm: WarmProcess | None) -> int:
    from rich.console import Console

    from vemrecon.bench.devices import device_groups, executor_of
    from vemrecon.bench.due import clear_stale, to_do
    from vemrecon.bench.runner import begin, execute
    from vemrecon.commands.bars import Bars
    from vemrecon.report import print_table, write_report

    setup, console = options.setup, Console(highlight=False)
    runs = _planned(options, fetch=True, say=lambda text: console.print(text, style="dim"))
    todo = to_do(runs, setup.retry)
    console.print(f"{len(runs)} runs, {len(runs) - len(todo)} of them finished before; folder {setup.folder}")
    if words := _about_kernels(options):
        console.print(words, style="dim", markup=False, soft_wrap=True)
    for run in runs:
        run.folder.mend()
    clear_stale(todo)
    if options.prepare:
        (devices, *_) = device_groups(setup, runs)
        for one in todo:
            begin(replace(one, job=replace(one.job, devices=devices)))
            print(one.folder.path)
        return 0
    for line in _kept_as_they_are(runs):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    executor = executor_of(setup, runs, warm)
    with Bars(console, total=len(todo)) as bars:
        execute(todo, setup.folder, bars, executor, setup.limits)
    states = [run.folder.state() for run in runs]
    report = write_report(setup.folder, setup.folder / "report", _results(runs), options.pictures)
    print_table(report, console)
    console.print(
        f"report: {setup.folder / 'report' / 'index.html'} (and README.md, leaderboard.csv, leaderboard.json)"
    )
    bad = sum(state not in ("done", "declined") for state in states)
    if bad:
        console.print(
            f"{bad} of {len(runs)} runs did not finish; reasons are in the table, details in log.txt of each run"
        )
    return 1 if bad else 0


def _kept_as_they_are(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """A line for each run with a result that is not done again, though one might expect it."""
    from vemrecon.bench.changes import changed_since, state_of

    for folder in (run.folder for run in runs):
        state = state_of(folder)
        if state == "newer":
            yield f"{folder.path}: left alone, a newer vemrecon has written its result"
        elif state == "stale" and (folder.path / "reconstruction.json").exists():  # else it is done anew
            yield f"{folder.path}: stale, {changed_since(folder)}; --retry stale does it again"


def plan(options: BenchOptions) -> int:
    """Show runs, their states and what they will take, or the options as a file."""
    if options.print_config:
        return _print_config(options)
    from rich.console import Console

    from vemrecon.bench.devices import executor_of
    from vemrecon.commands.plan_table import print_plan
    from vemrecon.schedulers import batch_script

    setup = options.setup
    script = setup.dask and batch_script(setup.dask, setup.devices_per_run if setup.torch_devices[0] != "cpu" else 0)
    console = Console(highlight=False, soft_wrap=True)
    runs = _planned(options, fetch=options.rehearse, say=lambda text: console.print(text, style="dim", markup=False))
    executor_of(setup, runs)  # refuses devices and batches that do not go together
    print_plan(runs, setup, console, options.rehearse)
    if words := _about_kernels(options):
        console.print(words, style="dim", markup=False, soft_wrap=True)
    if script:
        print(f"\nscript of each job:\n{script}")
    return 0


def run(options: RunOptions) -> int:
    """One run in this process."""
    from vemrecon.bench.heartbeat import Heartbeat
    from vemrecon.bench.store import RunFolder
    from vemrecon.bench.worker import learn_along, recorded
    from vemrecon.locks import exclusive
    from vemrecon.processes import adopt_launcher, rank

    folder = RunFolder.open(options.folder)
    if folder.state() == "done":
        print(f"{folder.path}: is done; remove the folder to repeat it")
        return 0
    if folder.state() == "newer":
        print(f"{folder.path}: its result was written by a newer vemrecon, and is left alone; upgrade to read it")
        return 1
    if options.together:
        adopt_launcher()
        if rank() > 0:
            learn_along(folder)
            return 0
    with exclusive(folder.path / "lease", f"run {folder.path.name}"), Heartbeat(folder.path, _told) as beat:
        code = recorded(folder, beat.progress)
    result = folder.result()
    print(f"{folder.path}: {result.status if result else 'no result'} {result.reason if result else ''}".rstrip())
    return code


def _told(phase: str, share: float, note: str = "") -> None:
    print(f"{phase} {share:4.0%} {note}".rstrip(), flush=True)


def report(options: ReportOptions) -> int:
    """Rebuild the report of a folder of runs."""
    from rich.console import Console

    from vemrecon.report import print_table, read_board, write_report

    if options.board is None:
        require_runs(options.runs)
    out = options.out or options.runs / "report"
    console = Console(highlight=False)
    results = read_board(options.board) if options.board else None
    print_table(write_report(options.runs, out, results, options.pictures), console)
    console.print(f"report: {out / 'index.html'}")
    return 0


def _print_config(options: BenchOptions) -> int:
    import yaml

    yaml.safe_dump(as_file(options.requests, options.setup), sys.stdout, sort_keys=False, allow_unicode=True)
    return 0


def _planned(options: BenchOptions, *, fetch: bool, say: Say = lambda text: None) -> list[PlannedRun]:
    from vemrecon.bench.kernels import kernels_beside
    from vemrecon.bench.plan import plan as planned
    from vemrecon.bench.resolve import resolve

    runs = options.setup.runs
    if runs.exists() and not runs.is_dir():
        raise ConfigError(f"--runs {runs}: is a file, not a folder")
    for line in _shadowed(options.requests):
        say(line)
    requests = (*options.requests, *kernels_beside(options.requests))
    return planned(resolve(requests, options.setup, fetch=fetch, say=say), group=Path(options.suite).stem)


def _shadowed(requests: Sequence[Request]) -> list[str]:
    """What to say where a name means something built in, and an installed package has something else of that name."""
    from vemrecon.data import dataset_names
    from vemrecon.degradations import degradations
    from vemrecon.methods.registry import built_in_methods
    from vemrecon.plugins import shadowed

    return [
        line
        for request in requests
        for line in (
            *shadowed("method", request.methods, built_in_methods()),
            *shadowed("dataset", request.dataset, dataset_names()),
            *shadowed("degradation", request.degradation, degradations().own),
        )
    ]


def _about_kernels(options: BenchOptions) -> str:
    """That kernels are run that nobody has named, in one line; empty where none are."""
    from vemrecon.bench.kernels import kernels_beside

    names = dict.fromkeys(name for request in kernels_beside(options.requests) for name in request.methods)
    words = f"run too, so that gains over the best kernel are known, unless --kernels asked: {', '.join(names)}"
    return words if names else ""


def _results(runs: Sequence[PlannedRun]) -> list[Any]:
    return [(run.folder.path, result) for run in runs if (result := run.folder.result()) is not None]
