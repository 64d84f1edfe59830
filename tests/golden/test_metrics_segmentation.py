"""Golden values of segmentations: partitions, masks and breaks, of formulas and of FIB-25's neurons."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from test_metrics import data_file, entries, missing_reason

from vemrecon.data.labels import NeuronLabels
from vemrecon.metrics.segmentation import breaks, overlap, partition, parts
from vemrecon.volume import Region


def found() -> list[Any]:
    known = [pytest.param(entry, id=entry["id"]) for _, entry in entries("segmentation")]
    return known or [pytest.param({}, id="none", marks=pytest.mark.skip(reason=missing_reason("segmentation")))]


def formula_labels() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.indices((24, 40, 40))
    true = 1 + (z // 12) * 100 + (y // 10) * 10 + x // 10
    true[(y % 10 == 0) | (x % 10 == 0)] = 0
    test = true.copy()
    test[(true > 0) & (true % 3 == 0) & (z % 12 >= 6)] += 1000
    test[(true > 0) & (test % 7 == 0)] = 7
    return true.astype(np.int64), test.astype(np.int64)


def neuron_labels() -> tuple[np.ndarray, np.ndarray]:
    labels = NeuronLabels(data_file("data/fib25/training_sample2/groundtruth.h5"))
    true = labels.read(Region((0, 0, 0), (60, 100, 100)))
    test, x = true.copy(), np.indices(true.shape)[2]
    test[(true % 2 == 0) & (true > 0) & (x >= 50)] += 1000000
    test[(true > 0) & (true % 5 == 0)] = 5
    return true, test


def forward_boundaries(labels: np.ndarray) -> np.ndarray:
    mask = np.zeros(labels.shape, dtype=bool)
    mask[:-1] |= labels[1:] != labels[:-1]
    mask[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    mask[:, :, :-1] |= labels[:, :, 1:] != labels[:, :, :-1]
    return mask


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("entry", found())
def test_segmentation_agrees_with_the_golden_file(entry: dict[str, Any]) -> None:
    wanted = entry["metrics"]
    close = {"abs": 2e-6}  # the values have six decimals
    if entry["id"] in ("L1", "L2"):
        true, test = formula_labels() if entry["id"] == "L1" else neuron_labels()
        assert (digest(true), digest(test)) == (entry["sha256_true_int64"], entry["sha256_test_int64"])
        labelled, everything = partition(true, test), partition(true, test, unlabelled=False)
        assert labelled.are == pytest.approx(wanted["are_ignore0"], **close)
        assert everything.are == pytest.approx(wanted["are_all"], **close)
        assert everything.voi_split == pytest.approx(wanted["voi"]["split"], **close)
        assert everything.voi_merge == pytest.approx(wanted["voi"]["merge"], **close)
        assert everything.voi == pytest.approx(wanted["voi"]["total"], **close)
        assert labelled.voi_split == pytest.approx(wanted["voi_ignore0_in_true"]["first"], **close)
        assert labelled.voi_merge == pytest.approx(wanted["voi_ignore0_in_true"]["second"], **close)
        return
    neurons, _ = neuron_labels()
    if entry["id"] == "B1":
        true = forward_boundaries(neurons)
        assert np.count_nonzero(true) == entry["true_voxels"]
        test = np.roll(true, 1, axis=2)
    else:
        assert entry["id"] == "K1"
        true = neurons == 2150
        test = true.copy()
        test[::16] = False
        assert (parts(true, 1), parts(test, 1)) == (wanted["components_true"], wanted["components_test"])
        assert (parts(true), parts(test)) == (wanted["components_true_min100"], wanted["components_test_min100"])
        assert breaks(true, test) == wanted["breaks_min100"]
    both = overlap(true, test)
    assert both.iou == pytest.approx(wanted["iou"], **close)
    assert both.dice == pytest.approx(wanted["dice"], **close)
