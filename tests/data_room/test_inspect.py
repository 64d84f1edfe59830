"""What one pass over a volume finds, and whether a file is what its card says."""

import json

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.data.card import DatasetCard, DatasetFile
from vemrecon.data.inspect import Inspection, check_card, inspect_volume, inspection_of
from vemrecon.errors import DataError
from vemrecon.volume import Volume, VoxelSize


def noisy(shape=(40, 33, 29), seed=0):
    return np.clip(np.random.default_rng(seed).normal(120, 25, shape), 1, 254).astype(np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_sections_have_the_statistics_of_numpy(make_volume, dtype):
    factor = {"uint8": 1, "float32": 1 / 255}.get(dtype, 100)
    voxels = (noisy().astype(np.float64) * factor).astype(dtype)
    found = inspect_volume(make_volume(voxels))
    planes = voxels.reshape(len(voxels), -1).astype(np.float64)
    np.testing.assert_allclose(found.means, planes.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found.deviations, planes.std(1), rtol=1e-9)
    assert found.lows == tuple(planes.min(1)) and found.highs == tuple(planes.max(1))
    assert (found.shape, found.dtype, found.voxel_size) == (voxels.shape, dtype, VoxelSize(10, 10, 10))
    assert not found.problems and not found.defects(outliers=True)


def test_statistics_do_not_depend_on_how_the_volume_is_cut(make_volume, monkeypatch):
    volume = make_volume(noisy())
    whole = inspect_volume(volume)
    monkeypatch.setattr("vemrecon.volume.volume.SLAB_BYTES", 1)
    assert inspect_volume(volume) == whole


def test_sections_larger_than_a_piece_have_the_statistics_of_numpy(make_volume):
    voxels = noisy((2, 700, 601))
    found = inspect_volume(make_volume(voxels))
    np.testing.assert_allclose(found.deviations, voxels.reshape(2, -1).std(1), rtol=1e-12)


def test_black_and_constant_sections_are_defects(make_volume):
    voxels = noisy()
    voxels[3], voxels[17] = 0, 99
    found = inspect_volume(make_volume(voxels))
    assert found.defects(outliers=False) == {3: "black", 17: "constant, grey level 99"}
    assert not found.problems


def test_a_section_with_one_other_voxel_is_not_constant(make_volume):
    voxels = noisy()
    voxels[3] = 0
    voxels[3, 32, 28] = 1
    assert inspect_volume(make_volume(voxels)).defects(outliers=False) == {}


def test_sections_that_depart_in_mean_or_contrast_are_outliers_only_on_request(make_volume):
    voxels = noisy()
    voxels[8] = np.clip(voxels[8].astype(int) + 60, 0, 255)
    voxels[21] = 120 + (voxels[21].astype(int) - 120) // 4
    voxels[30] = 0
    found = inspect_volume(make_volume(voxels))
    assert list(found.defects(outliers=False)) == [30]
    assert list(found.defects(outliers=True)) == [8, 21, 30]
    assert "mean" in found.defects(outliers=True)[8] and "standard deviation" in found.defects(outliers=True)[21]


def test_equal_sections_have_no_outliers_although_their_spread_is_zero(make_volume):
    section = noisy((1, 33, 29))[0]
    voxels = np.repeat(section[None], 20, axis=0)
    voxels[4, 0, 0] ^= 1  # departs by far less than a grey level
    assert inspect_volume(make_volume(voxels)).defects(outliers=True) == {}
    voxels[5] = section // 2
    assert list(inspect_volume(make_volume(voxels)).defects(outliers=True)) == [5]


def test_a_constant_volume_is_a_problem(make_volume):
    found = inspect_volume(make_volume(np.full((5, 6, 7), 42, np.uint8)))
    assert len(found.problems) == 1 and "constant" in found.problems[0]
    assert len(found.defects(outliers=True)) == 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_voxels_are_a_problem_with_their_sections(make_volume, bad):
    voxels = textured((9, 20, 31)).astype(np.float32) / 255
    voxels[2, 3, 4] = voxels[3, 0, 0] = voxels[7] = bad
    found = inspect_volume(make_volume(voxels))
    assert found.not_finite == (2, 3, 7)
    assert "sections 2-3, 7" in found.problems[0]
    json.dumps(found.to_json(), allow_nan=False)


def test_an_inspection_survives_json(make_volume):
    found = inspect_volume(make_volume(noisy()))
    assert Inspection.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(DataError, match="schema 2"):
        Inspection.from_json(found.to_json() | {"schema": 2})
    with pytest.raises(DataError, match="damaged"):
        Inspection.from_json({"schema": 1})


class Counting:
    """An array that counts how often it is read."""

    def __init__(self, voxels):
        self.voxels, self.shape, self.dtype, self.reads = voxels, voxels.shape, voxels.dtype, 0

    def __getitem__(self, index):
        self.reads += 1
        return self.voxels[index]


def test_every_file_is_inspected_once(tmp_path):
    source = Counting(noisy())
    volume = Volume(source, VoxelSize(8, 8, 8), "v")
    first = inspection_of("a" * 64, volume, tmp_path)
    reads = source.reads
    assert inspection_of("a" * 64, volume, tmp_path) == first and source.reads == reads
    assert (tmp_path / "inspections" / f"{'a' * 12}.json").exists()
    inspection_of("b" * 64, volume, tmp_path)
    assert source.reads == 2 * reads


def test_a_damaged_memory_is_made_anew(tmp_path, make_volume):
    volume = make_volume(noisy())
    first = inspection_of("a" * 64, volume, tmp_path)
    path = tmp_path / "inspections" / f"{'a' * 12}.json"
    for text in ("", "[]", '{"digest": "' + "a" * 64 + '"}'):
        path.write_text(text)
        assert inspection_of("a" * 64, volume, tmp_path) == first


def card(**more):
    return DatasetCard("mine", "mine", {"a": DatasetFile()}, voxel_size=VoxelSize(40, 4, 4), dtype="uint8", **more)


def test_a_wrong_voxel_size_is_refused_with_both_and_what_to_do(make_volume):
    with pytest.raises(DataError, match=r"10 x 10 x 10 nm.*'mine' says 40 x 4 x 4 nm.*correct"):
        check_card(make_volume(), card(), DatasetFile())


def test_a_voxel_size_within_one_percent_or_unknown_is_accepted(make_volume):
    check_card(make_volume(voxel_size=(40.3, 4, 3.98)), card(), DatasetFile())
    check_card(make_volume(voxel_size=None), card(), DatasetFile())


def test_a_wrong_dtype_or_shape_is_refused(make_volume):
    volume = make_volume(noisy().astype(np.uint16), voxel_size=(40, 4, 4))
    with pytest.raises(DataError, match=r"dtype uint16.*says uint8"):
        check_card(volume, card(), DatasetFile())
    volume = make_volume(noisy(), voxel_size=(40, 4, 4))
    check_card(volume, card(), DatasetFile(shape=(40, 33, 29)))
    with pytest.raises(DataError, match=r"shape \(40, 33, 29\).*says \(41, 33, 29\)"):
        check_card(volume, card(), DatasetFile(shape=(41, 33, 29)))
