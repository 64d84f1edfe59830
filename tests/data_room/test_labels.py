"""Label volumes: neurons of FIB-25, ids and masks of others."""

import h5py
import numpy as np
import pytest
import tifffile

from vemrecon.data.labels import NeuronLabels, open_labels
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


def test_labels_of_every_format_are_read_as_they_stand(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    array[0, 0, 0] = 0
    np.save(tmp_path / "a.npy", array.astype(np.int32))
    tifffile.imwrite(tmp_path / "a.tif", array.astype(np.uint8), photometric="minisblack")
    background = array.astype(np.uint64)
    background[0, 0, 0] = np.iinfo(np.uint64).max  # as in CREMI
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/ids"] = background
    part = Region((0, 1, 0), (2, 3, 2))
    for name, dataset in (("a.npy", None), ("a.tif", None), ("a.h5", "volumes/ids")):
        labels = open_labels(tmp_path / name, dataset)
        assert labels.shape == (2, 3, 4)
        np.testing.assert_array_equal(labels.read(Region.whole(labels.shape)), array)
        assert labels.read(part).dtype == np.int64
        np.testing.assert_array_equal(labels.read(part), array[part.slices])
        with pytest.raises(DataError, match="outside"):
            labels.read(Region((0, 0, 0), (2, 3, 5)))


def test_files_that_hold_no_labels_are_refused_in_one_line(tmp_path):
    np.save(tmp_path / "grey.npy", np.zeros((2, 2, 2), np.float32))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for name, words in (("none.npy", "no such file"), ("grey.npy", "integers"), ("cut.npy", "truncated")):
        with pytest.raises(DataError, match=words):
            open_labels(tmp_path / name)
    (tmp_path / "labels.txt").write_text("1 2 3")
    with pytest.raises(DataError, match="HDF5, TIFF or"):
        open_labels(tmp_path / "labels.txt")
