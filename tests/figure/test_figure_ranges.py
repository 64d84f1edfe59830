"""A figure of files shows each by its own meaning of grey levels, or refuses with the option to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_volumes import textured

from vemrecon.cli import main

GREY = textured((16, 24, 24))
MADE = textured((16, 24, 24), 1)
FORMS = {"8": (1, np.uint8), "12": (16, np.uint16), "float": (1 / 255, np.float32)}
RANGE = {"8": ("0", "255"), "12": ("0", "4080"), "float": ("0", "1")}


def stored(path: Path, voxels: np.ndarray, form: str) -> Path:
    factor, dtype = FORMS[form]
    np.save(path, (voxels.astype(np.float64) * factor).astype(dtype))
    return path


@pytest.fixture
def shown(tmp_path: Path, monkeypatch):
    """Function that draws a figure and gives the xy pictures by line, or None where it was refused."""
    plates: list = []
    monkeypatch.setattr("vemrecon.commands.figure.write_figure", lambda path, plate, style: plates.append(plate))

    def draw(*words: object) -> dict[str, np.ndarray] | None:
        plates.clear()
        asked = ["figure", tmp_path / "f.png", *words, "--voxel-size", 8, 8, 8, "--at", 5, 12, 12, "--size", 24]
        code = main([str(word) for word in asked])
        assert code == (0 if plates else 2)
        return {line.label: line.pictures[0].values for line in plates[0].lines} if plates else None

    return draw


@pytest.mark.parametrize("truth", FORMS)
@pytest.mark.parametrize("made", FORMS)
def test_a_figure_looks_the_same_however_its_files_are_stored(tmp_path, shown, truth, made):
    files = {
        "--truth": stored(tmp_path / "t.npy", GREY, truth),
        "--observed": stored(tmp_path / "o.npy", GREY[::4], truth),
        "--volumes": stored(tmp_path / "v.npy", MADE, made),
    }
    words = [word for pair in files.items() for word in pair]
    if truth == "12":
        words += ["--intensity-range", *RANGE[truth]]
    if made == "12" and truth != "12":
        words += ["--reconstruction-range", *RANGE[made]]
    found = shown(*words, "--grid", "aligned")
    np.testing.assert_array_equal(found["Truth"], GREY[5])
    np.testing.assert_array_equal(found["Observed"], GREY[4])
    np.testing.assert_array_equal(found["v"], MADE[5])


def test_levels_that_would_be_drawn_dark_are_refused_with_the_option_of_their_file(tmp_path, shown, capsys):
    eight = stored(tmp_path / "eight.npy", GREY, "8")
    twelve = stored(tmp_path / "twelve.npy", MADE, "12")
    seen = stored(tmp_path / "seen.npy", MADE[::4], "12")
    for words, option in (
        (["--volumes", twelve], "--intensity-range"),
        (["--truth", twelve, "--volumes", eight], "--intensity-range"),
        (["--truth", eight, "--volumes", twelve], "--reconstruction-range"),
        (["--truth", eight, "--volumes", eight, "--observed", seen], "--observed-range"),
        (["--volumes", eight, "--observed", seen], "--intensity-range"),
    ):
        assert shown(*words) is None
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"{option} 0 4095 is likely" in error
        found = shown(*words, option, "0", "4080")
        assert found is not None, "the advice works"


def test_ranges_that_nothing_would_use_are_refused(tmp_path, shown, capsys):
    volume = stored(tmp_path / "v.npy", GREY, "12")
    for words, message in (
        (["--volumes", volume, "--observed-range", "0", "1"], "there is no --observed"),
        (["--volumes", volume, "--reconstruction-range", "0", "9", "--intensity-range", "0", "9"], "give one of them"),
        (["--volumes", volume, "--reconstruction-range", "atuo"], "--reconstruction-range atuo: must read"),
    ):
        assert shown(*words) is None
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error


def two_channels(path: Path, voxels: np.ndarray) -> Path:
    both = np.stack([255 - voxels, voxels], axis=1)
    tifffile.imwrite(path, both, imagej=True, metadata={"axes": "ZCYX"})
    return path


def test_a_channel_is_that_of_files_which_have_several_and_others_are_read_as_they_are(tmp_path, shown, capsys):
    truth = two_channels(tmp_path / "t.tif", GREY)
    seen = two_channels(tmp_path / "o.tif", GREY[::4])
    made = stored(tmp_path / "v.npy", MADE, "8")
    words = ["--truth", truth, "--observed", seen, "--grid", "aligned", "--volumes", made]
    assert shown(*words) is None
    assert "--channel 0 to 1" in capsys.readouterr().err
    found = shown(*words, "--channel", 1)
    np.testing.assert_array_equal(found["Truth"], GREY[5])
    np.testing.assert_array_equal(found["Observed"], GREY[4])
    np.testing.assert_array_equal(found["v"], MADE[5])
    assert "v.npy: has no channels to choose from, and is read as it is" in capsys.readouterr().err
    assert shown(*words, "--channel", 2) is None
    assert "--channel 2: there are 2 channels" in capsys.readouterr().err
