"""Kept sections that begin behind the first voxel are reconstructed, scored and stored where they were."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from vemrecon.bench.scoring import gathered, scored_ranges
from vemrecon.bench.sections import write_sections
from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.cli import main
from vemrecon.data.phantom import make_phantom
from vemrecon.degradations import Subsample, degrade, make_degradation
from vemrecon.degradations.realistic import Realistic
from vemrecon.errors import DataError
from vemrecon.figure.from_files import _observed as observed_of
from vemrecon.fit.stages import save_tensors
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.interpolation import Interpolation
from vemrecon.metrics.evaluate import judge
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr

SCALE = 8
COMMON = slice(SCALE, -SCALE)  # between kept sections, whatever the offset
OFFSETS = (0, 2, 4)


@pytest.fixture(scope="module")
def truth():
    return Volume(make_phantom((96, 64, 64)).grey, VoxelSize(8, 8, 8), "phantom", origin=(80.0, 16.0, 0.0))


def run(*words):
    return main([str(word) for word in words])


def psnr(truth, made):
    a, b = (volume.read(volume.whole)[COMMON].astype(np.float64) for volume in (truth, made))
    return -10 * np.log10(np.square(a - b).mean())


def test_offsets_score_alike_where_the_same_sections_are_scored(truth, tmp_path):
    found = []
    for offset in OFFSETS:
        degradation = Subsample(SCALE, offset)
        observed, path = degrade(truth, degradation), tmp_path / f"{offset}.zarr"
        reconstruct_volume(Interpolation("linear"), observed, path, like=truth)
        made = open_volume(path)
        found.append(psnr(truth, made))
        volumes, kept = TaskVolumes(observed, truth, 0), degradation.grid.kept(observed.shape[0])
        assert np.array_equal(made.read(made.whole)[kept], truth.read(truth.whole)[kept])
        scores = judge(gathered("reference", volumes, degradation, made), ("psnr",)).scores
        span = next(s for s in scores if (s.range, s.plane, s.block) == ("span", "xy", "all"))
        assert span.count == kept[-1] - kept[0] + 1 - len(kept)
    assert np.ptp(found) < 0.3, found


def test_offsets_score_alike_through_the_commands(truth, tmp_path, capsys):
    copy_to_zarr(tmp_path / "truth.zarr", truth, "uint8")
    found = {}
    for offset in OFFSETS:
        observed, made, report = (tmp_path / f"{offset}-{name}" for name in ("seen.zarr", "made.zarr", "scores.json"))
        words = ["--scale", SCALE, "--degradation", "subsample", "--set", f"offset={offset}"]
        assert run("degrade", tmp_path / "truth.zarr", observed, *words) == 0
        assert open_volume(observed).grid == SectionGrid.kept_every(SCALE, offset)
        assert run("reconstruct", observed, made, "--method", "linear") == 0
        assert run("evaluate", tmp_path / "truth.zarr", made, "--metrics", "psnr", "--json", report) == 0
        scores = json.loads(report.read_text())["scores"]
        found[offset] = next(row["value"] for row in scores if row["plane"] == "xy" and row["range"] == "all")
        result = open_volume(made)
        assert result.origin == pytest.approx(truth.origin) and tuple(result.voxel_size) == (8, 8, 8)
    capsys.readouterr()
    assert found[2] > found[0] - 0.3 and found[4] > found[0] - 0.3, found  # fewer sections lie outside of kept ones


def test_a_file_is_evaluated_between_the_sections_that_were_kept(truth, tmp_path, capsys):
    copy_to_zarr(tmp_path / "truth.zarr", truth, "uint8")
    files = [tmp_path / "truth.zarr", tmp_path / "truth.zarr", "--metrics", "psnr"]
    report = tmp_path / "scores.json"
    words = ["--scale", SCALE, "--degradation", "subsample", "--set", "offset=3", "--json", report]
    assert run("evaluate", *files, *words) == 0
    span = json.loads(report.read_text())["curves"]["slices"]["span"]
    assert span["first"] == 3 and len(span["mae"]) == 89  # 3 to 91, the last of every eighth
    rows = json.loads(report.read_text())["scores"]
    notes = {r["range"]: r["note"] for r in rows if r["plane"] == "xy"}
    assert "12 kept, 84 identical" in notes["all"] and "12 kept, 77 identical" in notes["span"]
    capsys.readouterr()
    for wrong, message in ((["offst=3"], "did you mean 'offset'"), (["offset=8"], "offset"), (["offset=x"], "offset")):
        assert run("evaluate", *files, *words[:4], "--set", *wrong) == 2
        assert message in capsys.readouterr().err
    assert run("evaluate", *files, "--set", "offset=3") == 2
    assert "--set needs --degradation" in capsys.readouterr().err


def test_the_range_between_kept_sections_begins_at_the_first_and_ends_at_the_last(truth):
    ranges, kept = scored_ranges(truth, Subsample(SCALE, 3), 12)
    assert ranges["span"] == Region((3, 0, 0), (92, 64, 64)) and kept == list(range(3, 96, 8))
    ranges, kept = scored_ranges(truth, Subsample(SCALE), 12)
    assert ranges["span"] == Region((0, 0, 0), (89, 64, 64)) and kept == list(range(0, 96, 8))


def test_sections_are_left_out_because_they_are_the_truth_and_not_for_a_name(truth):
    blurred = Realistic(SCALE, sections_by="subsample")
    ranges, kept = scored_ranges(truth, blurred, 12)
    assert "span" in ranges and kept == []

    @dataclass(frozen=True)
    class Thinned(Subsample):
        name: ClassVar[str] = "thinned"

    assert scored_ranges(truth, Thinned(SCALE, 1), 12)[1] == list(range(1, 96, 8))


def test_the_pictures_of_a_run_show_what_was_not_recorded(truth, tmp_path):
    for offset in OFFSETS:
        observed = degrade(truth, Subsample(SCALE, offset))
        write_sections(tmp_path / "s.npz", TaskVolumes(observed, truth, 0), truth)
        with np.load(tmp_path / "s.npz") as arrays:
            z = int(arrays["position"][0])
        assert (z - offset) % SCALE == SCALE // 2 and abs(z - 48) <= SCALE


def test_a_scale_that_is_not_that_of_the_file_is_one_line(truth, tmp_path, capsys):
    stack = tmp_path / "stack.zarr"
    copy_to_zarr(stack, degrade(truth, Subsample(SCALE, 4)), "float32")
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--scale", "6") == 2
    error = capsys.readouterr().err
    assert "--scale 6" in error and "every 8 voxels, the first at 4" in error and error.count("\n") == 1
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--scale", "6", "--grid", "aligned") == 0
    assert open_volume(tmp_path / "out.zarr").shape[0] == 72


@pytest.mark.parametrize(("voxel_size", "scale"), [((64, 8, 8), None), ((64, 8, 8), "6"), (None, "8")])
def test_files_of_earlier_versions_name_the_kind_of_their_sections_alone(truth, tmp_path, voxel_size, scale):
    import zarr

    stack = tmp_path / "stack.zarr"
    observed = degrade(truth, Subsample(SCALE))
    observed = replace(observed, voxel_size=VoxelSize(*voxel_size) if voxel_size else None, grid=None)
    copy_to_zarr(stack, observed, "float32")
    zarr.open_group(stack, mode="r+").attrs["vemrecon"] = {"grid": "aligned"}
    words = ["--scale", scale] if scale else []
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--method", "linear", *words) == 0
    made, step = open_volume(tmp_path / "out.zarr"), int(scale or 8)
    np.testing.assert_allclose(made.read(made.whole)[::step], observed.read(observed.whole), atol=1e-6)


@pytest.mark.parametrize("stored", ["aligned", SectionGrid.kept_every(8, 2).as_dict()])
def test_weights_tell_which_sections_they_were_made_for(truth, tmp_path, capsys, stored):
    weights, stack = tmp_path / "weights.safetensors", tmp_path / "stack.zarr"
    facts = {"method": "lateral-cnn", "arguments": {"width": 4, "blocks": 1}, "scale": 8, "grid": stored}
    save_tensors(weights, {}, facts)
    copy_to_zarr(stack, degrade(truth, make_degradation("average", SCALE)), "float32")
    words = ["reconstruct", stack, tmp_path / "out.zarr", "--method", "lateral-cnn", "--weights", weights]
    assert run(*words) == 2
    assert "learned on aligned sections" in capsys.readouterr().err
    assert run(*words, "--grid", "aligned") == 2
    assert "weights of another network" in capsys.readouterr().err


def test_a_figure_knows_where_the_sections_of_a_file_lie(truth, tmp_path):
    path = tmp_path / "observed.zarr"
    copy_to_zarr(path, degrade(truth, Subsample(SCALE, 4)), "float32")

    def observed(kind, shape):
        return observed_of(open_volume(path), lambda scale: open_volume(path, scale=scale), kind, shape)

    found = observed(None, truth.shape)
    assert [z for z in range(24) if found.recorded((z, 0, 0))] == [4, 12, 20]
    assert (found.withheld(96) - 4) % SCALE == SCALE // 2
    assert observed("centred", truth.shape).grid.first == 3.5
    with pytest.raises(DataError, match="every 8 voxels, the first at 4"):
        observed(None, (48, 64, 64))
