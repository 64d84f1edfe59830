"""Progress bars in a terminal, one line per finished run elsewhere."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from vemrecon.bench.store import RunFolder
from vemrecon.commands.json_log import JsonLog
from vemrecon.commands.pace import Pace
from vemrecon.commands.shown import Shown

LINE_SECONDS = 20.0  # between lines where there is no terminal
MARKS = {
    "done": "green",
    "running": "cyan",
    "planned": "none",
    "declined": "yellow",
    "interrupted": "yellow",
    "stale": "yellow",
}
"""Colours of states; all others are red."""


class Bars(Shown):
    """One bar for all runs and one for each that is at work."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[note]}"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or total == 0,
        )
        self.total = self.bars.add_task("all runs", total=total, note="")
        self.tasks: dict[str, Any] = {}

    def started(self, run: RunFolder) -> None:
        """Show a bar for the run."""
        self.tasks[run.spec.run_id] = self.bars.add_task(self._name(run), total=100, note="starting")

    def progress(self, run: RunFolder, phase: str, share: float, note: str) -> None:
        """Move the bar."""
        self.bars.update(
            self.tasks[run.spec.run_id], completed=round(100 * share), note=f"{phase}: {note}" if note else phase
        )

    def ended(self, run: RunFolder, status: str, reason: str) -> None:
        """Replace the bar by one line."""
        self.bars.remove_task(self.tasks.pop(run.spec.run_id))
        self.bars.advance(self.total)
        word = Text(f"{status:14}", style=MARKS.get(status, "red"))
        self.console.print(word + Text(self._name(run) + (f": {reason}" if reason else "")))

    @staticmethod
    def _name(run: RunFolder) -> str:
        return f"{run.spec.task.slug}  {run.spec.method.name}"


class PhaseBar(Shown):
    """One bar with speed and time left for the phases of one job; where none can be drawn, a line now and then."""

    def __init__(self, log: JsonLog | None = None) -> None:
        self.console, self.pace, self.log = Console(stderr=True), Pace(), log or JsonLog(None)
        self.silent, drawn = self.log.on_standard_error, _draws(self.console)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),  # in narrow terminals the bar gives way
            _PaceColumn(self.pace, Column(no_wrap=True)),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=self.silent or not drawn,
        )
        self.task = self.bars.add_task("starting", total=1, note="")
        self.said = 0.0

    def close(self) -> None:
        """Take the bar away before something is printed."""
        self.bars.stop()

    def progress(self, phase: str, share: float, note: str = "") -> None:
        """Show a phase, its finished share, and how it goes."""
        now = time.monotonic()
        begins = self.pace.told(phase, share)
        if begins:
            self.said = now
            self.bars.reset(self.task, description=phase, total=1, note=note)
        self.bars.update(self.task, completed=share, note=note)
        self.log.progress(self.pace, begins, note)
        if self.bars.disable and not self.silent and now - self.said >= LINE_SECONDS:
            self.said = now
            facts = ", ".join(filter(None, [f"{phase}: {share:.1%}", str(self.pace)]))
            print("; ".join(filter(None, [facts, note])), file=sys.stderr, flush=True)


class _PaceColumn(ProgressColumn):
    """Speed and time left."""

    def __init__(self, pace: Pace, column: Column) -> None:
        super().__init__(table_column=column)
        self.pace = pace

    def render(self, task: Task) -> Text:
        """As they are now."""
        return Text(str(self.pace))


def _draws(console: Console) -> bool:
    """Whether a bar can be drawn: in a terminal, and in a notebook that has widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
