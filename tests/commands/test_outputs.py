"""What `reconstruct` and `degrade` write is what the next command needs, in every format."""

import json
import re

import mrcfile
import numpy as np
import pytest
import zarr
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.volume import open_source
from vemrecon.volume.write import written_endings

TWELVE = textured((16, 40, 48)).astype(np.uint16) * 16


def run(*words):
    return main([str(word) for word in words])


def scores(folder, *words):
    assert run("evaluate", *words, "--metrics", "psnr", "--json", folder / "scores.json") == 0
    found = json.loads((folder / "scores.json").read_text())
    return found["intensity_range"], [row["value"] for row in found["scores"]]


@pytest.fixture
def truth(tmp_path):
    np.save(tmp_path / "truth.npy", TWELVE)
    return tmp_path / "truth.npy"


@pytest.mark.parametrize("ending", written_endings())
def test_a_stated_range_is_found_in_what_was_made(tmp_path, truth, ending):
    observed, made = tmp_path / f"observed{ending}", tmp_path / f"made{ending}"
    size, span = ("--voxel-size", 8, 8, 8), ("--intensity-range", 0, 4095)
    assert run("degrade", truth, observed, "--scale", 4, *size, *span) == 0
    assert run("reconstruct", observed, made, "--method", "linear") == 0
    spans, found = scores(tmp_path, truth, made, *size, *span)
    assert spans == {"truth": [0, 4095], "reconstruction": [0, 4095]}
    eight = tmp_path / "eight.npy"
    np.save(eight, (TWELVE // 16).astype(np.uint8))
    _, usual = scores(tmp_path, eight, made, *size)  # another type: the range of the file itself
    assert found[0] == pytest.approx(usual[0], abs=0.3)


def test_what_is_written_names_what_made_it_of_which_file(tmp_path, truth):
    observed, made = tmp_path / "observed.zarr", tmp_path / "made.zarr"
    assert run("degrade", truth, observed, "--scale", 4, "--voxel-size", 8, 8, 8, "--intensity-range", 0, 4095) == 0
    assert run("reconstruct", observed, made, "--method", "bicubic", "--ome-zarr", "0.4") == 0
    first, second = (dict(zarr.open_group(path, mode="r").attrs) for path in (observed, made))
    assert first["ome"]["multiscales"][0]["name"] == "observed"
    assert second["multiscales"][0]["version"] == "0.4"
    facts = first["vemrecon"]["made"]
    assert (facts["command"], facts["degradation"], facts["scale"]) == ("degrade", "average", 4)
    assert facts["source"]["name"] == "truth.npy" and len(facts["source"]["sha256"]) == 64
    facts = second["vemrecon"]["made"]
    assert (facts["method"], facts["source"]["name"]) == ("bicubic", "observed.zarr")


def test_eight_bits_in_mrc_score_as_in_other_formats(tmp_path):
    np.save(tmp_path / "truth.npy", (TWELVE // 16).astype(np.uint8))
    truth, size = tmp_path / "truth.npy", ("--voxel-size", 8, 8, 8)
    found = []
    for ending in (".mrc", ".zarr"):
        observed, made = tmp_path / f"observed{ending}", tmp_path / f"made{ending}"
        assert run("degrade", truth, observed, "--scale", 4, *size) == 0
        assert run("reconstruct", observed, made, "--method", "linear") == 0
        found.append(scores(tmp_path, truth, made)[1])
    assert found[0] == found[1]


def test_mrc_of_a_microscope_is_reconstructed(tmp_path, capsys):
    with mrcfile.new(tmp_path / "stack.mrc") as file:
        file.set_data((TWELVE // 16).astype(np.uint8).view(np.int8))
        file.voxel_size = (40, 40, 160)
        file.header.dmin, file.header.dmax = 0, 255
    assert run("reconstruct", tmp_path / "stack.mrc", tmp_path / "made.tif", "--method", "linear") == 0
    assert "bytes are unsigned" in capsys.readouterr().err
    made = open_source(tmp_path / "made.tif")
    assert made.array.shape == (64, 40, 48) and made.dtype == np.uint8 and tuple(made.edges) == (4, 4, 4)


@pytest.mark.parametrize(
    ("output", "words", "said"),
    [
        ("out.png", (), "choose one of these names"),
        ("out.tif", ("--ome-zarr", "0.4"), "ends? in .zarr"),
        ("out.zarr", ("--ome-zarr", "0.3"), "Known: 0.4, 0.5"),
    ],
)
def test_outputs_are_refused_before_the_work(tmp_path, truth, capsys, output, words, said):
    command = ("degrade", truth, tmp_path / output, "--scale", 4, "--voxel-size", 8, 8, 8, *words)
    assert run(*command) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1


def test_formats_are_listed(capsys):
    assert run("formats") == 0
    text = capsys.readouterr().out
    assert all(word in text for word in (".mrc", ".nii", ".nrrd", ".n5", "precomputed", "WKW", "nifti", "blocks"))
