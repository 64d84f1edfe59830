"""The leaderboard as Markdown, readable as plain text too."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vemrecon.bench.levels import LEVEL_WORDS
from vemrecon.bench.spec import CONTAMINATED, LEARNED_FROM_SCORED
from vemrecon.metrics.catalogue.segmentation import MEASURES
from vemrecon.metrics.column import Column
from vemrecon.report.agreement import Agreement, agreements
from vemrecon.report.certainty import ONE_SEED
from vemrecon.report.columns import AnyColumn
from vemrecon.report.deviations import deviation_lines
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.gain import gain_words
from vemrecon.report.kept_weights import weights_lines
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table, environments
from vemrecon.report.overview import RULE, Gain, Overview, heads, overviews
from vemrecon.report.published_table import COMPARABLE, PUBLISHED, PublishedLine, PublishedPart
from vemrecon.report.reference_rows import ReferenceRow
from vemrecon.report.row import Row
from vemrecon.report.segmentation_table import UNFAIR, Line, Segmentation
from vemrecon.report.split_words import split_words
from vemrecon.report.track import track_lines

LEGEND = (
    "Rows are sorted by regime (none, self, isotropic, external: how much a method may see beyond the volume it "
    "reconstructs), then by the first column in which a value can be better than another. "
    "Bold: best value of the column; costs only where every row ran on the same hardware. ±: sample standard deviation "
    "over seeds. `<=` and `>=`: bounds, where a correlation never fell below its threshold, or never rose above it; "
    "`~`: made of bounds of both kinds. Blank cells carry the mark of their reason."
)


def markdown_text(board: Leaderboard) -> str:
    """What tables say together, then one table per task, with footnotes and provenance below each."""
    parts = ["# Leaderboard", LEGEND if board.tables else "No results yet."]
    if board.warnings:
        parts.append("\n".join(["**Warnings**", "", *(f"- {escape(line)}" for line in board.warnings)]))
    parts += [text for overview in overviews(board) for text in overview_text(overview)]
    parts += [text for agreement in agreements(board) for text in agreement_text(agreement)]
    for table in board.tables:
        parts.append(f"## {escape(table.title)}")
        parts += [text for panel in PANELS for text in panel(table)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    r"""Text from a file, on one line and without any meaning in Markdown or HTML.

    >>> escape("a|b\n<b> *c* [d](e)")
    'a\\|b &lt;b&gt; \\*c\\* \\[d\\](e)'
    """
    text = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)


def overview_text(overview: Overview) -> list[str]:
    """Methods by tasks, with footnotes for what is missing."""
    notes, kernels = Footnotes(), [escape(kernel) for _, _, kernel in heads(overview)]
    names = ["method", "regime", "mean", "tasks", *(escape(title) for _, title, _ in heads(overview))]
    lines = [_line(names), _line(["---", "---", *["---:"] * (len(names) - 2)])]
    lines.append(_line(["*over the kernel*", "", "", "", *(f"*{kernel}*" for kernel in kernels)]))
    for line in overview.lines:
        cells = [_gain_cell(overview, gain, notes) for gain in (line.mean, *line.gains)]
        cells.insert(1, f"{line.count}/{len(line.gains)}")
        lines.append(_line([escape(line.label), escape(line.regime), *cells]))
    words = [escape(line) for line in (RULE, *(f"Left out, {line}" for line in overview.left_out))]
    return [f"## {escape(overview.title)}", "\n".join(lines), *_footnotes(notes), "  \n".join(words)]


def _gain_cell(overview: Overview, gain: Gain, notes: Footnotes) -> str:
    text = overview.text(gain)
    parts = [f"**{text}**" if gain.best and text else text, overview.interval_text(gain)]
    marks = ", ".join(notes.marks([gain.reason] if gain.reason else []))
    return " ".join(part for part in parts if part) + (f"<sup>{marks}</sup>" if marks else "")


def agreement_text(agreement: Agreement) -> list[str]:
    """Tables by other measures, by seeds, and by the tables before them."""
    places = agreement.places
    numbers = [str(n + 1) for n in range(len(places) - 1)]
    names = ["", "task", *(escape(column.heading) for column in agreement.measures), "seeds", *numbers]
    lines = [_line(names), _line(["---:", "---", *["---:"] * (len(names) - 2)])]
    for n, place in enumerate(places):
        found = [*place.measures, place.seeds, *place.tables, *[None] * (len(numbers) - n)][: len(names) - 2]
        lines.append(_line([str(n + 1), escape(place.table.title), *(one.text if one else "" for one in found)]))
    return [f"## {escape(agreement.title)}", "\n".join(lines), agreement.rule]


def scores_text(table: Table) -> list[str]:
    """The main table with its footnotes."""
    notes = Footnotes()
    rank = ["rank"] if table.certainty.ranks else []
    last = ["preset", "seeds", *(["level"] if table.levels else [])]
    heads = ["method", "regime", *rank, *(_heading(c) for c in table.main), *last]
    lines = [_line(heads)]
    lines += [_line(["---", "---", *["---"] * len(rank), *["---:"] * len(table.main), *["---"] * len(last)])]
    lines += [_line(_cells(table, row, notes)) for row in table.rows]
    lines += [_line(_reference_cells(table, row)) for row in table.references]
    words = [escape(line) for line in (*table.certainty.notes, *meanings(table))]
    return ["\n".join(lines), *_footnotes(notes), *(["  \n".join(words)] if words else [])]


def meanings(table: Table) -> list[str]:
    """What intervals, ranks and marks of a table mean, where there are any."""
    lines, main = [], table.primary
    found = [interval for (key, _), interval in table.certainty.intervals.items() if key == main.key]
    if found:
        blocks = " or ".join(map(str, sorted({interval.blocks for interval in found})))
        seeds = " and seeds" if any(interval.seeds > 1 for interval in found) else ""
        lines.append(f"[low, high]: 95 % interval of {main.heading}, over {blocks} evaluation blocks{seeds}")
    if gain := table.columns.gain:
        sure = any(key == gain.key for key, _ in table.certainty.intervals)
        lines += [words for words in (gain_words(table.done, gain, sure=sure),) if words]
    if table.certainty.ranks:
        lines.append(
            f"rank: places by {main.heading} that paired tests leave open (5 % for all pairs of rows together)"
        )
    if any(row.contaminated for row in table.rows):
        lines.append(f"{CONTAMINATED}: {LEARNED_FROM_SCORED}, as in a paper; neither ranked nor the best of anything")
    lines += [f"{level}: {LEVEL_WORDS[level]}" for level in table.levels]
    if any(row.one_seed for row in table.done):
        lines.append(f"{ONE_SEED} one seed of a random method: how far its scores vary over seeds is not known")
    return [*lines, *(row.words for row in table.references)]


def _footnotes(notes: Footnotes) -> list[str]:
    lines = [f"<sup>{mark}</sup> {escape(reason)}" for mark, reason in notes.lines]
    return ["  \n".join(lines)] if lines else []


def segmentation_text(table: Table) -> list[str]:
    """One small table for each thing that was looked for."""
    texts = []
    for found in table.segmentations:
        heads = [_segmentation_heading(column) for column in found.columns]
        texts.append(f"### {escape(found.title)}")
        if heads:
            first = ["method"] if found.fair else ["method", "segmenter"]
            lines = [_line([*first, *heads]), _line([*["---"] * len(first), *["---:"] * len(heads)])]
            lines += [_line(_segmentation_cells(table, found, line)) for line in found.lines]
            texts.append("\n".join(lines))
            if not found.fair:
                texts.append(UNFAIR)
            texts.append("  \n".join(escape(f"Segmenter {words}") for words in found.judges_in_words()))
        else:
            texts += [escape(f"Not scored: {reason}") for reason in dict.fromkeys(n.reason for n in found.lines)]
    return texts


def _segmentation_heading(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{MEASURES[column.metric].label}, {column.reference}{unit} {column.better.arrow}".strip()


def _segmentation_cells(table: Table, found: Segmentation, line: Line) -> list[str]:
    first = [escape(line.label) + (" (floor)" if line.method_is_floor else "")]
    first += [] if found.fair else [line.judges]
    if line.reason:
        return [*first, f"*{escape(line.reason)}*", *[""] * (len(found.columns) - 1)]
    cells = []
    for column in found.columns:
        cell, best = line.cells[column.key], (MAIN_RANGE, column.key, line.label) in table.best
        text = f"**{cell.text(column)}**" if best and line.row is not None else cell.text(column)
        cells.append(f"{text} {cell.spread(column)}".strip())
    return first + cells


def published_text(table: Table) -> list[str]:
    """Published lines with the main measure of the table; the others are only counted."""
    if not table.published:
        return []
    texts = [f"### Published numbers ({len(table.published)} lines)", PUBLISHED]
    primary = table.primary.metric if isinstance(table.primary, Column) else ""
    same = PublishedPart("", tuple(line for line in table.published if primary in line.measures))
    if same.lines:
        measures = {column.metric for column in table.main if isinstance(column, Column)}
        columns, notes = [c for c in same.columns if c.metric in measures], Footnotes()
        heads = ["paper", "method", "supervision", "degradation", *map(_heading, columns), "why not comparable"]
        lines = [_line(heads), _line([*["---"] * 4, *["---:"] * len(columns), "---"])]
        lines += [_line(_published_cells(line, columns, notes)) for line in same.lines]
        texts += ["\n".join(lines), *_footnotes(notes)]
    rest = len(table.published) - len(same.lines)
    if rest:
        command = f"vemrecon published --dataset {table.task.dataset} --scale {table.task.scale:g}"
        texts.append(f"{rest} more lines, of other measures: `{command}`")
    return texts


def _published_cells(line: PublishedLine, columns: Sequence[Column], notes: Footnotes) -> list[str]:
    first, *rest = line.reasons or (COMPARABLE,)
    marks = ", ".join(notes.marks(rest))
    facts = (f"{line.paper}, {line.where}", line.method, line.supervision, line.degradation)
    scores = [line.text(column.key) for column in columns]
    return [*map(escape, (*facts, *scores)), escape(first) + (f"<sup>{marks}</sup>" if marks else "")]


def _heading(column: AnyColumn) -> str:
    return f"{escape(column.heading)} {column.better.arrow}".strip()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(table: Table, row: Row, notes: Footnotes) -> list[str]:
    first = [escape(row.label), escape(row.regime) + (f"; {LEARNED_FROM_SCORED}" if row.contaminated else "")]
    last = [escape(row.preset), escape(row.seeds) + (f" {ONE_SEED}" if row.one_seed else "")]
    last += [row.level] if table.levels else []
    rank = [str(table.certainty.ranks.get(row.label, ""))] if table.certainty.ranks else []
    if not row.done:
        reason = escape(f"{row.status}: {row.reason or 'no reason recorded'}")
        return [*first, *rank, f"*{reason}*", *[""] * (len(table.main) - 1), *last]
    cells = (_cell(table, row, column, notes) for column in table.main)
    return [*first, *rank, *cells, *last]


def _reference_cells(table: Table, row: ReferenceRow) -> list[str]:
    cells = row.cells[MAIN_RANGE]
    texts = [_bounded(cells[column.key].text(column)) for column in table.main]
    return [
        f"*{escape(row.label)}*",
        "",
        *[""] * bool(table.certainty.ranks),
        *texts,
        *[""] * (3 if table.levels else 2),
    ]


def _bounded(text: str) -> str:
    """Text of a cell, whose bounds may look like HTML."""
    return escape(text).replace("&lt;=", "<=").replace("&gt;=", ">=")


def _cell(table: Table, row: Row, column: AnyColumn, notes: Footnotes) -> str:
    cell = row.cells[MAIN_RANGE][column.key]
    text = _bounded(cell.text(column))
    if (MAIN_RANGE, column.key, row.label) in table.best:
        text = f"**{text}**"
    sure = column in (table.primary, table.columns.gain)
    interval = table.certainty.interval_text(column, row.label) if sure else ""
    parts = [text, cell.spread(column), interval]
    if cell.value is not None and cell.count != len(row.runs):
        parts.append(f"(n = {cell.count})")
    marks = ", ".join(notes.marks(cell.notes))
    return " ".join(part for part in parts if part) + (f"<sup>{marks}</sup>" if marks else "")


def provenance(table: Table) -> str:
    """Versions, commit, hardware and protocol behind a table, on one line."""
    known, task = environments(table), table.task
    whose = split_words(task.dataset, task.split)
    words = [
        f"protocol {table.protocol}",
        f"vemrecon {', '.join(known['vemrecon']) or 'not recorded'}",
        f"commit {', '.join(known['commit']) or 'not recorded'}",
        f"hardware: {'; '.join(known['hardware']) or 'not recorded'}",
        f"data {short(task.dataset_digest)}",
        f"split {short(task.split_digest)}" + (f" ({whose})" if whose else ""),
        *([f"grey values {table.intensity_range}"] if table.intensity_range else []),
    ]
    return f"Provenance: {' · '.join(words)}"


def short(digest: object) -> str:
    """The first characters of a digest, enough to compare by eye."""
    return str(digest)[:12] if digest else "not recorded"


PANELS: tuple[Callable[[Table], list[str]], ...] = (
    lambda table: [escape(line) for line in track_lines(table)],
    scores_text,
    lambda table: [escape(line) for line in weights_lines(table)],
    lambda table: ["  \n".join(map(escape, lines))] if (lines := deviation_lines(table)) else [],
    lambda table: [escape(provenance(table))],
    segmentation_text,
    published_text,
)
"""What stands below the title of a task, in this order; nothing where there is nothing to show."""
