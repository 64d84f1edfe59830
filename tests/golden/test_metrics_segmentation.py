"""Golden values of segmentations: partitions, masks and breaks, of formulas and of FIB-25's neurons."""

from __future__ import annotations

import ast
import hashlib
import re
from typing import Any

import metrics_recipes as recipes
import numpy as np
import pytest
from golden_files import Golden
from test_metrics import Entry, data_file, entries_of, read_entry, tolerance_of, understood

from vemrecon.data.labels import NeuronLabels
from vemrecon.metrics.segmentation import breaks, overlap, partition, parts
from vemrecon.volume import Region


def labels_of(entry: Any) -> tuple[np.ndarray, np.ndarray]:
    """True and tested labels by the recipe of an entry."""
    recipe, names = entry["recipe"], {}
    if drawn := re.match(r"z,y,x=indices of shape (\([\d,]+\)); ", recipe):
        names = dict(zip("zyx", np.indices(ast.literal_eval(drawn[1])), strict=True))
        recipe = recipe[drawn.end() :]
    elif re.match(r"true=bodies in ", recipe):
        path, crop = understood(recipes.crop_in_text, recipe)
        corners = tuple(zip(*crop, strict=True))
        names["true"] = NeuronLabels(data_file(path)).read(Region(*corners))
        names["x"] = np.indices(names["true"].shape)[2]
        recipe = recipe.partition("x=column index inside the crop; ")[2]
    names = understood(recipes.run_statements, recipe, names)
    return names["true"].astype(np.int64), names["test"].astype(np.int64)


def true_labels(golden: Golden, name: str) -> np.ndarray:
    """True labels of the entry that another one mentions."""
    entries = {entry["id"]: entry for entry in golden.listed("segmentation")}
    if name not in entries:
        pytest.skip(f"{golden.path.name} has no entry {name!r}")
    return labels_of(entries[name])[0]


def forward_boundaries(labels: np.ndarray) -> np.ndarray:
    mask = np.zeros(labels.shape, dtype=bool)
    mask[:-1] |= labels[1:] != labels[:-1]
    mask[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    mask[:, :, :-1] |= labels[:, :, 1:] != labels[:, :, :-1]
    return mask


def masks_of(golden: Golden, entry: Any) -> tuple[np.ndarray, np.ndarray]:
    """True and tested mask by the recipe of an entry."""
    recipe = entry["recipe"]
    if found := re.search(r"boundaries of (\w+) true .*test=np\.roll\(mask,(\d+),axis=(\d)\)", recipe):
        true = forward_boundaries(true_labels(golden, found[1]))
        return true, np.roll(true, int(found[2]), axis=int(found[3]))
    if found := re.search(r"object=\((\w+) true==(\d+)\).*slices z%(\d+)==0 set to False", recipe):
        true = true_labels(golden, found[1]) == int(found[2])
        test = true.copy()
        test[:: int(found[3])] = False
        return true, test
    return pytest.skip(f"recipe not understood: {recipe}")


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def check(golden: Golden, case: Entry, found: dict[str, Any]) -> None:
    """Compare with the metrics of the entry that have these names; `voi.split` is a value in a table."""
    tolerance = 2 * tolerance_of(golden, "segmentation")  # the values have six decimals
    for name, value in found.items():
        golden.agree((*case, "metrics", *name.split(".")), value, abs=tolerance)


@entries_of("segmentation")
def test_segmentation_agrees_with_the_golden_file(golden: Golden, case: Entry) -> None:
    entry = read_entry(golden, *case)
    if "sha256_true_int64" not in entry:
        check_masks(golden, case, *masks_of(golden, entry))
        return
    true, test = labels_of(entry)
    assert (digest(true), digest(test)) == (entry["sha256_true_int64"], entry["sha256_test_int64"])
    golden.agree((*case, "labels_true"), len(np.unique(true)))
    labelled, everything = partition(true, test), partition(true, test, unlabelled=False)
    found = {
        "are_ignore0": labelled.are,
        "are_all": everything.are,
        "voi.split": everything.voi_split,
        "voi.merge": everything.voi_merge,
        "voi.total": everything.voi,
        "voi_ignore0_in_true.first": labelled.voi_split,
        "voi_ignore0_in_true.second": labelled.voi_merge,
        "voi_ignore0_in_true.total": labelled.voi,
    }
    check(golden, case, found)
    precision, recall = (golden.expected_fact(*case, "metrics", name) for name in ("precision", "recall"))
    harmonic = 2 * precision * recall / (precision + recall)
    assert labelled.are == pytest.approx(1 - harmonic, abs=2 * tolerance_of(golden, "segmentation"))


def check_masks(golden: Golden, case: Entry, true: np.ndarray, test: np.ndarray) -> None:
    both = overlap(true, test)
    found = {"iou": both.iou, "dice": both.dice}
    for name in golden.listed(*case, "metrics"):
        if counted := re.fullmatch(r"(components_true|components_test|breaks)(?:_min(\d+))?", name):
            smallest = int(counted[2] or 1)
            mask = test if counted[1].endswith("test") else true
            found[name] = breaks(true, test, smallest) if counted[1] == "breaks" else parts(mask, smallest)
    check(golden, case, found)
    golden.agree((*case, "true_voxels"), np.count_nonzero(true))
