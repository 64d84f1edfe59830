"""The main table in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vemrecon.report.certainty import ONE_SEED
from vemrecon.report.columns import AnyColumn, Columns, GainColumn
from vemrecon.report.kept_weights import weights_lines
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.markdown import meanings, provenance
from vemrecon.report.overview import RULE, Overview, heads, overviews
from vemrecon.report.row import Row
from vemrecon.report.track import track_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from vemrecon.report.write import Report

GAP = 3
"""Characters between two columns: padding on both sides and the divider."""

FIRST = ("method", "regime", "seeds")
INTERVAL = " 95 %"
"""Heading of the column of intervals, and what its key ends with."""


def print_table(report: Report | Leaderboard, console: Console | None = None) -> None:
    """Print one table per task, with as many columns as the terminal is wide, and what they say together.

    Args:
        report: What `write_report` returned, or the leaderboard in it.
        console: Where to print; the standard output if None.
    """
    from rich.console import Console
    from rich.text import Text

    board = report if isinstance(report, Leaderboard) else report.board
    console = console or Console()
    for warning in board.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    for table in board.tables:
        console.print()
        console.print(Text(table.title, style="bold"))
        for panel in PANELS:
            for part in panel(table, console.width):
                console.print(part)
    for overview in overviews(board):
        console.print()
        for part in overview_part(overview, console.width):
            console.print(part)


def overview_part(overview: Overview, width: int) -> list[Any]:
    """Methods by tasks, with as many tasks as fit; these have numbers, which are explained below."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    names = ["method", "regime", "mean", INTERVAL.strip(), "tasks", *(str(n + 1) for n in range(len(overview.tables)))]
    rows = [
        [line.label, line.regime, overview.text(line.mean), overview.interval_text(line.mean),
         f"{line.count}/{len(line.gains)}", *(overview.text(gain) for gain in line.gains)]
        for line in overview.lines
    ]  # fmt: skip
    widths = [max(map(len, cells)) for cells in zip(names, *rows, strict=True)]
    fitting = sum(width >= sum(widths[:n]) + GAP * n for n in range(1, len(names) + 1))
    rich = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for n, name in enumerate(names[:fitting]):
        rich.add_column(name, no_wrap=True, justify="left" if n < 2 else "right")
    for line, cells in zip(overview.lines, rows, strict=True):
        best = (*[False] * 5, *(gain.best for gain in line.gains))
        rich.add_row(*(Text(cells[n], style="bold green" if best[n] else "") for n in range(fitting)))
    tasks = (f"{n}  {title}, over {kernel}" for n, (_, title, kernel) in enumerate(heads(overview), start=1))
    words = (*tasks, RULE, *(f"left out, {line}" for line in overview.left_out))
    return [Text(overview.title, style="bold"), rich, *(Text(f"  {line}", style="dim") for line in words)]


def scores_part(table: Table, width: int) -> list[Any]:
    """The main table, with as many columns as fit, and why a column is blank in every row."""
    from rich.text import Text

    if not table.done:
        return []
    parts = [_render(table, width)]
    for column in table.main:
        cells = [row.cells[MAIN_RANGE][column.key] for row in table.done]
        if all(cell.value is None for cell in cells):
            reasons = dict.fromkeys(note for cell in cells for note in cell.notes)
            parts.append(Text(f"  {column.heading}: {'; '.join(reasons)}", style="dim"))
    parts += [Text(f"  {line}", style="dim") for line in (*table.certainty.notes, *meanings(table))]
    return parts


def undone_part(table: Table, width: int) -> list[Any]:
    """One line for every row without scores."""
    from rich.text import Text

    lines = []
    for row in table.rows:
        if not row.done:
            line = Text("  ").append(row.label, style="bold").append(f" {row.status.value}", style="red")
            lines.append(line.append(f" (seed {row.seeds}): {row.reason or 'no reason recorded'}"))
    return lines


def provenance_part(table: Table, width: int) -> list[Any]:
    """What the numbers come from."""
    from rich.text import Text

    return [Text(provenance(table), style="dim")]


def weights_part(table: Table, width: int) -> list[Any]:
    """Which weights were kept."""
    from rich.text import Text

    return [Text(f"  {line}", style="dim") for line in weights_lines(table)]


def track_part(table: Table, width: int) -> list[Any]:
    """What every training had, and has taken."""
    from rich.text import Text

    return [Text(line, style="dim") for line in track_lines(table)]


PANELS: tuple[Callable[[Table, int], list[Any]], ...] = (
    track_part, scores_part, weights_part, undone_part, provenance_part,
)  # fmt: skip
"""What stands below the title of a task, in this order, for a terminal of so many characters."""


def _render(table: Table, width: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    columns = _shown(table)
    texts = {c.key: [_text(table, row, c) for row in table.done] + _references(table, c) for c in columns}
    units = {c.key: "" if isinstance(c, GainColumn) else c.unit for c in columns}  # that of the score beside it
    heads = {c.key: f"{c.group.replace('Cost', '')}\n{c.label} {units[c.key]}".rstrip(" ") for c in columns}
    order = [c.key for c in columns]
    for column in _with_intervals(table):
        ends = column.key + INTERVAL
        texts[ends] = [Text(table.certainty.interval_text(column, row.label)) for row in table.done]
        texts[ends] += [Text("")] * len(table.references)
        heads[ends] = f"\n{INTERVAL.strip()}"
        order.insert(order.index(column.key) + 1, ends)
    names, first = _first(table)
    room = width - 1 - sum(GAP + max(map(len, cells)) for cells in zip(names, *first, strict=True))
    shown = set()
    for key in (key for key in _by_importance(table.columns) if key in texts):
        needed = GAP + max(*map(len, heads[key].split("\n")), *(text.cell_len for text in texts[key]))
        if needed <= room:
            shown.add(key)
            room -= needed
    rich = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in names:
        rich.add_column(f"\n{name}", no_wrap=True)
    for key in (key for key in order if key in shown):
        rich.add_column(heads[key], justify="right", no_wrap=True)
    apart = {len(table.ranked), len(table.done)} if len(table.ranked) < len(table.done) else set()
    for n, words in enumerate(first):
        if n in apart:
            rich.add_section()
        rich.add_row(*map(Text, words), *(texts[key][n] for key in order if key in shown))
    return rich


def _first(table: Table) -> tuple[list[str], list[list[str]]]:
    """Headings and cells that every terminal shows."""
    seeds = [f"{len(row.runs)}{f' {ONE_SEED}' if row.one_seed else ''}" for row in table.done]
    cells = [[row.label, row.regime, words] for row, words in zip(table.done, seeds, strict=True)]
    cells += [[row.label, "", ""] for row in table.references]
    ranks = table.certainty.ranks
    if not ranks:
        return list(FIRST), cells
    for words in cells:
        words.insert(1, str(ranks.get(words[0], "")))
    return [FIRST[0], "rank", *FIRST[1:]], cells


def _shown(table: Table) -> list[AnyColumn]:
    """Columns that may stand in the table: not that of gains where there are none, which is said below it."""
    return [c for c in table.main if not isinstance(c, GainColumn) or table.best_kernel]


def _with_intervals(table: Table) -> list[AnyColumn]:
    """The main score and its gain, where there are intervals of them."""
    known = {key for key, _ in table.certainty.intervals}
    return [c for c in table.main if c in (table.primary, table.columns.gain) and c.key in known]


def _by_importance(columns: Columns) -> list[str]:
    """Keys of all columns that might be shown, those first that a narrow terminal keeps.

    What ranks and its gain, the first column of every other metric, then the others by their ranks.
    """
    main, gain = columns.primary.key, columns.gain.key if columns.gain else ""
    rest = sorted(columns.main, key=lambda c: (c not in columns.leading, c.rank))
    leading = [c.key for c in rest if c in columns.leading]
    return list(dict.fromkeys((main, main + INTERVAL, gain, *leading, gain + INTERVAL, *(c.key for c in rest))))


def _text(table: Table, row: Row, column: AnyColumn) -> Text:
    from rich.text import Text

    cell = row.cells[MAIN_RANGE][column.key]
    text = " ".join(part for part in (cell.text(column), cell.spread(column)) if part)
    return Text(text, style="bold green" if (MAIN_RANGE, column.key, row.label) in table.best else "")


def _references(table: Table, column: AnyColumn) -> list[Text]:
    from rich.text import Text

    return [Text(row.cells[MAIN_RANGE][column.key].text(column), style="dim") for row in table.references]
