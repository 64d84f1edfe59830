"""`evaluate` of one pair of volumes gives one score, however they are stored, or a refusal that leads to it."""

import json
import re

import numpy as np
import pytest
import tifffile
from small_volumes import textured

from vemrecon.cli import main

TRUTH = textured((16, 32, 32)) / 255
MADE = np.clip(TRUTH + 0.05 * np.random.default_rng(0).standard_normal(TRUTH.shape), 0, 1)
FORMS = {
    "8": (255, np.uint8),
    "10": (1023, np.uint16),
    "12": (4095, np.uint16),
    "16": (65535, np.uint16),
    "int16": (255, np.int16),
    "float": (1, np.float32),
    "float255": (255, np.float32),
    "double": (1, np.float64),
}


def stored(path, values, form):
    top, dtype = FORMS[form]
    voxels = values * top
    np.save(path, (np.rint(voxels) if np.issubdtype(dtype, np.integer) else voxels).astype(dtype))


def evaluated(folder, capsys, *words):
    """The PSNR of the volume, after following advice about ranges as often as it is given; and the advice."""
    asked, advice = ["evaluate", *map(str, words), "--metrics", "psnr", "--json", str(folder / "s.json")], []
    for _ in range(3):
        code = main([*asked, *advice])
        error = capsys.readouterr().err
        if code == 0:
            scores = json.loads((folder / "s.json").read_text())["scores"]
            return next(s["value"] for s in scores if s["plane"] == "volume"), advice
        assert error.count("\n") == 1
        (found,) = re.findall(r"(--[a-z]+-range) (\S+) (\S+) is likely", error)
        advice += found
    raise AssertionError(error)


@pytest.mark.parametrize("made", FORMS)
@pytest.mark.parametrize("truth", FORMS)
def test_one_pair_has_one_score(tmp_path, capsys, truth, made):
    stored(tmp_path / "truth.npy", TRUTH, truth)
    stored(tmp_path / "made.npy", MADE, made)
    expected = -10 * np.log10(np.mean((np.float32(TRUTH) - np.float32(MADE)) ** 2))
    found, advice = evaluated(tmp_path, capsys, tmp_path / "truth.npy", tmp_path / "made.npy", "--voxel-size", 8, 8, 8)
    assert found == pytest.approx(expected, abs=0.02)
    clear = {"8", "16", "float", "double"}
    assert bool(advice) == (not {truth, made} <= clear), "who fills the range is not asked"


def test_a_range_for_each_file(tmp_path, capsys):
    stored(tmp_path / "truth.npy", TRUTH, "12")
    stored(tmp_path / "made.npy", MADE, "float")
    words = ["evaluate", tmp_path / "truth.npy", tmp_path / "made.npy", "--voxel-size", 8, 8, 8, "--metrics", "psnr"]
    words = [*map(str, words), "--json", str(tmp_path / "s.json"), "--intensity-range"]
    for more in (["0", "4095"], ["auto"], ["0", "4095", "--reconstruction-range", "0", "1"]):
        assert main([*words, *more]) == 0
        facts = json.loads((tmp_path / "s.json").read_text())
        assert facts["intensity_range"] == {"truth": [0, 4095], "reconstruction": [0, 1]}
    files = [str(tmp_path / "truth.npy"), str(tmp_path / "made.npy")]
    for span in (["0", "4095"], ["percentile", "0", "100"], ["auto"]):
        more = ["--reconstruction-range", "0", "1", *files, "--voxel-size", "8", "8", "8"]
        assert main(["evaluate", "--intensity-range", *span, *more, "--metrics", "psnr"]) == 0, "files may come last"
    assert main([*words, "0", "4095", "--reconstruction-range", "automatic"]) == 2
    assert "--reconstruction-range automatic" in capsys.readouterr().err


def test_an_overshoot_is_clipped_and_does_not_raise_the_score(tmp_path, capsys):
    wild = (TRUTH + 0.1 * np.random.default_rng(0).standard_normal(TRUTH.shape)).astype(np.float32)
    stored(tmp_path / "truth.npy", TRUTH, "float")
    np.save(tmp_path / "wild.npy", wild)
    np.save(tmp_path / "clipped.npy", np.clip(wild, 0, 1))
    size = ["--voxel-size", 8, 8, 8]
    expected, _ = evaluated(tmp_path, capsys, tmp_path / "truth.npy", tmp_path / "clipped.npy", *size)
    found, advice = evaluated(tmp_path, capsys, tmp_path / "truth.npy", tmp_path / "wild.npy", *size)
    assert found == pytest.approx(expected) and advice == ["--reconstruction-range", "0", "1"]


def test_a_range_of_the_truth_that_the_reconstruction_does_not_have_is_refused(tmp_path, capsys):
    for truth, made, top in (("float255", "float", 1), ("12", "16", 65535)):
        stored(tmp_path / "truth.npy", TRUTH, truth)
        stored(tmp_path / "made.npy", MADE, made)
        words = ["evaluate", tmp_path / "truth.npy", tmp_path / "made.npy", "--voxel-size", 8, 8, 8]
        assert main([*map(str, words), "--metrics", "psnr", "--intensity-range", "auto"]) == 2
        assert f"--reconstruction-range 0 {top} is likely" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("factor", "dtype", "top"),
    [(1, "u1", 255), (4, "u2", 1020), (16, "u2", 4080), (64, "u2", 16320), (257, "u2", 65535)],
)
def test_the_same_grey_levels_in_other_types_have_the_same_score_exactly(tmp_path, capsys, factor, dtype, top):
    truth, made = (np.rint(255 * voxels) for voxels in (TRUTH, MADE))
    np.save(tmp_path / "truth.npy", (truth * factor).astype(dtype))
    np.save(tmp_path / "made.npy", (made * factor).astype(dtype))
    words = [tmp_path / "truth.npy", tmp_path / "made.npy", "--voxel-size", 8, 8, 8, "--intensity-range", 0, top]
    found, _ = evaluated(tmp_path, capsys, *words)
    for name, voxels in (("truth", truth), ("made", made)):
        np.save(tmp_path / f"{name}.npy", voxels.astype(np.uint8))
    assert found == evaluated(tmp_path, capsys, *words[:6])[0]


def channels(path, voxels, count):
    both = np.stack([255 - voxels] * (count - 1) + [voxels], axis=1) if count > 1 else voxels
    tifffile.imwrite(path, both, imagej=True, metadata={"axes": "ZCYX" if count > 1 else "ZYX"})


def test_a_channel_is_that_of_files_which_have_several(tmp_path, capsys):
    truth, made = (np.rint(255 * voxels).astype(np.uint8) for voxels in (TRUTH, MADE))
    found = {}
    for first in (1, 2):
        for second in (1, 2):
            channels(tmp_path / "truth.tif", truth, first)
            channels(tmp_path / "made.tif", made, second)
            words = [tmp_path / "truth.tif", tmp_path / "made.tif", "--voxel-size", 8, 8, 8]
            found[first, second], _ = evaluated(tmp_path, capsys, *words, "--channel", 1)
    assert len(set(found.values())) == 1
    assert main([*map(str, ["evaluate", *words, "--channel", 1, "--metrics", "psnr"])]) == 0
    assert capsys.readouterr().err == ""
    channels(tmp_path / "truth.tif", truth, 1)
    assert main([*map(str, ["evaluate", *words, "--channel", 1, "--metrics", "psnr"])]) == 0
    assert "truth.tif: has no channels to choose from, and is read as it is; --channel 1" in capsys.readouterr().err
    for more, code in (((), 2), (("--axes", "zcyx"), 0)):
        np.save(tmp_path / "four.npy", np.stack([255 - made, made], axis=1))
        asked = [tmp_path / "truth.tif", tmp_path / "four.npy", "--voxel-size", 8, 8, 8, "--channel", 1, *more]
        assert main([*map(str, ["evaluate", *asked, "--metrics", "psnr"])]) == code, more
        assert ("--axes" in capsys.readouterr().err) or more


def test_a_channel_of_one_file_that_has_none_is_refused(tmp_path, capsys):
    np.save(tmp_path / "v.npy", np.rint(255 * TRUTH).astype(np.uint8))
    folder = tmp_path / "sections"
    folder.mkdir()
    for z, section in enumerate(np.rint(255 * TRUTH).astype(np.uint8)):
        tifffile.imwrite(folder / f"{z:03}.tif", section)
    for path in (tmp_path / "v.npy", folder):
        for words in (("--channel", "1"), ("--time", "2"), ("--axes", "yxz")):
            code = main(["degrade", str(path), str(tmp_path / "o.tif"), "--scale", "4", *words])
            error = capsys.readouterr().err
            if (path.name, words[0]) != ("v.npy", "--axes"):  # which is then read so
                assert code == 2 and f"{words[0]} {words[1]}" in error
            (tmp_path / "o.tif").unlink(missing_ok=True)


def sized(path, values, size):
    meta = {"axes": "ZYX"}
    for axis, edge in zip("ZYX", size, strict=True):
        meta |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
    tifffile.imwrite(path, np.rint(values * 255).astype(np.uint8), ome=True, metadata=meta)


def test_voxel_sizes_that_contradict_each_other_are_one_line_and_the_given_one_wins(tmp_path, capsys):
    truth, made = tmp_path / "truth.ome.tif", tmp_path / "made.ome.tif"
    sized(truth, TRUTH, (8, 8, 8))
    sized(made, MADE, (40, 4, 4))
    words = ["evaluate", str(truth), str(made), "--metrics", "psnr"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--voxel-size" in error
    assert "truth truth.ome.tif says 8 x 8 x 8 nm, the reconstruction made.ome.tif says 40 x 4 x 4 nm" in error
    assert main([*words, "--voxel-size", "8", "8", "8"]) == 0
    error = capsys.readouterr().err
    assert "made.ome.tif: voxel size 8 x 8 x 8 nm as given; OME-TIFF metadata says 40 x 4 x 4 nm" in error
    sized(made, MADE, (8.03, 8, 7.98))
    assert main(words) == 0 and capsys.readouterr().err == ""


def test_other_commands_refuse_a_range_that_values_do_not_fill(tmp_path, capsys):
    stored(tmp_path / "v.npy", np.tile(TRUTH, (2, 1, 1)), "12")
    volume = str(tmp_path / "v.npy")
    for words in (
        ["degrade", volume, str(tmp_path / "out.tif"), "--scale", "4", "--voxel-size", "8", "8", "8"],
        ["reconstruct", volume, str(tmp_path / "made.tif"), "--voxel-size", "40", "8", "8"],
        ["bench", "--dataset", f"local:{volume}", "--scale", "4", "--methods", "linear", "--metrics", "psnr",
         "--voxel-size", "8", "8", "8", "--runs", str(tmp_path / "runs")],
    ):  # fmt: skip
        assert main(words) == 2, words[0]
        assert "--intensity-range 0 4095 is likely" in capsys.readouterr().err
        assert main([*words, "--intensity-range", "auto"]) == 0, words[0]


def scores_of(folder, *words):
    assert main(["evaluate", *map(str, words), "--metrics", "psnr", "--json", str(folder / "s.json")]) == 0
    rows = json.loads((folder / "s.json").read_text())["scores"]
    return {(row["plane"], row["range"]): row["value"] for row in rows}


@pytest.mark.parametrize("lost", [[0], [5], [3, 12]])
def test_what_is_missing_is_left_out_of_the_scores_from_a_whole_slab_on(tmp_path, capsys, lost):
    truth, made = (np.rint(255 * volume).astype(np.uint8) for volume in (TRUTH, MADE))
    size = ("--voxel-size", 8, 8, 8)
    (tmp_path / "truth").mkdir()
    for z in set(range(16)) - set(lost):
        tifffile.imwrite(tmp_path / "truth" / f"{z:02}.tif", truth[z])
    if 0 in lost:  # sections before the first number cannot be missed
        (tmp_path / "truth" / "01.tif").unlink()
        tifffile.imwrite(tmp_path / "truth" / "00.tif", truth[0])
    tifffile.imwrite(tmp_path / "made.tif", made)
    as_kept = ("--scale", 4, "--degradation", "subsample")
    found = scores_of(tmp_path, tmp_path / "truth", tmp_path / "made.tif", *size, *as_kept, "--missing", "exclude")
    start, stop = {0: (4, 16), 5: (8, 16), 3: (4, 12)}[lost[0]]
    assert f"scored is z[{start},{stop}) y[0,32) x[0,32) of 16 x 32 x 32 voxels" in capsys.readouterr().err
    for name, volume in (("a", truth), ("b", made)):
        np.save(tmp_path / f"{name}.npy", volume[start:stop])
    assert found == scores_of(tmp_path, tmp_path / "a.npy", tmp_path / "b.npy", *size, *as_kept)
