"""Every readable format, its voxel size, and files that are damaged."""

import importlib.util
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.volume import Region, Volume, VoxelSize, open_volume, quantise, require_content
from vemrecon.volume.ome_zarr import copy_to_zarr
from vemrecon.volume.tiff import write_tiff

GREY = textured((9, 20, 31))
SIZE = VoxelSize(40, 4, 5)


def write_npy(path):
    np.save(path, GREY)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = GREY
        file["volumes/raw"].attrs["resolution"] = tuple(SIZE)


def write_zarr2(path):
    zarr.create_array(path, data=GREY, zarr_format=2, attributes={"resolution": list(SIZE)})


def write_zarr3(path):
    zarr.create_array(path, data=GREY, chunks=(4, 8, 8), attributes={"resolution": list(SIZE)})


def write_ome_zarr(path):
    copy_to_zarr(path, Volume(GREY, SIZE, "v"), "uint8")


def write_ome_zarr_4(path):
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "zyx")]
    scale = [{"type": "scale", "scale": [1, *(edge / 1000 for edge in SIZE)]}]
    image = {"version": "0.4", "axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": scale}]}
    group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [image]})
    group.create_array("s0", data=GREY[None])


def write_imagej(path):
    meta = {"spacing": 0.04, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, GREY, imagej=True, resolution=(1 / 0.005, 1 / 0.004), metadata=meta)


def write_own_tiff(path):
    write_tiff(path, Volume(GREY, SIZE, "v"), np.dtype(np.uint8))


def write_plain_tiff(path):
    tifffile.imwrite(path, GREY, photometric="minisblack", compression="zlib")


def write_png_sections(path):
    path.mkdir()
    for i, section in enumerate(GREY):
        Image.fromarray(section).save(path / f"stack2_section{i + 1}.png")  # 10 sorts after 9, not after 1


WRITERS = {
    "v.npy": (write_npy, None),
    "v.h5": (write_hdf5, SIZE),
    "v2.zarr": (write_zarr2, SIZE),
    "v3.zarr": (write_zarr3, SIZE),
    "ome.zarr": (write_ome_zarr, SIZE),
    "ome4.zarr": (write_ome_zarr_4, SIZE),
    "imagej.tif": (write_imagej, SIZE),
    "own.tif": (write_own_tiff, SIZE),
    "plain.tif": (write_plain_tiff, None),
    "sections": (write_png_sections, None),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_voxels_and_its_voxel_size(tmp_path, name):
    write, size = WRITERS[name]
    write(tmp_path / name)
    volume = open_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
    part = Region((2, 3, 4), (7, 11, 30))
    np.testing.assert_array_equal(volume.read_raw(part), GREY[part.slices])
    assert (volume.voxel_size is None) == (size is None)
    if size is not None:
        np.testing.assert_allclose(tuple(volume.voxel_size), tuple(size))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("name", ["v.zarr", "v.tif", "v.npy"])
def test_voxels_survive_the_way_to_zero_one_and_back(tmp_path, dtype, name):
    rng = np.random.default_rng(1)
    voxels = rng.random((5, 8, 9)).astype(dtype) if dtype == "float32" else None
    if voxels is None:
        info = np.iinfo(dtype)
        voxels = rng.integers(info.min, info.max, (5, 8, 9), dtype=dtype, endpoint=True)
    source = Volume(voxels, VoxelSize(8, 8, 8), "v")
    path = tmp_path / name
    if name == "v.npy":
        np.save(path, voxels)
    elif name == "v.zarr":
        copy_to_zarr(path, source, dtype)
    else:
        write_tiff(path, source, np.dtype(dtype))
    volume = open_volume(path)
    assert volume.dtype == dtype
    values = volume.read(volume.whole)
    assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1
    back = quantise(values, np.dtype(dtype), volume.intensity_range)
    tolerance = 1 if dtype == "float32" else 0.5  # float32 holds every 16-bit level
    assert np.abs(back.astype(np.float64) - voxels).max() < (1e-6 if dtype == "float32" else tolerance)


def test_ome_zarr_follows_the_published_schema(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    package = importlib.util.find_spec("ngff_zarr")
    if package is None:
        pytest.skip("the published OME-Zarr schemas come with ngff-zarr: pip install vemrecon[dev]")
    folder = Path(package.submodule_search_locations[0]) / "spec" / "0.5" / "schemas"
    from referencing import Registry, Resource

    documents = [json.loads(p.read_text()) for p in sorted(folder.glob("*.schema"))]
    documents = [d for d in documents if "$schema" in d]
    registry = Registry().with_resources([(d["$id"], Resource.from_contents(d)) for d in documents])
    schema = json.loads((folder / "image.schema").read_text())
    write_ome_zarr(tmp_path / "v.zarr")
    attributes = json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())["attributes"]
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    assert list(validator.iter_errors(attributes)) == []
    broken = json.loads(json.dumps(attributes))
    del broken["ome"]["multiscales"][0]["axes"]
    assert list(validator.iter_errors(broken)) != []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["v.npy", "v.h5", "imagej.tif", "own.tif", "plain.tif"])
def test_a_truncated_file_is_one_clear_line(tmp_path, name, share):
    whole, cut = tmp_path / name, tmp_path / f"cut-{name}"
    WRITERS[name][0](whole)
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(DataError) as caught:
        volume = open_volume(cut)
        volume.read(volume.whole)
    assert "\n" not in str(caught.value) and "cut-" in str(caught.value)


@pytest.mark.parametrize("damage", ["chunk removed", "chunk cut", "metadata cut"])
def test_a_damaged_zarr_is_one_clear_line(tmp_path, damage):
    path = tmp_path / "v.zarr"
    write_ome_zarr(path)
    chunk, metadata = path / "0" / "c" / "0" / "0" / "0", path / "0" / "zarr.json"
    if damage == "chunk removed":
        chunk.unlink()
    else:
        file = chunk if damage == "chunk cut" else metadata
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError) as caught:
        volume = open_volume(path)
        volume.read(volume.whole)
    assert "\n" not in str(caught.value)


def refuse(array, message, **options):
    with pytest.raises(DataError, match=message):
        volume = Volume(array, None, "v", **options)
        require_content(volume)


def test_volumes_that_cannot_be_used_are_refused():
    refuse(np.zeros((4, 5), np.uint8), "2D image")
    refuse(np.zeros((0, 4, 5), np.uint8), "empty volume")
    refuse(np.zeros((3, 4, 5, 3), np.uint8), "three axes")
    refuse(np.zeros((3, 4, 5), np.int64), "not a grey-level type")
    refuse(np.full((3, 4, 5), 7, np.uint8), "constant volume")
    refuse(np.where(np.arange(60).reshape(3, 4, 5) == 59, np.nan, 0.5).astype(np.float32), "NaN or infinite")
    refuse(np.linspace(0, 300, 60, dtype=np.float32).reshape(3, 4, 5), "--intensity-range")


def test_colour_and_single_images_are_refused(tmp_path):
    colour = np.stack([GREY, GREY, 255 - GREY], axis=-1)
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    tifffile.imwrite(tmp_path / "flat.tif", GREY[0])
    (tmp_path / "colour").mkdir()
    Image.fromarray(colour[0]).save(tmp_path / "colour" / "s1.png")
    for name, message in (("rgb.tif", "colour image"), ("flat.tif", "2D image"), ("colour", "grey")):
        with pytest.raises(DataError, match=message):
            open_volume(tmp_path / name)


def test_grey_sections_saved_as_colour_images_are_read_once_their_channels_agree(tmp_path):
    alpha = np.full_like(GREY, 255)
    pages = np.stack([GREY, GREY, GREY, alpha], axis=-1)
    tifffile.imwrite(tmp_path / "rgba.tif", pages, photometric="rgb", extrasamples=["unassalpha"], compression="zlib")
    tifffile.imwrite(tmp_path / "planes.tif", np.stack([GREY] * 3, axis=1), photometric="rgb", planarconfig="separate")
    for name in ("rgba.tif", "planes.tif"):
        volume = open_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
    pages[6, 3, 5, 1] ^= 255
    tifffile.imwrite(tmp_path / "late.tif", pages, photometric="rgb", extrasamples=["unassalpha"])
    volume = open_volume(tmp_path / "late.tif")
    np.testing.assert_array_equal(volume.read_raw(Region((0, 0, 0), (6, *GREY.shape[1:]))), GREY[:6])
    with pytest.raises(DataError, match=r"late.tif: page 6 is a colour image"):
        volume.read(volume.whole)


def test_wrong_places_are_refused(tmp_path):
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no volume")
    for name, message in (
        ("missing.h5", "no such file"),
        ("folder.tif", "is a folder"),
        ("empty", "without PNG, TIFF or JPEG"),
        ("text.txt", "cannot tell the format"),
    ):
        with pytest.raises(DataError, match=message):
            open_volume(tmp_path / name)


def test_an_hdf5_file_with_several_volumes_asks_which(tmp_path):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["left"], file["right"] = GREY, GREY
    with pytest.raises(DataError, match="say which one"):
        open_volume(tmp_path / "two.h5")
    with pytest.raises(DataError, match="did you mean 'left'"):
        open_volume(tmp_path / "two.h5", "lefd")
    assert open_volume(tmp_path / "two.h5", "left").shape == GREY.shape


def test_axes_exchange_and_crop_stay_lazy_views(make_volume):
    volume = make_volume(GREY, voxel_size=(40, 4, 5)).crop(Region((1, 2, 3), (8, 19, 30)))
    for axis in (0, 1, 2):
        turned = volume.with_axis_first(axis)
        order = {0: (0, 1, 2), 1: (1, 0, 2), 2: (2, 1, 0)}[axis]
        np.testing.assert_array_equal(turned.read_raw(turned.whole), GREY[1:8, 2:19, 3:30].transpose(order))
        assert turned.with_axis_first(axis).shape == volume.shape
        assert tuple(turned.voxel_size) == tuple((40.0, 4.0, 5.0)[i] for i in order)


def test_a_full_copy_is_never_half_there(tmp_path, make_volume):
    """A copy that fails leaves neither the output nor temporary files."""
    bad = np.full((9, 8, 8), np.nan, np.float32)
    for name, write in (
        ("v.zarr", lambda p, v: copy_to_zarr(p, v, "uint8")),
        ("v.tif", lambda p, v: write_tiff(p, v, np.dtype(np.uint8))),
    ):
        with pytest.raises(DataError):
            write(tmp_path / name, make_volume(bad))
        assert list(tmp_path.iterdir()) == []
    shutil.rmtree(tmp_path)
