"""Formats of other programs, written by other libraries: voxels, and what the files say about them."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import mrcfile
import nibabel
import nrrd
import numpy as np
import pytest
import tensorstore
import wkw
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_volumes import textured

from vemrecon.errors import ConfigError, DataError, VemreconError
from vemrecon.volume import Reading, VoxelSize, open_source, open_volume

GREY = textured((9, 20, 31))
SIZE = VoxelSize(40, 5, 4)


def voxels(path, dataset=None, **reading):
    volume = open_volume(path, dataset, reading=Reading(**reading))
    return volume.read_raw(volume.whole)


def write_mrc(path, data, size=SIZE, **header):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data)
        file.voxel_size = tuple(10 * edge for edge in (size.x, size.y, size.z)) if size else 0
        for name, value in header.items():
            file.header[name] = value


def imod_stamp(path, flags):
    """What IMOD writes into the words that the standard leaves free."""
    data = bytearray(path.read_bytes())
    data[152:160] = np.array([1146047817, flags], "<i4").tobytes()
    path.write_bytes(data)


def write_nifti(path, data, affine, unit="micron", **header):
    image = nibabel.Nifti1Image(np.ascontiguousarray(data.T), affine)
    if unit:
        image.header.set_xyzt_units(unit)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)


AFFINE = np.diag([0.004, 0.005, 0.04, 1.0])


def write_n5(folder, data, block=(16, 16, 4), **attributes):
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder}/"}, "metadata": {
        "dimensions": list(data.shape[::-1]), "blockSize": list(block), "dataType": data.dtype.name,
        "compression": {"type": "gzip"}}}  # fmt: skip
    store = tensorstore.open(spec, create=True).result()
    store[...] = data.T
    file = folder / "attributes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **attributes}))


def write_precomputed(folder, data, offset=(10, 20, 3), encoding="raw", sharding=None, channels=1, chunk=(16, 16, 4)):
    more = {"sharding": sharding} if sharding else {}
    scale = {"size": list(data.shape[:-4:-1]), "resolution": [4, 5, 40], "encoding": encoding,
             "chunk_size": list(chunk), "voxel_offset": list(offset)} | more  # fmt: skip
    spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": {"type": "image", "data_type": data.dtype.name, "num_channels": channels},
            "scale_metadata": scale}  # fmt: skip
    store = tensorstore.open(spec, create=True).result()
    store[...] = data.T if data.ndim == 4 else data.T[..., None]


def write_wkw(root, data, start=(5, 6, 7), mag="1", unit=None, edge=(16, 4)):
    folder = root / "color" / mag
    header = wkw.Header(data.dtype.type, block_len=edge[0], file_len=edge[1])
    with wkw.Dataset.create(str(folder), header) as store:
        store.write(list(start), np.asfortranarray(data.T))
    z, y, x = data.shape
    box = {"topLeft": list(start), "width": x, "height": y, "depth": z}
    scale = {"factor": [4, 5, 40], "unit": unit} if unit else [4, 5, 40]
    layer = {"name": "color", "category": "color", "boundingBox": box}
    facts = {"dataLayers": [layer, {"name": "cells", "category": "segmentation", "boundingBox": box}], "scale": scale}
    (root / "datasource-properties.json").write_text(json.dumps(facts))


WRITERS = {
    "v.mrc": lambda path: write_mrc(path, GREY.astype(np.int16)),
    "v.nii": lambda path: write_nifti(path, GREY, AFFINE),
    "v.nii.gz": lambda path: write_nifti(path, GREY, AFFINE),
    "v.nrrd": lambda path: nrrd.write(
        str(path), GREY.T, {"spacings": [4, 5, 40], "units": ["nm"] * 3}, compression_level=1
    ),
    "v.n5": lambda path: write_n5(path / "volumes" / "raw", GREY, resolution=[4, 5, 40]),
    "v": lambda path: write_precomputed(path, GREY),
    "knossos": lambda path: write_wkw(path, GREY),
    "v.npz": lambda path: np.savez_compressed(path, raw=GREY),
}


@pytest.mark.parametrize("name", WRITERS)
def test_voxels_and_their_size_are_read(tmp_path, name):
    WRITERS[name](tmp_path / name)
    np.testing.assert_array_equal(voxels(tmp_path / name), GREY)
    found = open_source(tmp_path / name)
    assert found.edges.size == (None if name == "v.npz" else SIZE)
    assert bool(found.edges.said) == (name != "v.npz")


@pytest.mark.parametrize("name", ["v.mrc", "v.nii", "v.nii.gz", "v.nrrd", "v.npz"])
@pytest.mark.parametrize("share", [0.02, 0.6, 0.97])
def test_truncated_files_are_refused(tmp_path, name, share):
    path = tmp_path / name
    WRITERS[name](path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=name):
        voxels(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_package_is_one_line_that_says_what_to_install(tmp_path, name, monkeypatch):
    WRITERS[name](tmp_path / name)
    for package in ("mrcfile", "nibabel", "nrrd", "tensorstore", "wkw"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    if name == "v.npz":
        assert voxels(tmp_path / name).shape == GREY.shape
        return
    with pytest.raises(ConfigError, match=r"pip install 'vemrecon\["):
        open_volume(tmp_path / name)


def claim_mrc(path):
    write_mrc(path, GREY.astype(np.int16))
    data = bytearray(path.read_bytes())
    data[:12] = np.array([10**5] * 3, "<i4").tobytes()
    data[36:40] = np.array(10**5, "<i4").tobytes()  # mz
    path.write_bytes(data)


def claim_nifti(path, packed):
    write_nifti(path, GREY, AFFINE)
    data = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    data[42:48] = np.array([30000] * 3, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(data)) if packed else data)


def claim_nrrd(path, encoding):
    text = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 100000 100000 100000\nencoding: {encoding}\n\n"
    path.write_bytes(text.encode() + gzip.compress(b"x"))


def claim_npz(path):
    np.savez_compressed(path, raw=np.zeros((2, 3, 4), np.uint8))
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**5,) * 3})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("raw.npy", header.getvalue() + b"x")


CLAIMS = {
    "v.mrc": claim_mrc,
    "v.nii": lambda path: claim_nifti(path, False),
    "v.nii.gz": lambda path: claim_nifti(path, True),
    "raw.nrrd": lambda path: claim_nrrd(path, "raw"),
    "packed.nrrd": lambda path: claim_nrrd(path, "gzip"),
    "v.npz": claim_npz,
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_of_many_voxels_is_refused_and_allocates_nothing(tmp_path, name):
    CLAIMS[name](tmp_path / name)
    with pytest.raises(DataError, match=r"truncated|GiB"):
        open_volume(tmp_path / name)


def test_folders_that_claim_many_voxels_are_refused(tmp_path):
    write_n5(tmp_path / "v.n5", GREY)
    (tmp_path / "v.n5" / "attributes.json").write_text(json.dumps({
        "dimensions": [10**5] * 3, "blockSize": [16, 16, 4], "dataType": "uint8", "compression": {"type": "gzip"}
    }))  # fmt: skip
    write_wkw(tmp_path / "knossos", GREY)
    file = tmp_path / "knossos" / "datasource-properties.json"
    file.write_text(file.read_text().replace('"width": 31', '"width": 1000000000'))
    write_precomputed(tmp_path / "v", GREY)
    info = json.loads((tmp_path / "v" / "info").read_text())
    info["scales"][0]["size"] = [10**5] * 3
    (tmp_path / "v" / "info").write_text(json.dumps(info))
    for name in ("v.n5", "knossos", "v"):
        with pytest.raises(DataError, match="are not stored"):
            open_volume(tmp_path / name)


@st.composite
def stored(draw):
    """A volume and how it is cut into chunks."""
    shape = draw(st.tuples(*[st.integers(2, 9)] * 3))
    dtype = np.dtype(draw(st.sampled_from(["u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8", "i1", "<u4", "<i8"])))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(1, 100, shape).astype(dtype)
    return values, draw(st.tuples(*[st.integers(1, 9)] * 3))


def write_any(folder, kind, data, chunk):
    path = folder / f"v.{kind}"
    native = data.astype(data.dtype.newbyteorder("="))
    if kind == "mrc":
        write_mrc(path, data)
    elif kind == "nii":
        header = nibabel.Nifti1Header(endianness=">" if data.dtype.str[0] == ">" else "<")
        header.set_data_dtype(data.dtype)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(data.T), AFFINE, header, dtype=data.dtype), path)
    elif kind == "nrrd":
        nrrd.write(str(path), data.T, {"encoding": "raw" if chunk[0] % 2 else "gzip"})
    elif kind == "n5":
        write_n5(path, native, block=chunk)
    elif kind == "npz":
        np.savez(path, np.asfortranarray(data) if chunk[0] % 2 else data)
    else:
        write_precomputed(path, native, chunk=chunk)
    return path


@pytest.mark.parametrize("kind", ["mrc", "nii", "nrrd", "n5", "npz", "precomputed"])
@settings(max_examples=25, deadline=None)
@given(stored=stored())
def test_any_type_byte_order_and_chunking_is_read_equal_or_refused(kind, stored):
    values, chunk = stored
    with TemporaryDirectory() as name:
        try:
            path = write_any(Path(name), kind, values, chunk)
        except (ValueError, TypeError, KeyError):
            return  # the format, or the library, has no such type
        refused = values.dtype.str[1:] in ("i1", "u4", "i8") and not (kind == "mrc" and values.dtype == "i1")
        if refused:
            with pytest.raises(VemreconError, match=r"grey[- ]level"):
                open_volume(path)
        else:
            np.testing.assert_array_equal(voxels(path), values.astype("f4") if values.dtype.kind == "f" else values)


# MRC


def test_bytes_of_mrc_are_signed_as_imod_or_the_header_says(tmp_path):
    path = tmp_path / "v.mrc"
    write_mrc(path, GREY.view(np.int8), dmin=0, dmax=255)
    np.testing.assert_array_equal(voxels(path), GREY)
    write_mrc(path, GREY.view(np.int8), dmin=-128, dmax=127)
    signed = open_volume(path)
    np.testing.assert_array_equal(signed.read_raw(signed.whole), GREY.view(np.int8))
    assert (signed.dtype, signed.span, signed.stated) == (np.int16, (-128, 127), True)
    write_mrc(path, GREY.view(np.int8), dmin=0, dmax=-1)
    np.testing.assert_array_equal(voxels(path), GREY)
    write_mrc(path, (GREY.astype(int) - 128).astype(np.int8), dmin=0, dmax=-1)
    assert voxels(path).min() < 0
    write_mrc(path, GREY.view(np.int8))
    imod_stamp(path, 0)
    assert any("unsigned, as the flags of IMOD say" in note for note in open_source(path).notes)
    np.testing.assert_array_equal(voxels(path), GREY)
    imod_stamp(path, 1)
    np.testing.assert_array_equal(voxels(path), GREY.view(np.int8))
    imod_stamp(path, 16)
    with pytest.raises(DataError, match="4 bits"):
        open_volume(path)


@pytest.mark.parametrize("dtype", ["i2", "u2", "f4", "f2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_modes_and_byte_orders_of_mrc(tmp_path, dtype, order):
    data = (GREY / 255 if dtype[0] == "f" else GREY).astype(order + dtype)
    write_mrc(tmp_path / "v.map", data)
    np.testing.assert_array_equal(voxels(tmp_path / "v.map"), data.astype("f4" if dtype[0] == "f" else dtype))


def test_axes_and_origin_of_mrc(tmp_path):
    path = tmp_path / "v.rec"
    turned = np.ascontiguousarray(GREY.transpose(1, 2, 0)).astype(np.int16)  # sections along y, rows along x
    write_mrc(path, turned, None, mapc=3, mapr=1, maps=2)
    with mrcfile.open(path, mode="r+") as file:
        file.header.mx, file.header.my, file.header.mz = 31, 20, 9
        file.header.cella = (31 * 40, 20 * 50, 9 * 400)
        file.header.origin = (80, 100, -1200)
    np.testing.assert_array_equal(voxels(path), GREY)
    found = open_source(path)
    assert (found.edges.size, found.origin) == (SIZE, (-120, 10, 8))
    imod_stamp(path, 0)
    assert open_source(path).origin == (120, -10, -8)
    imod_stamp(path, 4)
    assert open_source(path).origin == (-120, 10, 8)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_an_mrc_cell_that_nobody_has_set_is_no_voxel_size(tmp_path, edge):
    write_mrc(tmp_path / "v.mrc", GREY.astype(np.int16), VoxelSize(0.1, 0.1, 0.1) if edge else None)
    found = open_source(tmp_path / "v.mrc")
    assert found.edges.size is None and (not edge or "edges of 1" in " ".join(found.edges.unused))


def test_an_extended_header_is_skipped_and_a_longer_file_is_said(tmp_path):
    path = tmp_path / "v.mrc"
    with mrcfile.new(path) as file:
        file.set_data(GREY.astype(np.int16))
        file.set_extended_header(np.frombuffer(b"SERI" * 100, dtype="V1"))
    np.testing.assert_array_equal(voxels(path), GREY)
    path.write_bytes(path.read_bytes() + b"more")
    assert any("larger than expected" in note for note in open_source(path).notes)


def test_other_files_of_these_names_and_complex_ones_are_refused(tmp_path):
    (tmp_path / "v.map").write_text("a road map\n" * 200)
    write_mrc(tmp_path / "v.mrc", GREY.astype(np.complex64))
    write_mrc(tmp_path / "one.mrc", GREY[0].astype(np.int16))
    with pytest.raises(DataError, match="not an MRC file"):
        open_volume(tmp_path / "v.map")
    with pytest.raises(DataError, match="not a grey-level type"):
        open_volume(tmp_path / "v.mrc")
    with pytest.raises(DataError, match="one section"):
        open_volume(tmp_path / "one.mrc")


# NIfTI and NRRD


def test_affines_that_turn_axes_or_count_down(tmp_path):
    path = tmp_path / "v.nii"
    turned = np.zeros((4, 4))
    turned[2, 0], turned[1, 1], turned[0, 2], turned[3, 3] = 0.04, 0.005, 0.004, 1  # array axes are z, y, x
    write_nifti(path, np.ascontiguousarray(GREY.T), turned)
    np.testing.assert_array_equal(voxels(path), GREY)
    assert open_source(path).edges.size == SIZE
    lps = np.diag([-0.004, -0.005, 0.04, 1.0])
    lps[:3, 3] = -0.008, -0.01, 0.08
    write_nifti(path, GREY, lps)
    np.testing.assert_array_equal(voxels(path), GREY)
    assert open_source(path).origin == pytest.approx((80, 10, 8))
    write_nifti(path, GREY, np.diag([0.004, -0.005, 0.04, 1.0]))
    assert not any(open_source(path).origin) and "go down along y" in " ".join(open_source(path).notes)
    tilted = AFFINE.copy()
    tilted[0, 1] = 0.002
    write_nifti(path, GREY, tilted)
    assert "turned in space" in " ".join(open_source(path).notes)


def test_nifti_units_that_cannot_be_meant_are_no_voxel_size(tmp_path):
    path = tmp_path / "v.nii"
    for unit, affine, note in (
        (None, AFFINE, "without a unit"),
        ("mm", np.eye(4), "edges of 1"),
        ("mm", np.diag([4, 5, 40, 1.0]), "far too large"),
    ):
        write_nifti(path, GREY, affine, unit)
        found = open_source(path)
        assert found.edges.size is None and note in " ".join(found.edges.unused)
    write_nifti(path, GREY, AFFINE, pixdim=[1, 0.004, 0.004, 0.04, 0, 0, 0, 0])
    found = open_source(path)
    assert found.edges.size is None and "contradict each other" in " ".join(found.edges.unused)


def test_scaled_nifti_is_read_as_it_is_meant(tmp_path):
    path = tmp_path / "v.nii"
    write_nifti(path, GREY.astype(np.int16), AFFINE)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, 3], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(data)
    np.testing.assert_array_equal(voxels(path), nibabel.load(path).get_fdata().T)
    assert "scaled by 0.5 and moved by 3" in " ".join(open_source(path).notes)


def test_channels_and_times_of_nifti_are_chosen(tmp_path):
    both = np.stack([GREY, 255 - GREY])
    write_nifti(tmp_path / "v.nii", both, AFFINE)
    np.testing.assert_array_equal(voxels(tmp_path / "v.nii", time=1), both[1])
    with pytest.raises(DataError, match="--time 0 to 1"):
        open_volume(tmp_path / "v.nii")
    write_nifti(tmp_path / "c.nii", both[:, None], AFFINE)
    np.testing.assert_array_equal(voxels(tmp_path / "c.nii", channel=1), both[1])
    rgb = np.zeros(GREY.T.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, AFFINE), tmp_path / "rgb.nii")
    with pytest.raises(DataError, match="no grey levels"):
        open_volume(tmp_path / "rgb.nii")


@pytest.mark.parametrize("kind", ["nii", "nrrd"])
@pytest.mark.parametrize("dtype", [">u2", "<i2", ">f4", "<f8", "i1", "<u4"])
def test_types_and_byte_orders(tmp_path, kind, dtype):
    data = (GREY / 255 if "f" in dtype else GREY // 2).astype(dtype)
    path = tmp_path / f"v.{kind}"
    if kind == "nii":
        header = nibabel.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
        header.set_data_dtype(data.dtype)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(data.T), AFFINE, header), path)
    else:
        nrrd.write(str(path), data.T, {"encoding": "raw"})
    if dtype in ("i1", "<u4"):
        with pytest.raises(DataError, match="not a grey-level type"):
            open_volume(path)
    else:
        np.testing.assert_array_equal(voxels(path), data.astype("f4" if "f" in dtype else data.dtype))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_a_detached_nrrd_reads_files_beside_and_no_others(tmp_path, encoding):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "v.nhdr"
    header = {"space": "left-posterior-superior", "space directions": np.diag([4.0, 5, 40]), "space units": ["nm"] * 3,
              "space origin": [8, 10, 80], "encoding": encoding}  # fmt: skip
    nrrd.write(str(path), GREY.T.astype(np.uint16), header, detached_header=True)
    np.testing.assert_array_equal(voxels(path), GREY)
    found = open_source(path)
    assert (found.edges.size, found.origin) == (SIZE, (80, 10, 8))
    data = next(p for p in path.parent.iterdir() if p != path)
    text = path.read_text()
    for name in (f"../{data.name}", str(data.resolve())):
        path.write_text(text.replace(data.name, name))
        data.rename(tmp_path / data.name) if name.startswith("..") else None
        with pytest.raises(DataError, match=r"outside of its folder|not there"):
            open_volume(path)
    path.write_text(text.replace(data.name, "LIST"))
    with pytest.raises(DataError, match="several files"):
        open_volume(path)


def test_skips_of_nrrd(tmp_path):
    (tmp_path / "v.raw").write_bytes(b"a line\nanother\n12345" + GREY.tobytes())
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 31 20 9\nencoding: raw\n"
    (tmp_path / "v.nhdr").write_text(f"{head}line skip: 2\nbyte skip: 5\ndata file: v.raw\n")
    np.testing.assert_array_equal(voxels(tmp_path / "v.nhdr"), GREY)
    (tmp_path / "v.nhdr").write_text(f"{head}byte skip: -1\ndata file: v.raw\n")
    np.testing.assert_array_equal(voxels(tmp_path / "v.nhdr"), GREY)
    (tmp_path / "v.nhdr").write_text(f"{head.replace('raw', 'ascii')}data file: v.raw\n")
    with pytest.raises(DataError, match="save it as raw or gzip"):
        open_volume(tmp_path / "v.nhdr")


def test_kinds_and_units_of_nrrd(tmp_path):
    both = np.stack([GREY, 255 - GREY])
    path = tmp_path / "v.nrrd"
    header = {
        "kinds": ["domain", "domain", "domain", "list"],
        "spacings": [4, 5, 40, np.nan],
        "units": ["nm"] * 3 + [""],
    }
    nrrd.write(str(path), both.T, header)
    np.testing.assert_array_equal(voxels(path, channel=1), both[1])
    assert open_source(path, reading=Reading(channel=0)).edges.size == SIZE
    nrrd.write(str(path), GREY.T, {"spacings": [4, 5, 40]})
    found = open_source(path)
    assert found.edges.size is None and "without a unit" in " ".join(found.edges.unused)


# N5, precomputed, WKW


@pytest.mark.parametrize(
    ("group", "own"),
    [
        ({}, {"pixelResolution": {"dimensions": [0.004, 0.005, 0.04], "unit": "um"}}),
        ({}, {"resolution": [0.004, 0.005, 0.04], "units": ["um"] * 3}),
        ({"pixelResolution": {"dimensions": [4, 5, 40], "unit": "nm"}}, {}),
        ({"resolution": [2, 2.5, 20]}, {"downsamplingFactors": [2, 2, 2]}),
        (
            {},
            {
                "transform": {
                    "axes": ["z", "y", "x"],
                    "scale": [40, 5, 4],
                    "translate": [80, 10, 8],
                    "units": ["nm"] * 3,
                }
            },
        ),
    ],
)
def test_attributes_of_n5_and_of_its_group(tmp_path, group, own):
    write_n5(tmp_path / "v.n5" / "em" / "s0", GREY, **own)
    (tmp_path / "v.n5" / "em" / "attributes.json").write_text(json.dumps(group))
    found = open_source(tmp_path / "v.n5")
    assert (found.edges.size, found.dataset) == (SIZE, "em/s0")
    assert found.origin == ((80, 10, 8) if "transform" in own else (0, 0, 0))


def test_missing_blocks_of_n5_are_counted(tmp_path):
    write_n5(tmp_path / "v.n5", GREY)
    next((tmp_path / "v.n5").glob("1/1/*")).unlink()
    with pytest.raises(DataError, match="1 of 12 blocks are not stored"):
        open_volume(tmp_path / "v.n5")
    found = open_volume(tmp_path / "v.n5", reading=Reading(missing="fill"))
    assert (found.read_raw(found.whole) == 0).any() and "1 of 12" in " ".join(found.notes)


def test_several_datasets_of_n5_are_named(tmp_path):
    write_n5(tmp_path / "v.n5" / "a", GREY)
    write_n5(tmp_path / "v.n5" / "b", 255 - GREY)
    with pytest.raises(DataError, match=r"--dataset \(a, b\)"):
        open_volume(tmp_path / "v.n5")
    np.testing.assert_array_equal(voxels(tmp_path / "v.n5", "b"), 255 - GREY)
    np.testing.assert_array_equal(voxels(tmp_path / "v.n5" / "b"), 255 - GREY)
    with pytest.raises(DataError, match="did you mean"):
        open_volume(tmp_path / "v.n5", "bb")


def test_missing_chunks_of_precomputed_are_counted(tmp_path):
    write_precomputed(tmp_path / "v", GREY)
    assert open_source(tmp_path / "v").origin == (120, 100, 40)
    chunk = next((tmp_path / "v").glob("*/10-26_20-36*"))
    chunk.with_name(f"{chunk.name}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
    chunk.unlink()
    with pytest.raises(DataError, match=r"1 of 12 chunks are not stored \(1 are kept as .gz"):
        open_volume(tmp_path / "v")


@pytest.mark.parametrize("bits", [(0, 0, 1), (0, 0, 4), (1, 2, 1), (0, 1, 3)])
@pytest.mark.parametrize("packed", ["raw", "gzip"])
def test_missing_shards_of_precomputed_are_counted(tmp_path, bits, packed):
    """tensorstore says so for some of these, and gives black for the others."""
    sharding = {"@type": "neuroglancer_uint64_sharded_v1", "hash": "murmurhash3_x86_128" if bits[2] < 4 else "identity",
                "preshift_bits": bits[0], "minishard_bits": bits[1], "shard_bits": bits[2],
                "minishard_index_encoding": packed, "data_encoding": "gzip"}  # fmt: skip
    write_precomputed(tmp_path / "v", GREY, sharding=sharding)
    np.testing.assert_array_equal(voxels(tmp_path / "v"), GREY)
    assert open_source(tmp_path / "v").stored.expected == 12
    shard = min((tmp_path / "v").glob("*/*.shard"))
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"\d of 12 chunks are not stored"):
        open_volume(tmp_path / "v")
    shard.unlink()
    with pytest.raises(DataError, match=r"\d of 12 chunks are not stored"):
        open_volume(tmp_path / "v")
    assert (voxels(tmp_path / "v", missing="fill") == 0).any()


def test_channels_labels_and_lossy_chunks_of_precomputed(tmp_path):
    both = np.stack([GREY, 255 - GREY])
    write_precomputed(tmp_path / "c", both, channels=2)
    np.testing.assert_array_equal(voxels(tmp_path / "c", channel=1), both[1])
    write_precomputed(tmp_path / "j", GREY, encoding="jpeg")
    assert "lossy" in " ".join(open_source(tmp_path / "j").notes)
    info = tmp_path / "c" / "info"
    info.write_text(info.read_text().replace('"image"', '"segmentation"'))
    with pytest.raises(DataError, match="holds labels"):
        open_volume(tmp_path / "c")
    info.write_text(info.read_text().replace('"segmentation"', '"image"').replace('"key":"', '"key":"../'))
    with pytest.raises(DataError, match="outside of its folder"):
        open_volume(tmp_path / "c", reading=Reading(channel=0))


@pytest.mark.parametrize("unit", [None, "nanometer"])
def test_layers_of_webknossos(tmp_path, unit):
    root = tmp_path / "set"
    write_wkw(root, GREY, unit=unit, edge=(16, 1))
    for path, dataset in (
        (root, None),
        (root, "color"),
        (root, "color/1"),
        (root / "color", None),
        (root / "color" / "1", None),
    ):
        np.testing.assert_array_equal(voxels(path, dataset), GREY)
    found = open_source(root)
    assert (found.edges.size, found.origin, found.dataset) == (SIZE, (280, 30, 20), "color/1")
    next((root / "color" / "1").glob("z0/y1/x1.wkw")).unlink()
    with pytest.raises(DataError, match="1 of 6 cubes are not stored"):
        open_volume(root)
    (root / "datasource-properties.json").unlink()
    with pytest.raises(DataError, match="which says where the volume ends"):
        open_volume(root / "color")


@pytest.mark.parametrize(
    ("name", "pattern"), [("v.n5", "0/0/0"), ("v", "*/10-26_20-36_3-7"), ("knossos", "color/1/*/*/*")]
)
def test_damaged_chunks_are_refused_when_they_are_read(tmp_path, name, pattern):
    writer = {"v.n5": write_n5, "v": write_precomputed, "knossos": write_wkw}[name]
    writer(tmp_path / name, GREY)
    chunk = next((tmp_path / name).glob(pattern))
    chunk.write_bytes(chunk.read_bytes()[:40])
    with pytest.raises(DataError, match="cannot be read"):
        voxels(tmp_path / name)


# Others


def test_arrays_of_npz_are_named_and_never_unpickled(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, a=GREY, b=np.asfortranarray(255 - GREY))
    with pytest.raises(DataError, match=r"--dataset \(a, b\)"):
        open_volume(path)
    np.testing.assert_array_equal(voxels(path, "b"), 255 - GREY)
    np.savez(path, a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        open_volume(path)


def test_jpeg_sections_are_said_to_be_lossy(tmp_path):
    for z, section in enumerate(GREY):
        Image.fromarray(section).save(tmp_path / f"s{z}.jpg", quality=95)
    assert np.abs(voxels(tmp_path).astype(int) - GREY).mean() < 5
    assert "9 of 9 sections are JPEG" in " ".join(open_source(tmp_path).notes)


def test_sections_may_be_larger_than_pillow_believes(tmp_path, monkeypatch):
    for z, section in enumerate(GREY):
        Image.fromarray(section).save(tmp_path / f"s{z}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(voxels(tmp_path), GREY)


def test_labels_of_n5_are_no_volume_unless_they_are_named(tmp_path):
    write_n5(tmp_path / "v.n5" / "em" / "raw2", GREY)
    write_n5(tmp_path / "v.n5" / "em" / "labels" / "cells", GREY // 2)
    np.testing.assert_array_equal(voxels(tmp_path / "v.n5"), GREY)
    np.testing.assert_array_equal(voxels(tmp_path / "v.n5", "em/labels/cells"), GREY // 2)


@pytest.mark.parametrize("name", ["s1.png", "s1.jpg", "v.dm4", "v.czi", "v.raw", "v.tif.gz", "v.ims", "v.txt"])
def test_what_is_no_volume_is_refused_with_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(b"x" * 100)
    with pytest.raises(VemreconError, match=r"into a folder|convert|nhdr|gunzip|known are"):
        open_volume(tmp_path / name)
