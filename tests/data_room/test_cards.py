"""Every dataset card, tried on miniature files in the layout of the real ones."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tifffile
from data_room.small_remotes import running, write_precomputed
from small_volumes import textured

from vemrecon.data.card import Box
from vemrecon.data.catalogue import dataset_card, dataset_names
from vemrecon.data.labels import NeuronLabels
from vemrecon.data.overlap import where_is
from vemrecon.errors import ConfigError
from vemrecon.protocol import benchmark_folder
from vemrecon.volume import Region, VoxelSize, open_volume
from vemrecon.volume.hdf5 import open_dataset

GREY = textured((12, 48, 64))
MASK = np.where(GREY > 150, 255, 0).astype(np.uint8)


def opened(card, root, key):
    """A file of a card below a data root, opened as a benchmark does."""
    file = card.files[key]
    return open_volume(root / file.path, file.dataset, voxel_size=card.voxel_size)


def place_of(root, file):
    (root / file.path).parent.mkdir(parents=True, exist_ok=True)
    return root / file.path


def write_tiff(root, file, array):
    tifffile.imwrite(place_of(root, file), array, photometric="minisblack", compression="zlib", metadata=None)


def remote_files(card):
    for file in card.files.values():
        yield from (file, *file.labels.values())


@pytest.mark.parametrize("name", dataset_names())
def test_facts_of_every_card_can_be_used(name):
    card = dataset_card(name)
    assert card.title and card.licence and card.citation and card.voxel_size
    assert card.default_split in card.splits
    for file in remote_files(card):
        assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
        assert file.verify_tls or file.sha256, "an unverified server needs a known checksum"
        for url in (file.url, *file.mirrors):
            assert re.fullmatch(r"(https://[^\s]+)?", url)
    for key, file in card.files.items():
        ways = [file.url, file.box, file.generator, file.path and card.source]
        assert any(ways), f"{key}: nobody can get this file"
        assert file.generator or file.shape
        assert not file.box or tuple(file.shape) == file.box.region.shape
        assert set(file.labels) <= {"neurons", "mitochondria", "membranes", "clefts"}


def test_lines_of_cards_and_splits_fit_on_a_screen():
    for kind in ("datasets", "splits"):
        for path in (benchmark_folder() / kind).glob("*.yaml"):
            assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120, path


def test_epfl_is_a_tiff_page_per_section_and_its_labelled_parts_are_cut_out_of_it(tmp_path):
    card = dataset_card("epfl")
    parts = {"training": GREY[:8, :24, :32], "testing": GREY[:8, 24:, :32]}
    write_tiff(tmp_path, card.files["volume"], GREY)
    for key, part in parts.items():
        write_tiff(tmp_path, card.files[key], part)
        write_tiff(tmp_path, card.files[key].labels["mitochondria"], MASK[:8, :24, :32])
    whole = opened(card, tmp_path, "volume")
    np.testing.assert_array_equal(whole.read_raw(whole.whole), GREY)
    assert whole.voxel_size == VoxelSize(5, 5, 5) and str(whole.dtype) == card.dtype
    assert where_is(opened(card, tmp_path, "training"), whole) == (0, 0, 0)
    assert where_is(opened(card, tmp_path, "testing"), whole) == (0, 24, 0)
    labels = open_volume(tmp_path / card.files["training"].labels["mitochondria"].path)
    assert set(np.unique(labels.read_raw(labels.whole))) == {0, 255}


def write_cremi(root, card, key):
    """One sample: labels on the part that the cropped file shows, at an offset in nm where the file is padded."""
    file = card.files[key]
    offset = file.labels["neurons"].offset
    labels = np.arange(12 * 8 * 8, dtype=np.uint64).reshape(12, 8, 8)
    clefts = np.full((12, 8, 8), np.iinfo(np.uint64).max, np.uint64)
    clefts[3, 4, 5] = 17
    with h5py.File(place_of(root, file), "w") as sample:
        sample["volumes/raw"] = GREY
        sample["volumes/labels/neuron_ids"], sample["volumes/labels/clefts"] = labels, clefts
        for name in ("volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/clefts"):
            sample[name].attrs["resolution"] = (40.0, 4.0, 4.0)
        if any(offset):
            for name in ("neuron_ids", "clefts"):
                sample[f"volumes/labels/{name}"].attrs["offset"] = (1480.0, 3644.0, 3644.0)
    return labels, clefts


@pytest.mark.parametrize("key", ["a", "c-padded"])
def test_cremi_has_grey_values_neurons_and_clefts_in_one_file(tmp_path, key):
    card = dataset_card("cremi")
    labels, clefts = write_cremi(tmp_path, card, key)
    file = card.files[key]
    volume = opened(card, tmp_path, key)
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
    assert open_volume(tmp_path / file.path, file.dataset).voxel_size == card.voxel_size == VoxelSize(40, 4, 4)
    for name, expected in (("neurons", labels), ("clefts", clefts)):
        label = file.labels[name]
        assert (label.path, label.sha256, label.verify_tls) == (file.path, file.sha256, False)
        dataset = open_dataset(tmp_path / label.path, label.dataset)
        np.testing.assert_array_equal(dataset[()], expected)
        offset_nm = np.array(dataset.attrs.get("offset", (0, 0, 0)))
        assert tuple(offset_nm / tuple(card.voxel_size)) == label.offset
    background = np.iinfo(np.uint64).max
    assert (open_dataset(tmp_path / file.path, file.labels["clefts"].dataset)[()] != background).sum() == 1


def test_rows_of_a_padded_cremi_file_are_those_of_the_cropped_one_moved_by_the_offset_of_its_labels():
    card = dataset_card("cremi")
    for letter in "abc":
        for label in card.files[f"{letter}-padded"].labels.values():
            inside = Region.whole(card.files[letter].shape).shifted(label.offset)
            assert Region.whole(card.files[f"{letter}-padded"].shape).contains(inside)


def test_fanc_is_four_boxes_of_one_remote_volume(tmp_path, monkeypatch):
    pytest.importorskip("tensorstore")
    monkeypatch.setenv("NO_PROXY", "*")
    from vemrecon.data.remote.boxes import fetch_box

    card = dataset_card("fanc")
    assert len({file.box.url for file in card.files.values()}) == 1
    corner = (2640, 114000, 48240)
    write_precomputed(tmp_path / "rechunked", np.maximum(GREY, 1), tuple(card.voxel_size), corner)
    with running(tmp_path) as server:
        for key, file in card.files.items():
            small = Box(f"{server.address}/rechunked", Region((1, 2, 3), (9, 40, 60)).shifted(corner))
            fetch_box(card, replace(file, box=small), tmp_path / file.path)
            volume = opened(card, tmp_path, key)
            np.testing.assert_array_equal(volume.read_raw(volume.whole), np.maximum(GREY, 1)[1:9, 2:40, 3:60])
            assert open_volume(tmp_path / file.path).voxel_size == VoxelSize(45, 4.3, 4.3)


def test_vnc_has_two_stacks_and_masks_of_the_first(tmp_path):
    card = dataset_card("vnc")
    for key, file in card.files.items():
        write_tiff(tmp_path, file, GREY)
        for label in file.labels.values():
            write_tiff(tmp_path, label, MASK)
        volume = opened(card, tmp_path, key)
        np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
        assert volume.voxel_size == VoxelSize(45, 4.6, 4.6)
    assert set(card.files["stack1"].labels) == {"mitochondria", "membranes"} and not card.files["stack2"].labels
    assert (tmp_path / "vnc" / "stack1" / "membranes.tif").exists()


@pytest.mark.parametrize("name", ["fib25", "fib25s"])
def test_fib25_is_a_dataset_raw_and_supervoxels_with_a_table(tmp_path, name):
    card = dataset_card(name)
    for key, file in card.files.items():
        with h5py.File(place_of(tmp_path, file), "w") as sample:
            sample[file.dataset] = GREY
        volume = opened(card, tmp_path, key)
        np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
        assert volume.voxel_size == VoxelSize(10, 10, 10) and str(volume.dtype) == card.dtype
        for label in file.labels.values():
            with h5py.File(place_of(tmp_path, label), "w") as truth:
                truth[label.dataset] = np.array([[[0, 1, 2]]], np.int32)
                truth[label.table] = np.array([[0, 0], [1, 7], [2, 7]])
            assert NeuronLabels(tmp_path / label.path).ids.tolist() == [0, 7]


def test_the_packed_files_are_those_of_the_cards(fib25):
    root = fib25.parents[2]
    for name in ("vnc", "fib25s"):
        card = dataset_card(name)
        for key, file in card.files.items():
            volume = opened(card, root, key)
            assert volume.shape == tuple(file.shape) and str(volume.dtype) == card.dtype
            assert all((root / label.path).exists() for label in file.labels.values())


CARD = """
title: Two volumes of one's own
voxel_size: [40, 4, 4]
tasks: [lateral, native]
files:
  left: {path: data/left.npy}
  right: {path: data/right.npy, defects: [3]}
splits:
  train: {file: left, region: [[0, 8], [0, 64], [0, 64]]}
  test: {file: right}
"""


def test_a_card_of_ones_own_names_volumes_relative_to_itself(tmp_path):
    from vemrecon.bench.plan import plan
    from vemrecon.bench.request import Request, Setup
    from vemrecon.bench.resolve import resolve

    (tmp_path / "data").mkdir()
    for seed, name in enumerate(("left", "right")):
        np.save(tmp_path / "data" / f"{name}.npy", textured((8, 64, 64), seed))
    (tmp_path / "pair.yaml").write_text(CARD)
    request = Request((str(tmp_path / "pair.yaml"),), scale=(4,), methods=("lateral-cnn",), preset="smoke")
    (run,) = plan(resolve([request], Setup(tmp_path / "runs"), fetch=True))
    assert (run.folder.spec.task.dataset, run.folder.spec.task.kind) == ("pair", "lateral")
    assert run.job.defects == (3,)
    assert [part.path for part in run.job.training] == [str(tmp_path / "data" / "left.npy")]


def test_a_card_of_ones_own_cannot_take_a_built_in_name(tmp_path):
    (tmp_path / "vnc.yaml").write_text(CARD)
    with pytest.raises(ConfigError, match="another file name"):
        dataset_card(str(tmp_path / "vnc.yaml"))
    (tmp_path / "bad.yaml").write_text("title: nothing else")
    with pytest.raises(ConfigError, match="bad"):
        dataset_card(str(tmp_path / "bad.yaml"))


def test_a_default_split_among_the_splits_is_refused_in_one_line(tmp_path, capsys):
    from vemrecon.cli import main

    (tmp_path / "pair.yaml").write_text(CARD + "  default_split: test\n")
    assert main(["plan", "--dataset", str(tmp_path / "pair.yaml"), "--methods", "linear"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "'default_split' stands beside `splits:`, not in it" in error
