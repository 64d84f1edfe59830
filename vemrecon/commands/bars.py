"""Progress bars in a terminal, one line per finished run elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from vemrecon.bench.store import RunFolder

MARKS = {"done": ("done", "green"), "declined": ("declined", "yellow"), "failed": ("failed", "red")}


class Bars:
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

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def started(self, run: RunFolder) -> None:
        """Show a bar for the run."""
        self.tasks[run.spec.run_id] = self.bars.add_task(self._name(run), total=100, note="starting")

    def progress(self, run: RunFolder, phase: str, share: float) -> None:
        """Move the bar."""
        self.bars.update(self.tasks[run.spec.run_id], completed=round(100 * share), note=phase)

    def ended(self, run: RunFolder, status: str, reason: str) -> None:
        """Replace the bar by one line."""
        self.bars.remove_task(self.tasks.pop(run.spec.run_id))
        self.bars.advance(self.total)
        word, style = MARKS.get(status, (status, "red"))
        self.console.print(Text(f"{word:12}", style=style) + Text(self._name(run) + (f": {reason}" if reason else "")))

    @staticmethod
    def _name(run: RunFolder) -> str:
        return f"{run.spec.task.slug}  {run.spec.method.name}"


class PhaseBar:
    """One bar for the phases of one job; silent where there is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), TimeElapsedColumn())
        self.bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bars.add_task("starting", total=1)

    def __enter__(self) -> PhaseBar:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def progress(self, phase: str, share: float) -> None:
        """Show a phase and its finished share."""
        self.bars.update(self.task, description=phase, completed=share)
