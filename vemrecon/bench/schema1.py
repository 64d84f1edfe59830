"""Results of schema 1, in which scores were rows of texts, as those of schema 2.

Segmentation rows had "membranes, labels" as their variant, bounds of a resolution were words in a note, a missing
package could be told from the first words of a note, and where sections lay from the name of the degradation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vemrecon.degradations import make_degradation
from vemrecon.errors import VemreconError
from vemrecon.metrics.score import Limit, Need, Reference

SEGMENTED = ("iou", "dice", "ap", "are", "voi_split", "voi_merge", "voi", "breaks", "overlap_volume", "sam2_iou")
LIMITS = {"no_crossing": Limit.AT_MOST, "below_at_first_shell": Limit.AT_LEAST}
UNAVAILABLE = ("LPIPS is not available", "SAM 2 is not available")
PARTS = ("z", "y", "x", "lateral")


def upgraded(data: Mapping[str, Any]) -> dict[str, Any]:
    """A result as schema 2 has it.

    Raises:
        KeyError, TypeError, ValueError: If it is none of schema 1.
    """
    spec = data["spec"]
    task, method = dict(spec["task"]), dict(spec["method"])
    facts = task.get("degradation") or {}
    task["degradation"] = {"name": facts.get("name", ""), "arguments": facts.get("arguments") or {}}
    if task["kind"] == "axial":  # an early name
        task["kind"] = "reference"
    method = {"entry": method["name"], "class_path": "", "version": "", **method}
    method["arguments"] = method.get("arguments") or {}
    known = {"seed": 0, "preset": "", "protocol": 0, "metrics": (), **spec, "task": task, "method": method}
    card = {key: value for key, value in data.get("card", {}).items() if value is not None}
    return {
        "run_id": data["run_id"],
        "spec": known,
        "status": data["status"],
        "reason": data.get("reason", ""),
        "card": {"title": method["name"], **card} if card.get("regime") else None,
        "scores": scores(data.get("scores", ()), task["axis"]),
        "grid": _grid(task),
        "costs": data.get("costs", {}),
        "environment": data.get("environment", {}),
        "artifacts": data.get("artifacts", {}),
    }


def _grid(task: Mapping[str, Any]) -> dict[str, float] | None:
    facts = task["degradation"]
    try:
        return make_degradation(facts["name"], task["scale"], facts["arguments"]).grid.as_dict()
    except (VemreconError, TypeError):  # one that is not installed
        return None


def scores(rows: Iterable[Mapping[str, Any]], axis: str) -> list[dict[str, Any]]:
    """Score rows as schema 2 has them."""
    rows = list(rows)
    return [_score(row, _limit(row, rows, axis)) for row in rows]


def _score(row: Mapping[str, Any], limit: Limit | None) -> dict[str, Any]:
    metric, variant, note = row["metric"], row["variant"], row.get("note") or ""
    target, reference = "", Reference.TRUTH
    if metric in SEGMENTED:
        target, _, word = variant.rpartition(", ")
        variant, reference = "", Reference(word)
    elif metric in ("holdout", "inpainting"):
        reference = Reference.RECORDED
    elif metric == "isotropy" or (metric == "uncertainty" and variant != "spearman"):
        reference = Reference.NONE
    return {
        **row,
        "variant": variant,
        "note": "" if note == "crossing" or note in LIMITS else note,
        "limit": limit,
        "target": target,
        "reference": reference,
        "missing": Need.WEIGHTS if row.get("value") is None and note.startswith(UNAVAILABLE) else None,
    }


def _limit(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], axis: str) -> Limit | None:
    """Of a resolution by its note; a ratio is bounded by what bounds its parts, and a lateral bound turns round."""
    if row["metric"] not in ("fsc", "frc") or row.get("value") is None:
        return None
    if row["plane"] != "ratio":
        return LIMITS.get(row.get("note") or "")
    same = ("metric", "variant", "range", "block")
    found = set()
    for part in rows:
        limit = LIMITS.get(part.get("note") or "")
        if limit and part["plane"] in PARTS and all(part[key] == row[key] for key in same):
            found.add(limit if part["plane"] == axis else limit.turned)
    return Limit.of(found)


MAIN_VARIANTS = {"ssim": "gaussian11", "fsc": "hann", "frc": "hann"}
"""Variants that keys of main columns left out."""
NATIVE = {
    "holdout/psnr": ("psnr", "xy"), "holdout/gain": ("psnr_gain", "xy"), "holdout/ssim": ("ssim", "xy"),
    "isotropy/continuity": ("continuity", "ratio"), "isotropy/power": ("power", "ratio"),
    "isotropy/layers": ("layer_contrast", "z"), "uncertainty/mean": ("mean", "volume"),
    "uncertainty/p99": ("p99", "volume"), "inpainting/gain": ("psnr_gain", "xy"),
}  # fmt: skip
"""Keys of the main columns of native tasks, with variant and plane."""
SIGNS = {"<=": "no_crossing", ">=": "below_at_first_shell"}
UNASKED = (["not computed by this run"], ["segmentations are scored on all sections only"])
"""Notes of cells that stood for no score."""
ASKED = {**dict.fromkeys(SEGMENTED, "segmentation"), "sam2_iou": "sam2"}
"""Metrics whose scores have other names than they."""


def board_results(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results behind a leaderboard.json of schema 1, as results of schema 1 with what the file holds of them.

    A row of several seeds holds only their mean, which cannot be told apart again.

    Raises:
        KeyError, TypeError, ValueError: If it is none of schema 1, or has a row of several seeds.
    """
    return [_board_result(task, row) for task in board["tasks"] for row in task["rows"]]


def _board_result(task: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    if len(row["runs"]) != 1:
        raise ValueError(f"{row['label']}: means of {len(row['runs'])} seeds, which cannot be told apart")
    (run,) = row["runs"]
    rows = [
        _board_score(key, cell, name, task["task"]["axis"])
        for name, cells in row["scores"].items()
        for key, cell in cells.items()
        if cell["value"] is not None or cell["notes"] not in UNASKED
    ]
    names = dict.fromkeys(ASKED.get(score["metric"], score["metric"]) for score in rows)
    spec = {"task": task["task"], "method": row["method"], "preset": row["preset"], "seed": run["seed"],
            "protocol": task["protocol"], "precision": row["precision"], "metrics": list(names)}  # fmt: skip
    return {
        "schema": 1,
        "run_id": run["run_id"],
        "spec": spec,
        "status": row["status"],
        "reason": row["reason"],
        "card": {"title": row["method"]["name"], "regime": row["regime"], "version": row["method"]["version"]},
        "scores": rows,
        "costs": run["costs"],
        "environment": run["environment"],
        "artifacts": {},
    }


def _board_score(key: str, cell: Mapping[str, Any], name: str, axis: str) -> dict[str, Any]:
    metric, *rest = key.split("/")
    if key in NATIVE:
        variant, plane = NATIVE[key]
    elif len(rest) == 1:
        variant, plane = MAIN_VARIANTS.get(metric, ""), axis if rest == ["axial"] else rest[0]
    else:
        variant, plane = rest
    note = SIGNS.get(cell["limit"], "; ".join(cell["notes"]))
    neurons = metric == "breaks" and variant.startswith("membranes")
    return {"metric": metric, "variant": variant, "plane": plane, "range": name, "block": "all",
            "value": cell["value"], "unit": "per neuron" if neurons else cell["unit"], "std": None, "count": None,
            "note": note}  # fmt: skip
