"""Default splits of a file of your own."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.data.catalogue import dataset_card
from vemrecon.data.local_splits import default_splits, local_tasks
from vemrecon.data.split import Split, require_apart
from vemrecon.errors import ConfigError
from vemrecon.volume import Region, VoxelSize

FINE = VoxelSize(8, 8, 8)
COARSE = VoxelSize(40, 4, 4)


def ranges(splits, axis):
    return {name: (s.region.start[axis], s.region.stop[axis]) for name, s in splits.items() if s.region}


def test_an_isotropic_volume_is_split_along_z():
    splits = default_splits((1000, 300, 200), FINE)  # 400 nm are 50 voxels
    assert ranges(splits, 0) == {"test": (0, 240), "val": (300, 420), "train": (470, 950)}
    assert splits["test"].region.shape[1:] == (300, 200)
    assert {s.file for s in splits.values()} == {"volume"}


def test_an_anisotropic_volume_is_split_along_y():
    splits = default_splits((50, 1250, 1250), COARSE)  # 100 voxels
    assert ranges(splits, 1) == {"test": (0, 240), "val": (412, 532), "train": (662, 1142)}
    assert {s.region.shape[0] for name, s in splits.items() if name != "whole"} == {50}


def test_short_ranges_keep_their_length():
    splits = default_splits((250, 250, 250), VoxelSize(10, 10, 10))
    assert ranges(splits, 0) == {"test": (0, 62), "val": (102, 132), "train": (172, 250)}


def test_a_volume_that_is_too_small_or_of_unknown_voxel_size_has_no_training_split():
    size = VoxelSize(10, 10, 10)
    assert list(default_splits((226, 999, 999), size)) == ["whole"]  # 226 - 56 - 27 - 2 * 40 are 63
    assert list(default_splits((227, 999, 999), size)) == ["whole", "test", "val", "train"]
    assert list(default_splits((999, 999, 999), None)) == ["whole"]


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    lateral=st.floats(2, 50),
    anisotropy=st.floats(0.5, 12),
)
def test_default_splits_are_apart_and_inside_and_leave_enough_to_learn_from(shape, lateral, anisotropy):
    size = VoxelSize(lateral * anisotropy, lateral, lateral)
    splits = default_splits(shape, size)
    axis = 0 if local_tasks(size) == ("reference",) else 1
    if len(splits) == 1:
        return
    gap = int(np.ceil(400 / list(size)[axis] - 1e-6))
    halo = [gap if i == axis else 9999 for i in range(3)]
    parts = {name: s for name, s in splits.items() if name != "whole"}
    for one in parts.values():
        assert Region.whole(shape).contains(one.region)
        assert one.region.shape[axis] < 120 or one.region.shape[axis] % 120 == 0
    for one, other in (("train", "test"), ("val", "test"), ("train", "val")):
        require_apart(parts[one], parts[other], halo)
    assert parts["train"].region.shape[axis] >= 64


def test_kinds_of_task_follow_from_the_voxel_size():
    assert local_tasks(None) == local_tasks(FINE) == local_tasks(VoxelSize(9, 8, 8)) == ("reference",)
    assert local_tasks(COARSE) == local_tasks(VoxelSize(9.6, 8, 8)) == ("lateral", "native")


def write(path, shape, resolution=None):
    with h5py.File(path, "w") as file:
        file["raw"] = textured(shape)
        if resolution:
            file["raw"].attrs["resolution"] = resolution
    return f"local:{path}:raw"


def test_the_card_of_a_local_file_has_its_default_splits(tmp_path):
    card = dataset_card(write(tmp_path / "v.h5", (220, 8, 8), (20, 20, 20)))
    assert card.name == "local:v.h5:raw"
    assert list(card.splits) == ["whole", "test", "val", "train"] and card.default_split == "test"
    assert card.tasks == ("reference",) and card.voxel_size == VoxelSize(20, 20, 20)
    require_apart(card.split("train"), card.split(None))
    lateral = dataset_card(write(tmp_path / "w.h5", (8, 220, 8), (200, 20, 20)))
    assert lateral.tasks == ("lateral", "native") and lateral.split(None).region.shape == (8, 55, 8)


def test_a_voxel_size_that_is_said_makes_the_splits(tmp_path):
    name = write(tmp_path / "v.h5", (220, 8, 8))
    assert list(dataset_card(name).splits) == ["whole"] and dataset_card(name).default_split == "whole"
    assert dataset_card(name, VoxelSize(20, 20, 20)).split(None).region == Region((0, 0, 0), (55, 8, 8))


def test_a_local_file_that_cannot_be_opened_still_has_a_card(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"not HDF5")
    for name in ("bad.h5", "missing.tif"):
        card = dataset_card(f"local:{tmp_path / name}", FINE)
        assert list(card.splits) == ["whole"] and card.default_split == "whole"
        assert card.files["volume"].path == str(tmp_path / name)


def test_the_whole_volume_keeps_its_identity_and_is_never_scored_by_what_learned_from_a_part_of_it():
    splits = default_splits((1000, 300, 200), FINE)
    assert splits["whole"] == default_splits((9, 9, 9), None)["whole"]
    assert splits["whole"].digest == Split("whole", "volume").digest
    with pytest.raises(ConfigError, match=r"overlaps the training split.*--mode transductive"):
        require_apart(splits["train"], splits["whole"])
