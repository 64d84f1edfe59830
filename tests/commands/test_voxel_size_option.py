"""What a user says about voxel sizes, what commands refuse about them, and that their advice works."""

import json
import re
import shlex

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from small_volumes import textured

from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.cli import main
from vemrecon.commands.info import InfoOptions
from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import VoxelSize

GREY = textured((16, 48, 48))
FEI = "[Scan]\r\nPixelWidth=4e-009\r\nPixelHeight=4e-009\r\n"


def stored(path, size, voxels=GREY, **attributes):
    with h5py.File(path, "w") as file:
        file["raw"] = voxels
        file["raw"].attrs.update({"resolution": np.array(size, float), **attributes})
    return str(path)


@pytest.fixture
def fei(tmp_path):
    path = tmp_path / "fei.tif"
    tifffile.imwrite(path, GREY, extratags=[(34682, 2, 0, FEI, True)], photometric="minisblack", metadata=None)
    return str(path)


def refused(capsys, *words):
    """The one line of a refusal, and what its advice adds to the command."""
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    found = re.search(
        r"(?:say|give|as|with) ((?:--voxel-size|--square-pixels)(?: (?:[zyx]=)?(?:[\d.]+|NM|[ZYX])\b)*)", error
    )
    return error, shlex.split(found[1].replace("NM", "40").replace(" Z Y X", " 8 8 8")) if found else []


def plan(path, folder):
    words = ["--scale", "4", "--methods", "linear", "--metrics", "psnr", "--runs", folder / "runs"]
    return ["plan", "--dataset", f"local:{path}", *words]


@pytest.mark.parametrize(
    "words",
    [("8", "4", "2"), ("8,4,2",), ("8,", "4,", "2"), ("z=8", "y=4", "x=2"), ("z=8,y=4", "x=2"), ("X=2", "Z=8", "Y=4")],
)
def test_sizes_are_three_numbers_or_axes_by_name(words):
    assert list(InfoOptions(input="v", voxel_size=list(words)).voxels) == [8, 4, 2]


@pytest.mark.parametrize(
    "words",
    [("8",), ("8", "8"), ("8", "8", "8", "8"), ("z=8", "8"), ("z=8", "z=4"), ("w=8",), ("z=8nm",), ("z=",), (True,)],
)
def test_what_is_no_size_is_refused(words):
    with pytest.raises(ConfigError, match="--voxel-size"):
        InfoOptions(input="v", voxel_size=list(words))


@pytest.mark.parametrize("size", [["8", "8", "8"], ["8,8,8"], ["z=8", "y=8", "x=8"], ["z=8,y=8,x=8"]])
def test_files_may_follow_a_size_and_options_of_many_words(tmp_path, size):
    np.save(tmp_path / "t.npy", GREY)
    np.save(tmp_path / "r.npy", GREY[:, ::-1])
    files = [str(tmp_path / "t.npy"), str(tmp_path / "r.npy")]
    for words in (
        [*files, "--voxel-size", *size, "--metrics", "psnr"],
        ["--metrics", "psnr", "--voxel-size", *size, *files],
        [files[0], "--metrics", "psnr", "--voxel-size", *size, files[1]],
        ["--metrics", "psnr", "--intensity-range", "0", "255", "--voxel-size", *size, *files],
    ):
        assert main(["evaluate", *words]) == 0, words


def test_a_file_that_knows_pixels_needs_z_alone(fei, tmp_path, capsys):
    asked = [
        ["reconstruct", fei, tmp_path / "made.tif"],
        ["prepare", fei, tmp_path / "made.zarr"],
        ["evaluate", fei, fei, "--metrics", "psnr"],
    ]
    for words in asked:
        error, advice = refused(capsys, *words)
        assert "y 4 nm, x 4 nm is known (y, x: FEI tag), but not z" in error and advice == ["--voxel-size", "z=40"]
        assert main([*map(str, words), *advice]) == 0, words
        capsys.readouterr()
    assert tifffile.imread(tmp_path / "made.tif").shape == (160, 48, 48)
    request = Request(dataset=f"local:{fei}", methods="linear", scale=4)
    with pytest.raises(DataError, match=r"but not z; give --voxel-size z=NM"):
        resolve([request], Setup(runs=tmp_path / "runs"), fetch=True)
    found = resolve([request], Setup(runs=tmp_path / "runs", voxel_size="z=40"), fetch=True)
    truth = found.requests[0].splits[0].truth
    assert truth.voxel_size == (40, None, None) and truth.open().voxel_size == VoxelSize(40, 4, 4)


def test_what_was_given_is_part_of_the_advice(tmp_path, capsys):
    np.save(tmp_path / "v.npy", GREY)
    words = ["prepare", tmp_path / "v.npy", tmp_path / "v.zarr"]
    error, advice = refused(capsys, *words, "--voxel-size", "y=4", "x=4")
    assert advice == ["--voxel-size", "z=40", "y=4", "x=4"] and "(y, x: --voxel-size)" in error
    assert main([*map(str, words), *advice]) == 0


def test_sizes_in_the_order_x_y_z_are_refused_whoever_says_them(tmp_path, capsys):
    swapped = stored(tmp_path / "v.h5", (4, 4, 40))
    np.save(tmp_path / "v.npy", GREY)
    for path, given in ((swapped, []), (tmp_path / "v.npy", ["--voxel-size", "4", "4", "40"])):
        for words in (
            ["reconstruct", path, tmp_path / "made.tif"],
            ["degrade", path, tmp_path / "made.tif", "--scale", "4"],
            ["prepare", path, tmp_path / "made.zarr"],
            ["evaluate", path, path, "--metrics", "psnr"],
            ["figure", tmp_path / "f.png", "--volumes", path, path, "--truth", path, "--size", "16"],
            plan(path, tmp_path),
        ):
            error, advice = refused(capsys, *words, *given)
            assert "x is the long axis" in error and advice == ["--voxel-size", "40", "4", "4"], words
            assert main([*map(str, words), *advice]) == 0
            for made in ("made.tif",):
                (tmp_path / made).unlink(missing_ok=True)
            capsys.readouterr()
            if (tmp_path / "made.zarr").exists():
                (tmp_path / "made.zarr").rename(tmp_path / f"done{len(list(tmp_path.iterdir()))}.zarr")


def test_pixels_that_are_not_square_are_made_so_or_refused(tmp_path, capsys):
    path = stored(tmp_path / "v.h5", (50, 5, 10), offset=[50.0, 5, 10])
    for words in (
        ["reconstruct", path, tmp_path / "made.tif"],
        ["degrade", path, tmp_path / "made.zarr", "--scale", "4"],
        plan(path, tmp_path),
    ):
        error, advice = refused(capsys, *words)
        assert "y 5 nm and x 10 nm" in error and advice == ["--square-pixels"]
        assert main([*map(str, words), *advice]) == 0
        error = capsys.readouterr().err
        assert words[0] == "plan" or "x is interpolated, 48 pixels become 96" in error
    said = []
    request = Request(dataset=f"local:{path}", methods="linear", scale=4)
    resolve([request], Setup(square_pixels=True, runs=tmp_path / "runs"), fetch=True, say=said.append)
    assert "x is interpolated, 48 pixels become 96" in said[0]
    assert main(["info", str(tmp_path / "made.tif"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["voxel_size"]["nm"] == pytest.approx([5, 5, 5]) and facts["shape"] == [160, 48, 96]
    assert facts["origin"]["nm"] == pytest.approx([50 - 22.5, 5, 7.5])
    assert main(["evaluate", path, path, "--metrics", "psnr"]) == 0


def test_pixels_of_which_only_y_and_x_are_known_are_compared_too(tmp_path, capsys):
    tag = FEI.replace("PixelHeight=4e", "PixelHeight=5e")
    path = tmp_path / "v.tif"
    tifffile.imwrite(path, GREY, extratags=[(34682, 2, 0, tag, True)], photometric="minisblack", metadata=None)
    error, _ = refused(capsys, "degrade", path, tmp_path / "out.tif", "--scale", "4")
    assert "y 5 nm and x 4 nm" in error
    assert (
        main(
            ["degrade", str(path), str(tmp_path / "out.tif"), "--scale", "4", "--square-pixels", "--voxel-size", "z=8"]
        )
        == 0
    )


@pytest.mark.parametrize("task", [None, "native", "lateral"])
def test_a_file_of_unknown_size_is_never_benched_as_isotropic(tmp_path, task):
    np.save(tmp_path / "v.npy", GREY)
    request = Request(dataset=f"local:{tmp_path / 'v.npy'}", methods="linear", scale=4, task=task)
    with pytest.raises(DataError, match=r"does not say its voxel size; give it as --voxel-size Z Y X in nm"):
        resolve([request], Setup(runs=tmp_path / "runs"), fetch=True)
    size = ("8", "8", "8") if task is None else ("40", "4", "4")
    assert resolve([request], Setup(runs=tmp_path / "runs", voxel_size=size), fetch=True).requests


def test_a_card_and_its_file_do_not_contradict_each_other(tmp_path, capsys):
    stored(tmp_path / "v.h5", (40, 4, 4))
    card = {
        "title": "mine", "licence": "x", "voxel_size": [8, 8, 8], "files": {"v": {"path": "v.h5", "dataset": "raw"}},
        "tasks": ["reference"], "splits": {"all": {"file": "v"}}, "default_split": "all",
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(card))
    words = ["bench", "--dataset", tmp_path / "mine.yaml", *plan("", tmp_path)[3:]]
    error, _ = refused(capsys, *words)
    assert "voxel size 40 x 4 x 4 nm, but the card of 'mine' says 8 x 8 x 8 nm" in error


def test_sections_along_another_axis_are_not_reconstructed_along_z(tmp_path, capsys):
    path = stored(tmp_path / "v.h5", (8, 8, 8))
    for axis in "yx":
        made = tmp_path / f"{axis}.zarr"
        assert main(["degrade", path, str(made), "--scale", "4", "--axis", axis]) == 0
        error, _ = refused(capsys, "reconstruct", made, tmp_path / "out.tif")
        assert f"taken along {axis}" in error


def test_a_figure_refuses_sizes_that_contradict_each_other(tmp_path, capsys):
    truth, made = stored(tmp_path / "t.h5", (8, 8, 8)), stored(tmp_path / "r.h5", (40, 4, 4))
    words = ["figure", tmp_path / "f.png", "--truth", truth, "--volumes", made, "--size", "16"]
    error, advice = refused(capsys, *words)
    assert "says 8 x 8 x 8 nm, the reconstruction" in error and advice == ["--voxel-size", "8", "8", "8"]
    assert main([*map(str, words), *advice]) == 0
    capsys.readouterr()
    observed = stored(tmp_path / "o.h5", (16, 8, 8), GREY[::4])
    words = ["figure", tmp_path / "f.png", "--truth", truth, "--volumes", truth, "--observed", observed, "--size", "16"]
    error, advice = refused(capsys, *words)
    assert "32 x 8 x 8 nm" in error and "16 x 8 x 8 nm" in error
    assert main([*map(str, words), *advice]) == 0


def test_info_says_where_each_edge_comes_from_and_what_to_give(fei, tmp_path, capsys):
    assert main(["info", fei]) == 0
    text = capsys.readouterr().out
    assert "voxel size  ? x 4 x 4 nm (y, x: FEI tag)" in text and "give --voxel-size z=NM" in text.splitlines()[-1]
    assert main(["info", fei, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["voxel_size"]["nm"] == [None, 4, 4] and facts["edges"]["z"] is None
    assert facts["edges"]["y"] == {"nm": 4, "said": "FEI tag"}
    assert main(["info", fei, "--voxel-size", "z=40"]) == 0
    assert "40 x 4 x 4 nm (z: --voxel-size; y, x: FEI tag)" in capsys.readouterr().out
    for size, verdict in (
        ((4, 4, 40), "say --voxel-size 40 4 4"),
        ((50, 5, 10), "say --square-pixels"),
        ((4, 8, 8), "z is finer"),
    ):
        assert main(["info", stored(tmp_path / "v.h5", size)]) == 0
        assert verdict in capsys.readouterr().out.splitlines()[-1]
    tifffile.imwrite(
        tmp_path / "d.tif", GREY, resolution=(72, 72), resolutionunit="INCH", photometric="minisblack", metadata=None
    )
    assert main(["info", str(tmp_path / "d.tif")]) == 0
    text = capsys.readouterr().out
    assert "voxel size  not said" in text and "TIFF resolution of 72 dpi is that of a screen" in text
