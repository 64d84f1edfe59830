"""What was never stored reads as black: it is refused, unless the user declares it."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.errors import DataError
from vemrecon.volume import Reading, VoxelSize, open_source, open_volume
from vemrecon.volume.stored import whole_runs

GREY = np.maximum(textured((12, 40, 48)), 1)


def filled(path, dataset=None):
    volume = open_volume(path, dataset, reading=Reading(missing="fill"))
    assert any("--missing fill" in note for note in volume.notes)
    return volume.read_raw(volume.whole)


def counts(path, dataset=None):
    stored = open_source(path, dataset).stored
    return stored.expected, stored.missing


def sharded(path, voxels):
    return zarr.create_array(path, data=voxels, shards=(8, 32, 32), chunks=(4, 16, 16))


def test_a_whole_file_has_all_its_chunks(tmp_path):
    zarr.create_array(tmp_path / "2.zarr", data=GREY, chunks=(8, 16, 16), zarr_format=2)
    zarr.create_array(tmp_path / "3.zarr", data=GREY, chunks=(8, 16, 16))
    sharded(tmp_path / "s.zarr", GREY)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("raw", data=GREY, chunks=(8, 16, 16))
    wanted = {"2.zarr": 18, "3.zarr": 18, "s.zarr": 27, "v.h5": 18}
    for name, expected in wanted.items():
        assert counts(tmp_path / name) == (expected, 0), name
        assert open_volume(tmp_path / name).notes == ()


def test_a_lost_shard_is_refused_with_how_much(tmp_path):
    path = tmp_path / "v.zarr"
    sharded(path, GREY)
    (path / "c" / "1" / "0" / "0").unlink()
    assert counts(path) == (27, 4)
    with pytest.raises(DataError, match=r"4 of 27 chunks are not stored \(1 whole shard\).*--missing fill"):
        open_volume(path)
    assert (filled(path)[8:, :32, :32] == 0).all()


@pytest.mark.parametrize("place", ["start", "end"])
def test_inner_chunks_of_shards_count_one_by_one(tmp_path, place):
    hole = GREY.copy()
    hole[:4, :16, 16:32] = 0  # zarr leaves chunks of fill values unwritten
    path = tmp_path / "v.zarr"
    codec = zarr.codecs.ShardingCodec(chunk_shape=(4, 16, 16), index_location=place)
    array = zarr.create(
        store=path, shape=GREY.shape, chunks=(8, 32, 32), dtype="uint8", codecs=[codec], fill_value=0, zarr_format=3
    )
    array[:] = hole
    assert counts(path) == (27, 1)
    with pytest.raises(DataError, match="1 of 27 chunks"):
        open_volume(path)
    np.testing.assert_array_equal(filled(path), hole)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_that_zarr_leaves_unwritten_can_be_declared(tmp_path, zarr_format):
    hole = GREY.copy()
    hole[:8, :16, :16] = 7
    path = tmp_path / "v.zarr"
    zarr.create_array(path, data=hole, chunks=(8, 16, 16), fill_value=7, zarr_format=zarr_format)
    with pytest.raises(DataError, match="1 of 18 chunks are not stored"):
        open_volume(path)
    np.testing.assert_array_equal(filled(path), hole)


def test_hdf5_chunks_and_datasets_that_were_never_written(tmp_path):
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("raw", GREY.shape, np.uint8, chunks=(12, 40, 16))
        raw[:, :, 16:] = GREY[:, :, 16:]
        file.create_dataset("empty", GREY.shape, np.uint8)
    with pytest.raises(DataError, match="1 of 3 chunks are not stored"):
        open_volume(path)
    assert (filled(path)[:, :, :16] == 0).all()
    with pytest.raises(DataError, match="nothing was ever written"):
        open_volume(path, "empty")


def test_virtual_datasets_whose_sources_are_gone(tmp_path):
    layout = h5py.VirtualLayout(GREY.shape, np.uint8)
    for n in range(3):
        with h5py.File(tmp_path / f"part{n}.h5", "w") as file:
            file["raw"] = GREY[4 * n : 4 * n + 4]
        layout[4 * n : 4 * n + 4] = h5py.VirtualSource(f"part{n}.h5", "raw", (4, 40, 48))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
        partly = h5py.VirtualLayout(GREY.shape, np.uint8)
        partly[:4] = h5py.VirtualSource("part0.h5", "raw", (4, 40, 48))
        file.create_virtual_dataset("partly", partly)
    volume = open_volume(tmp_path / "v.h5", "raw")
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
    with pytest.raises(DataError, match="voxels have no source"):
        open_volume(tmp_path / "v.h5", "partly")
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(DataError, match=r"1 of 3 virtual sources are not stored \(part1.h5:raw\)"):
        open_volume(tmp_path / "v.h5", "raw")


def test_sections_that_are_left_out_keep_their_place(tmp_path):
    folder = tmp_path / "sections"
    folder.mkdir()
    for z in (0, 1, 2, 4, 5, 8):
        Image.fromarray(GREY[z]).save(folder / f"s{10 + 5 * z}.png")
    with pytest.raises(DataError, match=r"3 of 9 sections are not stored \(25, 40, 45: no file.*--missing fill"):
        open_volume(folder)
    voxels = filled(folder)
    np.testing.assert_array_equal(voxels[[0, 1, 2, 4, 5, 8]], GREY[[0, 1, 2, 4, 5, 8]])
    assert not voxels[[3, 6, 7]].any()


def test_commands_refuse_and_take_the_declaration(tmp_path, capsys):
    path = tmp_path / "v.zarr"
    sharded(path, GREY)
    (path / "c" / "1" / "0" / "0").unlink()
    words = ["degrade", str(path), str(tmp_path / "out.tif"), "--scale", "2", "--voxel-size", "8", "8", "8"]
    assert main(words) == 2
    assert "4 of 27 chunks" in capsys.readouterr().err and not (tmp_path / "out.tif").exists()
    assert main([*words, "--missing", "fill"]) == 0
    assert "taken for the fill value" in capsys.readouterr().err
    assert main([*words, "--missing", "fil"]) == 2
    assert "did you mean 'fill'" in capsys.readouterr().err


def test_prepare_takes_the_declaration_too(tmp_path, capsys):
    path = tmp_path / "v.zarr"
    sharded(path, GREY)
    (path / "c" / "1" / "0" / "0").unlink()
    words = ["prepare", str(path), str(tmp_path / "out.zarr"), "--voxel-size", "8", "8", "8"]
    assert main(words) == 2
    assert "4 of 27 chunks" in capsys.readouterr().err
    assert main([*words, "--missing", "fill"]) == 0
    assert counts(tmp_path / "out.zarr")[1] == 0


def test_a_claim_of_ten_to_the_fifteen_voxels_costs_nothing(tmp_path):
    for name, more in (("v.zarr", {}), ("s.zarr", {"shards": (1000, 1000, 1000)})):
        zarr.create_array(tmp_path / name, shape=(100_000,) * 3, dtype="uint8", chunks=(100, 100, 100), **more)
        assert counts(tmp_path / name) == (10**9, 10**9)


def lacking_zarr(path, lost, depth=8, count=32, side=16):
    """A zarr array of which some layers of chunks are gone."""
    voxels = np.random.default_rng(3).integers(1, 255, (count, side, side), np.uint8)
    array = zarr.create_array(path, shape=voxels.shape, chunks=(depth, side, side // 2), dtype="uint8")
    array[:] = voxels
    for layer in lost:
        (path / "c" / str(layer) / "0" / "1").unlink()
    return voxels


@pytest.mark.parametrize("lost, run", [([0], (8, 32)), ([3], (0, 24)), ([1], (16, 32)), ([0, 3], (8, 24))])
def test_what_is_incomplete_can_be_left_out(tmp_path, lost, run):
    voxels = lacking_zarr(tmp_path / "v.zarr", lost)
    with pytest.raises(DataError, match=f"--missing exclude reads sections {run[0]} to {run[1] - 1} alone"):
        open_volume(tmp_path / "v.zarr")
    volume = open_volume(tmp_path / "v.zarr", voxel_size=VoxelSize(8, 4, 4), reading=Reading(missing="exclude"))
    assert np.array_equal(volume.read_raw(volume.whole), voxels[slice(*run)])
    assert volume.origin == (8 * run[0], 0, 0)
    assert any(f"{run[0]} to {run[1] - 1}" in note for note in volume.notes)


def test_sections_that_lack_something_are_known_in_every_container(tmp_path):
    lacking_zarr(tmp_path / "v.zarr", [2])
    with h5py.File(tmp_path / "v.h5", "w") as file:
        made = file.create_dataset("raw", (32, 16, 16), "u1", chunks=(8, 8, 16))
        made[:16] = 1
        made[16:24, :8] = 1
        made[24:] = 1
    (tmp_path / "s").mkdir()
    for z in [*range(16), *range(24, 32)]:
        Image.fromarray(np.full((16, 16), z + 1, np.uint8)).save(tmp_path / "s" / f"s{z:02}.png")
    for name in ("v.zarr", "v.h5", "s"):
        stored = open_source(tmp_path / name).stored
        assert stored.whole == ((0, 16), (24, 32)), name
        assert stored.lacking(32) == tuple(range(16, 24))


def test_where_every_section_lacks_something_columns_or_rows_are_cut(tmp_path):
    voxels = lacking_zarr(tmp_path / "v.zarr", [0, 1, 2, 3])
    with pytest.raises(DataError, match="--missing exclude reads columns 0 to 7 alone"):
        open_volume(tmp_path / "v.zarr")
    size, reading = VoxelSize(8, 4, 4), Reading(missing="exclude")
    volume = open_volume(tmp_path / "v.zarr", voxel_size=size, reading=reading)
    assert np.array_equal(volume.read_raw(volume.whole), voxels[:, :, :8])
    finer = open_volume(
        tmp_path / "v.zarr", voxel_size=VoxelSize(8, 4, 8), reading=replace(reading, square_pixels=True)
    )
    assert finer.shape == (32, 16, 16)
    assert finer.read_raw(finer.whole)[:, :, -1].tolist() == voxels[:, :, 7].tolist()


def test_nothing_is_left_where_every_part_lacks_something(tmp_path):
    lacking_zarr(tmp_path / "v.zarr", [0, 1, 2, 3])
    (tmp_path / "v.zarr" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(DataError, match="no section is whole"):
        open_volume(tmp_path / "v.zarr", reading=Reading(missing="exclude"))
    with pytest.raises(DataError, match=r"--missing fill$"):
        open_volume(tmp_path / "v.zarr")


def test_a_chunk_of_another_channel_does_not_matter(tmp_path):
    array = zarr.create_array(tmp_path / "v.zarr", shape=(2, 8, 8, 8), chunks=(1, 4, 8, 8), dtype="uint8")
    array[0] = 1
    reading = Reading(axes="czyx", channel=0)
    assert open_volume(tmp_path / "v.zarr", reading=reading).shape == (8, 8, 8)
    with pytest.raises(DataError, match="2 of 2 chunks"):
        open_volume(tmp_path / "v.zarr", reading=replace(reading, channel=1))


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.integers(1, 3)), max_size=12),
    st.integers(1, 20),
    st.integers(1, 4),
)
def test_whole_runs_are_those_of_a_count_section_by_section(pieces, count, need):
    held = np.zeros(40, int)
    for start, length, share in pieces:
        held[start : start + length] += share
    runs = whole_runs([(a, a + n, share) for a, n, share in pieces if a < count], count, need)
    there = [z for start, stop in runs for z in range(start, stop)]
    assert there == [z for z in range(count) if held[z] >= need]


def test_a_virtual_stack_of_single_sections_knows_which_one_is_gone(tmp_path):
    layout = h5py.VirtualLayout((6, 8, 8), "u1")
    for z in range(6):
        with h5py.File(tmp_path / f"s{z}.h5", "w") as file:
            file.create_dataset("section", data=np.full((8, 8), z + 1, np.uint8), chunks=(4, 4))
        layout[z] = h5py.VirtualSource(f"s{z}.h5", "section", (8, 8))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    assert open_source(tmp_path / "v.h5").stored.missing == 0
    (tmp_path / "s4.h5").unlink()
    stored = open_source(tmp_path / "v.h5").stored
    assert (stored.missing, stored.whole, stored.lacking(6)) == (1, ((0, 4), (5, 6)), (4,))
