"""The command `compare`: two methods on the same blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.commands.options import require_runs
from vemrecon.metrics.column import Better
from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.report.compare import Comparison, Together


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """Options of `compare`."""

    first: str = option("method, or row of the table as it is labelled there", positional=True, whole=True)
    second: str = option("the other one", positional=True, whole=True)
    runs: Path = option("folder of runs", Path("runs"))
    board: Path | None = option("a leaderboard.json, in place of runs", None)
    metric: str | None = option("metric, or column such as psnr/xy", None, unset="the main score of each task")


def compare(options: CompareOptions) -> int:
    """Print the paired difference on every task that both have finished."""
    from vemrecon.report.compare import comparisons, together
    from vemrecon.report.leaderboard import build
    from vemrecon.report.load import load_results, read_board

    if options.board is None:
        require_runs(options.runs)
    results = read_board(options.board) if options.board else load_results(options.runs)
    found = comparisons(build(results), options.first, options.second, options.metric)
    print("\n\n".join([*map(text_of, found), *map(together_text, together(found))]))
    return 0


def together_text(several: Together) -> str:
    """What comparisons on several tasks say together, in words, two lines."""
    one, mean = several.parts[0], several.mean
    tissues = f"{several.tissues} tissue{'s' if several.tissues > 1 else ''}"
    text = f"  {one.labels[0]} minus {one.labels[1]}: {_signed(one, mean.value)}"
    if mean.low is not None and mean.high is not None:
        text += f", 95 % interval [{_signed(one, mean.low)}, {_signed(one, mean.high)}]"
    unit = f" {one.column.unit}" if one.column.unit else ""
    return f"mean over {tissues}, of the means over the tasks of each ({len(several.parts)} tasks)\n{text}{unit}"


def text_of(one: Comparison) -> str:
    """A comparison in words, several lines.

    The interval is that of the paired difference; `better` is said only where a test shows it.
    """
    column, labels = one.column, one.labels
    unit = f" {column.unit}" if column.unit else ""
    values = ", ".join(f"{label} {column.text(value)}{unit}" for label, value in zip(labels, one.values, strict=True))
    distance = {Better.ONE: ", of the distances |log| from 1", Better.ZERO: ", of the distances from 0"}
    lines = [one.task, f"  {column.heading} {column.better.arrow}: {values}"]
    difference = f"  {labels[0]} minus {labels[1]}{distance.get(column.better, '')}: {_signed(one, one.difference)}"
    if one.interval:
        low, high = (_signed(one, value) for value in (one.interval.low, one.interval.high))
        difference += f", 95 % interval [{low}, {high}]"
    lines.append(f"{difference}{unit}")
    if one.reason:
        lines.append(f"  no test: {one.reason}")
    else:
        seeds = " and ".join(
            f"{n} seed{'s' if n > 1 else ''} of {label}" for n, label in zip(one.seeds, labels, strict=True)
        )
        verdict = f"{one.better} is better" if one.better else "no difference is shown"
        lines.append(f"  {one.blocks} blocks, {seeds}: p = {one.p:.2g}, {verdict}")
    single = [label for label, alone in zip(labels, one.one_seed, strict=True) if alone]
    if single:
        lines.append(f"  one seed alone of {' and of '.join(single)}: other trainings may differ in other ways")
    return "\n".join(lines)


def _signed(one: Comparison, value: float) -> str:
    """With a sign, and one digit more than the column shows: differences are small."""
    digits = int(one.column.style) + 1 if one.column.style.isdigit() else 2
    return f"{value:+.{digits}f}"
