"""The leaderboard as one HTML file that needs nothing but itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.report.beside import COMPARABLE, PUBLISHED, PublishedPart, papers, parts
from vemrecon.report.calibration import calibration_svg
from vemrecon.report.columns import ARROWS, Column
from vemrecon.report.curves import Curves, curves_data, curves_svg, load_curves
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.frame import swatch
from vemrecon.report.leaderboard import REGIMES, TIMES, Leaderboard, Row, Table, environments, hardware
from vemrecon.report.learning import learning_svg
from vemrecon.report.load import artifact, number
from vemrecon.report.markdown import short
from vemrecon.report.pictures import length_text, scale_bar
from vemrecon.report.scatter import scatter_svg
from vemrecon.report.viewer import Viewer, build_viewer

TEMPLATES = Path(__file__).parent / "templates"
RANGES = {"all": "all sections", "span": "between recorded sections only"}
REGIME_WORDS = {
    "none": "no training",
    "self": "trained on anisotropic volumes only",
    "isotropic": "trained on isotropic truth of the training region",
    "external": "trained on other data",
}


def html_text(board: Leaderboard) -> tuple[str, tuple[str, ...]]:
    """The page, and warnings about pictures or curves that could not be read."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    indices = method_indices(board)
    tasks = [_task(table, indices) for table in board.tables]
    warnings = tuple(warning for task in tasks for warning in task["warnings"])
    page = environment.get_template("report.html.jinja").render(
        tasks=tasks,
        cards=_cards(board),
        counts=_counts(board),
        warnings=(*board.warnings, *warnings),
        regimes=REGIME_WORDS,
        styles=markupsafe.Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=markupsafe.Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
    )
    return page, warnings


def method_indices(board: Leaderboard) -> dict[str, int]:
    """One number per row label, the same in every table; it decides colour, dash and marker."""
    found = {(_regime_order(row.regime), row.label) for table in board.tables for row in table.done}
    labels = dict.fromkeys(label for _, label in sorted(found))
    return {label: n for n, label in enumerate(labels)}


def _regime_order(regime: str) -> int:
    return REGIMES.index(regime) if regime in REGIMES else len(REGIMES)


def _counts(board: Leaderboard) -> dict[str, int]:
    rows = [row for table in board.tables for row in table.rows]
    runs = [result for row in rows for _, result in row.runs]
    return {
        "tasks": len(board.tables),
        "methods": len({row.method for row in rows}),
        "runs": len(runs),
        **{status: sum(r.status == status for r in runs) for status in ("done", "declined", "failed", "interrupted")},
    }


def _task(table: Table, indices: Mapping[str, int]) -> dict[str, Any]:
    import markupsafe

    viewer = build_viewer(table)
    charts, warnings = _charts(table, indices, viewer.voxel_size)
    legend = [{"label": row.label, "swatch": markupsafe.Markup(swatch(indices[row.label]))} for row in table.done]
    return {
        "table": table,
        "key": table.key,
        "title": table.title,
        "groups": [_group(name, list(same)) for name, same in itertools.groupby(table.columns, lambda c: c.group)],
        "columns": _heads(table.columns),
        "more": any(c.group == "More" for c in table.columns),
        "ranges": [{"name": n, "words": RANGES.get(n, n), **_body(table, n, indices)} for n in table.ranges],
        "regimes": [r for r in (*REGIMES, "") if any(row.regime == r for row in table.rows)],
        "viewer": viewer,
        "scale_bars": {view.plane: _bar(view.width_nm) for view in viewer.planes},
        "charts": charts,
        "legend": legend,
        "correlation": correlation_name(table),
        "primary": table.primary.heading,
        "scatter": markupsafe.Markup(scatter_svg(table, indices)),
        "calibration": markupsafe.Markup(calibration_svg(table, indices)),
        "learning": markupsafe.Markup(learning_svg(table, indices)),
        "mixed": len(environments(table)["hardware"]) > 1,
        "published": [_published(part) for part in parts(table) if part.lines],
        "papers": papers(table.published),
        "published_words": PUBLISHED,
        "facts": _facts(table, viewer),
        "runs": _runs(table),
        "warnings": (*viewer.warnings, *warnings),
    }


def _group(name: str, columns: Sequence[Column]) -> dict[str, Any]:
    unit = next((c.unit for c in columns if c.unit), "") if name != "More" else ""
    return {"name": name, "unit": unit, "width": len(columns)}


def _heads(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    groups = [column.group for column in columns]
    return [
        {"column": column, "arrow": ARROWS[column.better], "first": n == 0 or groups[n - 1] != column.group}
        for n, column in enumerate(columns)
    ]


def _body(table: Table, name: str, indices: Mapping[str, int]) -> dict[str, Any]:
    import markupsafe

    notes = Footnotes()
    rows = []
    for place, row in enumerate(table.rows):
        entry: dict[str, Any] = {"row": row, "place": place, "cells": [], "swatch": ""}
        if row.status == "done":
            entry["swatch"] = markupsafe.Markup(swatch(indices[row.label]))
            entry["cells"] = [_cell(table, row, column, name, notes) for column in table.columns]
        entry["seeds"] = ", ".join(str(result.spec.get("seed", "")) for _, result in row.runs)
        rows.append(entry)
    return {"rows": rows, "notes": notes.lines}


def _cell(table: Table, row: Row, column: Column, name: str, notes: Footnotes) -> dict[str, Any]:
    cell = row.cells[name][column.key]
    few = f"n = {cell.count}" if cell.value is not None and cell.count != len(row.runs) else ""
    reasons = [] if cell.value is None and column.group == "More" else list(cell.notes)
    exact = [f"{cell.limit}{cell.value!r} {column.unit}".strip()] if cell.value is not None and not column.cost else []
    return {
        "sort": "" if cell.value is None else repr(float(cell.value)),
        "text": cell.text(column).replace("<= ", "≤ ").replace(">= ", "≥ "),
        "spread": cell.spread(column),
        "few": few,
        "marks": notes.marks(reasons),
        "title": "; ".join((*exact, *([cell.sections] if cell.sections else []), *cell.notes)),
        "best": (name, column.key, row.label) in table.best,
        "group": column.group,
    }


def _published(part: PublishedPart) -> dict[str, Any]:
    heads, notes = _heads(part.columns), Footnotes()
    lines = []
    for line in part.lines:
        first, *rest = line.reasons or (COMPARABLE,)
        cells = [(line.text(head["column"].key), line.spread(head["column"].key), head["first"]) for head in heads]
        lines.append({"line": line, "cells": cells, "first": first, "marks": notes.marks(rest)})
    return {
        "title": part.title,
        "lines": lines,
        "groups": [_group(name, list(same)) for name, same in itertools.groupby(part.columns, lambda c: c.group)],
        "heads": heads,
        "notes": notes.lines,
    }


def _charts(
    table: Table, indices: Mapping[str, int], voxel_size: tuple[float, float, float] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    import markupsafe

    axis, rows, warnings = table.task["axis"], [], []
    for row in table.done:
        path = artifact(*row.runs[0], "curves")
        try:
            axial, lateral = load_curves(path, axis) if path else (None, None)
        except (DataError, OSError) as error:
            warnings.append(f"{table.title}, {row.label}: {str(error).replace(str(path), 'curves')}")
            continue
        rows.append(Curves(row.label, indices[row.label], axial, lateral))
    others = "x" if table.task["kind"] == "lateral" else "mean of " + " and ".join(a for a in "yxz" if a != axis)
    limit = _section_limit(table, voxel_size)
    charts = []
    for part, title in (("axial", f"Axial ({axis})"), ("lateral", f"Lateral ({others})")):
        svg = curves_svg(rows, part, title, limit if part == "axial" else None, correlation_name(table))
        if svg:
            note = f"dotted: what the sections can hold, {limit:g} nm" if limit and part == "axial" else ""
            data = markupsafe.Markup(script_json(curves_data(rows, part)))
            charts.append({"title": title, "note": note, "svg": markupsafe.Markup(svg), "data": data})
    return charts, warnings


def correlation_name(table: Table) -> str:
    """Of shells of the volume, or of rings of its sections where only these are scored."""
    return f"Fourier {'ring' if table.task['kind'] == 'lateral' else 'shell'} correlation"


def _section_limit(table: Table, voxel_size: tuple[float, float, float] | None) -> float | None:
    """Twice the distance of the observed sections: what is finer must come from prior knowledge."""
    if voxel_size is None:
        return None
    return round(2 * float(table.task["scale"]) * voxel_size["zyx".index(table.task["axis"])], 3)


def script_json(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _bar(width_nm: float | None) -> dict[str, Any] | None:
    if not width_nm:
        return None
    length = scale_bar(width_nm)
    return {"percent": round(100 * length / width_nm, 3), "label": length_text(length)}


def _facts(table: Table, viewer: Viewer) -> list[tuple[str, str]]:
    task, known, size = table.task, environments(table), viewer.voxel_size
    facts = [
        ("Data", f"{task['dataset']}, split {task['split']}, {task['kind']}"),
        ("Degradation", f"{' '.join(table.title.split(' · ')[-1:])}, axis {task['axis']}, scale {task['scale']:g}"),
        ("Voxel", f" {TIMES} ".join(f"{v:g}" for v in size) + " nm (z, y, x)" if size else ""),
        ("Protocol", str(table.identity["protocol"])),
        ("Data digest", short(table.identity["dataset_digest"])),
        ("Split digest", short(table.identity["split_digest"])),
        ("vemrecon", ", ".join(known["vemrecon"])),
        ("Commit", ", ".join(known["commit"])),
        ("Hardware", "; ".join(known["hardware"])),
    ]
    return [(name, text) for name, text in facts if text]


def _runs(table: Table) -> list[dict[str, Any]]:
    lines = []
    for row in table.rows:
        for _, result in row.runs:
            environment = result.environment
            lines.append({
                "label": row.label,
                "run_id": result.run_id,
                "status": result.status,
                "seed": result.spec.get("seed", ""),
                "preset": row.preset,
                "precision": result.spec.get("precision", ""),
                "version": row.spec["method"].get("version", ""),
                "vemrecon": environment.get("vemrecon") or "",
                "commit": short(environment.get("commit")) if environment.get("commit") else "",
                "torch": environment.get("torch") or "",
                "hardware": hardware(environment),
                "voxels": f"{voxels:,}" if (voxels := number(result.costs.get("output_voxels"))) is not None else "",
            })  # fmt: skip
    return lines


def _cards(board: Leaderboard) -> list[dict[str, str]]:
    """What is known about every method, once, by name."""
    cards: dict[str, dict[str, str]] = {}
    for table in board.tables:
        for row in table.rows:
            card = row.runs[0][1].card
            texts = {key: str(card.get(key) or "") for key in ("title", "regime", "paper", "citation", "licence")}
            cards.setdefault(row.method, {"name": row.method, **texts, "link": link_of(texts["paper"])})
    return sorted(cards.values(), key=lambda card: (_regime_order(card["regime"]), card["name"]))


def link_of(paper: str) -> str:
    """Address behind a paper's link or DOI; empty if it is neither.

    >>> link_of("10.1000/x"), link_of("javascript:alert(1)")
    ('https://doi.org/10.1000/x', '')
    """
    text = paper.strip()
    if " " in text or any(c in text for c in "\"'<>\n"):
        return ""
    if text.startswith(("https://", "http://")):
        return text
    bare = text.removeprefix("doi:")
    return f"https://doi.org/{bare}" if bare.startswith("10.") and "/" in bare else ""
