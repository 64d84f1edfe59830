"""Volumes know where they lie, in every format that can say it, so that a result overlays on its source."""

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr
from small_volumes import textured

from vemrecon.degradations import Subsample, degrade, make_degradation
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.interpolation import Interpolation
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr
from vemrecon.volume.tiff import write_tiff

PLACE = (400.0, -12.5, 8.0)


@pytest.fixture
def volume():
    return Volume(textured((12, 20, 18)), VoxelSize(40, 5, 4), "x", SectionGrid.kept_every(8, 2), origin=PLACE)


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_origin_and_grid_survive_a_file(volume, tmp_path, name):
    path = tmp_path / name
    if name.endswith("zarr"):
        copy_to_zarr(path, volume, "uint8")
    else:
        write_tiff(path, volume, np.dtype(np.uint8))
    found = open_volume(path)
    assert (found.origin, found.grid, found.voxel_size) == (PLACE, volume.grid, volume.voxel_size)
    assert np.array_equal(found.read_raw(found.whole), volume.read_raw(volume.whole))


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_files_say_nothing_that_nobody_knows(tmp_path, name):
    volume, path = Volume(textured((4, 20, 18)), None, "x"), tmp_path / name
    if name.endswith("zarr"):
        copy_to_zarr(path, volume, "uint8")
        facts = json.loads((path / "zarr.json").read_text())["attributes"]
        steps = facts["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert [step["type"] for step in steps] == ["scale"] and "grid" not in facts["vemrecon"]
    else:
        write_tiff(path, volume, np.dtype(np.uint8))
    found = open_volume(path)
    assert (found.origin, found.grid, found.voxel_size) == ((0, 0, 0), None, None)


def test_crops_and_turned_volumes_stay_where_they_are(volume):
    part = volume.crop(Region((2, 4, 5), (8, 12, 15))).crop(Region((1, 0, 1), (3, 2, 3)))
    assert part.origin == (400 + 3 * 40, -12.5 + 4 * 5, 8 + 6 * 4)
    turned = volume.with_axis_first(2)
    assert turned.origin == (8, -12.5, 400)
    assert turned.crop(Region((6, 4, 3), (7, 5, 4))).with_axis_first(2).origin == part.origin
    unknown = replace(volume, voxel_size=None)
    assert unknown.crop(Region((2, 0, 0), (3, 4, 4))).origin == PLACE


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("degradation", "first"), [(Subsample(4, 3), 3), (make_degradation("average", 4), 1.5)], ids=["kept", "slabs"]
)
def test_a_reconstruction_lies_on_the_truth(tmp_path, degradation, first, axis):
    truth = Volume(textured((16, 16, 16)), VoxelSize(5, 5, 5), "x", origin=PLACE)
    observed = degrade(truth, degradation, axis=axis)
    wanted = list(PLACE)
    wanted[axis] += 5 * first
    assert observed.origin == tuple(wanted) and observed.grid == degradation.grid
    copy_to_zarr(tmp_path / "observed.zarr", observed, "float32")
    stored = open_volume(tmp_path / "observed.zarr")
    reconstruct_volume(Interpolation("linear"), stored, tmp_path / "made.zarr", like=truth, axis=axis)
    made = open_volume(tmp_path / "made.zarr")
    assert (made.origin, made.voxel_size, made.shape) == (truth.origin, truth.voxel_size, truth.shape)
    assert made.grid is None


def test_translations_of_a_level_and_of_its_image_add_up(tmp_path):
    path = tmp_path / "far.zarr"
    copy_to_zarr(path, Volume(textured((4, 8, 8)), VoxelSize(40, 4, 4), "x"), "uint8")
    group = zarr.open_group(path, mode="r+")
    image = dict(group.attrs["ome"])
    multiscale = image["multiscales"][0]
    for axis in multiscale["axes"]:
        axis["unit"] = "micrometer"
    multiscale["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [0.04, 0.004, 0.004]},
        {"type": "translation", "translation": [1, 2, 3]},
    ]
    multiscale["coordinateTransformations"] = [
        {"type": "scale", "scale": [2, 1, 1]},
        {"type": "translation", "translation": [0.5, 0, 0]},
    ]
    group.attrs["ome"] = image
    found = open_volume(path)
    assert found.origin == pytest.approx((2500, 2000, 3000))
    assert tuple(found.voxel_size) == pytest.approx((80, 4, 4))


def test_plain_arrays_and_hdf5_say_it_beside_their_resolution(tmp_path):
    import h5py

    array = zarr.create_array(tmp_path / "plain.zarr", shape=(4, 8, 8), dtype="uint8", chunks=(4, 8, 8))
    array[:] = textured((4, 8, 8))
    array.attrs.update({"resolution": [40, 4, 4], "offset": list(PLACE)})
    with h5py.File(tmp_path / "file.h5", "w") as file:
        raw = file.create_dataset("raw", data=textured((4, 8, 8)))
        raw.attrs["resolution"], raw.attrs["offset"] = [40.0, 4.0, 4.0], list(PLACE)
    for name in ("plain.zarr", "file.h5"):
        found = open_volume(tmp_path / name)
        assert (found.origin, tuple(found.voxel_size)) == (PLACE, (40, 4, 4))


def test_imagej_keeps_the_voxel_that_lies_at_zero(tmp_path):
    import tifffile

    meta = {"axes": "ZYX", "unit": "nm", "spacing": 40.0, "xorigin": -2.0, "zorigin": 5.0}
    tifffile.imwrite(tmp_path / "stack.tif", textured((4, 8, 8)), imagej=True, resolution=(1 / 4, 1 / 4), metadata=meta)
    assert open_volume(tmp_path / "stack.tif").origin == (-200, 0, 8)


@pytest.mark.parametrize("text", ["{", '{"vemrecon": 1}', '{"vemrecon": {"grid": {"scale": 4}}}', "by hand"])
def test_a_description_of_somebody_else_is_left_alone(tmp_path, text):
    import tifffile

    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, textured((4, 8, 8)), metadata={"axes": "ZYX", "Description": text}, ome=True)
    if "scale" in text:
        with pytest.raises(Exception, match="needs the numbers"):
            open_volume(path)
    else:
        assert open_volume(path).grid is None
