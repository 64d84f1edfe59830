"""Progress bars in a terminal, one line per finished run elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from vemrecon.bench.store import RunFolder
from vemrecon.commands.shown import Shown
from vemrecon.report.columns import seconds_text

LINE_SECONDS = 20.0  # between lines where there is no terminal
MARKS = {"done": ("done", "green"), "declined": ("declined", "yellow"), "failed": ("failed", "red")}


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
        word, style = MARKS.get(status, (status, "red"))
        self.console.print(Text(f"{word:12}", style=style) + Text(self._name(run) + (f": {reason}" if reason else "")))

    @staticmethod
    def _name(run: RunFolder) -> str:
        return f"{run.spec.task.slug}  {run.spec.method.name}"


class PhaseBar(Shown):
    """One bar with the time left for the phases of one job; where there is no terminal, a line now and then."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        times = [Column(min_width=7, no_wrap=True) for _ in range(2)]  # in narrow terminals the bar gives way
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), TaskProgressColumn())
        past = TimeElapsedColumn(table_column=times[0])
        left = (TextColumn("left"), TimeRemainingColumn(table_column=times[1]), TextColumn("{task.fields[note]}"))
        self.bars = Progress(
            *columns, past, *left, console=self.console, transient=True, disable=not self.console.is_terminal
        )
        self.task = self.bars.add_task("starting", total=1, note="")
        self.phase, self.begun, self.first, self.said = "", 0.0, 0.0, 0.0

    def close(self) -> None:
        """Take the bar away before something is printed."""
        self.bars.stop()

    def progress(self, phase: str, share: float, note: str = "") -> None:
        """Show a phase, its finished share, and how it goes."""
        now = time.monotonic()
        if phase != self.phase:
            self.phase, self.begun, self.first, self.said = phase, now, share, now
            self.bars.reset(self.task, description=phase, total=1, note=note)
        self.bars.update(self.task, completed=share, note=note)
        if not self.console.is_terminal and now - self.said >= LINE_SECONDS:
            self.said = now
            rate = (share - self.first) / (now - self.begun)
            left = f", {seconds_text((1 - share) / rate)} left" if rate > 0 else ""
            print(f"{phase}: {share:.1%}{left}{note and f'; {note}'}", file=sys.stderr, flush=True)
