"""Where the numbers of the HTML page come from: data, versions, hardware, every run, and the cards of the methods."""

from __future__ import annotations

from typing import Any

from vemrecon.report.leaderboard import REGIMES, TIMES, Leaderboard, Table, environments
from vemrecon.report.load import number
from vemrecon.report.made_with import hardware, told
from vemrecon.report.markdown import short
from vemrecon.report.viewer import Viewer


def regime_order(regime: str) -> int:
    """Place of a regime in every list."""
    return REGIMES.index(regime) if regime in REGIMES else len(REGIMES)


def facts(table: Table, viewer: Viewer) -> list[tuple[str, str]]:
    """What a reader has to know to measure the same again, by name."""
    task, known, size = table.task, environments(table), viewer.voxel_size
    found = [
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
                "status": result.status,
                "seed": result.spec.get("seed", ""),
                "preset": row.preset,
                "precision": result.spec.get("precision", ""),
                "version": row.spec["method"].get("version", ""),
                "vemrecon": told(environment, "vemrecon"),
                "commit": told(environment, "commit"),
                "torch": told(environment, "torch"),
                "hardware": hardware(environment),
                "voxels": f"{voxels:,}" if (voxels := number(result.costs.get("output_voxels"))) is not None else "",
            })  # fmt: skip
    return lines


def cards_of(board: Leaderboard) -> list[dict[str, str]]:
    """What is known about every method, once, by name."""
    cards: dict[str, dict[str, str]] = {}
    for table in board.tables:
        for row in table.rows:
            card = row.runs[0][1].card
            texts = {key: str(card.get(key) or "") for key in ("title", "regime", "paper", "citation", "licence")}
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
