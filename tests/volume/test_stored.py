"""What was never stored reads as black: it is refused, unless the user declares it."""

import h5py
import numpy as np
import pytest
import zarr
from PIL import Image
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.errors import DataError
from vemrecon.volume import Reading, open_source, open_volume

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
