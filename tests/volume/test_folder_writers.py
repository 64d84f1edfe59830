"""N5 and precomputed as we write them, read by the letter of their specifications, by tensorstore and by ourselves."""

import gzip
import json
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tensorstore
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.volume import Made, Volume, VoxelSize, open_source, open_volume, quantise, write_volume
from vemrecon.volume import precomputed_writer as sharded
from vemrecon.volume import tensorstore_writing as writing

SIZE = VoxelSize(40, 5, 4)
DTYPES = ("uint8", "uint16", "int16", "float32")
BLACK = textured((70, 140, 150))
BLACK[:64, :64, :128] = 0
MADE = Made({"command": "degrade", "scale": 4, "source": {"name": "v.tif"}})


def written(path, voxels, origin=(80.0, 10.0, -8.0), dtype=None, size=SIZE):
    write_volume(path, Volume(voxels, size, "v", origin=origin), np.dtype(dtype or voxels.dtype), made=MADE)
    return path


def all_of(path):
    found = open_volume(path)
    return found.read_raw(found.whole)


def n5_block(file):
    """Source: N5 specification, "chunks": mode, number of axes and sizes as big-endian numbers, then packed voxels."""
    data = file.read_bytes()
    mode, axes = np.frombuffer(data, ">u2", 2)
    shape = np.frombuffer(data, ">u4", axes, offset=4)
    assert mode == 0
    return gzip.decompress(data[4 + 4 * axes :]), tuple(int(n) for n in shape[::-1])


def by_the_letter_of_n5(folder, dtype):
    facts = json.loads((folder / "attributes.json").read_text())
    made = np.zeros(facts["dimensions"][::-1], dtype)
    edges = facts["blockSize"][::-1]
    count = 0
    for file in folder.glob("*/*/*"):
        x, y, z = map(int, file.relative_to(folder).parts)
        data, shape = n5_block(file)
        start = [n * edge for n, edge in zip((z, y, x), edges, strict=True)]
        inside = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        part = made[inside]
        voxels = np.frombuffer(data, np.dtype(dtype).newbyteorder(">")).reshape(shape)
        part[...] = voxels[tuple(map(slice, part.shape))]
        count += 1
    assert count == prod(-(-n // edge) for n, edge in zip(made.shape, edges, strict=True))
    return made


def morton(place, grid):
    """Source: neuroglancer's "volume" format, "compressed Morton code"; place and grid in the order x, y, z."""
    number = position = 0
    for bit in range(max(n.bit_length() for n in grid)):
        for at, n in zip(place, grid, strict=True):
            if 1 << bit < n:
                number |= (at >> bit & 1) << position
                position += 1
    return number


def chunk_of_shard(folder, how, number):
    """Source: neuroglancer's "sharded" format: shard index, minishard index, data."""
    hashed = number >> how["preshift_bits"]
    minishard = hashed & ((1 << how["minishard_bits"]) - 1)
    shard = hashed >> how["minishard_bits"] & ((1 << how["shard_bits"]) - 1)
    data = (folder / f"{shard:0{-(-how['shard_bits'] // 4)}x}.shard").read_bytes()
    head = 16 << how["minishard_bits"]
    start, stop = np.frombuffer(data, "<u8", 2, offset=16 * minishard) + head
    index = np.frombuffer(gzip.decompress(data[start:stop]), "<u8").reshape(3, -1)
    numbers = np.cumsum(index[0])
    at = int(np.flatnonzero(numbers == number)[0])
    begin = head + int(index[1, : at + 1].sum() + index[2, :at].sum())
    return gzip.decompress(data[begin : begin + int(index[2, at])])


def by_the_letter_of_precomputed(folder):
    info = json.loads((folder / "info").read_text())
    (scale,) = info["scales"]
    size, (chunk,) = scale["size"], scale["chunk_sizes"]
    grid = [-(-n // edge) for n, edge in zip(size, chunk, strict=True)]
    made = np.zeros(size[::-1], info["data_type"])
    for place in np.ndindex(*grid):
        start = [n * edge for n, edge in zip(place, chunk, strict=True)]
        part = made[tuple(slice(a, a + edge) for a, edge in zip(start[::-1], chunk[::-1], strict=True))]
        data = chunk_of_shard(folder / scale["key"], scale["sharding"], morton(place, grid))
        part[...] = np.frombuffer(data, made.dtype.newbyteorder("<")).reshape(part.shape)
    return made


def small_files(monkeypatch):
    """Chunks, shards and blocks of a few voxels."""
    monkeypatch.setattr(sharded, "CHUNK", 4)
    monkeypatch.setattr(sharded, "SHARD_BYTES", 1024)
    monkeypatch.setattr(sharded, "MINISHARD_BITS", 2)
    monkeypatch.setattr("vemrecon.volume.n5_writer.BLOCK", 4)
    monkeypatch.setattr(writing, "HELD_BYTES", 4096)
    monkeypatch.setattr(writing, "PART_VOXELS", 256)
    monkeypatch.setattr(writing, "PART_SECTIONS", 3)


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(*[st.integers(2, 30)] * 3), dtype=st.sampled_from(DTYPES), ending=st.sampled_from(["n5", "x"]))
def test_many_small_files_hold_what_was_given(shape, dtype, ending):
    source = np.random.default_rng(0).random(shape, np.float32)
    source[: shape[0] // 2] = 0
    wanted = quantise(source, np.dtype(dtype))
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as monkeypatch:
        small_files(monkeypatch)
        if ending == "n5":
            path = written(Path(name) / "v.n5", source, dtype=dtype)
            found = by_the_letter_of_n5(path / "raw", dtype)
        else:
            path = written(Path(name) / "v.precomputed", source, dtype=dtype)
            found = by_the_letter_of_precomputed(path)
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(all_of(path), wanted)


@pytest.mark.parametrize("name", ["v.n5", "v.precomputed"])
def test_black_parts_are_stored_and_lost_ones_are_noticed(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sharded, "SHARD_BYTES", 1 << 18)
    monkeypatch.setattr("vemrecon.volume.n5_writer.BLOCK", 64)
    path = written(tmp_path / name, BLACK)
    np.testing.assert_array_equal(all_of(path), BLACK)
    min(path.glob("*/*.shard" if name == "v.precomputed" else "raw/0/0/0")).unlink()
    with pytest.raises(DataError, match="are not stored"):
        all_of(path)


@pytest.mark.parametrize("name", ["v.n5", "v.precomputed"])
def test_no_file_is_written_twice(tmp_path, name, monkeypatch):
    small_files(monkeypatch)
    monkeypatch.setattr(writing, "PART_VOXELS", 4096)
    seen, read = {}, Volume.read

    def watched(self, region):
        for file in tmp_path.rglob("*"):
            if file.is_file() and file.suffix != ".json":
                assert seen.setdefault(file, file.stat().st_ino) == file.stat().st_ino
        return read(self, region)

    monkeypatch.setattr(Volume, "read", watched)
    voxels = textured((12, 40, 60))
    path = written(tmp_path / name, voxels)
    assert len(seen) > 10
    files = sum(file.is_file() for file in path.rglob("*"))
    assert files == (452 if name == "v.n5" else 41)  # 3 x 10 x 15 chunks, 2 x 2 x 4 of them in a shard


def test_n5_says_what_other_readers_look_for(tmp_path):
    path = written(tmp_path / "v.n5", BLACK)
    assert json.loads((path / "attributes.json").read_text()) == {"n5": "2.0.0"}
    facts = json.loads((path / "raw" / "attributes.json").read_text())
    assert (facts["resolution"], facts["offset"], facts["axes"]) == ([4, 5, 40], [-8, 10, 80], ["x", "y", "z"])
    assert facts["pixelResolution"] == {"dimensions": [4, 5, 40], "unit": "nm"}
    assert facts["transform"] == {
        "axes": ["z", "y", "x"], "scale": [40, 5, 4], "translate": [80, 10, -8], "units": ["nm"] * 3
    }  # fmt: skip
    assert facts["vemrecon"]["made"]["source"]["name"] == "v.tif"
    kvstore = {"driver": "file", "path": f"{path}/raw/"}
    store = tensorstore.open({"driver": "n5", "kvstore": kvstore, "fill_missing_data_reads": False}).result()
    np.testing.assert_array_equal(store.read().result().T, BLACK)
    assert [str(unit) for unit in store.dimension_units] == ["4 nm", "5 nm", "40 nm"]
    assert store.domain.labels == ("x", "y", "z")
    file = path / "raw" / "attributes.json"  # whichever of them a program keeps says the same
    for gone in ("transform", "pixelResolution"):
        del facts[gone]
        file.write_text(json.dumps(facts))
        found = open_volume(path)
        assert found.voxel_size == SIZE
    assert found.origin == (80, 10, -8)


def test_precomputed_says_what_other_readers_look_for(tmp_path):
    path = written(tmp_path / "v.precomputed", BLACK)
    kvstore = {"driver": "file", "path": f"{path}/"}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "fill_missing_data_reads": False}
    store = tensorstore.open(spec).result()
    np.testing.assert_array_equal(store[..., 0].read().result().T, BLACK)
    assert [str(unit) for unit in store.dimension_units[:3]] == ["4 nm", "5 nm", "40 nm"]
    assert store.domain.inclusive_min[:3] == (-2, 2, 2) and store.shape == (150, 140, 70, 1)
    info = json.loads((path / "info").read_text())
    assert (info["@type"], info["type"], info["num_channels"]) == ("neuroglancer_multiscale_volume", "image", 1)
    assert sum(file.is_file() for file in path.rglob("*")) == 2


def test_places_between_voxels_are_kept_beside_those_of_precomputed(tmp_path):
    path = written(tmp_path / "v.precomputed", BLACK, origin=(90.0, 11.0, -5.0))
    assert open_source(path).origin == (90, 11, -5)
    info = json.loads((path / "info").read_text())
    assert info["scales"][0]["voxel_offset"] == [-1, 2, 2]
    info["scales"][0]["voxel_offset"] = [0, 0, 0]  # whoever moves it is believed
    (path / "info").write_text(json.dumps(info))
    assert not any(open_source(path).origin)


@pytest.mark.parametrize("name", ["v.n5", "v.precomputed"])
def test_an_unknown_voxel_size_stays_unknown(tmp_path, name):
    path = written(tmp_path / name, BLACK, size=None)
    found = open_volume(path)
    assert found.voxel_size is None and found.origin == (0, 0, 0)
    one = open_volume(written(tmp_path / f"one-{name}", BLACK, size=VoxelSize(1, 1, 1)))
    assert one.voxel_size == VoxelSize(1, 1, 1)
