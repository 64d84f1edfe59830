"""Boxes of remote volumes, and of labels at another resolution."""

import builtins
import hashlib
import json
import os
import shutil
import socket
from dataclasses import asdict, replace
from fractions import Fraction

import numpy as np
import pytest
import yaml
import zarr
from data_room.small_remotes import running, write_levels, write_precomputed
from hypothesis import given
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.bench.segmentations import located_segmentations
from vemrecon.cli import main
from vemrecon.data import Locator
from vemrecon.data.card import Box, DatasetCard, DatasetFile, LabelFile
from vemrecon.data.catalogue import dataset_card
from vemrecon.data.remote import boxes, volumes
from vemrecon.data.remote.boxes import fetch_box, label_places
from vemrecon.errors import ConfigError, DataError
from vemrecon.judges.labelled import LabelsAt, SegmentationAt
from vemrecon.volume import Region, VoxelSize, open_volume

pytest.importorskip("tensorstore")
GREY = np.maximum(textured((30, 40, 50)), 1)
SIZE = VoxelSize(45, 4.3, 4.3)
BOX = Region((3, 5, 7), (20, 38, 36))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of the files below a folder; tensorstore does not ask it for long."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("VEMRECON_OFFLINE", raising=False)
    monkeypatch.setattr(volumes, "RETRIES", {"max_retries": 1, "initial_delay": "1ms", "max_delay": "1ms"})
    (tmp_path / "served").mkdir()
    with running(tmp_path / "served") as server:
        server.folder = tmp_path / "served"
        yield server


@pytest.fixture
def remote(server):
    """Function that serves voxels and gives the file of a card with a box of them."""

    def make(voxels=GREY, region=BOX, mip=0, name="image", **facts):
        write_precomputed(server.folder / name, voxels, **facts)
        return DatasetFile(path="box.zarr", box=Box(f"{server.address}/{name}", region, mip=mip))

    return make


def fetched(file, path, voxel_size=SIZE, progress=lambda share: None, **facts):
    """The box, as an opened volume."""
    fetch_box(DatasetCard("far", "", {"box": file}, voxel_size=voxel_size, **facts), file, path, progress)
    return open_volume(path)


def attributes(path):
    return zarr.open_group(path, mode="r").attrs["vemrecon"]


@pytest.mark.parametrize("sharded", [False, True])
def test_a_box_of_a_remote_volume_becomes_an_ome_zarr_with_the_same_voxels(tmp_path, remote, sharded):
    shares = []
    file = remote(sharded=sharded)
    volume = fetched(file, tmp_path / "data" / "box.zarr", progress=shares.append)
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY[BOX.slices])
    assert volume.dtype == np.uint8 and volume.voxel_size == SIZE
    assert volume.origin == pytest.approx((3 * 45, 5 * 4.3, 7 * 4.3))  # so that it overlays on the remote volume
    assert shares == sorted(shares) and shares[-1] == 1
    facts = attributes(tmp_path / "data" / "box.zarr")
    source = {"url": file.box.url, "format": "precomputed", "mip": 0, "region": [[3, 5, 7], [20, 38, 36]]}
    assert facts["source"] == source
    assert facts["sha256_of_voxels"] == hashlib.sha256(GREY[BOX.slices].tobytes()).hexdigest()
    assert facts["black_voxels"] == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["box.zarr"]


def test_a_box_is_counted_in_the_frame_of_the_volume_and_block_by_block(tmp_path, remote, monkeypatch):
    monkeypatch.setattr(boxes, "BLOCK", (8, 16, 64))
    file = remote(GREY.astype(np.uint16) * 200, BOX.shifted((2600, 100, 50)), offset=(2600, 100, 50))
    volume = fetched(file, tmp_path / "box.zarr", None)
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY[BOX.slices].astype(np.uint16) * 200)
    np.testing.assert_allclose(tuple(volume.voxel_size), tuple(SIZE))  # that of the remote volume
    np.testing.assert_allclose(volume.origin, (2603 * 45, 105 * 4.3, 57 * 4.3))


@pytest.mark.parametrize("kind", ["zarr", "zarr3", "n5"])
def test_boxes_of_zarr_and_n5_are_boxes_like_any_other(tmp_path, server, kind):
    write_levels(server.folder / f"v.{kind}", GREY, (8, 4, 4), (16, 0, 2), kind)
    file = DatasetFile(path="box.zarr", box=Box(f"{server.address}/v.{kind}", BOX, format=kind, dataset="em/s0"))
    volume = fetched(file, tmp_path / "box.zarr", VoxelSize(8, 4, 4), dtype="uint8")
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY[BOX.slices])
    assert volume.origin == pytest.approx((16 + 3 * 8, 5 * 4, 2 + 7 * 4))
    assert fetched(file, tmp_path / "unsaid.zarr", None).voxel_size == VoxelSize(8, 4, 4)
    refused(file, tmp_path / "no.zarr", VoxelSize(8, 8, 8), "voxels of 8 x 4 x 4 nm, but the card says 8 x 8 x 8 nm")
    elsewhere = replace(file, box=replace(file.box, dataset="em/s7"))
    refused(elsewhere, tmp_path / "no.zarr", None, f"v.{kind}: cannot be read at em/s7")


def refused(file, path, voxel_size, message, **facts):
    with pytest.raises(DataError, match=message) as caught:
        fetched(file, path, voxel_size, **facts)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_what_is_not_as_the_card_says_is_refused(tmp_path, remote):
    path = tmp_path / "data" / "box.zarr"
    refused(remote(region=Region((0, 0, 0), (31, 8, 8))), path, SIZE, r"reaches out of the volume.*z\[0,30\)")
    refused(remote(), path, VoxelSize(40, 4, 4), "but the card says")
    refused(remote(mip=2), path, SIZE, "mip 2")
    refused(remote(), path, SIZE, "dtype uint8, but the card says uint16", dtype="uint16")
    other = remote()
    other = replace(other, box=replace(other.box, whole=(31, 40, 50)))
    refused(other, path, SIZE, r"30 x 40 x 50 voxels \(z, y, x\) at mip 0, but the card says 31 x 40 x 50")
    labels = remote(GREY.astype(np.uint64), kind="segmentation", name="labels")
    refused(labels, path, SIZE, "uint64 is not a grey-level type")
    assert not (tmp_path / "data").exists(), "nothing is written before it is looked at"


def test_a_box_with_more_than_one_percent_of_black_voxels_is_refused(tmp_path, remote):
    path = tmp_path / "data" / "box.zarr"
    black = GREY.copy()
    black[10, BOX.slices[1], BOX.slices[2]] = 0  # one of 17 sections
    refused(remote(black, name="lost"), path, SIZE, "are black.*by 120 sections along z")
    few = GREY.copy()
    few[10, 10, 10:30] = 0
    fetched(remote(few, name="few"), path)
    assert attributes(path)["black_voxels"] == 20


def test_a_server_that_fails_is_one_clear_line(tmp_path, server, remote):
    path = tmp_path / "data" / "box.zarr"
    file = remote()
    nowhere = Box(file.box.url + "-gone", BOX)
    refused(DatasetFile(path="box.zarr", box=nowhere), path, SIZE, "image-gone: cannot be read at mip 0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        dead = Box(f"http://127.0.0.1:{taken.getsockname()[1]}/image", BOX)
        refused(DatasetFile(path="box.zarr", box=dead), path, SIZE, "see whether address and connection")
    chunks = list((server.folder / "image").glob("*/*"))
    chunks[0].rename(tmp_path / "chunk")
    refused(
        replace(file, box=replace(file.box, region=Region.whole(GREY.shape))), path, SIZE, "cannot be read at mip 0"
    )
    for chunk in chunks[1:]:
        chunk.write_bytes(b"damaged")
    refused(file, path, SIZE, "cannot be read at mip 0")


def test_a_broken_connection_is_gone_on_with(tmp_path, server, remote, monkeypatch):
    monkeypatch.setattr(boxes, "BLOCK", (8, 32, 32))
    voxels = np.maximum(textured((64, 64, 64)), 1)
    file = remote(voxels, Region.whole(voxels.shape))  # 8 x 2 x 2 blocks, each of them a chunk
    path = tmp_path / "box.zarr"
    server.fuse = 10
    refused(file, path, SIZE, "cannot be read at mip 0.*503")
    assert (tmp_path / ".box.zarr.part").exists()
    asked = set(server.voxels[:10])
    server.voxels.clear()
    server.fuse = None
    shares = []
    volume = fetched(file, path, progress=shares.append)
    np.testing.assert_array_equal(volume.read_raw(volume.whole), voxels)
    assert len(server.voxels) == 22 and not asked & set(server.voxels)
    assert len(shares) == 32 and not (tmp_path / ".box.zarr.part").exists()
    assert attributes(path)["sha256_of_voxels"] == hashlib.sha256(voxels.tobytes()).hexdigest()


def test_what_was_begun_for_another_box_is_not_gone_on_with(tmp_path, server, remote, monkeypatch):
    monkeypatch.setattr(boxes, "BLOCK", (8, 32, 32))
    voxels = np.maximum(textured((64, 64, 64)), 1)
    file = remote(voxels, Region((0, 0, 0), (32, 64, 64)))
    server.fuse = 3
    refused(file, tmp_path / "box.zarr", SIZE, "cannot be read")
    server.fuse = None
    moved = replace(file, box=replace(file.box, region=Region((32, 0, 0), (64, 64, 64))))
    volume = fetched(moved, tmp_path / "box.zarr")
    np.testing.assert_array_equal(volume.read_raw(volume.whole), voxels[32:])


def test_a_box_that_was_fetched_for_another_card_is_refused(tmp_path, remote):
    file = remote()
    card = DatasetCard("far", "", {"box": file}, voxel_size=SIZE)
    located = Locator(tmp_path / "scratch", tmp_path / "data").raw(card, "box")
    assert located.digest == hashlib.sha256(GREY[BOX.slices].tobytes()).hexdigest()
    moved = replace(file, box=replace(file.box, region=BOX.shifted((1, 0, 0))))
    with pytest.raises(DataError, match=r"was fetched with region .* but the card says .* fetch it again"):
        Locator(tmp_path / "scratch", tmp_path / "data").raw(replace(card, files={"box": moved}), "box")


def test_a_box_is_hashed_once_until_somebody_touches_it(tmp_path, remote, monkeypatch):
    card = DatasetCard("far", "", {"box": remote()}, voxel_size=SIZE)
    first = Locator(tmp_path / "scratch", tmp_path / "data").raw(card, "box").digest
    hashed = []
    whole = boxes.box_sha256
    monkeypatch.setattr(boxes, "box_sha256", lambda path: hashed.append(path) or whole(path))
    for _ in range(2):
        assert Locator(tmp_path / "scratch", tmp_path / "data").raw(card, "box").digest == first
    assert len(hashed) <= 1
    zarr.open_array(tmp_path / "data" / "box.zarr" / "0", mode="r+")[3, 4, 5] = 77
    with pytest.raises(DataError, match="remove it and fetch it again"):
        Locator(tmp_path / "scratch", tmp_path / "data").raw(card, "box")


def test_without_tensorstore_the_install_line_is_said(tmp_path, remote, monkeypatch):
    file = remote()
    find = builtins.__import__

    def without(name, *more, **options):
        if name == "tensorstore":
            raise ImportError(name)
        return find(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'vemrecon\[precomputed\]'"):
        fetched(file, tmp_path / "box.zarr")


def test_a_file_without_a_box_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="names no box"):
        fetched(DatasetFile(path="raw.h5"), tmp_path / "box.zarr")


edges = st.sampled_from([4, 4.3, 8, 10, 16, 17.2, 25, 32])
faces = st.integers(-40, 40)


@given(start=st.integers(-30, 30), count=st.integers(1, 40), edge=edges, face=faces, label=edges, label_face=faces)
def test_every_voxel_has_the_label_in_which_its_centre_lies(start, count, edge, face, label, label_face):
    """Against exact fractions; a centre on a face belongs to the voxel that begins there."""
    found = label_places(start, start + count, edge, face, label, label_face)
    for voxel, place in zip(range(start, start + count), found.tolist(), strict=True):
        centre = face + (voxel + Fraction(1, 2)) * Fraction(str(edge))
        low = label_face + place * Fraction(str(label))
        assert low <= centre < low + Fraction(str(label))


def labelled_card(server, folder, **facts):
    """A card in the layout of remote ones: grey levels and neurons of 8 nm, masks of 16 nm, with their own offsets."""
    grey = np.maximum(textured((24, 40, 48)), 1)
    neurons = (textured((24, 40, 48), seed=2).astype(np.uint64) // 16) * (1 << 40) + 7
    masks = (textured((20, 24, 28), seed=3) // 64 + 1).astype(np.uint64)  # classes 1 to 4
    write_precomputed(server.folder / "em", grey, (8, 8, 8), (100, 200, 300))
    write_precomputed(server.folder / "seg", neurons, (8, 8, 8), (100, 200, 300), kind="segmentation", sharded=True)
    write_precomputed(server.folder / "mito", masks, (16, 16, 16), (49, 100, 149), kind="segmentation")
    region = [[103, 121], [203, 237], [305, 340]]
    card = {
        "title": "A far brain",
        "voxel_size": [8, 8, 8],
        "dtype": "uint8",
        "files": {
            "cube": {
                "path": "cube.zarr",
                "shape": [18, 34, 35],
                "box": {"url": f"{server.address}/em", "region": region, "whole": [24, 40, 48]},
                "labels": {
                    "neurons": {"path": "neurons.zarr", "box": {"url": f"{server.address}/seg"}},
                    "mitochondria": {
                        "path": "mito.zarr",
                        "box": {"url": f"{server.address}/mito", "voxel_size": [16, 16, 16]},
                        "values": [1, 3],
                        **facts,
                    },
                },
            }
        },
        "splits": {"test": {"file": "cube", "region": [[0, 18], [0, 34], [0, 35]]}},
        "segmentation": {
            "mitochondria": {
                "labels": "mitochondria",
                "train": {"cube": [[0, 18], [0, 16], [0, 35]]},
                "score": {"cube": [[0, 18], [20, 34], [0, 35]]},
            }
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "far.yaml").write_text(yaml.safe_dump(card))
    return dataset_card(str(folder / "far.yaml")), grey, neurons, masks


def read_labels(card, tmp_path, kind):
    at = LabelsAt.of(Locator(tmp_path / "scratch", tmp_path).labels(card, "cube", kind))
    return at.read(Region.whole((18, 34, 35)))


def test_labels_of_another_resolution_and_offset_lie_on_the_voxels_of_the_volume(tmp_path, server):
    card, grey, neurons, masks = labelled_card(server, tmp_path / "cards")
    volume = Locator(tmp_path / "scratch", tmp_path).raw(card, "cube").open()
    np.testing.assert_array_equal(volume.read_raw(volume.whole), grey[3:21, 3:37, 5:40])
    np.testing.assert_array_equal(read_labels(card, tmp_path, "neurons"), neurons[3:21, 3:37, 5:40].astype(np.int64))
    wanted = np.zeros((18, 34, 35), np.int64)
    for z, y, x in np.ndindex(wanted.shape):  # 8 nm voxel 103 + z has its centre in the 16 nm voxel (103 + z) // 2
        wanted[z, y, x] = masks[(103 + z) // 2 - 49, (203 + y) // 2 - 100, (305 + x) // 2 - 149]
    np.testing.assert_array_equal(read_labels(card, tmp_path, "mitochondria"), np.isin(wanted, [1, 3]))
    facts = attributes(tmp_path / "cards" / "mito.zarr")
    assert facts["source"]["labelled"] == f"{server.address}/em"
    other, *_ = labelled_card(server, tmp_path / "cards", values=[2])
    np.testing.assert_array_equal(read_labels(other, tmp_path, "mitochondria"), wanted == 2)
    located = [Locator(tmp_path / "scratch", tmp_path).labels(one, "cube", "mitochondria") for one in (card, other)]
    assert located[0].digest != located[1].digest, "other values are other labels"


def test_what_is_segmented_gets_the_labels_of_a_box(tmp_path, server):
    card, _, _, masks = labelled_card(server, tmp_path / "cards")
    locator = Locator(tmp_path / "scratch", tmp_path)
    (found,) = located_segmentations(card, card.split("test"), "smoke", locator)
    assert not found.reason
    found = SegmentationAt.from_dict(json.loads(json.dumps(asdict(found))))  # as a run gets it
    truth = np.isin(masks.repeat(2, 0).repeat(2, 1).repeat(2, 2), [1, 3])  # begins at 98, 200, 298
    wanted = truth[5:23, 3:37, 7:42]
    for part in (*found.training, found.scored):
        np.testing.assert_array_equal(part.labels.read(part.region), wanted[part.region.slices])
    server.fuse = 0
    for path in (tmp_path / "cards").glob("mito.zarr*"):
        (shutil.rmtree if path.is_dir() else os.remove)(path)
    (found,) = located_segmentations(card, card.split("test"), "smoke", locator)
    assert "mito: cannot be read at mip 0" in found.reason, "a run without its labels goes on without them"


def test_labels_of_an_n5_at_twice_the_voxels_are_shifted_by_half_a_voxel(tmp_path, server):
    """Levels of OpenOrganelle: the centre of a voxel of 16 nm lies 4 nm behind that of the first one of 8 nm."""
    grey, masks = np.maximum(textured((16, 24, 32)), 1), textured((8, 12, 16), seed=4) // 128
    write_levels(server.folder / "em.zarr", grey, (8, 8, 8))
    write_levels(server.folder / "mito.n5", masks.astype(np.uint32), (16, 16, 16), (4, 4, 4), "n5")
    box = Box(f"{server.address}/em.zarr", Region.whole(grey.shape), format="zarr", dataset="em/s0")
    labels = Box(f"{server.address}/mito.n5", box.region, format="n5", dataset="em/s0")
    file = DatasetFile(path="cube.zarr", box=box)
    card = DatasetCard("far", "", {"cube": file}, voxel_size=VoxelSize(8, 8, 8))
    fetch_box(card, LabelFile(path="m.zarr", box=labels, labelled=box), tmp_path / "m.zarr")
    found = zarr.open_array(tmp_path / "m.zarr" / "0", mode="r")[:]
    np.testing.assert_array_equal(found, masks.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_labels_that_are_not_as_the_card_says_are_refused(tmp_path, server):
    card, *_ = labelled_card(server, tmp_path / "cards", box={"url": f"{server.address}/mito", "voxel_size": [8, 8, 8]})
    with pytest.raises(DataError, match="voxels of 16 x 16 x 16 nm at mip 0, but the card says 8 x 8 x 8 nm"):
        read_labels(card, tmp_path, "mitochondria")
    card, *_ = labelled_card(server, tmp_path / "cards", box={"url": f"{server.address}/seg"})
    file = card.files["cube"].labels["mitochondria"]
    outside = replace(file.labelled, region=Region((90, 200, 300), (95, 210, 310)))
    moved = replace(file, labelled=outside, box=replace(file.box, region=outside.region))
    with pytest.raises(DataError, match=r"seg: the box .* reaches out of the volume"):
        fetch_box(card, moved, tmp_path / "no.zarr")


def test_offline_the_boxes_that_are_missing_are_told(tmp_path, server, monkeypatch, capsys):
    labelled_card(server, tmp_path / "cards")
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    assert main(["fetch", str(tmp_path / "cards" / "far.yaml")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "3 files are missing" in lines[0]
    assert all("VEMRECON_OFFLINE is set" in line and "it is the box z[103,121)" in line for line in lines[1:])
    assert not server.voxels


def test_fetch_and_datasets_know_boxes_of_labels(tmp_path, server, capsys):
    labelled_card(server, tmp_path / "cards")
    path = str(tmp_path / "cards" / "far.yaml")
    assert main(["fetch", path]) == 0
    assert capsys.readouterr().out.count("downloaded; no checksum is published, recorded") == 3
    asked = len(server.voxels)
    assert main(["fetch", path]) == 0
    assert "as when it was first seen" in capsys.readouterr().out and len(server.voxels) == asked
    assert main(["datasets", path]) == 0
    text = capsys.readouterr().out
    assert "box z[103,121) y[203,237) x[305,340) of 24 x 40 x 48 voxels" in text
    assert "whose size is not stated, voxels of 16 x 16 x 16 nm" in text and "values:    1, 3" in text


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ({"url": "file:///etc", "region": [[0, 1]] * 3}, "by http and https only"),
        ({"url": "https://a.org/v", "region": [[0, 1]] * 3, "format": "tiff"}, "unknown format of a box 'tiff'"),
        ({"url": "https://a.org/v"}, "region"),
        ({"url": "https://a.org/v", "region": [[0, 1]] * 3, "mips": 1}, "mips"),
    ],
)
def test_boxes_that_make_no_sense_are_one_line(tmp_path, capsys, box, message):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"title": "One", "files": {"v": {"path": "v.zarr", "box": box}}}))
    assert main(["datasets", str(tmp_path / "own.yaml")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_buckets_may_be_spelled_as_viewers_do(tmp_path):
    for url, plain in (
        ("gs://bucket/em/jpeg", "https://storage.googleapis.com/bucket/em/jpeg"),
        ("precomputed://gs://bucket/em/jpeg/", "https://storage.googleapis.com/bucket/em/jpeg"),
        ("s3://bucket/v.n5", "https://bucket.s3.amazonaws.com/v.n5"),
        ("https://a.org/em", "https://a.org/em"),
    ):
        file = {"path": "v.zarr", "box": {"url": url, "region": [[0, 1]] * 3}}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"title": "One", "files": {"v": file}}))
        assert dataset_card(str(tmp_path / "own.yaml")).files["v"].box.url == plain
