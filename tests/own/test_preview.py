"""`vemrecon reconstruct --preview`: the picture of a block, before the whole is made."""

import builtins

import numpy as np
import pytest
from PIL import Image
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.own import preview
from vemrecon.own.preview import observed_region, place_of, preview_block, sections_beside
from vemrecon.own.steps import make_ready
from vemrecon.own.wish import Wish
from vemrecon.volume import SectionGrid, Volume, VoxelSize
from vemrecon.volume.ome_zarr import copy_to_zarr

SMALL = [
    "--method",
    "lateral-cnn",
    "--train",
    "smoke",
    "--set",
    "width=8",
    "blocks=1",
    "patch=32",
    "budget=4",
    "batch=2",
]


def silent(phase, share, note=""):
    pass


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.zarr"
    copy_to_zarr(path, Volume(textured((10, 48, 52)), VoxelSize(40, 10, 10), "stack"), "uint8")
    return path


@pytest.fixture
def plates(monkeypatch):
    """Plates that would have been drawn."""
    seen = []
    monkeypatch.setattr("vemrecon.commands.preview.write_figure", lambda path, plate, style: seen.append(plate))
    return seen


def run(*words):
    return main([str(word) for word in words])


def ready_of(grid, shape=(40, 70, 90), dtype="uint8", method="lanczos3"):
    array = textured(shape) if dtype == "uint8" else (textured(shape).astype(dtype) * 200)
    volume = Volume(array, VoxelSize(10 * grid.scale, 10, 10), "stack", grid=grid)
    return make_ready(Wish(method=method), volume, None, silent, silent, examine=False)


GRIDS = [SectionGrid.slabs(4), SectionGrid.slabs(2.5), SectionGrid.kept_every(8, 3), SectionGrid.kept_every(4)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("at", [None, (0, 0, 0), (39, 69, 89), (13, 60, 5)])
def test_a_preview_shows_the_voxels_that_the_whole_will_have(grid, at, monkeypatch):
    monkeypatch.setattr(preview, "SIDES", (16, 32))
    ready = ready_of(grid, dtype="uint16")
    place = place_of(ready.observed, at)

    block = preview_block(ready, place, silent)

    whole = ready.array(silent)
    assert block.volume.shape == whole.shape and block.box.shape == (32, 32, 32)
    assert block.box.contains(type(block.box)(place, [n + 1 for n in place]))
    assert np.array_equal(block.volume.read_raw(block.box), whole[block.box.slices])
    below, above = sections_beside(ready.observed, place[0])
    first, last = grid.positions(40)[[below, above]]
    assert first < place[0] < last
    if at is not None:
        assert below == min(at[0], 38) and place[1:] == at[1:]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_block_is_made_of_the_sections_that_it_needs_and_no_others(grid):
    observed = ready_of(grid).observed
    for start in range(0, grid.extent(40) - 16, 7):
        box = preview.Region((start, 0, 0), (start + 16, 8, 8))
        region = observed_region(observed, box)
        assert grid.extent(region.start[0]) <= start and start + 16 <= grid.extent(region.stop[0])
        assert grid.extent(region.shape[0]) < 16 + 4 * grid.scale


def test_slow_methods_make_a_smaller_block(monkeypatch):
    ready = ready_of(SectionGrid.slabs(4), (40, 130, 130))
    place = place_of(ready.observed, None)
    monkeypatch.setattr(preview, "MOST_SECONDS", 0.0)
    assert preview_block(ready, place, silent).box.shape == (64, 64, 64)
    monkeypatch.setattr(preview, "MOST_SECONDS", 1e9)
    assert preview_block(ready, place, silent).box.shape == (160, 130, 130)


def test_the_middle_is_that_of_the_region():
    observed = ready_of(SectionGrid.slabs(4)).observed
    region = preview.Region((20, 0, 50), (30, 10, 90))
    assert place_of(observed, None, region) == (104, 5, 70)
    with pytest.raises(ConfigError, match="--preview 3 70 0 lies outside the input of 40 x 70 x 90 voxels"):
        place_of(observed, (3, 70, 0))


def test_the_picture_is_all_that_is_written(stack, tmp_path, capsys):
    out = tmp_path / "made.ome.tif"
    assert run("reconstruct", stack, out, "--preview", "--method", "linear") == 0
    said = capsys.readouterr().out
    assert "made-preview.png: 40 x 48 x 52 voxels, z = 24 (between sections 5 and 6 of the input)" in said, said
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr", "made-preview.png"}
    with Image.open(tmp_path / "made-preview.png") as picture:
        assert picture.width > 1500 and np.ptp(np.asarray(picture.convert("L"))) == 255
    assert run("reconstruct", "--preview", "9", "0", "51", stack, out, "--method", "linear") == 0, "files may follow"
    assert "z = 36 (between sections 8 and 9 of the input), y = 0, x = 51\n" in capsys.readouterr().out
    assert run("reconstruct", stack, out, "--preview", "--region", "6:10", ":", "12:") == 0
    assert "sections 8 and 9 of the input), y = 24, x = 32, as counted in the whole volume\n" in capsys.readouterr().out


def test_rows_are_what_was_recorded_bicubic_and_the_method_in_one_window(stack, tmp_path, plates):
    words = ["reconstruct", stack, tmp_path / "out.tif", "--preview"]
    assert run(*words, "--method", "nearest") == 0
    assert run(*words) == 0
    assert run(*words, "--voxel-size", "40", "10", "10", "--method", "lanczos3", "--scale", "3") == 0
    rows = [[line.label for line in plate.lines] for plate in plates]
    assert rows == [["Observed", "bicubic", "nearest"], ["Observed", "bicubic"], ["Observed", "bicubic", "lanczos3"]]
    observed, _, nearest = plates[0].lines
    xz = [line.pictures[1].values for line in (observed, nearest)]
    assert np.array_equal(np.repeat(xz[0], 4, axis=0), xz[1]), "the same grey value is the same grey"
    for words in ("stack.zarr: nearest, scale 4, voxels of 10 x 10 x 10 nm", "between sections 5 and 6", "grey levels"):
        assert words in plates[0].note
    assert "scale 3" in plates[2].note


def test_a_dark_volume_of_many_levels_is_seen(tmp_path, plates):
    np.save(tmp_path / "v.npy", textured((8, 40, 40)).astype(np.uint16) * 4 + 1000)
    words = ["--intensity-range", "0", "65535", "--scale", "4", "--preview"]
    assert run("reconstruct", tmp_path / "v.npy", tmp_path / "out.tif", *words) == 0
    values = plates[0].lines[0].pictures[0].values
    assert values.min() < 40 and values.max() > 215 and len(np.unique(values)) > 100
    assert plates[0].in_voxels and "voxels of unknown size" in plates[0].note


def test_lengths_are_voxels_where_nobody_knows_their_size(tmp_path):
    from vemrecon.figure.drawing import draw
    from vemrecon.figure.layout import Style

    np.save(tmp_path / "v.npy", textured((8, 40, 40)))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vemrecon.commands.preview.write_figure", lambda path, plate, style: seen.append(plate))
        assert run("reconstruct", tmp_path / "v.npy", tmp_path / "out.tif", "--scale", "4", "--preview") == 0
    texts = [text.get_text() for axes in draw(seen[0], Style()).axes for text in axes.texts]
    assert set(texts) == {"10 voxels"}


def test_a_training_is_kept_for_the_run_that_follows(stack, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.tif"
    assert run("reconstruct", stack, out, *SMALL, "--preview") == 0
    (work,) = tmp_path.glob(".out.tif.work-*")
    assert f"the training is kept in {work} for the same command without --preview" in capsys.readouterr().out

    def refuse(*words, **more):
        raise AssertionError("trained again")

    monkeypatch.setattr("vemrecon.fit.stages.fit_stage", refuse)
    assert run("reconstruct", stack, out, *SMALL, "--preview", "3", "20", "20") == 0
    assert run("reconstruct", stack, out, *SMALL) == 0
    assert out.exists() and not list(tmp_path.glob(".out*"))


def test_sections_are_not_all_read_for_a_preview_of_what_is_not_trained(stack, tmp_path, monkeypatch, plates):
    seen = []

    def examined(volume, progress):
        seen.append(volume)
        raise KeyboardInterrupt

    monkeypatch.setattr("vemrecon.data.damage.examined", examined)
    assert run("reconstruct", stack, tmp_path / "out.tif", "--preview") == 0 and not seen
    assert run("reconstruct", stack, tmp_path / "out.tif", *SMALL, "--preview") == 130 and seen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preview", "10", "200"], "--preview 10 200: must be the three numbers Z Y X of a voxel, or none"),
        (["--preview", "1", "2", "3", "4"], "must be the three numbers"),
        (["--preview", "1", "2", "-3"], "--preview -3: must be at least 0"),
        (["--preview", "1", "2", "3.5"], "whole number"),
        (["--preview", "10", "2", "3"], "lies outside the input of 10 x 48 x 52"),
        (["--preview", "--dry-run"], "give --preview or --dry-run, not both"),
    ],
)
def test_what_is_no_voxel_of_the_input_is_refused(stack, tmp_path, capsys, words, message):
    assert run("reconstruct", stack, tmp_path / "out.tif", *SMALL, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error
    assert [path.name for path in tmp_path.iterdir()] == ["stack.zarr"]


def test_without_matplotlib_one_line_says_what_to_install(stack, tmp_path, capsys, monkeypatch):
    found = builtins.__import__

    def missing(name, *words, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *words, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert run("reconstruct", stack, tmp_path / "out.tif", *SMALL, "--preview") == 2
    error = capsys.readouterr().err
    assert "pip install 'vemrecon[figure]'" in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stack.zarr"]
