"""Voxel sizes as programs write them: whole, in part, in other units, wrong or not at all."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.volume import Reading, VoxelSize, open_source, open_volume
from vemrecon.volume.attributes import SIZES, place_of
from vemrecon.volume.edges import UNKNOWN, Edges, read_size
from vemrecon.volume.layout import layout_of
from vemrecon.volume.units import nm_per

GREY = textured((4, 16, 12))
FEI = "[User]\r\nDate=01/01/2020\r\n[Scan]\r\nPixelWidth={x}\r\nPixelHeight={y}\r\n"
ZEISS = "\r\n0\r\n0\r\n0\r\n4e-09\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {size}\r\nAP_MAG\r\nMag = 5 K X\r\n"


def edges_of(path, dataset=None, **reading):
    return open_source(path, dataset, Reading(**reading)).edges


def known(path, dataset=None):
    return [nm if nm is None else pytest.approx(nm) for nm in edges_of(path, dataset)]


@pytest.mark.parametrize(
    ("word", "nm"),
    [("nm", 1), ("NM", 1), ("nanometers", 1), ("um", 1e3), ("µm", 1e3), ("μm", 1e3), ("\\u00B5m", 1e3),
     ("microns", 1e3),
     ("micron", 1e3), ("micrometre", 1e3), ("mm", 1e6), ("cm", 1e7), ("m", 1e9), ("inch", 25.4e6), ("inches", 25.4e6),
     ("Å", 0.1), ("angstrom", 0.1), ("Âµm", 1e3), (" nm ", 1), ("pixel", None), ("pixels", None), ("", None),
     ("reference frame", None), ("furlong", None), (None, None), (3, None)],
)  # fmt: skip
def test_words_of_units(word, nm):
    assert nm_per(word) == nm


@given(
    st.lists(st.one_of(st.none(), st.floats(0.2, 900)), min_size=3, max_size=3),
    st.sampled_from([("nm", 1), ("um", 1e3), ("mm", 1e6), ("m", 1e9), ("angstrom", 0.1), ("inch", 25.4e6)]),
)
def test_edges_are_the_same_in_every_unit(sizes, unit):
    word, nm = unit
    written = [None if size is None else size / nm for size in sizes]
    found = Edges.read(written, word, "here")
    assert list(found) == [None if size is None else pytest.approx(size) for size in sizes]
    assert found.unused == () and (found.size is None) == (None in sizes) == bool(found.lacking)


@given(*[st.lists(st.one_of(st.none(), st.floats(1, 99)), min_size=3, max_size=3)] * 2)
def test_what_is_known_first_is_taken_axis_by_axis(first, second):
    found = Edges.of(first, "first").over(Edges.of(second, "second"))
    assert list(found) == [b if a is None else a for a, b in zip(first, second, strict=True)]
    for axis, a, b in zip("zyx", first, second, strict=True):
        edge = getattr(found, axis)
        assert (edge is None) == (a is None and b is None)
        assert edge is None or edge.said == ("second" if a is None else "first")


@pytest.mark.parametrize("value", [0, -4, np.nan, np.inf, "four", None, [4], 1e400])
def test_what_is_no_length_is_left_out_with_the_reason(value):
    found = Edges.read([40, value, 4], "nm", "attribute resolution")
    assert list(found) == [40, None, 4]
    assert value is None or found.unused == (f"attribute resolution says y {value!r}, which is no length",)


def test_words_of_the_option_are_axes_or_all_three():
    assert list(read_size([8.0, 4.0, 2.0])) == [8, 4, 2]
    assert list(read_size(["z=40", "x=4.5"])) == [40, None, 4.5]
    with pytest.raises(DataError, match="must be positive"):
        read_size(["z=0"])


def test_resolution_tags_are_pixels_of_a_microscope_or_of_a_screen(tmp_path):
    for name, resolution, unit in (
        ("cm.tif", (1e7 / 4, 1e7 / 5), "CENTIMETER"),
        ("in.tif", (25.4e6 / 4, 25.4e6 / 5), "INCH"),
    ):
        tifffile.imwrite(
            tmp_path / name, GREY, resolution=resolution, resolutionunit=unit, photometric="minisblack", metadata=None
        )
        assert known(tmp_path / name) == [None, 5, 4]
        assert edges_of(tmp_path / name).said == "y, x: TIFF resolution"
    for dpi in (72, 96, 150, 300, 600, 1200, 4800):
        tifffile.imwrite(
            tmp_path / "dpi.tif",
            GREY,
            resolution=(dpi, dpi),
            resolutionunit="INCH",
            photometric="minisblack",
            metadata=None,
        )
        assert known(tmp_path / "dpi.tif") == [None] * 3
        assert f"of {dpi} dpi" in edges_of(tmp_path / "dpi.tif").unused[0]
    tifffile.imwrite(tmp_path / "none.tif", GREY, photometric="minisblack")
    assert known(tmp_path / "none.tif") == [None] * 3
    tifffile.imwrite(tmp_path / "zero.tif", GREY, resolution=((0, 1), (0, 1)), photometric="minisblack", metadata=None)
    assert known(tmp_path / "zero.tif") == [None] * 3


def test_tags_of_microscopes_say_the_pixel(tmp_path):
    fei, zeiss = FEI.format(x="4e-009", y="5e-009"), ZEISS.format(size="3.5 nm")
    for tag in (34680, 34682):
        tifffile.imwrite(
            tmp_path / "f.tif", GREY, extratags=[(tag, 2, 0, fei, True)], photometric="minisblack", metadata=None
        )
        assert known(tmp_path / "f.tif") == [None, 5, 4]
        assert edges_of(tmp_path / "f.tif").said == "y, x: FEI tag"
    for size in ("3.5 nm", "0.0035 µm", "3500 pm"):
        tag = ZEISS.format(size=size).encode("latin-1")
        tifffile.imwrite(
            tmp_path / "z.tif", GREY, extratags=[(34118, 2, 0, tag, True)], photometric="minisblack", metadata=None
        )
        assert known(tmp_path / "z.tif") == [None, 3.5, 3.5]
    assert zeiss and edges_of(tmp_path / "z.tif").said == "y, x: Zeiss tag"
    tifffile.imwrite(
        tmp_path / "both.tif", GREY, extratags=[(34682, 2, 0, fei, True)], resolution=(1e7 / 8, 1e7 / 8),
        resolutionunit="CENTIMETER", photometric="minisblack", metadata=None,
    )  # fmt: skip
    assert known(tmp_path / "both.tif") == [None, 5, 4]
    assert any("TIFF resolution says y 8 nm" in note for note in open_volume(tmp_path / "both.tif").notes)


def test_a_folder_of_sections_has_the_pixels_of_its_files(tmp_path):
    for z, section in enumerate(GREY):
        resolution = {"resolution": (1e7 / 4, 1e7 / 4), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / f"s{z}.tif", section, photometric="minisblack", metadata=None, **resolution)
    assert known(tmp_path) == [None, 4, 4]
    with pytest.raises(
        DataError, match=r"y 4 nm, x 4 nm is known \(y, x: TIFF resolution\), but not z; give --voxel-size z=NM"
    ):
        open_volume(tmp_path).require_voxel_size()
    assert open_volume(tmp_path, voxel_size=read_size(["z=40"])).require_voxel_size() == VoxelSize(40, 4, 4)
    tifffile.imwrite(
        tmp_path / "s3.tif", GREY[3], resolution=(1e7 / 8, 1e7 / 8), resolutionunit="CENTIMETER", metadata=None
    )
    with pytest.raises(DataError, match=r"s0.tif says pixels of y 4 nm, x 4 nm, s3.tif y 8 nm, x 8 nm"):
        open_volume(tmp_path).require_voxel_size()


IMAGEJ = {
    "whole": ({"unit": "nm", "spacing": 40.0}, [40, 5, 4]),
    "micro": ({"unit": "um", "spacing": 0.04}, [40, 5, 4]),
    "escaped": ({"unit": "\\u00B5m", "spacing": 0.04}, [40, 5, 4]),
    "words": ({"unit": "micron", "spacing": 0.04}, [40, 5, 4]),
    "negative": ({"unit": "nm", "spacing": -40.0}, [40, 5, 4]),
    "no spacing": ({"unit": "nm"}, [None, 5, 4]),
    "zero": ({"unit": "nm", "spacing": 0.0}, [None, 5, 4]),
    "z unit": ({"unit": "nm", "zunit": "um", "spacing": 0.04}, [40, 5, 4]),
    "pixels": ({"unit": "pixel", "spacing": 1.0}, [None] * 3),
    "no unit": ({"spacing": 40.0}, [None] * 3),
    "strange": ({"unit": "furlong", "spacing": 40.0}, [None] * 3),
}


@pytest.mark.parametrize("case", IMAGEJ)
def test_imagej_stacks(tmp_path, case):
    facts, expected = IMAGEJ[case]
    nm = nm_per(facts.get("unit")) or 1
    resolution = (nm / 4, nm / 5)
    tifffile.imwrite(tmp_path / "v.tif", GREY, imagej=True, resolution=resolution, metadata={"axes": "ZYX", **facts})
    assert known(tmp_path / "v.tif") == expected
    source = edges_of(tmp_path / "v.tif")
    if case == "strange":
        assert "unit 'furlong', which is not known" in source.lacking
    if expected[0] is None:
        with pytest.raises(DataError, match="--voxel-size"):
            open_volume(tmp_path / "v.tif").require_voxel_size()


def test_imagej_of_a_screen(tmp_path):
    facts = {"axes": "ZYX", "unit": "inch", "spacing": 1.0}
    tifffile.imwrite(tmp_path / "v.tif", GREY, imagej=True, resolution=(72, 72), metadata=facts)
    assert known(tmp_path / "v.tif") == [None] * 3
    assert open_volume(tmp_path / "v.tif", voxel_size=VoxelSize(8, 8, 8)).notes == ()


def test_the_origin_of_imagej_is_in_voxels_of_whatever_size(tmp_path):
    facts = {"axes": "ZYX", "unit": "nm", "xorigin": -2.0, "zorigin": 5.0}
    tifffile.imwrite(tmp_path / "v.tif", GREY, imagej=True, resolution=(1 / 4, 1 / 4), metadata=facts)
    assert open_volume(tmp_path / "v.tif").origin == (0, 0, 0)
    assert open_volume(tmp_path / "v.tif", voxel_size=read_size(["z=40"])).origin == (-200, 0, 8)
    assert open_volume(tmp_path / "v.tif", voxel_size=VoxelSize(80, 8, 8)).origin == (-400, 0, 16)


OME = {
    "partial": ({"PhysicalSizeX": 4.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.005}, [None, 5, 4]),
    "only z": ({"PhysicalSizeZ": 40.0, "PhysicalSizeZUnit": "nm"}, [40, None, None]),
    "angstrom": ({f"PhysicalSize{a}{w}": v for a in "XYZ" for w, v in (("", 40.0), ("Unit", "Å"))}, [4, 4, 4]),
    "pixels": ({f"PhysicalSize{a}{w}": v for a in "XYZ" for w, v in (("", 4.0), ("Unit", "pixel"))}, [None] * 3),
    "ones": ({f"PhysicalSize{a}": 1.0 for a in "XYZ"}, [None] * 3),
    "nothing": ({}, [None] * 3),
    "negative": ({"PhysicalSizeX": -4.0, "PhysicalSizeXUnit": "nm"}, [None] * 3),
}


@pytest.mark.parametrize("case", OME)
def test_ome_tiff_in_part(tmp_path, case):
    facts, expected = OME[case]
    tifffile.imwrite(tmp_path / "v.ome.tif", GREY, ome=True, metadata={"axes": "ZYX", **facts})
    assert known(tmp_path / "v.ome.tif") == expected


def test_every_image_of_an_ome_file_has_its_own_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "v.ome.tif", ome=True) as file:
        for n, edge in enumerate((8.0, 16.0)):
            sizes = {
                f"PhysicalSize{axis}{word}": value for axis in "XYZ" for word, value in (("", edge), ("Unit", "nm"))
            }
            file.write(GREY[: 4 - n], metadata={"axes": "ZYX", **sizes})
    assert known(tmp_path / "v.ome.tif", "0") == [8] * 3
    assert known(tmp_path / "v.ome.tif", "1") == [16] * 3


ATTRIBUTES = {
    "cremi": ({"resolution": [40.0, 5, 4], "offset": [80.0, 10, 8]}, [40, 5, 4], (80, 10, 8)),
    "funlib": (
        {"voxel_size": [40, 5, 4], "offset": [80, 10, 8], "units": ["nm", "nm", "nm"], "axis_names": ["z", "y", "x"]},
        [40, 5, 4], (80, 10, 8),
    ),
    "micrometres": (
        {"resolution": [0.04, 0.005, 0.004], "offset": [0.08, 0.01, 0.008], "units": "um"}, [40, 5, 4], (80, 10, 8),
    ),
    "units each": ({"resolution": [0.04, 5, 4], "unit": ["um", "nm", "nm"]}, [40, 5, 4], (0, 0, 0)),
    "plantseg": ({"element_size_um": [0.04, 0.005, 0.004]}, [40, 5, 4], (0, 0, 0)),
    "pixels": ({"resolution": [1.0, 1, 1]}, [None] * 3, (0, 0, 0)),
    "not finite": ({"resolution": [40.0, float("nan"), 4]}, [40, None, 4], (0, 0, 0)),
    "unknown unit": ({"resolution": [40.0, 5, 4], "units": "furlong"}, [None] * 3, (0, 0, 0)),
    "two numbers": ({"resolution": [40.0, 5]}, [None] * 3, (0, 0, 0)),
    "a word": ({"resolution": "fine", "offset": "near"}, [None] * 3, (0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", ATTRIBUTES)
@pytest.mark.parametrize("kind", ["array.h5", "group.h5", "array.zarr", "group.zarr", "alone.zarr"])
def test_attributes_of_arrays_and_of_their_groups(tmp_path, case, kind):
    facts, edges, origin = ATTRIBUTES[case]
    path = tmp_path / kind
    if kind.endswith("h5"):
        with h5py.File(path, "w") as file:
            data = file.create_dataset("volumes/raw", data=GREY)
            (data if kind == "array.h5" else file["volumes"]).attrs.update(
                {
                    name: value if name != "units" or isinstance(value, str) else np.array(value, "S2")
                    for name, value in facts.items()
                }
            )
    else:
        group = zarr.open_group(path, mode="w", zarr_format=2)
        array = group.create_array("raw", shape=GREY.shape, dtype="uint8", chunks=GREY.shape)
        array[:] = GREY
        (array if kind == "array.zarr" else group).attrs.update(facts)
        path = path / "raw" if kind == "alone.zarr" else path
    volume = open_volume(path)
    assert known(path) == edges and volume.origin == pytest.approx(origin)
    if None in edges:
        with pytest.raises(DataError, match="--voxel-size"):
            volume.require_voxel_size()
    assert open_volume(path, voxel_size=VoxelSize(40, 5, 4)).voxel_size == VoxelSize(40, 5, 4)


def test_attributes_of_a_group_of_different_volumes_are_meant_for_none_of_them(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["s0"], file["s1"] = GREY, GREY[::2, ::2, ::2]
        file.attrs["resolution"] = [8.0, 8, 8]
    assert known(tmp_path / "v.h5", "s0") == known(tmp_path / "v.h5", "s1") == [None] * 3


def test_n5_viewer_and_openorganelle_name_or_turn_their_axes(tmp_path):
    array = zarr.create_array(tmp_path / "v.zarr", shape=GREY.shape, dtype="uint8", chunks=GREY.shape)
    array[:] = GREY
    array.attrs.update({"pixelResolution": {"dimensions": [0.004, 0.005, 0.04], "unit": "um"}})
    assert known(tmp_path / "v.zarr") == [40, 5, 4]
    array.attrs.update({"downsamplingFactors": [2, 2, 1]})
    assert known(tmp_path / "v.zarr") == [40, 10, 8]
    facts = {"axes": ["x", "y", "z"], "scale": [4, 5, 40], "translate": [8, 10, 80], "units": ["nm"] * 3}
    array.attrs.put({"transform": facts})
    assert known(tmp_path / "v.zarr") == [40, 5, 4]
    assert open_volume(tmp_path / "v.zarr").origin == (80, 10, 8)


def ome_zarr(path, axes, steps, version="0.4"):
    image = {"version": version, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["multiscales"] = [image]
    array = group.create_array("0", shape=GREY.shape, dtype="uint8", chunks=GREY.shape)
    array[:] = GREY
    return group


def axis(name, unit=None):
    return {"name": name, "type": "space"} | ({"unit": unit} if unit else {})


def test_ome_zarr_units_are_those_of_each_axis(tmp_path):
    steps = [{"type": "scale", "scale": [0.04, 5, 4]}, {"type": "translation", "translation": [0.08, 10, 8]}]
    ome_zarr(tmp_path / "v.zarr", [axis("z", "micrometer"), axis("y", "nanometer"), axis("x", "nanometer")], steps)
    volume = open_volume(tmp_path / "v.zarr")
    assert (tuple(volume.voxel_size), volume.origin) == (pytest.approx((40, 5, 4)), pytest.approx((80, 10, 8)))
    ome_zarr(tmp_path / "w.zarr", [axis("z"), axis("y", "nanometer"), axis("x", "nanometer")], steps)
    assert known(tmp_path / "w.zarr") == [None, 5, 4]
    assert open_volume(tmp_path / "w.zarr").origin == (0, 0, 0)
    ome_zarr(tmp_path / "n.zarr", [axis("z"), axis("y"), axis("x")], steps)
    assert known(tmp_path / "n.zarr") == [None] * 3 and "no unit" in edges_of(tmp_path / "n.zarr").lacking
    ome_zarr(tmp_path / "neg.zarr", [axis(n, "nanometer") for n in "zyx"], [{"type": "scale", "scale": [-40, 5, 4]}])
    assert known(tmp_path / "neg.zarr") == [None, 5, 4]


def test_axes_that_the_user_names_have_the_sizes_that_are_stored_for_them(tmp_path):
    steps = [{"type": "scale", "scale": [4, 5, 40]}, {"type": "translation", "translation": [8, 10, 80]}]
    ome_zarr(tmp_path / "v.zarr", [axis(n, "nanometer") for n in "zyx"], steps)
    volume = open_volume(tmp_path / "v.zarr", reading=Reading(axes="xyz"))
    assert (tuple(volume.voxel_size), volume.origin) == ((40, 5, 4), (80, 10, 8))
    np.testing.assert_array_equal(volume.read_raw(volume.whole), GREY.T)


def test_ngff_zarr_writes_what_is_read(tmp_path):
    ngff_zarr = pytest.importorskip("ngff_zarr")
    for version in ("0.4", "0.5"):
        image = ngff_zarr.to_ngff_image(
            GREY, dims=["z", "y", "x"], scale={"z": 0.04, "y": 0.005, "x": 0.004},
            translation={"z": 1.0, "y": 0.0, "x": 0.0},
            axes_units={"z": "micrometer", "y": "micrometer", "x": "micrometer"},
        )  # fmt: skip
        multiscales = ngff_zarr.to_multiscales(image, scale_factors=[])
        ngff_zarr.to_ngff_zarr(str(tmp_path / f"{version}.zarr"), multiscales, version=version)
        assert known(tmp_path / f"{version}.zarr") == [40, 5, 4]
        assert open_volume(tmp_path / f"{version}.zarr", reading=Reading(missing="fill")).origin == pytest.approx(
            (1000, 0, 0)
        )


@pytest.mark.parametrize(
    ("unit", "factor"), [("micrometres", 1e-3), ("millimetres", 1e-6), ("metres", 1e-9), ("picometres", 1e3)]
)
def test_other_units_taken_for_nm_are_refused_with_what_is_meant(tmp_path, unit, factor):
    np.save(tmp_path / "v.npy", GREY)
    wrong = VoxelSize(*(edge * factor for edge in (40, 4, 4)))
    with pytest.raises(DataError, match=rf"if these are {unit}, say --voxel-size 40 4 4") as error:
        open_volume(tmp_path / "v.npy", voxel_size=wrong)
    words = str(error.value).rpartition("--voxel-size ")[2].split()
    assert open_volume(tmp_path / "v.npy", voxel_size=read_size([float(w) for w in words])).voxel_size == VoxelSize(
        40, 4, 4
    )
    with pytest.raises(DataError, match=rf"if these are {unit}, say --voxel-size z=40"):
        open_volume(tmp_path / "v.npy", voxel_size=Edges.of((40 * factor, None, None), "here"))


def test_sources_are_said_for_each_edge():
    edges = Edges.of((40, None, None), "--voxel-size").over(Edges.of((None, 4, 4), "FEI tag"))
    assert edges.said == "z: --voxel-size; y, x: FEI tag" and json.dumps(list(edges)) == "[40.0, 4.0, 4.0]"
    assert UNKNOWN.lacking == "the file does not say its voxel size; give it as --voxel-size Z Y X in nm"


WRONG = [0, -1, float("nan"), float("inf"), 1e300, 1e-300, "x", "", None, [1, 2], {"a": 1}, True, [[1, 2, 3]]]
KEYS = [
    "resolution",
    "offset",
    "units",
    "pixelResolution",
    "transform",
    "element_size_um",
    "scale",
    "translation",
    "unit",
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_whatever_stands_there_a_given_size_works(tmp_path, wrong):
    for n, value in enumerate((wrong, [wrong] * 3)):
        facts = dict.fromkeys(KEYS, value)
        steps = [{"type": name, name: value} for name in ("scale", "translation")]
        image, plain = tmp_path / f"image{n}.zarr", tmp_path / f"plain{n}.zarr"
        ome_zarr(image, [axis(name) | {"unit": value} for name in "zyx"], steps)["0"].attrs.update(facts)
        zarr.create_array(plain, data=GREY, chunks=GREY.shape).attrs.update(facts)
        for path in (image, plain):
            assert open_volume(path, voxel_size=VoxelSize(8, 8, 8)).voxel_size == VoxelSize(8, 8, 8)
            with pytest.raises(DataError, match="--voxel-size"):
                open_volume(path).require_voxel_size()


@pytest.mark.parametrize("key", KEYS)
def test_one_wrong_attribute_is_no_traceback(key):
    layout = layout_of("v", GREY.shape, None, Reading())
    for wrong in WRONG:
        for value in (wrong, [wrong] * 3):
            place = place_of({"resolution": [40, 5, 4], "offset": [8, 8, 8], key: value}, {}, layout)
            assert place.edges.size in (None, VoxelSize(40, 5, 4)) or key in SIZES
