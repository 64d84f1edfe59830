"""Training: the same weights after a kill, on one or two processes; no look at forbidden data; no silent NaN."""

import contextlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from damages import DAMAGES
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.data.patches import LateralPairs, LateralSections, PatchStream, fitting, rotate8
from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import DataError, LeakError
from vemrecon.fit.callbacks import DivergedError, read_log
from vemrecon.fit.checkpoints import read_checkpoint
from vemrecon.fit.loggers import Logs
from vemrecon.fit.note import Note
from vemrecon.fit.sampler import StridedSampler
from vemrecon.fit.stages import load_weights, train
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.build import initialise
from vemrecon.methods.lateral_cnn import LateralCNN
from vemrecon.volume import SectionGrid, Volume, VoxelSize


def source(kind="subsample", regime="self", scale=4):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured((24, 48, 48), seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(observed[:1], degradation, regime, truth=truth[:1], validation=observed[1:])


def small(seed=0, **more):
    settings = {"width": 8, "blocks": 1, "patch": 32, "batch": 4, "budget": 40} | more
    return initialise(lambda: LateralCNN(4.0, SectionGrid.kept_every(4.0), **settings), seed)


def weights(method):
    return torch.cat([p.detach().flatten() for p in method.parameters()])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(hash(name) % 1000)  # the global state must not matter
        method = small(seed)
        train(method, source(), tmp_path / name, identity="x", seed=seed)
        found.append(weights(method))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_learning_lowers_the_loss_and_beats_linear_interpolation(tmp_path):
    method = small(budget=200, width=16)
    train(method, source(), tmp_path, identity="x", seed=0)
    curves = read_log(tmp_path / "fit" / "loss.csv")
    losses, psnr = curves["loss"][1], curves["validation psnr"][1]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert psnr[-1] > psnr[0]


def test_a_training_tells_its_loss_and_the_psnr_of_held_out_pairs_and_calls_them_that(tmp_path):
    told = []
    train(small(), source(), tmp_path, identity="x", seed=0, progress=lambda *words: told.append(words))
    curves = read_log(tmp_path / "fit" / "loss.csv")
    assert [share for _, share, _ in told] == pytest.approx([n / 40 for n in range(1, 41)])
    assert told[0][2].startswith("loss ") and "held-out" not in told[0][2]
    assert told[-1][2].endswith(f"held-out lateral pairs {curves['validation psnr'][1][-2]:.2f} dB")
    smooth = float(told[-1][2].split()[1].rstrip(","))
    assert min(curves["loss"][1]) < smooth < max(curves["loss"][1])


def test_how_many_held_out_patches_are_looked_at_changes_nothing_of_what_is_learned(tmp_path):
    found = []
    for name, watch in (("a", 1.0), ("b", 0.1)):
        method = small()
        train(method, source(), tmp_path / name, identity="x", seed=0, watch=watch)
        found.append((weights(method), read_log(tmp_path / name / "fit" / "loss.csv")))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1]["loss"] == found[1][1]["loss"]
    assert found[0][1]["validation psnr"] != found[1][1]["validation psnr"]


def test_what_is_told_of_a_loss_is_smooth_and_begins_with_the_first():
    note = Note("held-out patches")
    assert str(note) == ""
    note.add({"critic": 1.0, "cycle": 9.0})
    assert str(note) == "critic 1"
    for loss in [2.0, 4.0] * 300:
        note.add({"loss": loss})
    note.psnr = 27.1234
    assert re.fullmatch(r"loss 3\.0\d*, held-out patches 27\.12 dB", str(note))


def test_a_finished_stage_is_loaded_and_not_trained_again(tmp_path):
    first, second = small(), small(seed=5)
    train(first, source(), tmp_path, identity="x", seed=0)
    stamp = (tmp_path / "fit" / "stage.safetensors").stat().st_mtime_ns
    train(second, source(), tmp_path, identity="x", seed=0)
    assert torch.equal(weights(first), weights(second))
    assert (tmp_path / "fit" / "stage.safetensors").stat().st_mtime_ns == stamp


class _StopError(Exception):
    pass


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_training_goes_on_with_the_right_patches_however_many_prepare_them(workers, tmp_path):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    calm, stopped, resumed = small(), small(), small(seed=5)
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(stopped, source(), tmp_path / "a", identity="x", seed=0, workers=workers, progress=stop)
    train(resumed, source(), tmp_path / "a", identity="x", seed=0, workers=workers)
    assert torch.equal(weights(calm), weights(resumed))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["last.ckpt", "stage.json", "stage.safetensors", "prepared.json", "loss.csv"])
def test_what_a_power_cut_has_damaged_is_made_again(which, damage, tmp_path):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    calm, resumed, again = small(), small(), small()
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(small(), source(), tmp_path / "a", identity="x", seed=0, progress=stop)
    harm(tmp_path / "a" / "fit" / which, damage)
    train(resumed, source(), tmp_path / "a", identity="x", seed=0)
    harm(tmp_path / "a" / "fit" / which, damage)
    train(again, source(), tmp_path / "a", identity="x", seed=0)
    assert torch.equal(weights(calm), weights(resumed)) and torch.equal(weights(calm), weights(again))


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_the_last_is_used_where_the_last_is_damaged(damage, tmp_path, caplog):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    calm, resumed, told = small(), small(), []
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(small(), source(), tmp_path / "a", identity="x", seed=0, progress=stop)
    place = tmp_path / "a" / "fit"
    last, before = read_checkpoint(place / "last.ckpt"), read_checkpoint(place / "previous.ckpt")
    assert last.epochs == before.epochs + 1
    content = (place / "last.ckpt").read_bytes()
    half = len(content) // 2  # where weights are
    (place / "last.ckpt").write_bytes(content[: half - 20] + DAMAGES[damage](content[half - 20 :]))
    train(resumed, source(), tmp_path / "a", identity="x", seed=0, progress=lambda *words: told.append(words[1]))
    assert torch.equal(weights(calm), weights(resumed))
    assert told[0] > (before.epochs - 0.01) / 40 * small().stages()[0].batches_per_epoch, "the rest alone was trained"
    assert (place / "last.ckpt.damaged-1").exists() and "last.ckpt: damaged" in caplog.text


class _Hostile:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_a_hostile_checkpoint_executes_nothing(tmp_path):
    def stop(stage, share, note):
        if share > 0.6:
            raise _StopError

    calm, resumed, trap = small(), small(), tmp_path / "executed"
    train(calm, source(), tmp_path / "calm", identity="x", seed=0)
    with pytest.raises(_StopError):
        train(small(), source(), tmp_path / "a", identity="x", seed=0, progress=stop)
    place = tmp_path / "a" / "fit"
    for name in ("last.ckpt", "previous.ckpt"):
        state = torch.load(place / name, weights_only=True)
        torch.save({**state, "note": _Hostile(trap)}, place / name)
    train(resumed, source(), tmp_path / "a", identity="x", seed=0)
    assert not trap.exists(), "code of the file was executed"
    assert torch.equal(weights(calm), weights(resumed))
    torch.load(place / "last.ckpt.damaged-1", weights_only=False)
    assert trap.exists(), "the trap would have worked"


def test_the_log_of_a_finished_stage_is_written_again_from_its_checkpoint(tmp_path):
    train(small(), source(), tmp_path, identity="x", seed=0)
    log = tmp_path / "fit" / "loss.csv"
    before = log.read_bytes()
    log.write_bytes(before[:30])
    train(small(), source(), tmp_path, identity="x", seed=0)
    assert log.read_bytes() == before


def harm(path, damage):
    if path.exists() and path.stat().st_size > 100:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    elif path.exists():
        path.write_bytes(b"{")


def test_weights_of_another_network_are_refused(tmp_path):
    train(small(), source(), tmp_path, identity="x", seed=0)
    with pytest.raises(DataError, match="another network"):
        load_weights(small(width=4), tmp_path / "fit" / "stage.safetensors", ("net",))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((tmp_path / "fit" / "stage.safetensors").read_bytes()[:100])
    with pytest.raises(DataError, match="damaged"):
        load_weights(small(), damaged, ("net",))


def test_a_loss_that_is_no_number_stops_with_one_clear_line(tmp_path):
    class Exploding(LateralCNN):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            return loss * float("nan") if self.trainer.current_epoch == 3 else loss

    method = Exploding(4.0, SectionGrid.kept_every(4.0), width=4, blocks=1, patch=32, batch=4, budget=40)
    with pytest.raises(DivergedError, match="batch 6; the weights after batch 6 are kept"):
        train(method, source(), tmp_path, identity="x", seed=0)
    assert (tmp_path / "fit" / "last.ckpt").exists()


def test_a_method_cannot_read_ground_truth_that_its_regime_forbids():
    for regime in ("none", "self"):
        with pytest.raises(LeakError, match="forbids"):
            _ = source(regime=regime).truth
    assert source(regime="isotropic").truth[0].shape == (24, 48, 48)


@pytest.mark.parametrize("kind", ["average", "subsample", "realistic"])
def test_patches_are_a_function_of_their_number(kind):
    for patches in (LateralSections(32, 32), LateralPairs((6, 32, 32))):
        stream = [PatchStream(source(kind), patches, 7, "fit", 10) for _ in range(2)]
        for index in (0, 3, 9):
            one, two = stream[0][index], stream[1][index]
            assert all(torch.equal(one[key], two[key]) for key in one)
        assert not torch.equal(stream[0][0]["target"], stream[0][1]["target"])


def test_blur_and_noise_vary_between_training_patches():
    """The same section, degraded as drawn for each patch, is once sharper and once smoother than for the next."""
    made = source("realistic")
    rng = np.random.default_rng(0)
    drawn = [made.degradation.drawn(rng) for _ in range(20)]
    assert len({one.axial_sigma_per_scale for one in drawn}) == 20
    assert {type(one) for one in drawn} == {type(made.degradation)}
    assert source("average").degradation.drawn(rng) == source("average").degradation


@pytest.mark.parametrize("scale", [2.5, 4])
def test_lateral_pairs_are_degraded_along_y_only(scale):
    made = source("average", scale=scale)
    pair = LateralPairs((6, 30, 30)).draw(made, np.random.default_rng(0))
    z, y, x = pair["target"].shape[1:]
    assert pair["observed"].shape == (1, z, round(y / scale), x)
    assert y == fitting(30, 48, scale)


def test_the_eight_rotations_differ_and_keep_the_number_of_sections():
    block = textured((4, 6, 6)).astype(np.float32)
    turned = [rotate8(block, turn) for turn in range(8)]
    assert all(t.shape == block.shape for t in turned)
    assert len({t.tobytes() for t in map(np.ascontiguousarray, turned)}) == 8


def test_two_devices_see_the_same_batches():
    alone = list(StridedSampler(3, 4))
    shared = [list(StridedSampler(3, 4, rank, 2)) for rank in (0, 1)]
    for number in range(3):
        both = sorted(shared[0][2 * number : 2 * number + 2] + shared[1][2 * number : 2 * number + 2])
        assert both == alone[4 * number : 4 * number + 4]
    with pytest.raises(ValueError, match="cannot be shared"):
        StridedSampler(3, 4, 0, 3)


def test_tiles_of_lateral_cnn_do_not_depend_on_the_cut():
    method = small().eval()
    torch.nn.init.normal_(method.net.tail.weight, std=0.1)
    observed = torch.rand(1, 1, 6, 40, 40)
    whole = reconstruct_tile(method, Tile(observed, SectionGrid.kept_every(4.0)))[0]
    part = reconstruct_tile(method, Tile(observed[..., 4:36, 6:38], SectionGrid.kept_every(4.0)))[0]
    torch.testing.assert_close(part[..., 4:-4, 4:-4], whole[..., 8:32, 10:34], atol=1e-6, rtol=0)


@pytest.mark.parametrize("start", [(4, 6), (5, 7), (4, 7)])
def test_columns_are_taken_together_by_their_place_in_the_volume(start):
    method = small(columns=3).eval()
    torch.nn.init.normal_(method.net.tail.weight, std=0.1)
    observed = torch.rand(1, 1, 6, 50, 50)
    whole = reconstruct_tile(method, Tile(observed, SectionGrid.kept_every(4.0)))[0]
    y, x = (slice(first, first + 34) for first in start)
    tile = Tile(observed[..., y, x], SectionGrid.kept_every(4.0), (0, *start), kept=(slice(15, 19), slice(None)))
    part = reconstruct_tile(method, tile)[0]
    assert method.tile.halo == (4, 15, 15)
    torch.testing.assert_close(part[..., 15:19, 15:19], whole[..., y, x][..., 15:19, 15:19], atol=1e-6, rtol=0)


def bench(runs, *more):
    words = ["bench", "--dataset", "phantom", "--split", "smoke", "--scale", "4", "--degradation", "subsample"]
    words += ["--methods", "lateral-cnn", "--preset", "smoke", "--metrics", "psnr", "--runs", str(runs)]
    words += ["--kernels", "asked", "--set", "lateral-cnn.budget=200", *more]
    return [sys.executable, "-m", "vemrecon.cli", *words]


def finished(runs):
    (path,) = runs.glob("*/*/train/fit/stage.safetensors")
    return torch.cat([value.flatten() for _, value in sorted(load_file(path).items())])


def one_thread():
    """Sums of another number of threads have other last bits."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    runs = tmp_path_factory.mktemp("calm") / "runs"
    subprocess.run(bench(runs), check=True, capture_output=True, env=one_thread())
    return finished(runs)


def test_training_killed_three_times_ends_with_the_same_weights(undisturbed, tmp_path):
    runs = tmp_path / "runs"
    moments = random.Random(os.getpid())
    pause = threading.Event()
    for _ in range(3):
        process = subprocess.Popen(bench(runs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread())
        for _ in range(6000):  # wait until this attempt has come to the training
            pause.wait(0.01)
            owners = list(runs.glob("*/*/lease.owner"))
            logs = list(runs.glob("*/*/train/fit/last.ckpt"))
            if process.poll() is not None or (owners and logs):
                break
        pause.wait(moments.uniform(0, 3))
        with contextlib.suppress(IndexError, FileNotFoundError, ProcessLookupError):
            os.kill(int(owners[0].read_text().split()[1]), signal.SIGKILL)
        process.kill()
        process.wait()
    subprocess.run(bench(runs), check=True, capture_output=True, env=one_thread())
    assert torch.equal(finished(runs), undisturbed)


def test_a_training_that_is_asked_to_end_is_interrupted_and_goes_on(undisturbed, tmp_path):
    """As job schedulers do it. The trainer has a way of its own to end then, which must not look like a failure."""
    runs, pause = tmp_path / "runs", threading.Event()
    process = subprocess.Popen(
        bench(runs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=one_thread()
    )
    while process.poll() is None and not list(runs.glob("*/*/train/fit/last.ckpt")):
        pause.wait(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(next(iter(runs.glob("*/*/lease.owner"))).read_text().split()[1]), signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    (result,) = runs.glob("*/*/result.json")
    found = json.loads(result.read_text())
    assert (found["status"], process.returncode) == ("interrupted", 1), output
    assert found["reason"] == "ended by SIGTERM; start again to go on"
    subprocess.run(bench(runs), check=True, capture_output=True, env=one_thread())
    assert torch.equal(finished(runs), undisturbed)


@pytest.mark.slow
def test_two_processes_give_the_same_weights_as_one(tmp_path):
    """Short, because Adam turns the last bit of a gradient near zero into a whole step, and weights drift apart."""
    found = []
    for processes in ("1", "2"):
        runs = tmp_path / processes
        words = [*bench(runs, "--processes", processes), "--set", "lateral-cnn.budget=20"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        logs = "".join(path.read_text() for path in runs.glob("*/*/log.txt"))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        found.append(finished(runs))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    (result,) = runs.glob("*/*/result.json")
    assert json.loads(result.read_text())["costs"]["train_seconds"] > 0


def test_a_run_that_is_scored_later_tells_where_it_was_trained(tmp_path):
    words = [*bench(tmp_path), "--set", "lateral-cnn.budget=2"]
    told = []
    for threads in ("1", "2"):
        subprocess.run(words, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": threads})
        (result,) = tmp_path.glob("*/*/result.json")
        told.append(json.loads(result.read_text())["environment"])
        result.unlink()
    assert told[0]["threads"] == 1 and "phases" not in told[0]
    assert told[1]["threads"] == 2
    assert {phase: facts["threads"] for phase, facts in told[1]["phases"].items()} == {"train": 1, "reconstruct": 1}


def test_loggers_that_are_not_there_say_how_to_get_them(tmp_path, capsys):
    from vemrecon.cli import main

    assert main(["bench", "--log", "wandbb", "--runs", str(tmp_path)]) == 2
    assert "did you mean 'wandb'" in capsys.readouterr().err
    if importlib.util.find_spec("wandb") is None:
        assert main(["bench", "--log", "wandb", "--runs", str(tmp_path)]) == 2
        assert "pip install vemrecon[wandb]" in capsys.readouterr().err


def test_loggers_get_every_number_of_the_log(tmp_path, monkeypatch):
    from lightning.pytorch.loggers import CSVLogger

    from vemrecon.fit import stages

    monkeypatch.setattr(stages, "make_loggers", lambda logs, stage: [CSVLogger(logs.folder, name="", version=stage)])
    train(small(), source(), tmp_path, identity="x", seed=0, logs=Logs(("csv",), tmp_path / "logs"))
    ours = read_log(tmp_path / "fit" / "loss.csv")
    theirs = (tmp_path / "logs" / "fit" / "metrics.csv").read_text()
    assert "validation psnr" in theirs and f"{ours['loss'][1][-1]}" in theirs


def test_transductive_learning_sees_the_observed_test_volume_and_nothing_else(tmp_path):
    from vemrecon.bench import task_volumes
    from vemrecon.bench.plan import plan
    from vemrecon.bench.request import Request, Setup
    from vemrecon.bench.resolve import resolve

    task = {"dataset": "phantom", "split": "smoke", "scale": 4, "degradation": "realistic"}
    request = Request(**task, methods=("lateral-cnn",), preset="smoke", mode="transductive")
    (run,) = plan(resolve([request], Setup(tmp_path), fetch=True))
    run.folder.create()
    observed = task_volumes.observe(run.folder, run.job).observed
    made = task_volumes.learning_source(run.folder, run.job, "self")
    np.testing.assert_array_equal(made.sections[0], observed.read(observed.whole))
    with pytest.raises(LeakError):
        _ = made.truth
