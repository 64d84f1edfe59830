"""Kinds of task: lateral (y is degraded) and native (the real z, no truth)."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from native_evidence import native_scores
from small_volumes import textured

from vemrecon.bench.plan import plan as planned
from vemrecon.bench.request import Request, Setup, metrics_of
from vemrecon.bench.resolve import resolve
from vemrecon.bench.scope import declined
from vemrecon.bench.scoring import gathered
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes, trimmed_along
from vemrecon.cli import main
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError, DataError
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.card import MethodCard
from vemrecon.methods.interpolation import Interpolation
from vemrecon.metrics import Limit
from vemrecon.metrics.catalogue.holdout import halfway
from vemrecon.metrics.evaluate import judge
from vemrecon.metrics.native import isotropy_scores
from vemrecon.metrics.uncertainty import uncertainty_scores
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume

SECTIONS = VoxelSize(40, 4, 4)


def anisotropic(shape=(6, 48, 40), seed=0):
    return Volume(textured(shape, seed), SECTIONS, "sections", SectionGrid.slabs(4))


def plan(tmp_path, methods=("linear",), **task):
    request = Request(**{"dataset": "cremi", "scale": 10, "methods": methods, **task})
    return planned(resolve([request], Setup(tmp_path), fetch=False))


def test_an_anisotropic_dataset_is_degraded_along_y_by_default_in_every_sample(tmp_path):
    tasks = [run.folder.spec.task for run in plan(tmp_path)]
    assert [(task.kind, task.axis, task.split) for task in tasks] == [("lateral", "y", f"{s}-test") for s in "abc"]


def test_a_native_task_takes_the_axial_split(tmp_path):
    runs = plan(tmp_path, dataset="vnc", task="native", methods=("linear", "lateral-cnn"))
    tasks = {(run.folder.spec.task.kind, run.folder.spec.task.axis, run.folder.spec.task.split) for run in runs}
    assert tasks == {("native", "z", "axial")}
    assert runs[1].folder.spec.training["mode"] == "transductive"  # its training rows reach into the axial region


def test_every_kind_has_metrics_of_its_own(tmp_path):
    assert "frc" in plan(tmp_path)[0].folder.spec.metrics
    assert metrics_of("native", ("psnr", "isotropy")) == ("isotropy",)
    with pytest.raises(ConfigError, match="a native task is scored by holdout, isotropy"):
        metrics_of("native", ("psnr",))


def test_a_task_that_the_voxels_do_not_allow_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="allow --task reference, not lateral"):
        plan(tmp_path, dataset="fib25s", task="lateral")
    with pytest.raises(ConfigError, match="allow --task lateral or native, not reference"):
        plan(tmp_path, task="reference")


def test_a_lateral_task_has_no_transductive_mode(tmp_path):
    request = Request(("vnc",), scale=(4,), methods=("lateral-cnn",), mode="transductive")
    with pytest.raises(ConfigError, match="no transductive mode"):
        resolve([request], Setup(tmp_path), fetch=False)


PICKY = """
from vemrecon.methods import Method, MethodCard

class Picky(Method):
    card = MethodCard("Knows the scale it was built for", "none")

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def supports(self, scale, grid):
        return None if self.scale == 8 else f"it was built for {self.scale:g}"

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)
"""


def reason(method, regime, kind):
    """Why a method of a regime declines a kind of task."""
    task = Task("any", "test", 4.0, DegradationVariant("average"), "", "", kind=kind)
    spec = RunSpec(task, MethodVariant("any", "any", "any.Any", "1"), "smoke", 0, 1)
    return declined(RunFolder.of(spec, Path("runs")), MethodCard("Any", regime), method)


def test_methods_that_need_truth_decline_anisotropic_datasets():
    method = Watching()
    assert "isotropic truth" in reason(method, "isotropic", "lateral")
    assert reason(method, "self", "lateral") is None
    assert reason(method, "isotropic", "reference") is None


def test_a_plan_says_what_will_be_declined(tmp_path, capsys):
    words = ["plan", "--dataset", "cremis", "--scale", "10", "--methods", "sup-aenet", "d2r-aenet", "lateral-cnn"]
    assert main([*words, "--preset", "paper", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "sup-aenet will decline: it learns from isotropic truth" in said
    assert "d2r-aenet will decline: it learns from planes across sections" in said
    assert said.count("will decline:") == 2


def test_a_plan_asks_methods_of_others_as_they_are_built_for_the_task(tmp_path, capsys, monkeypatch):
    (tmp_path / "picky.py").write_text(PICKY)
    monkeypatch.chdir(tmp_path)
    words = ["plan", "--dataset", "fib25s", "--scale", "4", "8", "--methods", "picky.Picky", "--runs", "runs"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.count("Picky will decline: it was built for 4") == 1


def test_methods_that_look_across_sections_decline_lateral_tasks_alone():
    class Across(Watching):
        sees_across_sections = True

    assert "planes across sections" in reason(Across(), "self", "lateral")
    assert reason(Across(), "self", "native") is None


class Watching(Method):
    """Repeats sections and remembers the tiles."""

    tile = TileShape(2, 64, 64)
    seen = ()

    def reconstruct(self, tile):
        self.seen = (*self.seen, tile)
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)


def test_a_lateral_reconstruction_is_stored_upright_and_its_tiles_must_not_turn(tmp_path):
    truth, degradation = anisotropic(), make_degradation("average", 4)
    observed = degrade(truth, degradation, axis=1)
    method = Watching()
    reconstruct_volume(method, observed, tmp_path / "made.zarr", like=truth, axis=1)
    made = open_volume(tmp_path / "made.zarr")
    expected = np.repeat(observed.read(observed.whole), 4, axis=1)
    assert made.shape == truth.shape
    assert tuple(made.voxel_size) == tuple(SECTIONS)
    np.testing.assert_allclose(made.read(made.whole), expected, atol=0.5 / 255 + 1e-6)
    assert len(method.seen) == 6
    assert not any(tile.turns for tile in method.seen)


def test_lateral_methods_never_look_across_sections():
    """With turns off, sections that differ do not influence each other in a 2D method."""
    from vemrecon.methods.build import build_method
    from vemrecon.methods.lateral_cnn import LateralCNN

    method = build_method(LateralCNN, "lateral-cnn", {"width": 4, "blocks": 1}, grid=SectionGrid.slabs(4), seed=0)
    torch.nn.init.normal_(method.net.tail.weight)
    tile = torch.rand(1, 1, 6, 5, 16)
    changed = tile.clone()
    changed[..., 3, :] = 0
    with torch.inference_mode():
        a, b = (method.reconstruct(Tile(t, SectionGrid.slabs(4.0), turns=False)) for t in (tile, changed))
        c = method.reconstruct(Tile(changed, SectionGrid.slabs(4.0)))
    others = [0, 1, 2, 4]
    assert torch.equal(a[..., others, :], b[..., others, :])
    assert not torch.equal(a[..., others, :], c[..., others, :])


@pytest.mark.parametrize("name", ["average", "subsample"])
def test_lateral_scores_are_those_of_xy_sections_only(tmp_path, name):
    truth, degradation = anisotropic((4, 66, 64)), make_degradation(name, 4)
    truth = trimmed_along(truth, 4, 1)
    observed = degrade(truth, degradation, axis=1)
    method = Interpolation("linear")
    reconstruct_volume(method, observed, tmp_path / "made.zarr", like=truth, axis=1)
    made = replace(open_volume(tmp_path / "made.zarr"), voxel_size=truth.voxel_size)
    volumes = TaskVolumes(observed, truth, 1)
    metrics = ("psnr", "ssim", "fsim", "frc")
    found = judge(gathered("lateral", volumes, degradation, made, [2]), metrics)
    whole = {(row.metric, row.plane): row for row in found.scores if (row.range, row.block) == ("all", "all")}
    assert set(whole) == {
        ("psnr", "xy"), ("psnr", "volume"), ("ssim", "xy"), ("fsim", "xy"),
        *(("frc", plane) for plane in ("all", "y", "x", "ratio")),
    }  # fmt: skip
    a, b = (np.rint(v.read(v.whole).astype(np.float64) * 255) for v in (truth, made))
    psnr = [10 * np.log10(255**2 / ((p - q) ** 2).mean()) for z, (p, q) in enumerate(zip(a, b, strict=True)) if z != 2]
    assert whole["psnr", "xy"].value == pytest.approx(np.mean(psnr), abs=1e-6)
    assert "1 defect" in whole["psnr", "xy"].note
    assert whole["frc", "y"].value > whole["frc", "x"].value
    assert set(found.curves["frc"]["all"]) == {"all", "y", "x"}


def test_a_perfect_lateral_reconstruction_resolves_up_to_nyquist(tmp_path):
    truth = anisotropic((3, 64, 64))
    volumes = TaskVolumes(truth, truth, 1)
    rows = judge(gathered("lateral", volumes, make_degradation("average", 4), truth), ("frc",)).scores
    assert {(row.plane, row.limit) for row in rows if row.plane != "ratio"} == {
        (plane, Limit.AT_MOST) for plane in ("all", "y", "x")
    }


@pytest.mark.parametrize("grid", ["centred", "aligned"])
@pytest.mark.parametrize("scale", [4, 5, 2.5])
def test_linear_interpolation_predicts_the_mean_of_both_neighbours(tmp_path, grid, scale):
    observed = replace(anisotropic((7, 20, 20)), grid=SectionGrid.of_kind(grid, scale))
    rows = native_scores(Interpolation("linear"), observed, tmp_path, ("holdout",))
    values = {row.variant: row.value for row in rows}
    assert values["psnr"] == pytest.approx(values["psnr_neighbours"], abs=0.02)  # rounding of exact halves
    assert {row.count for row in rows if row.variant == "psnr"} == {3}
    assert not (tmp_path / "held").exists()


def test_a_ramp_is_predicted_where_the_dropped_section_lies(tmp_path):
    ramp = np.linspace(0, 1, 33, dtype=np.float32)[:, None, None] * np.ones((33, 4, 4), np.float32)
    for grid in ("centred", "aligned"):
        kept = replace(anisotropic((33, 4, 4)).with_voxels(ramp[::2]), grid=SectionGrid.of_kind(grid, 4))
        reconstruct_volume(Interpolation("linear"), kept, tmp_path / f"{grid}.zarr", like=kept)
        made = open_volume(tmp_path / f"{grid}.zarr")
        for k in (3, 8):
            np.testing.assert_allclose(halfway(made, k, kept.grid), ramp[2 * k + 1], atol=1e-5)


def test_damaged_sections_are_not_held_out(tmp_path):
    rows = native_scores(Interpolation("linear"), anisotropic((9, 16, 16)), tmp_path, ("holdout",), [4])
    assert next(row.count for row in rows if row.variant == "psnr") == 2  # sections 1 and 7


def test_isotropy_of_an_isotropic_volume_is_one_and_falls_with_axial_blur():
    from scipy.ndimage import gaussian_filter1d

    sharp = np.random.default_rng(0).random((48, 48, 48)).astype(np.float32)
    blurred = gaussian_filter1d(sharp, 2, axis=0)
    sharp_rows, blurred_rows = (
        {row.variant: row.value for row in isotropy_scores(Volume(v, VoxelSize(8, 8, 8), "v"), SectionGrid.slabs(4))}
        for v in (sharp, blurred)
    )
    assert sharp_rows["continuity"] == pytest.approx(1, abs=0.02)
    assert sharp_rows["power"] == pytest.approx(0, abs=0.15)  # few frequencies in a cone
    assert blurred_rows["continuity"] < 0.7
    assert blurred_rows["power"] < -1


def test_uncertainty_of_known_spread():
    spread = np.zeros((10, 10, 10), np.float32)
    spread[0, 0] = 20 / 255  # one percent of the voxels
    values = {row.variant: row.value for row in uncertainty_scores(Volume(spread, None, "spread"))}
    assert values["mean"] == pytest.approx(0.2, abs=1e-5)
    assert values["p99"] < 1


@pytest.fixture
def stack(tmp_path):
    """An anisotropic TIFF of one's own, with one black section."""
    grey = textured((8, 480, 64))
    grey[3] = 0
    tifffile.imwrite(tmp_path / "stack.tif", grey, photometric="minisblack")
    return tmp_path / "stack.tif"


def test_both_kinds_run_on_a_file_of_ones_own(tmp_path, stack, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "--dataset", f"local:{stack}", "--voxel-size", "40", "4", "4", "--scale", "4", "--jobs", "1"]
    assert main([*words, "--methods", "linear", "lateral-cnn", "--preset", "smoke"]) == 0
    assert main([*words, "--task", "native", "--split", "whole", "--methods", "linear"]) == 0
    results = {}
    for path in sorted((tmp_path / "runs").glob("*/*/result.json")):
        result = json.loads(path.read_text())
        task = result["spec"]["task"]
        results[task["kind"], result["spec"]["method"]["name"]] = result
        assert result["status"] == "done", result["reason"]
    assert set(results) == {("lateral", "linear"), ("lateral", "lateral-cnn"), ("native", "linear")}
    psnr = next(row for row in results["lateral", "linear"]["scores"] if row["metric"] == "psnr")
    assert "1 defect" in psnr["note"]
    held = {row["variant"]: row for row in results["native", "linear"]["scores"] if row["metric"] == "holdout"}
    assert held["psnr"]["count"] == 2  # sections 1 and 5; 3 is black
    blank = [row for row in results["native", "linear"]["scores"] if row["value"] is None]
    assert {row["metric"] for row in blank} == {"uncertainty"}
    assert all(row["note"] for row in blank)
    page = (tmp_path / "runs/report/index.html").read_text()
    assert "native" in page


def test_a_job_survives_its_file(tmp_path):
    from vemrecon.bench.job import Job
    from vemrecon.data.volume_at import VolumeAt

    job = Job(VolumeAt("a.tif", None, "0" * 64, (40, 4, 4), None, "test", None), defects=(3, 5))
    job.write(tmp_path / "job.json")
    read = Job.read(tmp_path / "job.json")
    assert asdict(read)["defects"] == (3, 5)
    facts = json.loads((tmp_path / "job.json").read_text())
    del facts["defects"]  # as it was before there were any
    (tmp_path / "job.json").write_text(json.dumps(facts))
    assert Job.read(tmp_path / "job.json").defects == ()


def test_a_training_file_that_is_a_copy_of_the_scored_one_is_refused(tmp_path, monkeypatch):
    from vemrecon.data import DatasetCard, DatasetFile, Split

    grey = textured((40, 64, 64))
    np.save(tmp_path / "a.npy", grey)
    np.save(tmp_path / "b.npy", np.ascontiguousarray(grey[:, 8:]))
    card = DatasetCard(
        "twice",
        "one block under two names",
        {name: DatasetFile(path=f"{name}.npy") for name in "ab"},
        {"test": Split("test", "a"), "train": Split("train", "b")},
        VoxelSize(8, 8, 8),
    )
    monkeypatch.setattr("vemrecon.bench.resolve.dataset_card", lambda *said: card)
    request = Request(("twice",), scale=(4,), methods=("lateral-cnn",), preset="smoke")
    with pytest.raises(DataError, match="holds voxels of the training split"):
        resolve([request], Setup(tmp_path / "runs", data_root=tmp_path), fetch=True)


def test_everything_that_is_missing_is_said_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    words = ["bench", "--dataset", "cremi", "--scale", "10", "--methods", "linear", "--data-root", str(tmp_path)]
    assert main([*words, "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert all(f"sample_{sample}_20160501.hdf" in error for sample in "ABC")


def test_a_volume_too_large_to_hold_sections_out_is_scored_without(tmp_path, monkeypatch):
    monkeypatch.setattr("vemrecon.metrics.evidence.IN_MEMORY_BYTES", 1000)
    observed = anisotropic((6, 20, 20))
    method = Interpolation("linear")
    reconstruct_volume(method, observed, tmp_path / "made.zarr", like=observed)
    made = open_volume(tmp_path / "made.zarr")
    metrics = ("holdout", "isotropy", "inpainting")
    rows = native_scores(method, observed, tmp_path, metrics, made=made)
    reasons = {row.metric: row.note for row in rows if row.value is None}
    assert set(reasons) >= {"holdout", "inpainting"}
    assert "in memory" in reasons["holdout"]
    assert any(row.metric == "isotropy" and row.value is not None for row in rows)


class Disagreeing(Watching):
    """Says that two orientations differ by a fifth of a grey level."""

    has_spread = True

    def reconstruct_with_spread(self, tile):
        made = self.reconstruct(tile)
        return made, torch.full_like(made, 0.2 / 255)


def test_uncertainty_below_a_grey_level_is_kept(tmp_path):
    observed = anisotropic((4, 16, 16))
    paths = tmp_path / "made.zarr", tmp_path / "spread.zarr"
    reconstruct_volume(Disagreeing(), observed, paths[0], like=observed, uncertainty=paths[1])
    assert str(open_volume(paths[0]).dtype) == "uint8"
    values = {row.variant: row.value for row in uncertainty_scores(open_volume(paths[1]))}
    assert values["mean"] == pytest.approx(0.2, abs=1e-4)
    assert values["p99"] == pytest.approx(0.2, abs=0.02)


def test_a_method_that_makes_one_of_each_has_no_uncertainty():
    from vemrecon.methods.build import build_method
    from vemrecon.methods.registry import method_entry

    for name, argument, one, two in (
        ("vemamba", "rotations", [0], [0, 5]),
        ("isovem", "rotations", [0], [0, 5]),
        ("irsde", "samples", 1, 2),
    ):
        kind, _, presets = method_entry(name).resolved()
        for value, expected in ((one, False), (two, True)):
            arguments = {**presets["smoke"], argument: value}
            method = build_method(kind, name, arguments, grid=SectionGrid.slabs(4), seed=0)
            assert method.has_spread == expected, name
