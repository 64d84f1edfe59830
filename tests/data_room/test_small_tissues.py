"""Small cubes of Hemibrain and crops of CREMI: recognised by their voxels, apart, and degraded as their authors do."""

from itertools import permutations

import h5py
import numpy as np
import pytest
from data_room.faulty_server import digest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data import Locator, dataset_card, task_volume
from vemrecon.data.card import DatasetCard, DatasetFile, Packed
from vemrecon.data.overlap import shares_content
from vemrecon.data.remote.missing import MissingFilesError
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import DataError
from vemrecon.volume import VoxelSize

VOXELS = textured((9, 12, 15))
SIZE = VoxelSize(8, 8, 8)


def whole_of(volume):
    return volume.read_raw(volume.whole)


def published(server, tmp_path, order="xyz"):
    """A card of an array that its publisher stores in some order of axes, and somebody else may have packed."""
    np.save(tmp_path / "served.npy", np.ascontiguousarray(VOXELS.transpose(["zyx".index(axis) for axis in order])))
    file = DatasetFile(
        path="brain/cube.npy",
        url=server.serve("cube.npy", (tmp_path / "served.npy").read_bytes()),
        shape=VOXELS.shape,
        axes="xyz",
        voxels_sha256=digest(VOXELS.tobytes()),
        packed=Packed("brain/cube.h5", "raw"),
    )
    return DatasetCard("brain", "A brain", {"cube": file}, voxel_size=SIZE, dtype="uint8")


def test_a_published_array_in_another_order_of_axes_is_read_in_that_of_the_card(server, tmp_path):
    card = published(server, tmp_path)
    located = Locator(tmp_path / "scratch", tmp_path / "data").raw(card, "cube")
    assert located.path.name == "cube.npy"
    assert located.digest == digest(VOXELS.tobytes())
    np.testing.assert_array_equal(whole_of(located.open()), VOXELS)
    assert located.open().voxel_size == SIZE and located.as_it_says().voxel_size is None
    assert not list((tmp_path / "data").rglob("*.sha256")), "nothing needs to be recorded"


def test_an_array_in_the_wrong_order_of_axes_is_refused(server, tmp_path):
    for order in set(map("".join, permutations("xyz"))) - {"xyz"}:
        card = published(server, tmp_path, order)
        with pytest.raises(DataError, match=r"does not hold the voxels that the card of 'brain' tells") as error:
            Locator(tmp_path / "scratch", tmp_path / order).raw(card, "cube")
        assert "\n" not in str(error.value)


def test_a_packed_file_of_the_same_voxels_is_used_where_only_that_is_there(server, tmp_path):
    card = published(server, tmp_path)
    root = tmp_path / "data"
    (root / "brain").mkdir(parents=True)
    with h5py.File(root / "brain" / "cube.h5", "w") as file:
        file["raw"] = VOXELS
    locator = Locator(tmp_path / "scratch", root)
    packed = locator.raw(card, "cube")
    assert packed.path.name == "cube.h5" and not server.seen
    np.testing.assert_array_equal(whole_of(packed.open()), VOXELS)
    offline = Locator(tmp_path / "scratch", tmp_path / "elsewhere", fetch=False)
    assert packed.digest == offline.raw(card, "cube").digest, "a plan names the same runs without the file"
    with h5py.File(root / "brain" / "cube.h5", "a") as file:
        file["raw"][3, 4, 5] += 1
    with pytest.raises(DataError, match="does not hold the voxels"):
        locator.raw(card, "cube")


def test_the_same_numbers_in_another_shape_are_another_volume(server, tmp_path):
    card = published(server, tmp_path)
    root = tmp_path / "data"
    (root / "brain").mkdir(parents=True)
    with h5py.File(root / "brain" / "cube.h5", "w") as file:
        file["raw"] = VOXELS.reshape(12, 9, 15)
    with pytest.raises(DataError, match="does not hold the voxels"):
        Locator(tmp_path / "scratch", root).raw(card, "cube")


def test_a_file_that_is_nowhere_is_told_with_the_packed_one(tmp_path, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    with pytest.raises(MissingFilesError, match=r"in hemibrain/cube_a.h5, sha256 of voxels 81f20af7"):
        Locator(tmp_path, tmp_path).raw(dataset_card("hemibrains"), "a")


def test_cards_with_a_packed_file_or_axes_that_make_no_sense_are_one_line(tmp_path, capsys):
    for facts, message in (
        ("axes: xy", "must be the letters x, y and z"),
        ("axes: [x, y, z]", "must be the letters x, y and z"),
        ("packed: {path: w.npy}", "needs voxels_sha256"),
        ("voxels_sha256: a, packed: {path: ''}", "must name a file"),
    ):
        (tmp_path / "own.yaml").write_text(f"title: One\nfiles:\n  v: {{path: v.npy, {facts}}}\n")
        assert main(["datasets", str(tmp_path / "own.yaml")]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["hemibrains", "cremis"])
def test_the_packed_cubes_and_crops_are_those_of_the_cards(tissues, tmp_path, name):
    card = dataset_card(name)
    for key, file in card.files.items():
        located = Locator(tmp_path, tissues).raw(card, key)
        volume = located.open()
        assert located.path == (tissues / file.packed.path).resolve() and located.digest == file.voxels_sha256
        assert volume.shape == tuple(file.shape) and str(volume.dtype) == card.dtype
        assert volume.voxel_size == card.voxel_size


@pytest.mark.parametrize(("name", "one", "other"), [("hemibrains", "a", "b"), ("cremis", "train", "test")])
def test_what_is_learned_has_no_block_in_common_with_what_is_scored(tissues, tmp_path, name, one, other):
    card, locator = dataset_card(name), Locator(tmp_path, tissues)
    a, b = (locator.raw(card, key).open() for key in (one, other))
    assert shares_content(a, b) is None and shares_content(b, a) is None
    for split in card.members(None):
        learned = card.split(split.train)
        assert learned.file != split.file
        pair = (task_volume(locator.raw(card, part.file), part) for part in (learned, split))
        assert shares_content(*pair) is None


def test_the_average_of_hemibrain_is_that_of_the_authors_of_the_cube(tissues, tmp_path):
    """Their mean of 8 sections, in float32 of unknown order of sums: within two units in the last place, and exact as
    the whole number of grey levels that it stands for."""
    theirs = np.load(tissues / "hemibrain" / "cube_b_average8_xyz.npy").transpose(2, 1, 0)
    cube = Locator(tmp_path, tissues).raw(dataset_card("hemibrains"), "b").open()
    observed = degrade(cube, make_degradation("average", 8))
    ours = observed.read(observed.whole)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2.4e-7)
    np.testing.assert_array_equal(np.rint(ours.astype(np.float64) * 2040), np.rint(theirs.astype(np.float64) * 2040))


def test_prepare_writes_the_voxels_in_the_order_of_the_card(tmp_path, tissues, capsys):
    card = dataset_card("hemibrains")
    root = tmp_path / "data"
    (root / "hemibrain").mkdir(parents=True)
    voxels = whole_of(Locator(tmp_path, tissues).raw(card, "b").open())
    np.save(root / card.files["b"].path, np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    assert main(["prepare", "hemibrains", "b", "--data-root", str(root)]) == 0
    assert "128 x 128 x 128 voxels of 8 x 8 x 8 nm" in capsys.readouterr().out
    (root / card.files["b"].path).unlink()
    prepared = Locator(tmp_path, root).raw(card, "b")
    assert prepared.path.suffix == ".zarr" and prepared.digest == card.files["b"].voxels_sha256
    np.testing.assert_array_equal(whole_of(prepared.open()), voxels)
    assert prepared.as_it_says().voxel_size == card.voxel_size
