"""Only what is understood is read: byte orders, axes, palettes, photometrics, links, names of sections."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from small_volumes import textured

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import Reading, Region, VoxelSize, open_volume

GREY = textured((9, 20, 31))
DEEP = GREY.astype(np.uint16) * 257


def voxels_of(path, dataset=None, **reading):
    volume = open_volume(path, dataset, reading=Reading(**reading))
    part = Region((2, 3, 4), (7, 11, 30))
    whole = volume.read_raw(volume.whole)
    np.testing.assert_array_equal(volume.read_raw(part), whole[part.slices])
    assert whole.dtype == volume.dtype and whole.dtype.isnative
    return whole


def write_npy(path, voxels):
    np.save(path, voxels)


def write_hdf5(path, voxels):
    with h5py.File(path, "w") as file:
        file["raw"] = voxels


def write_zarr2(path, voxels):
    zarr.create_array(path, data=voxels, zarr_format=2)


def write_zarr3(path, voxels):
    zarr.create_array(path, data=voxels, chunks=(4, 8, 8))


def write_tiff(path, voxels):
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    tifffile.imwrite(path, voxels, byteorder=order, compression="zlib", photometric="minisblack")


def write_plain_tiff(path, voxels):
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    tifffile.imwrite(path, voxels, byteorder=order, imagej=True, metadata={"axes": "ZYX"})


def write_folder(path, voxels):
    path.mkdir()
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    for z, section in enumerate(voxels):
        tifffile.imwrite(path / f"s{z:03}.tif", section, byteorder=order)


WRITERS = {
    "v.npy": write_npy,
    "v.h5": write_hdf5,
    "v2.zarr": write_zarr2,
    "v3.zarr": write_zarr3,
    "pages.tif": write_tiff,
    "stack.tif": write_plain_tiff,
    "sections": write_folder,
}


@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">i2", ">f4"])
@pytest.mark.parametrize("name", WRITERS)
def test_byte_orders_are_no_difference(tmp_path, name, dtype):
    voxels = (DEEP // 2).astype(dtype)
    WRITERS[name](tmp_path / name, voxels)
    np.testing.assert_array_equal(voxels_of(tmp_path / name), voxels)


@pytest.mark.parametrize("dtype", ["float64", ">f8", "float16"])
@pytest.mark.parametrize("name", ["v.npy", "v.h5", "v2.zarr"])
def test_other_floats_are_read_as_float32_and_it_is_said(tmp_path, name, dtype):
    voxels = (GREY / 255).astype(dtype)
    WRITERS[name](tmp_path / name, voxels)
    np.testing.assert_array_equal(voxels_of(tmp_path / name), voxels.astype(np.float32))
    (note,) = open_volume(tmp_path / name).notes
    assert "float32" in note and np.dtype(dtype).name in note


def palette_png(path, section, colour=False):
    order = np.random.default_rng(3).permutation(256).astype(np.uint8)
    palette = np.repeat(np.argsort(order).astype(np.uint8)[:, None], 3, axis=1)
    if colour:
        palette[:, 1] ^= 1
    image = Image.fromarray(order[section], mode="P")
    image.putpalette(palette.tobytes())
    image.save(path)


def test_grey_palettes_give_their_grey_levels_and_colours_are_refused(tmp_path):
    (tmp_path / "grey").mkdir()
    (tmp_path / "colour").mkdir()
    for z, section in enumerate(GREY):
        palette_png(tmp_path / "grey" / f"s{z}.png", section)
        palette_png(tmp_path / "colour" / f"s{z}.png", section, colour=True)
    np.testing.assert_array_equal(voxels_of(tmp_path / "grey"), GREY)
    with pytest.raises(DataError, match="palette image in colour"):
        open_volume(tmp_path / "colour")


def test_palettes_of_tiff_too(tmp_path):
    order = np.random.default_rng(3).permutation(256).astype(np.uint8)
    levels = np.argsort(order).astype(np.uint16) * 257
    stack = order[GREY]
    for name, colours in (("grey", [levels] * 3), ("colour", [levels, levels[::-1], levels])):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="palette", colormap=np.stack(colours))
        (tmp_path / name).mkdir()
        for z, section in enumerate(stack):
            file = tmp_path / name / f"s{z}.tif"
            tifffile.imwrite(file, section, photometric="palette", colormap=np.stack(colours))
    for name in ("grey.tif", "grey"):
        np.testing.assert_array_equal(voxels_of(tmp_path / name), GREY)
    for name in ("colour.tif", "colour"):
        with pytest.raises(DataError, match="palette image in colour"):
            open_volume(tmp_path / name).read_raw(Region((0, 0, 0), (1, 20, 31)))


@pytest.mark.parametrize("voxels", [GREY, DEEP], ids=["8 bits", "16 bits"])
def test_where_the_lowest_level_is_white_it_is_turned_and_said(tmp_path, voxels):
    white = np.iinfo(voxels.dtype).max
    tifffile.imwrite(tmp_path / "pages.tif", white - voxels, photometric="miniswhite", compression="zlib")
    (tmp_path / "sections").mkdir()
    for z, section in enumerate(white - voxels):
        tifffile.imwrite(tmp_path / "sections" / f"s{z}.tif", section, photometric="miniswhite")
    for name in ("pages.tif", "sections"):
        np.testing.assert_array_equal(voxels_of(tmp_path / name), voxels)
        assert "min-is-white" in open_volume(tmp_path / name).notes[0]


def test_integers_of_32_bits_are_never_wrapped_to_16(tmp_path):
    (tmp_path / "sections").mkdir()
    for z in range(3):
        tifffile.imwrite(tmp_path / "sections" / f"s{z}.tif", GREY[z].astype(np.int32) * 300)
    with pytest.raises(DataError, match="int32 is not a grey-level type"):
        open_volume(tmp_path / "sections")
    (tmp_path / "png").mkdir()
    for z, section in enumerate(DEEP):
        Image.fromarray(section).save(tmp_path / "png" / f"s{z}.png")
    np.testing.assert_array_equal(voxels_of(tmp_path / "png"), DEEP)


def test_channels_and_time_points_are_no_sections(tmp_path):
    for axes, word in (("CYX", "3 channels"), ("TYX", "3 time points")):
        path = tmp_path / f"{axes}.tif"
        tifffile.imwrite(path, GREY[:3], imagej=True, metadata={"axes": axes})
        with pytest.raises(DataError, match=f"one section with {word}, which are not sections.*--axes zyx"):
            open_volume(path)
        np.testing.assert_array_equal(open_volume(path, reading=Reading(axes="zyx")).read_raw(Region.of(
            [(0, 3), (0, 20), (0, 31)])), GREY[:3])  # fmt: skip


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_channel_of_a_tiff_is_chosen(tmp_path, compression):
    both = np.stack([GREY, 255 - GREY], axis=1)  # (z, c, y, x), as ImageJ stores it
    path = tmp_path / "v.tif"
    tifffile.imwrite(path, both, imagej=True, metadata={"axes": "ZCYX"}, compression=compression)
    with pytest.raises(DataError, match="2 channels; say which one with --channel 0 to 1"):
        open_volume(path)
    np.testing.assert_array_equal(voxels_of(path, channel=1), 255 - GREY)
    with pytest.raises(ConfigError, match="--channel 2"):
        open_volume(path, reading=Reading(channel=2))


def test_axes_that_a_file_names_are_believed(tmp_path):
    tags = {"axes": [{"key": key} for key in "zyxc"]}
    with h5py.File(tmp_path / "ilastik.h5", "w") as file:
        file["exported_data"] = GREY[..., None]
        file["exported_data"].attrs["axistags"] = json.dumps(tags)
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["v"] = GREY.transpose(2, 1, 0)
        file["v"].attrs["resolution"] = (4, 5, 40)
        for dimension, label in zip(file["v"].dims, "xyz", strict=True):
            dimension.label = label
    zarr.create_array(tmp_path / "named.zarr", data=np.stack([GREY, GREY[::-1]]), dimension_names=["c", "z", "y", "x"])
    xarray = zarr.create_array(tmp_path / "x.zarr", data=GREY.transpose(1, 0, 2), zarr_format=2)
    xarray.attrs["_ARRAY_DIMENSIONS"] = ["y", "z", "x"]
    for name in ("ilastik.h5", "labels.h5", "x.zarr"):
        np.testing.assert_array_equal(voxels_of(tmp_path / name), GREY)
    assert tuple(open_volume(tmp_path / "labels.h5").voxel_size) == (40, 5, 4)
    np.testing.assert_array_equal(voxels_of(tmp_path / "named.zarr", channel=1), GREY[::-1])
    with pytest.raises(DataError, match="--channel 0 to 1"):
        open_volume(tmp_path / "named.zarr")


def test_axes_that_nobody_names_are_asked_for(tmp_path):
    np.save(tmp_path / "one.npy", GREY[None, ..., None])
    np.testing.assert_array_equal(voxels_of(tmp_path / "one.npy"), GREY)
    np.save(tmp_path / "two.npy", np.stack([GREY, 255 - GREY]))
    with pytest.raises(DataError, match=r"does not name its axes.*--axes czyx"):
        open_volume(tmp_path / "two.npy")
    np.testing.assert_array_equal(voxels_of(tmp_path / "two.npy", axes="czyx", channel=1), 255 - GREY)
    np.testing.assert_array_equal(voxels_of(tmp_path / "two.npy", axes="tzyx", time=0), GREY)
    np.save(tmp_path / "xyz.npy", GREY.transpose(2, 1, 0))
    np.testing.assert_array_equal(voxels_of(tmp_path / "xyz.npy", axes="xyz"), GREY)
    for axes in ("zyx", "zzyx", "qzyx"):
        with pytest.raises(ConfigError, match=f"--axes {axes}"):
            open_volume(tmp_path / "two.npy", reading=Reading(axes=axes))
    band = zarr.create_array(tmp_path / "band.zarr", data=GREY, zarr_format=2)
    band.attrs["_ARRAY_DIMENSIONS"] = ["band", "y", "x"]
    with pytest.raises(DataError, match="if 'band' counts sections, say --axes zyx"):
        open_volume(tmp_path / "band.zarr")


def write_image(group, voxels, scale=(0.04, 0.004, 0.004)):
    axes = [*({"name": n, "type": t} for n, t in (("t", "time"), ("c", "channel"))),
            *({"name": n, "type": "space", "unit": "micrometer"} for n in "zyx")]  # fmt: skip
    steps = [[{"type": "scale", "scale": [1, 1, *(edge * k for edge in scale)]}] for k in (1, 2)]
    datasets = [{"path": str(n), "coordinateTransformations": step} for n, step in enumerate(steps)]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.create_array("0", data=voxels[None, None])
    group.create_array("1", data=voxels[None, None, ::2, ::2, ::2])


def test_bioformats2raw_output_gives_its_only_image_and_every_hint_works(tmp_path):
    path = tmp_path / "bf.zarr"
    root = zarr.create_group(path, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    root.create_group("OME").attrs["series"] = ["0"]
    write_image(root.create_group("0"), GREY)
    for hint in (None, "0", "0/0", "/0/0/"):
        volume = open_volume(path, hint)
        np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY)
        assert tuple(volume.voxel_size) == pytest.approx((40, 4, 4))
    assert tuple(open_volume(path, "0/1").voxel_size) == pytest.approx((80, 8, 8))
    assert tuple(open_volume(path / "0", "1").voxel_size) == pytest.approx((80, 8, 8))
    assert tuple(open_volume(path / "0" / "1").voxel_size) == pytest.approx((80, 8, 8))
    with pytest.raises(DataError, match=r"unknown array or image '0/7'.*'0/"):
        open_volume(path, "0/7")
    write_image(root.create_group("1"), 255 - GREY)
    with pytest.raises(DataError, match="2 arrays or images are 3D; say which one"):
        open_volume(path)
    np.testing.assert_array_equal(voxels_of(path, "1"), 255 - GREY)


def test_links_of_hdf5_are_followed_by_name(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["deep/raw"] = GREY
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["volumes/real"] = GREY
        file["soft"] = h5py.SoftLink("/volumes/real")
        file["volumes/beside"] = h5py.SoftLink("real")
        file["outer"] = h5py.ExternalLink("other.h5", "/deep")
        file["gone"] = h5py.ExternalLink("nothing.h5", "/raw")
        file["circle"] = h5py.SoftLink("/circle")
    for name in ("volumes/real", "soft", "volumes/beside", "outer/raw"):
        np.testing.assert_array_equal(voxels_of(tmp_path / "v.h5", name), GREY)
    with pytest.raises(DataError, match=r"is a link to nothing.h5, which is not there"):
        open_volume(tmp_path / "v.h5", "gone")
    with pytest.raises(DataError, match="unknown dataset 'circle'"):
        open_volume(tmp_path / "v.h5", "circle")
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["data/0"] = GREY
        file["default"] = h5py.SoftLink("/data/0")
    np.testing.assert_array_equal(voxels_of(tmp_path / "one.h5"), GREY)


def test_hdf5_files_read_nothing_outside_of_their_folder(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(256)) * 30)
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "beside.bin").write_bytes(GREY.tobytes())
    (folder / "short.bin").write_bytes(GREY.tobytes()[:-1])
    (folder / "link.bin").symlink_to(secret)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file["raw"] = GREY
    with h5py.File(folder / "v.h5", "w") as file:
        for name, place in (("far", secret), ("up", "../secret.bin"), ("link", "link.bin"), ("near", "beside.bin"),
                            ("short", "short.bin")):  # fmt: skip
            file.create_dataset(name, GREY.shape, np.uint8, external=[(str(place), 0, GREY.size)])
        file["outer"] = h5py.ExternalLink("../outside.h5", "/raw")
    for name in ("far", "up", "link", "outer"):
        with pytest.raises(DataError, match="outside of its folder"):
            open_volume(folder / "v.h5", name)
    with pytest.raises(DataError, match="too short"):
        open_volume(folder / "v.h5", "short")
    np.testing.assert_array_equal(voxels_of(folder / "v.h5", "near"), GREY)


def test_a_compression_that_h5py_lacks_says_what_to_install(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("raw", data=GREY, compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    with pytest.raises(DataError, match="pip install hdf5plugin"):
        open_volume(tmp_path / "v.h5")


def write_pngs(folder, names):
    folder.mkdir()
    for name, section in zip(names, GREY, strict=False):
        Image.fromarray(section).save(folder / name)


def test_the_number_that_varies_counts_sections(tmp_path):
    write_pngs(tmp_path / "late", [f"img_z{z:03}_4nm.png" for z in range(9)])
    write_pngs(tmp_path / "two", [f"z{z}_at_{40 * z}nm.png" for z in range(9)])
    for name in ("late", "two"):
        np.testing.assert_array_equal(voxels_of(tmp_path / name), GREY)
    write_pngs(tmp_path / "odd", [f"z{z}_at_{(5 * z) % 9}.png" for z in range(9)])
    with pytest.raises(DataError, match="different orders"):
        open_volume(tmp_path / "odd")
    write_pngs(tmp_path / "grid", [f"y{z // 3}_x{z % 3}.png" for z in range(9)])
    with pytest.raises(DataError, match="same section number"):
        open_volume(tmp_path / "grid")


def test_hidden_files_and_images_without_a_number_are_no_sections(tmp_path):
    write_pngs(tmp_path / "mac", [f"s{z}.png" for z in range(9)])
    (tmp_path / "mac" / "._s3.png").write_bytes(b"resource fork")
    np.testing.assert_array_equal(voxels_of(tmp_path / "mac"), GREY)
    assert open_volume(tmp_path / "mac").notes == ()
    Image.fromarray(GREY[0, :4, :4]).save(tmp_path / "mac" / "thumb.png")
    np.testing.assert_array_equal(voxels_of(tmp_path / "mac"), GREY)
    assert "thumb.png" in open_volume(tmp_path / "mac").notes[0]


def test_micrometres_are_not_taken_for_nanometres(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["raw"] = GREY
        file["raw"].attrs["resolution"] = (0.04, 0.004, 0.004)
    with pytest.raises(DataError, match=r"attribute resolution.*smaller than atoms.*--voxel-size 40 4 4"):
        open_volume(tmp_path / "v.h5")
    with pytest.raises(DataError, match="smaller than atoms"):
        open_volume(tmp_path / "v.h5", voxel_size=VoxelSize(0.04, 0.004, 0.004))
    assert tuple(open_volume(tmp_path / "v.h5", voxel_size=VoxelSize(40, 4, 4)).voxel_size) == (40, 4, 4)


def test_pages_of_different_sizes_are_no_shorter_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "v.tif") as file:
        file.write(GREY, photometric="minisblack", metadata=None)
        file.write(GREY[0, :5, :5], photometric="minisblack", metadata=None)
    with pytest.raises(DataError, match=r"holds 2 images, or pages of different sizes.*--dataset 0"):
        open_volume(tmp_path / "v.tif")
    np.testing.assert_array_equal(voxels_of(tmp_path / "v.tif", "0"), GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_sections_that_were_saved_in_colour_are_read_and_others_refused(tmp_path, mode):
    for z, section in enumerate(GREY):
        Image.fromarray(section).convert(mode).save(tmp_path / f"s{z}.png")
    np.testing.assert_array_equal(voxels_of(tmp_path), GREY)
    if mode != "LA":
        Image.fromarray(np.dstack([GREY[4], GREY[4] // 2, GREY[4]])).convert(mode).save(tmp_path / "s4.png")
        with pytest.raises(DataError, match=r"s4\.png: .*not a grey section"):
            voxels_of(tmp_path)
