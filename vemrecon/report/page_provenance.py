"""Where the numbers of the HTML page come from: data, versions, hardware, every run, and the cards of the methods."""

from __future__ import annotations

from typing import Any

from vemrecon.report.chosen_rows import LARGE
from vemrecon.report.environments import hardware, told
from vemrecon.report.leaderboard import TIMES, Leaderboard, Table, degradation_words, environments, regime_order
from vemrecon.report.markdown import short
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.split_words import split_words


def provenance_panel(table: Table, look: Look) -> Fragment:
    """Data, versions and hardware behind a table, and every run of it, where they are not too many."""
    runs = all_runs(table) if len(table.rows) <= LARGE else []
    number = sum(len(row.runs) for row in table.rows)
    return Fragment(look.render("provenance", facts=facts(table), runs=runs, number=number))


def facts(table: Table) -> list[tuple[str, str]]:
    """What a reader has to know to measure the same again, by name."""
    task, known, size = table.task, environments(table), table.voxel_size
    found = [
        ("Data", f"{task.dataset}, split {task.split}, {task.kind}"),
        ("Degradation", f"{degradation_words(task)}, axis {task.axis}, scale {task.scale:g}"),
        ("Missing", task.missing.words if task.missing else ""),
        ("Voxel", f" {TIMES} ".join(f"{v:g}" for v in size) + " nm (z, y, x)" if size else ""),
        ("Grey range", str(table.intensity_range or "")),
        ("Sections", str(table.grid) if table.grid else ""),
        ("Protocol", str(table.protocol)),
        ("Data digest", short(task.dataset_digest)),
        ("Split digest", short(task.split_digest)),
        ("Split", split_words(task.dataset, task.split)),
        ("vemrecon", ", ".join(known["vemrecon"])),
        ("Commit", ", ".join(known["commit"])),
        ("Hardware", "; ".join(known["hardware"])),
    ]
    return [(name, text) for name, text in found if text]


def all_runs(table: Table) -> list[dict[str, Any]]:
    """Every run of a table, whatever became of it."""
    lines = []
    for row in table.rows:
        for _, result in row.runs:
            environment = result.environment
            lines.append({
                "label": row.label,
                "run_id": result.run_id,
                "status": result.status.value,
                "seed": result.spec.seed,
                "preset": row.preset,
                "precision": result.spec.precision,
                "version": row.spec.method.version,
                "vemrecon": told(environment, "vemrecon"),
                "commit": told(environment, "commit"),
                "torch": told(environment, "torch"),
                "hardware": hardware(environment),
                "voxels": f"{voxels:,}" if (voxels := result.costs.output_voxels) is not None else "",
            })  # fmt: skip
    return lines


def cards_of(board: Leaderboard) -> list[dict[str, str]]:
    """What is known about every method, once, by name."""
    cards: dict[str, dict[str, str]] = {}
    for table in board.tables:
        for row in table.rows:
            card = row.runs[0][1].card
            texts = {key: str(getattr(card, key, "")) for key in ("title", "regime", "paper", "citation", "licence")}
            cards.setdefault(row.method, {"name": row.method, **texts, "link": link_of(texts["paper"])})
    return sorted(cards.values(), key=lambda card: (regime_order(card["regime"]), card["name"]))


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
