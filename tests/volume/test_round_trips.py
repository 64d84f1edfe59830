"""Whatever is stored in any type, chunking, byte order and order of axes is read back equal, or refused."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon.errors import VemreconError
from vemrecon.volume import Reading, Volume, VoxelSize, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr
from vemrecon.volume.tiff import write_tiff

GREY = ("u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8", ">f8", "<f2")
OTHER = ("i1", "<u4", ">i4", "<i8", "?")


@st.composite
def stored_arrays(draw):
    """An array, letters of its axes, and the position of the volume on those that are not of space."""
    others = draw(st.sampled_from(["", "c", "t", "tc"]))
    axes = "".join(draw(st.permutations("zyx" + others)))
    shape = tuple(draw(st.integers(1, 2) if axis in "ct" else st.integers(2, 9)) for axis in axes)
    dtype = np.dtype(draw(st.sampled_from([*GREY, *OTHER])))
    voxels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 100, shape).astype(dtype)
    at = {axis: draw(st.integers(0, n - 1)) for axis, n in zip(axes, shape, strict=True) if axis in "ct"}
    return voxels, axes, at, draw(st.integers(1, 9))


def as_volume(voxels, axes, at):
    index = tuple(at.get(axis, slice(None)) for axis in axes)
    space = [axis for axis in axes if axis in "zyx"]
    return np.transpose(voxels[index], [space.index(axis) for axis in "zyx"])


def write(kind, folder, voxels, axes, edge):
    chunks = tuple(min(edge, n) for n in voxels.shape)
    if kind == "npy":
        np.save(folder / "v.npy", voxels)
    elif kind == "h5":
        with h5py.File(folder / "v.h5", "w") as file:
            data = file.create_dataset("raw", data=voxels, chunks=chunks)
            data.attrs["axistags"] = json.dumps({"axes": [{"key": axis} for axis in axes]})
    elif kind == "v2.zarr":
        array = zarr.create_array(folder / "v2.zarr", shape=voxels.shape, dtype=voxels.dtype, chunks=chunks,
                                  zarr_format=2, config={"write_empty_chunks": True})  # fmt: skip
        array[...] = voxels
        array.attrs["_ARRAY_DIMENSIONS"] = list(axes)
    else:
        shards = tuple(2 * n for n in chunks)
        array = zarr.create_array(folder / "v3.zarr", shape=voxels.shape, dtype=voxels.dtype.newbyteorder("="),
                                  chunks=chunks, shards=shards, dimension_names=list(axes),
                                  config={"write_empty_chunks": True})  # fmt: skip
        array[...] = voxels
    return next(folder.iterdir())


@pytest.mark.parametrize("kind", ["npy", "h5", "v2.zarr", "v3.zarr"])
@settings(max_examples=40, deadline=None)
@given(stored=stored_arrays())
def test_what_is_stored_is_read_or_refused(kind, stored):
    voxels, axes, at, edge = stored
    with TemporaryDirectory() as name:
        path = write(kind, Path(name), voxels, axes, edge)
        reading = Reading(at.get("c"), at.get("t"), axes if kind == "npy" else None)
        if voxels.dtype.str in [np.dtype(dtype).str for dtype in GREY]:
            volume = open_volume(path, reading=reading)
            np.testing.assert_array_equal(volume.read_raw(volume.whole), as_volume(voxels, axes, at))
        else:
            with pytest.raises(VemreconError, match="not a grey-level type"):
                open_volume(path, reading=reading)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 9)] * 3),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    name=st.sampled_from(["v.zarr", "v.tif"]),
    size=st.none() | st.tuples(*[st.floats(1, 100).map(lambda n: round(n, 2))] * 3),
)
def test_what_we_write_is_read_back_equal(shape, dtype, name, size):
    voxels = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    voxels = voxels / np.float32(255) if dtype == "float32" else voxels
    source = Volume(voxels, VoxelSize(*size) if size else None, "v")
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name == "v.zarr":
            copy_to_zarr(path, source, dtype)
        else:
            write_tiff(path, source, np.dtype(dtype))
        found = open_volume(path)
        assert (found.dtype, found.voxel_size) == (source.dtype, source.voxel_size)
        assert np.abs(found.read_raw(found.whole).astype(float) - voxels).max() <= (1e-6 if dtype == "float32" else 0)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 9)] * 3),
    dtype=st.sampled_from(GREY),
    compression=st.sampled_from([None, "zlib"]),
    imagej=st.booleans(),
)
def test_tiff_of_any_type_and_byte_order(shape, dtype, compression, imagej):
    voxels = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    if imagej and voxels.dtype.str[1:] not in ("u1", "u2", "f4"):
        return  # ImageJ has no other types
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    more = {"imagej": True, "metadata": {"axes": "ZYX"}} if imagej else {"photometric": "minisblack"}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "v.tif"
        tifffile.imwrite(path, voxels, byteorder=order, compression=compression, **more)
        volume = open_volume(path)
        np.testing.assert_array_equal(volume.read_raw(volume.whole), voxels)
