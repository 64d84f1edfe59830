"""What we write, read by other libraries and by ourselves, in every format."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import h5py
import mrcfile
import ngff_zarr
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_volumes import textured

from vemrecon.errors import ConfigError, OutputError
from vemrecon.volume import Made, SectionGrid, Volume, VoxelSize, open_volume, require_output, write_volume
from vemrecon.volume.catalogue import FORMATS
from vemrecon.volume.made import recall, source_of
from vemrecon.volume.volume import intensity_range_of
from vemrecon.volume.write import written_endings

GREY = textured((9, 20, 31))
SIZE = VoxelSize(40, 5, 4)
GRID = SectionGrid.kept_every(8, 2)
VOLUME = Volume(GREY, SIZE, "v", grid=GRID, origin=(80.0, 10.0, -8.0))
MADE = Made({"command": "reconstruct", "method": "bicubic", "scale": 8, "source": {"name": "my stäck.tif", "bytes": 7}})
DTYPES = ("uint8", "uint16", "int16", "float32")
NAMES = [f"v{ending}" for ending in written_endings()]


def written(folder, name, dtype="uint8", span=None, volume=VOLUME, **more):
    path = folder / name
    write_volume(path, volume, np.dtype(dtype), span, MADE, **more)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_place_grid_and_origin_are_kept(tmp_path, name):
    found = open_volume(written(tmp_path, name))
    np.testing.assert_array_equal(found.read_raw(found.whole), GREY)
    assert (found.voxel_size, found.origin, found.grid) == (SIZE, VOLUME.origin, GRID)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 9)] * 3),
    dtype=st.sampled_from(DTYPES),
    name=st.sampled_from(NAMES),
    size=st.none() | st.tuples(*[st.floats(0.5, 100).map(lambda n: round(n, 2))] * 3),
    span=st.none() | st.sampled_from([(0.0, 200.0), (10.0, 240.0)]),
)
def test_what_is_written_is_read_back_with_its_range(shape, dtype, name, size, span):
    voxels = np.random.default_rng(0).random(shape).astype(np.float32)
    source = Volume(voxels, VoxelSize(*size) if size else None, "v")
    with TemporaryDirectory() as folder:
        found = open_volume(written(Path(folder), name, dtype, span, source))
        low, high = span or intensity_range_of(np.dtype(dtype))
        assert found.span == (low, high)
        assert found.voxel_size == source.voxel_size or found.voxel_size.close_to(source.voxel_size)
        step = 1e-6 if dtype == "float32" else 0.51 / (high - low)
        assert np.abs(found.read(found.whole) - voxels).max() <= step


@pytest.mark.parametrize("name", NAMES)
def test_a_range_of_another_type_is_not_believed(tmp_path, name):
    path = written(tmp_path, name, "uint16", (0, 4095))
    assert open_volume(path).span == (0, 4095)
    facts = Made().facts(VOLUME, np.dtype(np.uint16), (0, 4095))
    assert recall(facts, np.dtype(np.uint8)).intensity_range is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["reading", "writing"])
def test_nothing_is_left_of_an_output_that_failed(tmp_path, name, when, monkeypatch):
    class Broken:
        shape, dtype = GREY.shape, GREY.dtype

        def __getitem__(self, index):
            raise OSError(28, "No space left on device") if when == "writing" else ValueError("damaged")

    monkeypatch.setattr(Volume, "read", lambda self, region: self.array[region.slices])
    with pytest.raises((OutputError, ValueError)):
        written(tmp_path, name, volume=Volume(Broken(), SIZE, "v"))
    assert not list(tmp_path.iterdir())


def test_ome_zarr_of_both_versions_is_valid_and_read_by_others(tmp_path):
    for version in ("0.5", "0.4"):
        path = written(tmp_path, f"v{version}.zarr", ome_zarr=version)
        image = ngff_zarr.from_ngff_zarr(path, validate=True, version=version).images[0]
        np.testing.assert_array_equal(np.asarray(image.data), GREY)
        assert [image.scale[axis] for axis in "zyx"] == list(SIZE)
        assert [image.translation[axis] for axis in "zyx"] == list(VOLUME.origin)
        driver = "zarr3" if version == "0.5" else "zarr"
        kvstore = {"driver": "file", "path": f"{path}/0/"}
        store = tensorstore.open({"driver": driver, "kvstore": kvstore}).result()
        np.testing.assert_array_equal(store.read().result(), GREY)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tiff_is_that_of_ome_and_that_of_imagej(tmp_path, dtype):
    path = written(tmp_path, "v.tif", dtype)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and file.is_imagej and [series.kind for series in file.series] == ["ome"]
        np.testing.assert_array_equal(file.asarray(), open_volume(path).read_raw(VOLUME.whole))
        ome = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        assert [ome["Pixels"][f"PhysicalSize{axis}"] for axis in "ZYX"] == list(SIZE)
        assert json.loads(ome["Description"])["vemrecon"]["made"]["source"]["name"] == "my stäck.tif"
        first, second = (tag for tag in file.pages.first.tags if tag.code == 270)
        assert first.value.endswith("OME>") and second.value.startswith("ImageJ=")
        assert "images=" not in second.value  # ImageJ would take compressed pages for one piece
        shown = file.imagej_metadata
        assert (shown["unit"], shown["spacing"], shown["slices"]) == ("nm", 40, 9)
        assert (shown["zorigin"], shown["xorigin"]) == (-2, 2)
        edges = [file.pages.first.tags[name].value for name in ("XResolution", "YResolution", "ResolutionUnit")]
        assert edges[0][1] / edges[0][0] == 4 and edges[1][1] / edges[1][0] == 5 and edges[2] == 1
    if dtype == "uint8":
        with Image.open(path) as pages:
            pages.seek(3)
            np.testing.assert_array_equal(np.asarray(pages), GREY[3])


def test_the_description_of_imagej_alone_says_the_same(tmp_path):
    """As ImageJ, which takes the last description."""
    path = written(tmp_path, "v.tif")
    with tifffile.TiffFile(path) as file:
        text = file.pages.first.description1
    tifffile.imwrite(tmp_path / "ij.tif", GREY, description=text, metadata=None, resolution=(1 / 4, 1 / 5),
                     resolutionunit="none", photometric="minisblack")  # fmt: skip
    found = open_volume(tmp_path / "ij.tif")
    assert (found.voxel_size, found.origin) == (SIZE, VOLUME.origin)


def test_hdf5_says_what_other_readers_look_for(tmp_path):
    with h5py.File(written(tmp_path, "v.h5"), "r") as file:
        data = file["raw"]
        np.testing.assert_array_equal(data[...], GREY)
        assert tuple(data.attrs["resolution"]) == tuple(SIZE) and tuple(data.attrs["offset"]) == VOLUME.origin
        assert tuple(data.attrs["element_size_um"]) == pytest.approx((0.04, 0.005, 0.004))
        assert [dimension.label for dimension in data.dims] == ["z", "y", "x"]
        made = json.loads(data.attrs["vemrecon"])["vemrecon"]["made"]
        assert (made["method"], made["scale"], made["source"]["bytes"]) == ("bicubic", 8, 7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mrc_is_valid_and_keeps_the_values(tmp_path, dtype, capsys):
    path = written(tmp_path, "v.mrc", dtype)
    assert mrcfile.validate(path), capsys.readouterr().out
    with mrcfile.open(path) as file:
        assert file.data.dtype == ("uint16" if dtype == "uint8" else dtype)
        expected = open_volume(path)
        np.testing.assert_array_equal(file.data, expected.read_raw(expected.whole))
        assert (file.header.dmin, file.header.dmax) == (file.data.min(), file.data.max())
        assert file.header.dmean == pytest.approx(file.data.mean(dtype=float), rel=1e-4, abs=1e-4)
        assert file.voxel_size.tolist() == (40, 50, 400) and file.header.origin.tolist() == (-80, 100, 800)
        assert file.get_labels()[0].startswith("vemrecon") and "bicubic scale 8 of my st?ck.tif" in file.get_labels()[0]
    assert expected.span == intensity_range_of(np.dtype(dtype))


def test_mrc_keeps_grid_and_range_beside_a_long_story_and_labels_of_others(tmp_path):
    path = tmp_path / "v.mrc"
    long = Made({**MADE.how, "arguments": {f"argument {n}": "x" * 60 for n in range(12)}})
    write_volume(path, VOLUME, np.dtype(np.uint16), (0, 4095), long)
    with mrcfile.open(path, mode="r+") as file:
        file.add_label("another program was here")
    found = open_volume(path)
    assert (found.span, found.grid) == ((0, 4095), GRID)


def test_outputs_that_cannot_be_written_are_refused_at_once(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"\.zarr, \.tif, \.h5, \.mrc"):
        require_output(tmp_path / "v.png")
    with pytest.raises(ConfigError, match=r"for outputs that end in \.zarr"):
        require_output(tmp_path / "v.tif", "0.4")
    monkeypatch.setitem(__import__("sys").modules, "mrcfile", None)
    with pytest.raises(ConfigError, match=r"pip install 'vemrecon\[mrc\]'"):
        require_output(tmp_path / "v.mrc")


def test_a_source_is_told_by_its_bytes_or_if_large_by_its_ends(tmp_path, monkeypatch):
    path = tmp_path / "v.npy"
    np.save(path, GREY)
    first = source_of(path, "raw")
    assert (first["name"], first["dataset"], first["bytes"]) == ("v.npy", "raw", path.stat().st_size)
    path.touch()
    assert source_of(path, "raw") == first
    monkeypatch.setattr("vemrecon.volume.made.WHOLE_BYTES", 100)
    monkeypatch.setattr("vemrecon.volume.made.END_BYTES", 64)
    ends = source_of(path)["sha256_of_ends"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert source_of(path)["sha256_of_ends"] != ends


def test_every_format_has_a_reader_and_distinct_endings():
    endings = [ending for one in FORMATS for ending in one.endings]
    assert len(endings) == len(set(endings)) and all(one.endings or one.inside for one in FORMATS)


def test_hdf5_stops_before_the_disk_is_full(tmp_path, monkeypatch):
    """HDF5 itself ends the process there."""
    full = SimpleNamespace(free=1000)
    monkeypatch.setattr("vemrecon.volume.hdf5_writer.shutil.disk_usage", lambda path: full)
    with pytest.raises(OutputError, match="the disk is full"):
        written(tmp_path, "v.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_ome_zarr_py_reads_what_we_write_and_we_what_it_writes(tmp_path, version):
    io = pytest.importorskip("ome_zarr.io", reason="ome-zarr brings clients of clouds along; install it to try this")
    from ome_zarr.format import format_from_version
    from ome_zarr.reader import Reader
    from ome_zarr.writer import write_image

    grey = textured((12, 40, 48))
    volume = Volume(grey, VoxelSize(40, 4, 4), "v", origin=(80.0, 8.0, 4.0))
    write_volume(tmp_path / "ours.zarr", volume, grey.dtype, ome_zarr=version)
    image = next(iter(Reader(io.parse_url(str(tmp_path / "ours.zarr")))()))
    steps = image.metadata["coordinateTransformations"][0]
    assert np.array_equal(np.asarray(image.data[0]), grey)
    assert [steps[0]["scale"], steps[1]["translation"]] == [[40, 4, 4], [80, 8, 4]]
    theirs = format_from_version(version)
    group = zarr.open_group(tmp_path / "theirs.zarr", mode="w", zarr_format=theirs.zarr_format)
    write_image(grey, group, fmt=theirs, axes=["z", "y", "x"])
    found = open_volume(tmp_path / "theirs.zarr")
    assert np.array_equal(found.read_raw(found.whole), grey) and found.voxel_size is None, "it says no unit"
