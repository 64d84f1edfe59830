"""CycleGAN-IR: pools, unpaired sections, training that survives a kill, weights there and back, directions and tiles.

Run as a program (FOLDER DEVICES KILL_AT), this file trains the small method of the tests: a process of its own can be
killed, and can be one of several.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from preset_arguments import preset_arguments
from released_states import generator_state
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data.patches import PatchStream
from vemrecon.data.source import Source
from vemrecon.data.unpaired import UnpairedSections
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError, DataError
from vemrecon.fit.callbacks import DivergedError, read_log
from vemrecon.fit.stages import train
from vemrecon.infer.tiles import TilePlan
from vemrecon.methods.base import Tile
from vemrecon.methods.build import initialise
from vemrecon.methods.cyclegan_ir.generator import Enlarge, Generator
from vemrecon.methods.cyclegan_ir.image_pool import ImagePool
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.methods.cyclegan_ir.released import load_released
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid, Volume, VoxelSize

BATCHES, KILLED_AT = 40, 31  # sections shown to a pool of 50: four in a batch


def source(kind="average", scale=4, shape=(40, 72, 66)):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured(shape, seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(observed[:1], degradation, "self", validation=observed[1:])


def small(grid="centred", kind=CycleGANIR, seed=0, **more):
    sizes = {"width": 4, "blocks": 1, "critic_width": 4, "crop": (32, 64), "batch": 4, "budget": BATCHES, "epoch": 20}
    return initialise(lambda: kind(4.0, SectionGrid.of_kind(grid, 4.0), **(sizes | more)), seed)


class Killed(CycleGANIR):
    """Kills its process in the middle of an epoch, without any chance to clean up."""

    at = KILLED_AT

    def training_step(self, batch, index):
        if self.current_epoch * self.stage.batches_per_epoch + index == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, index)


def learn_elsewhere(folder, devices=1, killed=False):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"] if devices > 1 else []
    words = [sys.executable, *launcher, __file__, str(folder), str(devices), str(int(killed))]
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | paths | threads, check=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    train(small(), source(), folder, identity="x", seed=0)
    return folder / "fit"


def test_a_training_killed_between_checkpoints_ends_with_the_same_weights_optimizers_and_pools(undisturbed, tmp_path):
    killed = learn_elsewhere(tmp_path, killed=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "fit" / "last.ckpt").exists() and not (tmp_path / "fit" / "stage.json").exists()
    train(small(seed=5), source(), tmp_path, identity="x", seed=0)
    one, two = (load_file(folder / "stage.safetensors") for folder in (undisturbed, tmp_path / "fit"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    one, two = (torch.load(folder / "last.ckpt") for folder in (undisturbed, tmp_path / "fit"))
    for part in ("image_pools", "optimizer_states"):
        for a, b in zip(tensors_in(one[part]), tensors_in(two[part]), strict=True):
            assert torch.equal(a, b), part
    assert {name: len(pool) for name, pool in two["image_pools"].items()} == {"axial": 50, "lateral": 50}
    assert (undisturbed / "loss.csv").read_text() == (tmp_path / "fit" / "loss.csv").read_text()


def tensors_in(state):
    """All tensors of nested lists and dictionaries."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict | list):
        for value in state.values() if isinstance(state, dict) else state:
            yield from tensors_in(value)


def test_two_processes_give_the_same_weights_as_one(undisturbed, tmp_path):
    """Both hold the same pool: fakes of all processes in the order of the batch, exchanged by the same chance."""
    done = learn_elsewhere(tmp_path, devices=2)
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (load_file(folder / "stage.safetensors") for folder in (undisturbed, tmp_path / "fit"))
    for key, value in one.items():  # a last bit grows to 3e-5 on some processors, while weights move by 0.01
        torch.testing.assert_close(two[key], value, atol=1e-4, rtol=0, msg=key)


def test_all_losses_are_logged_by_name_and_the_cycles_fall(undisturbed):
    curves = read_log(undisturbed / "loss.csv")
    names = {f"{what} {kind}" for what in ("adversarial", "cycle", "critic") for kind in ("axial", "lateral")}
    assert set(curves) == names | {"loss", "validation psnr"}
    for name in ("loss", "cycle axial", "cycle lateral"):
        assert np.mean(curves[name][1][-3:]) < np.mean(curves[name][1][:3]), name
    assert curves["loss"][0][-1] == BATCHES


def test_a_critic_that_explodes_stops_the_training_and_is_named(tmp_path):
    class Exploding(CycleGANIR):
        def training_step(self, batch, index):
            losses = super().training_step(batch, index)
            return losses | {"critic axial": losses["loss"] * float("nan")} if self.current_epoch == 2 else losses

    with pytest.raises(DivergedError, match=r"loss 'critic axial' became nan at batch 4; .* batch 4 are kept"):
        train(small(kind=Exploding), source(), tmp_path, identity="x", seed=0)
    assert (tmp_path / "fit" / "last.ckpt").exists()


def test_all_four_networks_learn_but_not_biases_without_effect(undisturbed):
    start, end = small().state_dict(), load_file(undisturbed / "stage.safetensors")
    assert set(start) == set(end)
    same = {key for key in end if torch.equal(start[key], end[key])}
    assert same == {
        *(f"axial_critic.layers.{i}.bias" for i in (2, 5)),
        *(f"lateral_critic.layers.{i}.bias" for i in (2, 5, 8)),
    }


def test_learning_rates_of_the_paper_fall_by_epochs_of_500_batches():
    method = CycleGANIR(10.0, SectionGrid.slabs(10.0), **preset_arguments("cyclegan-ir", "paper", 10.0))
    wanted = {
        0: (3e-4, 2e-4, 1e-4),
        499: (3e-4, 2e-4, 1e-4),
        500: (3e-5, 2e-4, 1e-4),
        30 * 500: (3e-34, 2e-4, 1e-4),
        31 * 500: (3e-35, 1.9e-4, 0.95e-4),
        25000 - 1: (3e-53, 1e-5, 0.5e-5),
    }
    for number, rates in wanted.items():
        assert method.rates(number) == pytest.approx(rates, rel=1e-9), number
    assert method.stages()[0].epochs * method.stages()[0].batches_per_epoch == 25000


def test_a_full_pool_exchanges_every_second_image_and_keeps_no_gradients():
    pool, rng = ImagePool(10), np.random.default_rng(0)
    weight = torch.ones(1, requires_grad=True)
    shown = torch.cat([pool.exchange(weight * torch.full((2, 1, 3, 3), float(i)), rng) for i in range(500)])
    new = torch.arange(500).repeat_interleave(2)
    older = (shown[:, 0, 0, 0] != new)[20:].float().mean().item()
    assert older == pytest.approx(0.5, abs=0.05)
    assert len(pool.images) == 10 and not shown.requires_grad
    assert not any(image.requires_grad for image in pool.images)
    again = ImagePool(10)
    again.load(pool.state())
    chance = [np.random.default_rng(1) for _ in range(2)]
    images = torch.rand(40, 1, 3, 3)
    assert torch.equal(pool.exchange(images, chance[0]), again.exchange(images, chance[1]))


@pytest.mark.parametrize(("kind", "rows"), [("average", 32), ("subsample", 29)])
def test_unpaired_sections_are_a_function_of_their_number_and_make_batches(kind, rows):
    patches = UnpairedSections(32, 60, orientations=True)
    streams = [PatchStream(source(kind), patches, 7, "fit", 10) for _ in range(2)]
    for index in range(8):
        one, two = streams[0][index], streams[1][index]
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert one["lateral"].shape == (1, rows, 60) and one["axial"].shape == (1, 8, 60)
    assert not torch.equal(streams[0][0]["lateral"], streams[0][1]["lateral"])


def test_sections_are_those_of_the_volume_in_both_axial_directions():
    made, rng = source(), np.random.default_rng(0)
    (volume,) = made.sections
    directions = set()
    for _ in range(20):
        drawn = UnpairedSections(40, 66).draw(made, rng)
        lateral, axial = drawn["lateral"][0].numpy(), drawn["axial"][0].numpy()
        assert any((window(volume[z], lateral.shape) == lateral).all(axis=(-2, -1)).any() for z in range(10))
        for name, sections in (("xz", volume.swapaxes(0, 1)), ("yz", volume.transpose(2, 0, 1))):
            if any((window(section, axial.shape) == axial).all(axis=(-2, -1)).any() for section in sections):
                directions.add(name)
    assert directions == {"xz", "yz"}


def window(section, shape):
    return np.lib.stride_tricks.sliding_window_view(section, shape)


def test_where_z_is_not_the_axis_in_question_axial_sections_are_degraded_lateral_ones():
    recorded = Volume(textured((5, 72, 72)), VoxelSize(40, 4, 4), "recorded")
    for axial, rows in ((True, 5), (False, 10)):  # five recorded sections; forty rows at scale 4
        made = Source.of([recorded], make_degradation("average", 4), "self", axial=axial)
        drawn = UnpairedSections(40, 64).draw(made, np.random.default_rng(0))
        assert drawn["lateral"].shape == (1, 4 * rows, 64) and drawn["axial"].shape == (1, rows, 64)


def test_too_small_volumes_and_missing_networks_are_refused_before_training(tmp_path):
    with pytest.raises(DataError, match="24 x 61"):
        train(small(), source(shape=(40, 48, 72)), tmp_path, identity="x", seed=0)
    with pytest.raises(DataError, match="number of sections"):
        train(small(), source(shape=(16, 72, 72)), tmp_path, identity="x", seed=0)
    with pytest.raises(ConfigError, match="inference_only"):
        train(small(inference_only=True), source(), tmp_path, identity="x", seed=0)


def test_fractional_scales_and_unknown_directions_are_declined():
    assert "whole scale" in small().supports(2.5, SectionGrid.slabs(2.5))
    assert small().supports(10.0, SectionGrid.kept_every(10.0)) is None
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        small(direction="meen")


def test_only_the_reconstruction_network_starts_orthogonal():
    method = CycleGANIR(10.0, SectionGrid.slabs(10.0))
    for net, orthogonal in ((method.net, True), (method.degrader, False)):
        matrix = net.layers[2].first.weight.flatten(1)
        assert torch.allclose(matrix @ matrix.T, torch.eye(64), atol=1e-5) == orthogonal
        assert bool(net.layers[2].first.bias.any()) != orthogonal


def interpolating(**more):
    """A method whose network adds nothing to its resampled input."""
    method = small(**more).eval()
    torch.nn.init.zeros_(method.net.layers[-1].weight)
    torch.nn.init.zeros_(method.net.layers[-1].bias)
    return method


@pytest.mark.parametrize("grid", ["centred", "aligned"])
@pytest.mark.parametrize("direction", ["xz", "yz", "mean"])
def test_reconstruction_is_registered_and_upright_in_every_direction(grid, direction):
    observed = torch.rand(1, 1, 5, 7, 6)
    with torch.inference_mode():
        found = interpolating(grid=grid, direction=direction).reconstruct(
            Tile(observed, SectionGrid.of_kind(grid, 4.0))
        )
    weights = torch.from_numpy(interpolation_matrix("linear", 5, SectionGrid.of_kind(grid, 4.0))).float()
    torch.testing.assert_close(found[0, 0], torch.tensordot(weights, observed[0, 0], dims=1))
    if grid == "aligned":
        torch.testing.assert_close(found[:, :, ::4], observed)


def test_the_resampling_of_the_release_is_an_option_on_kept_sections():
    observed = torch.linspace(0, 1, 5)[:, None, None].expand(1, 1, 5, 6, 6)
    with torch.inference_mode():
        found = interpolating(grid="aligned", registered=False).reconstruct(Tile(observed, SectionGrid.kept_every(4.0)))
    slope = 1 / 16  # per voxel, so that (scale - 1) / 2 voxels of displacement show
    torch.testing.assert_close(found[0, 0, 4:-4, 0, 0], (torch.arange(4, 16) - 1.5) * slope)


def test_directions_exchange_y_and_x_and_only_xz_is_left_where_y_counts_sections():
    observed = torch.rand(1, 1, 5, 9, 8)
    methods = {name: small(direction=name).eval() for name in ("xz", "yz", "mean")}
    with torch.inference_mode():
        found = {name: method.reconstruct(Tile(observed, SectionGrid.slabs(4.0))) for name, method in methods.items()}
        turned = methods["xz"].reconstruct(Tile(observed.transpose(3, 4), SectionGrid.slabs(4.0))).transpose(3, 4)
        fixed = [m.reconstruct(Tile(observed, SectionGrid.slabs(4.0), turns=False)) for m in methods.values()]
    torch.testing.assert_close(found["yz"], turned)
    torch.testing.assert_close(found["mean"], (found["xz"] + found["yz"]) / 2)
    assert not torch.allclose(found["xz"], found["yz"])
    for result in fixed:
        torch.testing.assert_close(result, found["xz"])


@pytest.mark.parametrize("grid", ["centred", "aligned"])
def test_reconstruction_does_not_depend_on_block_size(grid):
    """With three blocks, zero padding would reach eight voxels into a tile without its halo."""
    whole, cut = (small(grid=grid, blocks=3, tile=tile).eval() for tile in ((12, 40, 40), (3, 9, 16)))
    observed, found = torch.rand(1, 1, 12, 40, 40), torch.zeros(48, 40, 40)
    with torch.inference_mode():
        wanted = whole.reconstruct(Tile(observed, SectionGrid.of_kind(grid, 4.0)))[0, 0]
        for block in TilePlan.of((12, 40, 40), SectionGrid.of_kind(grid, 4.0), cut.tile).tiles():
            tile = Tile(observed[(..., *block.tile.slices)], SectionGrid.of_kind(grid, 4.0), block.tile.start)
            origin = (4 * block.tile.start[0], *block.tile.start[1:])
            found[block.output.slices] = cut.reconstruct(tile)[0, 0][block.output.relative_to(origin).slices]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.fixture
def released(tmp_path):
    """A small generator under the authors' names, in the old serialisation of theirs."""
    torch.manual_seed(3)
    state = generator_state(Generator(Enlarge(SectionGrid.slabs(4)), 6, 2))
    torch.save(state, tmp_path / "G_LR2HR.pth", _use_new_zipfile_serialization=False)
    np.save(tmp_path / "stack.npy", textured((8, 32, 32)))
    return tmp_path, state


def run(*words):
    return main([str(word) for word in words])


def test_released_weights_come_back_unchanged_and_reconstruct_a_volume(released):
    folder, state = released
    again = generator_state(load_released(state, torch.nn.Identity()))
    assert list(again) == list(state) and all(torch.equal(again[key], state[key]) for key in state)
    weights = folder / "weights.safetensors"
    assert run("import-weights", "cyclegan-ir", folder / "G_LR2HR.pth", weights) == 0
    words = ["--method", "cyclegan-ir", "--weights", weights, "--scale", 4]
    assert run("reconstruct", folder / "stack.npy", folder / "out.zarr", *words) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("model.4.conv_block.2.bias"), "model.4.conv_block.2.bias is missing"),
        (lambda state: state.update({"model.9.weight": torch.zeros(2)}), "model.9.weight is left over"),
        (lambda state: state.update({"model.5.bias": torch.zeros(2)}), "expected (1,)"),
        (lambda state: state.pop("model.1.weight"), "not a generator"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(released, capsys, change, message):
    folder, state = released
    change(state)
    torch.save(state, folder / "odd.pth")
    assert run("import-weights", "cyclegan-ir", folder / "odd.pth", folder / "weights.safetensors") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (folder / "weights.safetensors").exists()


def test_a_benchmark_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "--dataset", "phantom", "--split", "smoke", "--scale", 10, "--preset", "smoke"]
    assert run(*words, "--methods", "nearest", "cyclegan-ir", "--metrics", "psnr", "--runs", tmp_path / "runs") == 0
    assert "cyclegan-ir" in capsys.readouterr().out


if __name__ == "__main__":
    place, number, kill = sys.argv[1:]
    learner = small(kind=Killed if int(kill) else CycleGANIR)
    train(learner, source(), Path(place), identity="x", seed=0, devices=["cpu"] * int(number))
