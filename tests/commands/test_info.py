"""`vemrecon info` says what a file holds, where it says so, and what is wrong with it."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data.displaced import displaced_sections, shift_between
from vemrecon.version import __version__
from vemrecon.volume import Made, Volume, VoxelSize, write_volume
from vemrecon.volume.tiff import write_tiff
from vemrecon.volume.write import written_endings

GREY = textured((16, 64, 72))


def told(path, capsys, *words):
    assert main(["info", str(path), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_fact_has_its_source(tmp_path, capsys):
    voxels = np.transpose(GREY.astype(np.uint16) * 16, (2, 1, 0)).astype(">u2")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        data = file.create_dataset("volumes/raw", data=voxels, chunks=(36, 64, 16))
        data.attrs["resolution"], data.attrs["offset"] = (4, 5, 40), (8, 10, 80)
        for dimension, label in zip(data.dims, "xyz", strict=True):
            dimension.label = label
    facts = told(tmp_path / "v.h5", capsys)
    assert (facts["format"], facts["dataset"], facts["axes"]) == ("HDF5", "volumes/raw", "xyz")
    assert (facts["dtype"], facts["byte_order"]) == ("uint16", "big-endian")
    assert (facts["stored_shape"], facts["shape"]) == ([72, 64, 16], [16, 64, 72])
    assert facts["voxel_size"] == {"nm": [40, 5, 4], "from": "attribute resolution"}
    assert facts["origin"] == {"nm": [80, 10, 8], "from": "attribute offset"}
    assert facts["stored"] == {"unit": "chunks", "expected": 2, "missing": 0, "where": "", "whole": []}
    grey = facts["grey"]
    assert (grey["minimum"], grey["maximum"]) == (0, 255 * 16)
    assert grey["percentile_99.9"] == np.percentile(voxels, 99.9, method="inverted_cdf")
    assert facts["verdict"].startswith("refused") and "--intensity-range 0 4095 is likely" in facts["verdict"]
    facts = told(tmp_path / "v.h5", capsys, "--intensity-range", "auto", "--voxel-size", "8", "8", "8")
    assert facts["grey"]["range"] == [0, 4095] and facts["grey"]["range_stated"]
    assert facts["voxel_size"]["from"] == "--voxel-size" and facts["verdict"].startswith("isotropic")


@pytest.mark.parametrize("ending", written_endings())
def test_who_made_a_volume_and_of_what_is_said(tmp_path, capsys, ending):
    path = tmp_path / f"v{ending}"
    how = {"command": "reconstruct", "method": "linear", "scale": 4.0, "source": {"name": "stack.tif"}}
    write_volume(path, Volume(GREY, VoxelSize(8, 8, 8), "v"), GREY.dtype, made=Made(how))
    assert told(path, capsys)["made"] == {"version": __version__, **how}
    assert main(["info", str(path)]) == 0
    assert f"vemrecon {__version__} reconstruct linear scale 4 of stack.tif" in capsys.readouterr().out


def test_damage_is_listed_and_not_refused(tmp_path, capsys):
    voxels = GREY.copy()
    voxels[3] = 0
    voxels[9] = voxels[9] // 4 + 190
    with h5py.File(tmp_path / "v.h5", "w") as file:
        raw = file.create_dataset("raw", GREY.shape, np.uint8, chunks=(4, 64, 72))
        raw[:12] = voxels[:12]
    facts = told(tmp_path / "v.h5", capsys)
    assert facts["stored"]["missing"] == 1 and "1 of 4 chunks" in facts["verdict"]
    assert list(facts["sections"]["constant"]) == ["3", "12", "13", "14", "15"]
    assert "9" in facts["sections"]["outlying"]
    assert main(["info", str(tmp_path / "v.h5")]) == 0
    text = capsys.readouterr().out
    assert "3 of 4 chunks, 1 missing" in text and "constant: sections 3, 12-15" in text


def test_a_gap_in_section_numbers_keeps_its_place(tmp_path, capsys):
    for z in (0, 1, 3, 4):
        Image.fromarray(np.maximum(GREY[z], 1)).save(tmp_path / f"s{z}.png")
    facts = told(tmp_path, capsys)
    assert (facts["stored"]["missing"], facts["shape"], facts["stored_shape"]) == (1, [5, 64, 72], [5, 64, 72])
    assert list(facts["sections"]["constant"]) == ["2"] and "(2: no file of these numbers)" in facts["verdict"]


def test_what_is_no_volume_is_one_line(tmp_path, capsys):
    np.save(tmp_path / "v.npy", GREY[0])
    assert main(["info", str(tmp_path / "v.npy")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_text_of_a_good_file_says_what_is_next(tmp_path, capsys):
    write_tiff(tmp_path / "v.tif", Volume(GREY, VoxelSize(40, 4, 4), "v"), np.dtype(np.uint8))
    assert main(["info", str(tmp_path / "v.tif")]) == 0
    text = capsys.readouterr().out
    for words in ("OME-TIFF", "40 x 4 x 4 nm (OME-TIFF metadata)", "16 of 16 pages", "`reconstruct` makes 10 sections"):
        assert words in text


@pytest.mark.parametrize("shift", [(6, 0), (0, -5), (3, 7), (0, 0)])
def test_a_shift_is_found_to_the_pixel(shift):
    big = textured((1, 120, 130))[0].astype(float)
    first = big[20:100, 20:110]
    second = big[20 - shift[0] : 100 - shift[0], 20 - shift[1] : 110 - shift[1]]
    found, gain = shift_between(first, second)
    assert tuple(found) == shift and (gain > 0.1) == any(shift)


def test_a_displaced_section_is_found_and_a_tilted_stack_is_none():
    big = textured((20, 140, 140))
    still = [(0, 0)] * 20
    still[8] = (6, -4)
    tilted = [(2 * z, z) for z in range(20)]
    stacks = [
        np.stack([big[z, 50 - y : 110 - y, 50 - x : 110 - x] for z, (y, x) in enumerate(moves)])
        for moves in (still, tilted)
    ]
    assert displaced_sections(Volume(stacks[0], None, "v")) == {8: (6, -4), 9: (-6, 4)}
    assert displaced_sections(Volume(stacks[1], None, "v")) == {}
