"""Boxes of remote precomputed volumes."""

import builtins
import hashlib
import socket

import numpy as np
import pytest
import zarr
from data_room.small_precomputed import served, write_precomputed
from small_volumes import textured

from vemrecon.data.card import DatasetFile, Precomputed
from vemrecon.data.remote import precomputed
from vemrecon.data.remote.precomputed import fetch_box
from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import Region, VoxelSize, open_volume

pytest.importorskip("tensorstore")
GREY = np.maximum(textured((30, 40, 50)), 1)
SIZE = VoxelSize(45, 4.3, 4.3)
BOX = Region((3, 5, 7), (20, 38, 36))


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """Function that serves voxels and gives the file of a card with a box of them."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(precomputed, "RETRIES", {"max_retries": 1, "initial_delay": "1ms", "max_delay": "1ms"})
    with served(tmp_path) as address:

        def make(voxels=GREY, region=BOX, mip=0, name="image", **facts):
            write_precomputed(tmp_path / name, voxels, **facts)
            return DatasetFile(path="box.zarr", precomputed=Precomputed(f"{address}/{name}", region, mip))

        yield make


def test_a_box_of_a_remote_volume_becomes_an_ome_zarr_with_the_same_voxels(tmp_path, remote):
    shares = []
    file = remote()
    fetch_box(file, tmp_path / "data" / "box.zarr", SIZE, shares.append)
    volume = open_volume(tmp_path / "data" / "box.zarr")
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY[BOX.slices])
    assert volume.dtype == np.uint8 and volume.voxel_size == SIZE
    assert volume.origin == pytest.approx((3 * 45, 5 * 4.3, 7 * 4.3))  # so that it overlays on the remote volume
    assert shares == sorted(shares) and shares[-1] == 1
    facts = zarr.open_group(tmp_path / "data" / "box.zarr", mode="r").attrs["vemrecon"]
    assert facts["source"] == {"url": file.precomputed.url, "mip": 0, "region": [[3, 5, 7], [20, 38, 36]]}
    assert facts["sha256_of_voxels"] == hashlib.sha256(GREY[BOX.slices].tobytes()).hexdigest()
    assert facts["black_voxels"] == 0


def test_a_box_is_counted_in_the_frame_of_the_volume_and_block_by_block(tmp_path, remote, monkeypatch):
    monkeypatch.setattr(precomputed, "BLOCK", (8, 16, 64))
    file = remote(GREY.astype(np.uint16) * 200, BOX.shifted((2600, 100, 50)), offset=(2600, 100, 50))
    fetch_box(file, tmp_path / "box.zarr", None)
    volume = open_volume(tmp_path / "box.zarr")
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY[BOX.slices].astype(np.uint16) * 200)
    np.testing.assert_allclose(tuple(volume.voxel_size), tuple(SIZE))  # that of the remote volume
    np.testing.assert_allclose(volume.origin, (2603 * 45, 105 * 4.3, 57 * 4.3))


def refused(file, path, voxel_size, message):
    with pytest.raises(DataError, match=message) as caught:
        fetch_box(file, path, voxel_size)
    assert "\n" not in str(caught.value)
    assert not path.exists() and not list(path.parent.glob(".*"))


def test_what_is_not_as_the_card_says_is_refused(tmp_path, remote):
    path = tmp_path / "data" / "box.zarr"
    path.parent.mkdir()
    refused(remote(region=Region((0, 0, 0), (31, 8, 8))), path, SIZE, r"reaches out of the volume.*z\[0,30\)")
    refused(remote(), path, VoxelSize(40, 4, 4), "but the card says")
    refused(remote(mip=2), path, SIZE, "mip 2")
    labels = remote(GREY.astype(np.uint64), kind="segmentation", name="labels")
    refused(labels, path, SIZE, "uint64 is not a grey-level type")


def test_a_box_with_more_than_one_percent_of_black_voxels_is_refused(tmp_path, remote):
    path = tmp_path / "data" / "box.zarr"
    path.parent.mkdir()
    black = GREY.copy()
    black[10, BOX.slices[1], BOX.slices[2]] = 0  # one of 17 sections
    refused(remote(black, name="lost"), path, SIZE, "are black.*by 120 sections along z")
    few = GREY.copy()
    few[10, 10, 10:30] = 0
    fetch_box(remote(few, name="few"), path, SIZE)
    assert zarr.open_group(path, mode="r").attrs["vemrecon"]["black_voxels"] == 20


def test_a_server_that_fails_is_one_clear_line(tmp_path, remote):
    path = tmp_path / "data" / "box.zarr"
    path.parent.mkdir()
    file = remote()
    nowhere = Precomputed(file.precomputed.url + "-gone", BOX)
    refused(DatasetFile(path="box.zarr", precomputed=nowhere), path, SIZE, "image-gone: cannot be read at mip 0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        dead = Precomputed(f"http://127.0.0.1:{taken.getsockname()[1]}/image", BOX)
        refused(DatasetFile(path="box.zarr", precomputed=dead), path, SIZE, "see whether address and connection")
    for chunk in (tmp_path / "image").glob("*/*"):
        chunk.write_bytes(b"damaged")
    refused(file, path, SIZE, "cannot be read at mip 0")


def test_without_tensorstore_the_install_line_is_said(tmp_path, remote, monkeypatch):
    file = remote()
    find = builtins.__import__

    def without(name, *more, **options):
        if name == "tensorstore":
            raise ImportError(name)
        return find(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'vemrecon\[precomputed\]'"):
        fetch_box(file, tmp_path / "box.zarr", SIZE)


def test_a_file_without_a_box_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="names no box"):
        fetch_box(DatasetFile(path="raw.h5"), tmp_path / "box.zarr", SIZE)
