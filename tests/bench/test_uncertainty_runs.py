"""Uncertainty in tasks with a truth: stored on request, scored, free of charge, and without a trace in the voxels."""

import json

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.methods.base import Tile
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import method_entry
from vemrecon.metrics.spec import NO_SPREAD
from vemrecon.volume import SectionGrid, open_volume

METHOD = """
from vemrecon.methods import Method, MethodCard
from vemrecon.methods.eightfold import eightfold_tile


class Leaning(Method):
    card = MethodCard(title="Sections repeated, and slightly darker towards one side", regime="none")
    has_spread = True

    def restore(self, frames):
        made = frames.repeat_interleave(4, dim=3)
        return made * (1 - made.mean(dim=4, keepdim=True) * made.new_tensor(range(made.shape[4])) / 600)

    def reconstruct(self, tile):
        return self.reconstruct_with_spread(tile)[0]

    def reconstruct_with_spread(self, tile):
        return eightfold_tile(self.restore, tile, (0, 1, 2, 3))
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs `vemrecon bench` with the method above; gives the results by the method's class."""
    (tmp_path / "leaning_method.py").write_text(METHOD)
    np.save(tmp_path / "truth.npy", textured((24, 40, 40)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*metrics, methods=("leaning_method.Leaning",)):
        words = ["--dataset", "local:truth.npy", "--voxel-size", "8", "8", "8", "--scale", "4", "--jobs", "1"]
        words += ["--methods", *methods, "--degradation", "subsample", "--metrics", *metrics]
        assert main(["bench", *words]) == 0
        return {folder.spec.method.class_path.rpartition(".")[2]: folder for folder in run_folders(tmp_path / "runs")}

    return run


def uncertainty_of(folder):
    return {(r.variant, r.range): r for r in folder.result().scores if r.metric == "uncertainty"}


def test_uncertainty_is_stored_when_it_is_asked_for_and_changes_no_voxel(bench):
    before = bench("psnr")["Leaning"]
    made = open_volume(before.path / "reconstruction.zarr")
    plain = made.read(made.whole)
    assert not (before.path / "uncertainty.zarr").exists() and not uncertainty_of(before)
    folders = bench("psnr", "uncertainty", methods=("leaning_method.Leaning", "linear"))
    leaning, linear = folders["Leaning"], next(f for name, f in folders.items() if name != "Leaning")
    assert leaning.path == before.path
    assert np.array_equal(made.read(made.whole), plain)
    rows = uncertainty_of(leaning)
    assert set(rows) == {(v, r) for v in ("mean", "p99", "spearman") for r in ("all", "span")}
    spread = open_volume(leaning.path / "uncertainty.zarr")
    counted = [z for z in range(24) if z % 4]  # the others were copied from the input
    assert rows["mean", "all"].value == pytest.approx(255 * spread.read(spread.whole)[counted].mean(), rel=1e-5)
    assert 0 < rows["mean", "all"].value < rows["p99", "all"].value
    assert -1 < rows["spearman", "span"].value < 1
    curves = json.loads((leaning.path / "curves.json").read_text())["uncertainty"]
    assert set(curves) == {"all", "span"} and len(curves["all"]["error"]) > 5
    assert {row.note for row in uncertainty_of(linear).values()} == {NO_SPREAD}
    assert not (linear.path / "uncertainty.zarr").exists()
    assert "Uncertainty against error" in (leaning.path.parents[1] / "report" / "index.html").read_text()


def test_a_run_that_is_scored_again_by_another_metric_keeps_its_scores(bench):
    before = {score.kind: score.value for score in bench("psnr")["Leaning"].result().scores}
    after = {score.kind: score.value for score in bench("ssim")["Leaning"].result().scores}
    assert before.items() <= after.items()
    assert {kind[0] for kind in after} == {"psnr", "ssim"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [("isovem", {"rotations": [0, 5]}), ("vemamba", {"rotations": [0, 5]}), ("irsde", {"samples": 2})],
)
def test_the_spread_costs_no_pass_of_the_network_and_the_mean_is_the_reconstruction(name, changed):
    kind, _, presets = method_entry(name).resolved()
    method = build_method(kind, name, {**presets["smoke"], **changed}, grid=SectionGrid.slabs(4), seed=0).eval()
    tile = Tile(torch.rand(1, 1, 4, 32, 32, generator=torch.Generator().manual_seed(1)), SectionGrid.slabs(4.0))
    passes = []
    for part in (module for module in method.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)):
        part.register_forward_hook(lambda *_: passes.append(1))
    with torch.inference_mode():
        alone = method.reconstruct(tile)
        first = len(passes)
        mean, spread = method.reconstruct_with_spread(tile)
    assert method.has_spread and spread.max() > 0
    assert torch.equal(alone, mean)
    assert first > 0 and len(passes) == 2 * first
