"""Overlap, partitions and breaks against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vemrecon.errors import DataError
from vemrecon.metrics.segmentation import average_precision, breaks, breaks_per_object, overlap, partition

MASKS = arrays(bool, (3, 4, 5))
LABELS = arrays(np.int64, (3, 4, 4), elements=st.integers(1, 5))


@given(MASKS, MASKS)
def test_iou_and_dice_are_symmetric_and_belong_together(a, b):
    there, back = overlap(a, b), overlap(b, a)
    assert there == back
    assert 0 <= there.iou <= there.dice <= 1
    assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou))
    assert overlap(a, a).iou == 1
    assert there.voxels == np.count_nonzero(a & b)


@given(MASKS, arrays(np.int64, (3, 4, 5), elements=st.integers(0, 20)))
def test_average_precision_agrees_with_its_definition_at_every_threshold(mask, level):
    probability = level / 20
    if not mask.any():
        with pytest.raises(DataError, match="labelled"):
            average_precision(mask, probability)
        return
    precision, recall = [], [0.0]
    for threshold in sorted({*probability[mask].tolist()}, reverse=True):
        found = probability >= threshold
        precision.append(np.count_nonzero(found & mask) / np.count_nonzero(found))
        recall.append(np.count_nonzero(found & mask) / np.count_nonzero(mask))
    assert average_precision(mask, probability) == pytest.approx(np.dot(precision, np.diff(recall)))
    assert average_precision(mask, mask.astype(float)) == 1


@settings(deadline=None)
@given(LABELS, LABELS)
def test_voi_splits_become_merges_when_the_partitions_change_places(a, b):
    there, back = partition(a, b), partition(b, a)
    assert there.voi_split == pytest.approx(back.voi_merge, abs=1e-9)
    assert there.voi == pytest.approx(back.voi, abs=1e-9)
    assert min(there.voi_split, there.voi_merge) >= 0
    same = partition(a, a * 7 + 3)  # names do not count
    assert (same.are, same.voi) == pytest.approx((0, 0), abs=1e-9)


def test_halving_the_only_segment_costs_one_bit_of_split():
    true = np.ones((4, 4, 4), dtype=np.int64)
    found = true.copy()
    found[2:] = 2
    assert partition(true, found).voi_split == pytest.approx(1)
    assert partition(true, found).voi_merge == pytest.approx(0, abs=1e-9)
    assert partition(found, true).voi_merge == pytest.approx(1)


def test_unlabelled_voxels_of_the_truth_do_not_count():
    true = np.ones((4, 4, 4), dtype=np.int64)
    true[2:] = 0
    found = np.ones((4, 4, 4), dtype=np.int64)
    found[2:] = np.arange(32).reshape(2, 4, 4)
    assert partition(true, found).voi == pytest.approx(0, abs=1e-9)
    assert partition(true, found, unlabelled=False).voi > 1
    with pytest.raises(DataError, match="no voxel"):
        partition(np.zeros_like(true), found)


def test_a_false_membrane_breaks_the_neuron_that_it_crosses_and_no_other():
    neurons = np.ones((20, 20, 20), dtype=np.int64)
    neurons[:, :, 10:] = 5
    inside = np.ones(neurons.shape, dtype=bool)
    cut = inside.copy()
    cut[10, :, 10:] = False
    assert breaks_per_object(neurons, inside, cut) == (0.5, 2)
    assert breaks(neurons == 5, cut & (neurons == 5)) == 1
    neurons[:, :, :10] = 0  # no neuron there
    assert breaks_per_object(neurons, inside, cut) == (1.0, 1)
    assert breaks_per_object(neurons, inside, inside) == (0.0, 1)


def test_parts_below_a_hundred_voxels_are_no_breaks():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[:6] = True
    crumbs = mask.copy()
    crumbs[8:11, :5, :5] = True
    assert breaks(mask, crumbs) == 0
    crumbs[8:12, :6, :6] = True
    assert breaks(mask, crumbs) == 1


def test_other_shapes_are_refused():
    with pytest.raises(DataError, match="cannot be compared"):
        overlap(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool))
