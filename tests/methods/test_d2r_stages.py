"""D2R as a whole: what each stage learns from, the pseudo truth on disk, kills between and within the stages.

Run as a script it trains one method, for processes that are killed or are one of several.
"""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from preset_arguments import preset_arguments
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.shared_stages import SharedStages
from vemrecon.fit.stages import load_weights, save_weights, take_shared, train, trained_parts
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.build import initialise
from vemrecon.methods.d2r import distilled
from vemrecon.methods.d2r.distilled import D2R, STUDENTS
from vemrecon.methods.d2r.method import SliceInterpolation
from vemrecon.methods.d2r.pseudo_truth import Tiling, joined_passes, restore_passes
from vemrecon.methods.srunet.method import SRUNet
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume

DIFFUSION = {"width": 4, "encoder": (1,), "decoder": (1,), "levels": 10, "residual": 0.1, "sampler": "posterior"}
DIFFUSION |= {"steps": 2, "crop": 16, "batch": 2, "budget": 8, "section": (32, 32), "halo": (1, 4)}
INTERPOLATION = {"widths": (4, 4, 8, 8), "crop": 16, "batch": 2, "budget": 8, "cosine": True, "tile": (8, 32, 32)}
BLOCKS = {"widths": (4, 4, 8), "sections": 4, "crop": 16, "batch": 2, "budget": 8, "cosine": True, "tile": (8, 32, 32)}


def source(kind="subsample", scale=4):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured((24, 40, 36), seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(observed[:1], degradation, "self", validation=observed[1:])


def small(student="aenet", grid="aligned", scale=4.0, seed=0, kind=D2R, diffusion=(), **more):
    distil = BLOCKS if student == "srunet" else INTERPOLATION
    settings = {"diffusion": DIFFUSION | dict(diffusion), "distil": distil, "tile": (4, 24, 24), "overlap": (2, 4, 4)}
    return initialise(lambda: kind(scale, SectionGrid.of_kind(grid, scale), student, **(settings | more)), seed)


def equal(one, two):
    other = two.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(("student", "kind"), [(s, "subsample") for s in STUDENTS] + [("aenet", "average")])
def test_all_stages_are_trained_and_the_student_reconstructs(student, kind, tmp_path):
    method = small(student, "aligned" if kind == "subsample" else "centred")
    assert isinstance(method.student, SRUNet if student == "srunet" else SliceInterpolation)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    told = []
    train(method, source(kind), tmp_path, identity="x", seed=0, progress=lambda *words: told.append(words))
    after = method.state_dict()
    for part in ("diffusion.net", "diffusion.average", "student.net"):
        assert any(not torch.equal(after[name], before[name]) for name in after if name.startswith(part)), part
    assert {"loss", "validation psnr"} <= set(read_log(tmp_path / "distil" / "loss.csv"))
    names = [name for name, *_ in told]
    assert list(dict.fromkeys(names)) == ["diffusion", "distil: prepare", "distil"]
    shares = [share for name, share, *_ in told if name == "distil: prepare"]
    assert shares[-1] == 1 and all(a <= b for a, b in pairwise(shares))
    found = reconstruct_tile(method.eval(), Tile(torch.rand(1, 1, 5, 20, 24), source(kind).degradation.grid))[0]
    assert found.shape == (1, 1, 20, 20, 24)


def test_the_pseudo_truth_is_a_volume_that_anybody_can_open(tmp_path):
    method = small()
    train(method, source(), tmp_path, identity="x", seed=0)
    (path,) = tmp_path.glob("distil/pseudo-truth-*/training-0.zarr")
    volume = open_volume(path)
    voxels = volume.read(volume.whole)
    assert volume.dtype == np.float32 and volume.shape == (24, 40, 36) and tuple(volume.voxel_size) == (8, 8, 8)
    observed = source().sections[0]
    linear = np.repeat(observed, 4, axis=0)
    assert np.abs(voxels - linear).mean() < 0.2 and voxels.std() > 0
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".passes"] == []
    assert len(list(path.parent.glob("validation-*.zarr"))) == 1


def test_stages_learn_from_what_the_one_before_has_made(tmp_path):
    method = small(distil=INTERPOLATION | {"crop": 12})
    train(method, source(), tmp_path, identity="x", seed=0)
    (path,) = tmp_path.glob("distil/pseudo-truth-*/training-0.zarr")
    stored = open_volume(path)
    assert np.array_equal(method.source.truth_in_memory()[0], stored.read(stored.whole))
    assert method.stages()[1].patches.axes == (1, 2)
    patch = method.stages()[1].patches.draw(method.source, np.random.default_rng(0))
    assert patch["observed"].shape == (1, 4, 12, 12)


@pytest.mark.parametrize(("factor", "sections"), [(1, 6), (2, 12)])
def test_a_smaller_pseudo_scale_restores_fewer_sections_and_one_none(factor, sections, tmp_path):
    method = small(pseudo_scale=factor)
    assert [stage.name for stage in method.stages()] == (["distil"] if factor == 1 else ["diffusion", "distil"])
    assert method.diffusion is None or method.diffusion.scale == factor
    train(method, source(), tmp_path, identity="x", seed=0)
    assert method.source.truth[0].shape == (sections, 40, 36)
    made = reconstruct_tile(method.eval(), Tile(torch.rand(1, 1, 3, 16, 16), SectionGrid.kept_every(4.0)))[0]
    assert made.shape[2] == 12


def test_a_scale_that_is_no_whole_number_is_rounded_up_for_the_pseudo_truth(tmp_path):
    method, made = small(grid="centred", scale=2.5), source("average", 2.5)
    assert method.factor == 3
    train(method, made, tmp_path, identity="x", seed=0)
    assert method.source.truth[0].shape[0] == 3 * made.observed[0].shape[0]
    assert reconstruct_tile(method.eval(), Tile(torch.rand(1, 1, 4, 16, 16), SectionGrid.slabs(2.5)))[0].shape[2] == 10


@pytest.mark.parametrize("settings", [{"student": "unet"}, {"pseudo_scale": 0}, {"pseudo_scale": 5}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match="D2R"):
        small(**settings)


def test_weights_of_all_parts_travel_in_one_file(tmp_path):
    one, two = small(seed=1), small(seed=2)
    save_weights(one, tmp_path / "w.safetensors", trained_parts(one))
    load_weights(two, tmp_path / "w.safetensors", trained_parts(two))
    assert equal(one, two)


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu10", "paper"])
@pytest.mark.parametrize("student", STUDENTS)
def test_presets_are_accepted(student, preset):
    arguments = preset_arguments(f"d2r-{student}", preset)
    with torch.device("meta"):
        method = D2R(8.0, SectionGrid.kept_every(8.0), **arguments)
    assert [stage.name for stage in method.stages()] == ["diffusion", "distil"]
    if preset == "paper":
        assert method.diffusion.parameter_count() == 20_400_261
        counts = {"aenet": 42_078_593, "dgean": 42_085_057, "srunet": 2_408_257}
        assert method.student.parameter_count() == counts[student]


def test_the_time_of_stage_two_is_told_from_some_planes_of_a_tile(monkeypatch):
    method, seen = small(), source()
    monkeypatch.setattr(distilled, "PLANES", 8)
    monkeypatch.setattr(distilled, "DeviceClock", lambda device: SimpleNamespace(lap=lambda: 1))
    monkeypatch.setattr(method, "restorer", lambda number: lambda direction, tile, origin: tile)
    first, second = method.stages()
    whole = 4 * 24 * 24 * (len(Tiling((6, 40, 36), 4, (4, 24, 24), (2, 4, 4)).regions) + 1)  # and one that watches
    assert method.preparation(first, seen) == 0
    assert method.preparation(second, seen) == pytest.approx(2 * whole / (4 * 8 * 24), rel=0.01)
    assert small(pseudo_scale=1).preparation(second, seen) == 0


# stages that methods have in common


def run(student, folder, shared, seed=0, **more):
    method = small(student, seed=seed, **more)
    take_shared(method, folder, shared, identity=student, seed=seed)
    train(method, source(), folder, identity=student, seed=seed, shared=shared)
    return method, json.loads((folder / "diffusion" / "stage.json").read_text())


def test_the_diffusion_is_trained_once_for_all_students(tmp_path):
    shared = SharedStages(tmp_path / "shared", "data")
    first, facts = run("aenet", tmp_path / "a", shared)
    second, taken = run("srunet", tmp_path / "b", shared)
    alone, _ = run("srunet", tmp_path / "c", SharedStages(tmp_path / "other", "data"))
    assert "shared" not in facts and taken["shared"] and taken["seconds"] == facts["seconds"]
    assert equal(first.diffusion, second.diffusion) and equal(second, alone)
    assert len(list((tmp_path / "shared").iterdir())) == 1
    for name in ("stage.safetensors", "loss.csv"):
        assert (tmp_path / "a" / "diffusion" / name).read_bytes() == (tmp_path / "b" / "diffusion" / name).read_bytes()


@pytest.mark.parametrize("change", [{"seed": 1}, {"diffusion": {"budget": 4}}, {"diffusion": {"width": 6}}])
def test_another_diffusion_is_not_taken(change, tmp_path):
    shared = SharedStages(tmp_path / "shared", "data")
    run("aenet", tmp_path / "a", shared)
    _, facts = run("aenet", tmp_path / "b", shared, **change)
    assert "shared" not in facts and len(list((tmp_path / "shared").iterdir())) == 2
    assert SharedStages(tmp_path / "shared", "other data").take(small().stages()[0], 0, tmp_path / "c") is None


# restarts and several processes


class _KilledError(Exception):
    pass


def passes_of(volume, restore, folder, ranks=(0,), monkeypatch=None):
    tiling = Tiling((4, 12, 12), 2, (4, 8, 8), (2, 4, 4))
    for rank in ranks:
        if monkeypatch:
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", str(len(ranks)))
        restore_passes(volume, restore, tiling, folder)
    return joined_passes(tiling, folder)


def test_passes_that_are_finished_are_not_made_again(tmp_path):
    volume, made = torch.rand(4, 12, 12), []

    def restore(direction, tile, origin):
        if len(made) == 3:
            made.append(None)
            raise _KilledError
        made.append((direction, origin))
        return tile.repeat_interleave(2, dim=0)

    with pytest.raises(_KilledError):
        passes_of(volume, restore, tmp_path)
    whole = passes_of(volume, restore, tmp_path)
    assert len(made) == 9 and len(set(made)) == 9  # four tiles in two directions, and the interruption
    torch.testing.assert_close(whole, volume.repeat_interleave(2, dim=0))


def test_processes_share_the_passes(tmp_path, monkeypatch):
    volume, made = torch.rand(4, 12, 12), []

    def restore(direction, tile, origin):
        made.append((os.environ["RANK"], direction, origin))
        return tile.repeat_interleave(2, dim=0)

    passes_of(volume, restore, tmp_path, (0, 1, 2), monkeypatch)
    assert len(made) == 8 and {rank for rank, *_ in made} == {"0", "1", "2"}


class Killed(D2R):
    """Kills its process at a named moment, without any chance to clean up."""

    moment = ""

    def reach(self, moment):
        if moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def prepare(self, stage, source, scratch):
        self.reach(f"before {stage.name}")
        return super().prepare(stage, source, scratch)

    def configure_optimizers(self):
        self.reach(f"start of {self.stage.name}")
        return super().configure_optimizers()

    def training_step(self, batch, index):
        if self.current_epoch == 4:
            self.reach(f"within {self.stage.name}")
        return super().training_step(batch, index)

    def restored(self, volume, path, number, of):
        if number:
            self.reach("within the pseudo truth")
        return super().restored(volume, path, number, of)


MOMENTS = ("within diffusion", "before distil", "within the pseudo truth", "start of distil", "within distil")


def learn_elsewhere(folder, devices=1, moment=""):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"] if devices > 1 else []
    words = [sys.executable, *launcher, __file__, str(folder), str(devices), moment]
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | paths | threads, check=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    train(small(), source(), folder, identity="x", seed=0)
    return folder


def test_a_kill_at_any_boundary_between_stages_ends_with_the_same_weights(undisturbed, tmp_path):
    for moment in MOMENTS:
        killed = learn_elsewhere(tmp_path, moment=moment)
        assert killed.returncode == -signal.SIGKILL, f"{moment}: {killed.stdout}{killed.stderr}"
    train(small(seed=5), source(), tmp_path, identity="x", seed=0)
    for stage in ("diffusion", "distil"):
        one, two = (load_file(folder / stage / "stage.safetensors") for folder in (undisturbed, tmp_path))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one), stage
        assert (undisturbed / stage / "loss.csv").read_text() == (tmp_path / stage / "loss.csv").read_text()
    assert len(list(tmp_path.glob("distil/pseudo-truth-*"))) == 1


def test_two_processes_give_the_same_weights_as_one(undisturbed, tmp_path):
    done = learn_elsewhere(tmp_path, devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("diffusion", "distil"):
        one, two = (load_file(folder / stage / "stage.safetensors") for folder in (undisturbed, tmp_path))
        for key in one.keys() - {"student.plateau.total"}:  # of one process; the mean over all is taken between epochs
            value = one[key]
            torch.testing.assert_close(two[key], value, atol=2e-4, rtol=0, msg=key)


if __name__ == "__main__":
    place, number, when = sys.argv[1:]
    learner = small(kind=Killed if when else D2R)
    learner.moment = when
    train(learner, source(), Path(place), identity="x", seed=0, devices=["cpu"] * int(number))
