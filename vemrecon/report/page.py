"""The leaderboard as one HTML file that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.report.beside import PUBLISHED, papers
from vemrecon.report.calibration import calibration_svg
from vemrecon.report.curves import Curves, curves_data, curves_svg, load_curves
from vemrecon.report.frame import swatch
from vemrecon.report.layering import layering
from vemrecon.report.leaderboard import REGIMES, Leaderboard, Table, environments
from vemrecon.report.learning import learning_svg
from vemrecon.report.load import artifact
from vemrecon.report.page_provenance import all_runs, cards_of, facts, regime_order
from vemrecon.report.page_segmentation import segmentation_views
from vemrecon.report.page_table import main_table, published_tables
from vemrecon.report.pictures import length_text, scale_bar
from vemrecon.report.profiles import profile_charts
from vemrecon.report.scatter import scatter_svg
from vemrecon.report.viewer import build_viewer

TEMPLATES = Path(__file__).parent / "templates"
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
        cards=cards_of(board),
        counts=_counts(board),
        warnings=(*board.warnings, *warnings),
        regimes=REGIME_WORDS,
        styles=markupsafe.Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=markupsafe.Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
    )
    return page, warnings


def method_indices(board: Leaderboard) -> dict[str, int]:
    """One number per row label, the same in every table; it decides colour, dash and marker."""
    found = {(regime_order(row.regime), row.label) for table in board.tables for row in table.done}
    labels = dict.fromkeys(label for _, label in sorted(found))
    return {label: n for n, label in enumerate(labels)}


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
    segmentations = segmentation_views(table, indices)
    legend = [{"label": row.label, "swatch": markupsafe.Markup(swatch(indices[row.label]))} for row in table.done]
    return {
        "table": table,
        "key": table.key,
        "title": table.title,
        **main_table(table, indices),
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
        "profiles": [_chart(**chart) for chart in profile_charts(table, indices)],
        "kept": (table.task.get("degradation") or {}).get("name") == "subsample",
        "layering": layering(table, indices),
        "mixed": len(environments(table)["hardware"]) > 1,
        "published": published_tables(table),
        "papers": papers(table.published),
        "published_words": PUBLISHED,
        "segmentations": segmentations,
        "facts": facts(table, viewer),
        "runs": all_runs(table),
        "warnings": (*viewer.warnings, *warnings, *(w for view in segmentations for w in view["warnings"])),
    }


def _charts(
    table: Table, indices: Mapping[str, int], voxel_size: tuple[float, float, float] | None
) -> tuple[list[dict[str, Any]], list[str]]:
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
            charts.append(_chart(title, note, svg, curves_data(rows, part)))
    return charts, warnings


def _chart(title: str, note: str, svg: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    """A chart that the pointer can read."""
    import markupsafe

    return {"title": title, "note": note, "svg": markupsafe.Markup(svg), "data": markupsafe.Markup(script_json(data))}


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
