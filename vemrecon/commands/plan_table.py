"""What `vemrecon plan` prints: every run, its state, and what it is expected to take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vemrecon.bench.spec import LEARNED_FROM_SCORED
from vemrecon.report.columns import seconds_text
from vemrecon.report.split_words import split_words

if TYPE_CHECKING:
    from rich.console import Console

    from vemrecon.bench.forecast import Experience, Forecast
    from vemrecon.bench.plan import PlannedRun
    from vemrecon.bench.request import Setup

HEADS = ("method", "preset", "seed", "run", "state", "time", "GB", "as long as")


def print_plan(runs: Sequence[PlannedRun], setup: Setup, console: Console, rehearse: bool = False) -> None:
    """Print a table for each task, and what there is to do in all.

    Args:
        runs: All that is asked for.
        setup: Where the runs are, and what does the work.
        console: Printed to.
        rehearse: Whether methods of which no run has finished are timed here; Ctrl-C ends that.
    """
    from vemrecon.bench.changes import state_of
    from vemrecon.bench.due import to_do
    from vemrecon.bench.forecast import Experience
    from vemrecon.bench.scope import will_decline

    todo = to_do(runs, setup.retry)
    declines = will_decline(todo)
    known = Experience(setup.folder, setup.torch_devices[0].partition(":")[0])
    if rehearse:
        _rehearse([run for run in todo if run.folder.spec.run_id not in declines], known, setup, console)
    made = {run.folder.spec.run_id: known.forecast(run) for run in todo if run.folder.spec.run_id not in declines}
    for task in dict.fromkeys(run.folder.spec.task.slug for run in runs):
        rows, specs = [HEADS], []
        for run in runs:
            spec = run.folder.spec
            if spec.task.slug != task:
                continue
            specs.append(spec)
            cells = _cells(made[spec.run_id]) if spec.run_id in made else ("", "", "")
            preset = f"{spec.preset}, {spec.track.words}" if spec.track else spec.preset
            state = "will decline" if spec.run_id in declines else state_of(run.folder)
            rows.append((spec.method.name, preset, str(spec.seed), spec.run_id, state, *cells))
        _print(task, rows, console)
        reasons = {s.method.name: declines[s.run_id] for s in specs if s.run_id in declines}
        for name, reason in reasons.items():
            console.print(f"{name} will decline: {reason}", style="yellow", markup=False)
        if words := split_words(specs[0].task.dataset, specs[0].task.split):
            console.print(f"split of {words}", markup=False)
        if names := dict.fromkeys(s.method.name for s in specs if s.contaminated):
            console.print(f"{LEARNED_FROM_SCORED}, so shown but never ranked: {', '.join(names)}", style="yellow")
    _sum_up(runs, todo, list(made.values()), setup, console)


def _rehearse(todo: Sequence[PlannedRun], known: Experience, setup: Setup, console: Console) -> None:
    from vemrecon.bench.rehearsal import rehearsed

    with suppress(KeyboardInterrupt), console.status("rehearsing; Ctrl-C goes on with what is known"):
        for run, found in rehearsed(todo, known, setup.torch_devices[0]):
            if isinstance(found, str):
                console.print(f"{run.folder.spec.method.name}: {found}", style="yellow", markup=False)
            else:
                known.learn(found)


def _cells(one: Forecast) -> tuple[str, str, str]:
    seconds = "?" if one.seconds is None else seconds_text(one.seconds)
    return seconds, "?" if one.bytes is None else f"{one.bytes / 1e9:.2g}", one.basis or "nothing known"


def _print(task: str, rows: Sequence[Sequence[str]], console: Console) -> None:
    from rich.text import Text

    console.print(Text(task, style="bold"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        console.print(Text(line, style="bold" if row is rows[0] else ""))


def _sum_up(
    runs: Sequence[PlannedRun],
    todo: Sequence[PlannedRun],
    made: Sequence[Forecast],
    setup: Setup,
    console: Console,
) -> None:
    from vemrecon.bench.devices import at_once
    from vemrecon.bench.forecast import observed_bytes

    stored = sum(one.bytes or 0.0 for one in made) + observed_bytes(todo)
    console.print(f"{len(runs)} runs, {len(todo)} to do; about {stored / 1e9:.2g} GB, observed volumes among them")
    if not todo:
        return
    known = [one.seconds for one in made if one.seconds is not None]
    blind = len(made) - len(known)
    slots = min(at_once(setup, todo), len(todo))
    if known:
        each = f", {seconds_text(sum(known) / slots)} on each of {slots} at once" if slots > 1 else ""
        console.print(f"about {seconds_text(sum(known))} of work on {setup.torch_devices[0].partition(':')[0]}{each}")
    if blind:
        console.print(
            f"{blind} of them left out of the time: no run of the method has finished in this folder, on this kind of "
            f"device; --rehearse times some batches and a tile of each. Their reconstructions count as 8 bit, "
            f"uncompressed"
        )
