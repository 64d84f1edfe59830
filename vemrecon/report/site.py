"""The site: a page with all boards, and one for each board, method and dataset. Files that need nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vemrecon.bench.levels import LEVEL_WORDS, LEVELS
from vemrecon.files import slug
from vemrecon.report.agreement import agreements
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table, degradation_words
from vemrecon.report.learning import learning_panel
from vemrecon.report.overview import overviews
from vemrecon.report.page import asset, counts_of, page_of, page_text
from vemrecon.report.page_agreement import agreement_html
from vemrecon.report.page_overview import overview_html
from vemrecon.report.page_provenance import cards_of
from vemrecon.report.page_table import EN_DASH
from vemrecon.report.panel import Look
from vemrecon.report.pictures import grey_png
from vemrecon.report.row import Row
from vemrecon.report.viewer import address_of

HOME = "../index.html"
FILTERS = ("dataset", "scale", "degradation", "kind", "regime", "level", "preset")


@dataclass(frozen=True)
class SplitFacts:
    """A split of a dataset, in words."""

    name: str
    region: str
    use: str
    paper: str = ""


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's page says of it."""

    name: str
    title: str
    licence: str = ""
    citation: str = ""
    voxel_size: str = ""
    source: str = ""
    note: str = ""
    splits: tuple[SplitFacts, ...] = ()


def site_pages(
    board: Leaderboard, pictures: int, datasets: Mapping[str, DatasetFacts]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """All HTML files by their names, and warnings about files of runs that could not be read.

    Args:
        board: All tables.
        pictures: Rows of a table whose sections are shown.
        datasets: What is known of datasets, by their names.
    """
    look, warnings = Look.of(board, pictures), list[str]()
    pages: dict[str, str] = {}
    for table in board.tables:
        pages[f"tables/{table.key}.html"], more = page_text(Leaderboard((table,)), look, HOME)
        warnings += more
    cards = cards_of(board)
    for card in cards:
        pages[f"methods/{page_of(card['name'])}"] = _method(board, card, look)
    names = sorted({table.task.dataset for table in board.tables})
    for name in names:
        facts = datasets.get(name) or DatasetFacts(name, name)
        pages[f"datasets/{page_of(name)}"] = _dataset(board, facts, look)
    pages["index.html"] = _page(
        look,
        "site-home",
        "vemrecon leaderboards",
        overviews=[overview_html(overview, look, "tables/{}.html") for overview in overviews(board)],
        agreements=[agreement_html(agreement, look, "tables/{}.html") for agreement in agreements(board)],
        boards=[_entry(table) for table in board.tables],
        filters=_filters(board.tables),
        methods=[{**card, "page": page_of(card["name"])} for card in cards],
        datasets=[{"name": name, "page": page_of(name), "title": _title(datasets, name)} for name in names],
        counts=counts_of(board),
        warnings=(*board.warnings, *warnings),
        levels=[(level, LEVEL_WORDS[level]) for level in LEVELS if any(level in t.levels for t in board.tables)],
    )
    return pages, tuple(warnings)


def _title(datasets: Mapping[str, DatasetFacts], name: str) -> str:
    return datasets[name].title if name in datasets else ""


def _page(look: Look, template: str, title: str, home: str = "", **values: Any) -> str:
    return look.render(template, title=title, home=home, styles=asset("report.css"), script=asset("site.js"), **values)


def _entry(table: Table) -> dict[str, Any]:
    """A board, as the first page lists it."""
    ranked = sorted(table.ranked, key=lambda row: _badness(table, row))
    best = ranked[0] if ranked else None
    cells = best.cells[MAIN_RANGE] if best else {}
    gain = table.columns.gain
    return {
        "page": f"tables/{table.key}.html",
        "title": table.title,
        "facts": {name: " ".join(sorted(values)) for name, values in _facts(table).items()},
        "rows": len(table.rows),
        "best": best.label if best else "",
        "score": f"{cells[table.primary.key].text(table.primary)}" if best else "",
        "gain": cells[gain.key].text(gain) if best and gain and gain.key in cells else "",
        "primary": table.primary.heading,
        "levels": ", ".join(table.levels),
    }


def _badness(table: Table, row: Row) -> float:
    value = row.cells[MAIN_RANGE][table.primary.key].value
    return table.primary.better.badness(value) if value is not None else float("inf")


def _facts(table: Table) -> dict[str, set[str]]:
    task = table.task
    return {
        "dataset": {task.dataset},
        "scale": {f"{task.scale:g}"},
        "degradation": {task.degradation.name},
        "kind": {task.kind},
        "regime": {row.regime for row in table.rows if row.regime},
        "level": set(table.levels),
        "preset": {slug(row.preset) for row in table.rows},
    }


def _filters(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """What boards can be chosen by, where there is a choice."""
    found: dict[str, set[str]] = {name: set() for name in FILTERS}
    for table in tables:
        for name, values in _facts(table).items():
            found[name] |= values
    order = {"scale": lambda value: (float(value), value), "level": lambda value: (LEVELS.index(value), value)}
    made = []
    for name, values in found.items():
        if len(values) > 1:
            made.append({"name": name, "values": sorted(values, key=order.get(name, lambda value: (0.0, value)))})
    return made


def _method(board: Leaderboard, card: Mapping[str, str], look: Look) -> str:
    """Card, recipes with deviations, rows and learning curves of a method."""
    import markupsafe

    lines, recipes, curves = [], dict[str, dict[str, Any]](), []
    for table in board.tables:
        own = tuple(row for row in table.rows if row.method == card["name"])
        lines += [_line(table, row) for row in own]
        for row in own:
            deviations = [(one.at, one.words) for one in row.deviations]
            arguments = sorted((name, str(value)) for name, value in row.spec.method.arguments.items())
            recipe = {"preset": row.preset, "task": table.title, "arguments": arguments, "deviations": deviations}
            recipes.setdefault(str([row.preset, arguments]), recipe)
        learned = learning_panel(replace(table, rows=own), look) if any(row.done for row in own) else None
        if learned:
            curves.append((table.title, markupsafe.Markup(learned.html)))
    spec = next(row.spec for table in board.tables for row in table.rows if row.method == card["name"])
    origin = spec.method.origin
    return _page(
        look,
        "site-method",
        card["name"],
        HOME,
        card=card,
        version=spec.method.version,
        class_path=spec.method.class_path,
        origin=f"{origin.distribution} {origin.version}".strip() if origin else "vemrecon",
        lines=lines,
        recipes=list(recipes.values()),
        curves=curves,
    )


def _line(table: Table, row: Row) -> dict[str, Any]:
    """A row of a method, wherever it stands."""
    column, gain = table.primary, table.columns.gain
    cells = row.cells.get(MAIN_RANGE, {})
    rank = table.certainty.ranks.get(row.label)
    return {
        "page": f"../tables/{table.key}.html",
        "title": table.title,
        "label": row.label,
        "preset": row.preset,
        "seeds": row.seeds,
        "level": row.level,
        "score": f"{cells[column.key].text(column)} {column.unit}".strip() if row.done else "",
        "heading": column.heading,
        "gain": cells[gain.key].text(gain) if row.done and gain and gain.key in cells else "",
        "rank": str(rank).replace("-", EN_DASH) if rank else "",
        "reason": "" if row.done else f"{row.status.value}: {row.reason}",
    }


def _dataset(board: Leaderboard, facts: DatasetFacts, look: Look) -> str:
    """Card, splits, a section and boards of a dataset."""
    tables = [table for table in board.tables if table.task.dataset == facts.name]
    pictures, seen = [], set[str]()
    for table in tables:
        for row in table.done:
            sections = row.kept.sections
            if sections and table.task.split not in seen and sections.pictures["truth"]:
                seen.add(table.task.split)
                pictures += [
                    (f"split {table.task.split}, {plane}", address_of(grey_png(section)), section.shape)
                    for plane, section in sections.pictures["truth"].items()
                ]
    boards = [
        {"page": f"../tables/{table.key}.html", "title": table.title, "words": degradation_words(table.task)}
        for table in tables
    ]
    return _page(look, "site-dataset", facts.name, HOME, facts=facts, boards=boards, pictures=pictures)
