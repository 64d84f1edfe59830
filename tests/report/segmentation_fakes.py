"""What the metric `segmentation` leaves in a run folder, without a segmenter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from report.report_fakes import METRICS, score, scores

from vemrecon.metrics import Reference, Score

SIDE = (12, 16, 20)  # z, y, x
ORIGIN = (4, 0, 8)
CUTS = {"xy": np.s_[6], "xz": np.s_[:, 8], "yz": np.s_[:, :, 10]}


def rows(what: str = "membranes", iou: float = 0.5, *, labels_only: bool = False, **more: float) -> list[Score]:
    """Score rows, as a run and its references have them."""
    values = {"iou": iou, "dice": 2 * iou / (1 + iou), "breaks": 1.0, **more}
    if what == "membranes":
        values |= {"are": 1 - iou, "voi": 3.0, "voi_split": 2.0, "voi_merge": 1.0}
    else:
        values["overlap_volume"] = 0.25
    by = ("labels",) if labels_only else ("labels", "truth")
    neurons = what == "membranes"
    return [
        score(metric, "", "volume", value, target=what, reference=Reference(name),
              unit="per neuron" if neurons and metric == "breaks" else "")
        for name in by
        for metric, value in values.items()
    ]  # fmt: skip


def facts(weights: str = "a" * 64, **more: Any) -> dict[str, Any]:
    known = {"dataset": "fib25s", "preset": "cpu", "weights_sha256": weights, "parameters": 123_456, "batches": 500}
    known |= {"seconds": 720.5, "loss": 0.1234, "voxels": 15_600_000, "learning_id": "0a1b2c3d4e5f"}
    known["learned_from"] = [{"file": "raw.h5", "region": [[0, 0, 0], [250, 120, 250]]}]
    return {**known, "recipe": {"version": 1, "filters": [12, 24], "batch": 2, "epochs": 0, "falling": True}, **more}


def keep_curves(folder: Path, what: str = "membranes", *, ceiling: float = 0.9, floor: float = 0.3, **more: Any):
    """Judge and references of a run, in its curves.json."""
    path = folder / "curves.json"
    known = json.loads(path.read_text())
    found = {"truth": rows(what, ceiling, labels_only=True), "bicubic": rows(what, floor)}
    references = {name: [row.as_dict() for row in of] for name, of in found.items()}
    entry = {"segmenter": facts(**more), "region": [[4, 0, 8], [16, 16, 28]], "references": references}
    known["segmentation"] = {**known.get("segmentation", {}), what: entry}
    path.write_text(json.dumps(known))


def volumes() -> dict[str, np.ndarray]:
    """Two neurons and the membrane between them; what is found lies one voxel further right, and cuts one neuron."""
    shape = np.zeros(SIDE, dtype=bool)
    labels, found, truth = shape.copy(), shape.copy(), shape.copy()
    labels[:, :, 9:12] = True
    found[:, :, 10:13] = True
    truth[:, :, 9:12] = True
    x = np.arange(SIDE[2])
    neurons = np.broadcast_to(np.where(x < 9, 5, np.where(x < 12, 0, 9)), SIDE).astype(np.int64)
    instances = np.broadcast_to(np.where(x < 4, 3, np.where(x < 11, 1, 2)), SIDE).astype(np.int32)
    grey = np.full(SIDE, 100, np.uint8)
    return {
        "grey": grey,
        "truth_grey": grey + 20,
        "found": found,
        "truth": truth,
        "labels": labels,
        "instances": instances,
        "neurons": neurons,
    }


def keep_masks(folder: Path, what: str = "membranes", **changed: Any) -> None:
    """Central sections of a run's segmentation."""
    made: Mapping[str, np.ndarray] = volumes()
    names = [name for name in made if what == "membranes" or name not in ("instances", "neurons")]
    arrays = {f"{name}_{plane}": made[name][cut] for name in names for plane, cut in CUTS.items()}
    arrays |= {
        "voxel_size": np.array([10.0, 10.0, 10.0]),
        "origin": np.array(ORIGIN),
        "position": np.array([10, 8, 18]),
        **changed,
    }
    np.savez(folder / f"segmentation-{what}.npz", **arrays)


def judged(make_run, method: str, iou: float, *, psnr: float = 24.0, what: str = "membranes", seed: int = 0,
           regime: str = "none", ceiling: float = 0.9, floor: float = 0.3, **more: Any) -> Path:  # fmt: skip
    """A run with all of it."""
    found, names = [*scores(psnr), *rows(what, iou)], (*METRICS, "segmentation")
    folder = make_run(method, rows=found, seed=seed, regime=regime, metrics=names)
    keep_curves(folder, what, ceiling=ceiling, floor=floor, **more)
    keep_masks(folder, what)
    return folder
