"""Neuron labels of FIB-25."""

import h5py
import numpy as np
import pytest

from vemrecon.data.labels import NeuronLabels
from vemrecon.errors import DataError
from vemrecon.volume import Region


def write(path, stack, transforms):
    with h5py.File(path, "w") as file:
        file["stack"], file["transforms"] = stack, transforms
    return path


def test_supervoxels_are_looked_up_in_the_table_of_bodies(tmp_path):
    stack = np.array([[[0, 1], [2, 3]]], dtype=np.int32)
    labels = NeuronLabels(write(tmp_path / "g.h5", stack, np.array([[0, 0], [1, 70], [2, 70], [3, 9]])))
    np.testing.assert_array_equal(labels.read(Region((0, 0, 0), (1, 2, 2))), [[[0, 70], [70, 9]]])
    assert labels.ids.tolist() == [0, 9, 70]


def test_labels_that_do_not_fit_their_table_are_refused(tmp_path):
    labels = NeuronLabels(write(tmp_path / "g.h5", np.full((1, 2, 2), 5, np.int32), np.array([[0, 0], [1, 7]])))
    with pytest.raises(DataError, match="supervoxel 5"):
        labels.read(Region((0, 0, 0), (1, 2, 2)))
    with pytest.raises(DataError, match="layout of FIB-25"):
        NeuronLabels(write(tmp_path / "h.h5", np.zeros((2, 2), np.int32), np.array([[0, 0]])))


def test_the_real_sample_has_the_stated_neurons(fib25):
    labels = NeuronLabels(fib25.with_name("groundtruth.h5"))
    voxels = labels.read(Region.whole(labels.shape))
    found, counts = np.unique(voxels, return_counts=True)
    assert len(found) == 526
    assert found[counts.argmax()] == 114488
    assert counts.max() / voxels.size == pytest.approx(0.237, abs=0.0005)
