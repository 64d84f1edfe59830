"""Which weights a stage keeps: the best by held-out patches, an average or the last; the same after any kill."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from damages import DAMAGES
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.bench.same_training import take_trained
from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import ConfigError
from vemrecon.files import digest_of
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.shared_stages import SharedStages
from vemrecon.fit.stages import chosen_weights, train
from vemrecon.methods.build import build_method, initialise
from vemrecon.methods.lateral_cnn import LateralCNN
from vemrecon.methods.registry import built_in_methods
from vemrecon.methods.weight_choice import LAST, ChosenWeights, WeightChoice
from vemrecon.version import __version__
from vemrecon.volume import SectionGrid, Volume, VoxelSize

RISES_AND_FALLS = (20.0, 22.0, 25.0, 24.0, 23.0, 24.5, 21.0, 20.0)
BEST = 3  # epoch, which is also the batch


def source(*, held_out=True):
    degradation = make_degradation("subsample", 4)
    truth = [Volume(textured((24, 48, 48), seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(observed[:1], degradation, "self", validation=observed[1:] if held_out else [])


class Scripted(LateralCNN):
    """Eight epochs of one batch, whose validation numbers are given; remembers the weights after each of them."""

    numbers = RISES_AND_FALLS

    def __init__(self, choice):
        super().__init__(4.0, SectionGrid.kept_every(4.0), width=4, blocks=1, patch=32, batch=2, budget=8)
        self.asked, self.seen = choice, {}

    def stages(self):
        return tuple(replace(stage, choice=self.asked, validation=1) for stage in super().stages())

    def validate(self, batch):
        epoch = self.current_epoch + 1
        self.seen[epoch] = weights(self)
        return {"psnr": torch.tensor(self.numbers[epoch - 1])}


def weights(method):
    return {name: value.detach().clone() for name, value in method.net.state_dict().items()}


def same(found, wanted):
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def trained(choice, folder, kind=Scripted, **more):
    """The method after its training, and what is recorded."""
    method = initialise(lambda: kind(choice), 0)
    train(method, more.pop("source", None) or source(), folder, identity="x", seed=0, **more)
    stored = {
        name.removeprefix("net."): value for name, value in load_file(folder / "fit" / "stage.safetensors").items()
    }
    assert same(stored, weights(method)), "what is written is what the method goes on with"
    return method, chosen_weights(folder).get("fit")


def test_the_weights_of_the_best_epoch_are_kept_and_recorded(tmp_path):
    method, chosen = trained(WeightChoice("best"), tmp_path)
    assert chosen == ChosenWeights("best", BEST, 8, "psnr", 25.0, last=20.0)
    assert same(weights(method), method.seen[BEST]) and not same(weights(method), method.seen[8])


def test_the_best_may_be_the_lowest_and_the_first_of_equals(tmp_path):
    class Falls(Scripted):
        numbers = (9.0, 5.0, 4.0, 6.0, float("nan"), 4.0, 5.0, 5.0)

    method, chosen = trained(WeightChoice("best", higher=False), tmp_path, Falls)
    assert (chosen.batch, chosen.value) == (3, 4.0)
    assert same(weights(method), method.seen[3])


def test_the_last_weights_are_kept_where_nothing_else_is_asked_for(tmp_path):
    method, chosen = trained(LAST, tmp_path)
    assert chosen is None and same(weights(method), method.seen[8])
    assert "chosen" not in json.loads((tmp_path / "fit" / "stage.json").read_text())


def test_an_average_is_the_mean_of_the_last_epochs(tmp_path):
    method, chosen = trained(WeightChoice("average", epochs=3), tmp_path)
    assert chosen == ChosenWeights("average", 8, 8, epochs=3)
    for name, value in weights(method).items():
        mean = torch.stack([method.seen[epoch][name] for epoch in (6, 7, 8)]).mean(0)
        torch.testing.assert_close(value, mean, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("keep", "kept"), [("best", BEST), ("last", 6)])
def test_a_stage_ends_when_more_than_the_patience_has_brought_nothing_better(keep, kept, tmp_path):
    method, chosen = trained(WeightChoice(keep, patience=2), tmp_path)
    assert max(method.seen) == 6, "2 epochs after the best one are waited for, one more ends it"
    assert (chosen.keep, chosen.batch, chosen.batches, chosen.early) == (keep, kept, 6, True)
    assert same(weights(method), method.seen[kept]) and "ended early" in chosen.text


def test_patience_that_is_never_used_up_changes_nothing(tmp_path):
    patient, chosen = trained(WeightChoice("best", patience=5), tmp_path / "patient")
    other, _ = trained(WeightChoice("best"), tmp_path / "other")
    assert not chosen.early and chosen.batches == 8 and same(weights(patient), weights(other))


def test_without_held_out_patches_the_last_weights_are_kept_and_that_is_said(tmp_path):
    method, chosen = trained(WeightChoice("best", patience=1), tmp_path / "a", source=source(held_out=False))
    last, _ = trained(LAST, tmp_path / "b", source=source(held_out=False))
    assert same(weights(method), weights(last))
    assert chosen.text == "last, batch 8: nothing was held out to choose by"


def test_numbers_that_are_none_choose_nothing(tmp_path):
    class Lost(Scripted):
        numbers = (float("nan"),) * 8

    method, chosen = trained(WeightChoice("best"), tmp_path, Lost)
    assert chosen.keep == "last" and "no epoch gave a number" in chosen.reason
    assert same(weights(method), method.seen[8])


@pytest.mark.parametrize(("keep", "reason"), [("best", ""), ("average", "before the epochs that were to be averaged")])
def test_a_training_that_has_used_its_time_up_keeps_what_there_is(keep, reason, tmp_path):
    method, chosen = trained(WeightChoice(keep), tmp_path, limits={"fit": 1e-9})
    assert max(method.seen) == 1 and chosen.batches == 1 and reason in chosen.reason and not chosen.early
    assert same(weights(method), method.seen[1])


def test_a_number_that_the_method_does_not_tell_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"validation number of stage 'fit' 'ssim': .*Known: psnr"):
        trained(WeightChoice("best", "ssim"), tmp_path)


@pytest.mark.parametrize("wrong", [("newest",), ("best", "psnr", True, -1), ("average", "psnr", True, 3)])
def test_choices_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError):
        WeightChoice(*wrong)


class _StopError(Exception):
    pass


def stopping(monkeypatch, number):
    """Renaming and removing files fails from the call of this number on; gives the calls so far."""
    calls = []

    def counted(real):
        def one(self, *words, **named):
            calls.append(self.name)
            if len(calls) > number:
                raise _StopError
            return real(self, *words, **named)

        return one

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return calls


@pytest.mark.parametrize(
    ("choice", "every"), [(WeightChoice("best", patience=2), 1), (WeightChoice("average", epochs=4), 5)]
)
def test_whichever_write_a_kill_prevents_the_same_weights_are_kept(choice, every, tmp_path, monkeypatch):
    calm, wanted = trained(choice, tmp_path / "calm")
    with monkeypatch.context() as patched:
        calls = stopping(patched, 1000)
        trained(choice, tmp_path / "counted")
    assert {"last.ckpt", "last.ckpt.part", "stage.part"} <= set(calls)
    for number in range(0, len(calls), every):
        place = tmp_path / str(number)
        with monkeypatch.context() as patched, pytest.raises(_StopError):
            stopping(patched, number)
            trained(choice, place)
        again, chosen = trained(choice, place)
        assert same(weights(again), weights(calm)) and chosen == wanted, calls[number]


def stop_after(epochs):
    def stop(stage, share, note=""):
        if stage == "fit" and share > epochs / 8:
            raise _StopError

    return stop


@pytest.mark.parametrize("epochs", [3, 5])
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_has_the_choice_of_its_own_moment(damage, epochs, tmp_path):
    choice = WeightChoice("best", patience=2)
    calm, wanted = trained(choice, tmp_path / "calm")
    with pytest.raises(_StopError):
        trained(choice, tmp_path / "a", progress=stop_after(epochs))
    last = tmp_path / "a" / "fit" / "last.ckpt"
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    again, chosen = trained(choice, tmp_path / "a")
    assert same(weights(again), weights(calm)) and chosen == wanted


@pytest.mark.parametrize("which", ["stage.safetensors", "stage.json"])
def test_what_is_damaged_of_a_finished_stage_is_chosen_again(which, tmp_path):
    calm, wanted = trained(WeightChoice("best", patience=2), tmp_path)
    (tmp_path / "fit" / which).write_bytes(b"{")
    again, chosen = trained(WeightChoice("best", patience=2), tmp_path)
    assert same(weights(again), weights(calm)) and chosen == wanted and not again.seen, "nothing is learned again"


def test_a_shared_stage_is_found_by_its_choice_too(tmp_path):
    (stage,) = Scripted(LAST).stages()
    stage, shared = replace(stage, recipe={"width": 4}), SharedStages(tmp_path, "data")
    facts = [__version__, "data", 0, stage.name, stage.budget, stage.batch, stage.recipe]
    assert shared.place(stage, 0) == tmp_path / digest_of(facts)[:12], "where it always was"
    places = {
        shared.place(replace(stage, choice=choice), 0)
        for choice in (LAST, WeightChoice("best"), WeightChoice("average"))
    }
    assert len(places) == 3


@pytest.mark.parametrize("name", ["lateral-cnn", "vemamba", "isovem", "irsde", "srunet", "sup-aenet", "sup-dgean"])
def test_methods_take_a_choice_for_the_stage_that_reconstructs(name):
    kind, _, presets = built_in_methods()[name].resolved()
    for keep in ("last", "best", "average"):
        arguments = {**presets["smoke"], "choice": keep}
        stages = build_method(kind, name, arguments, grid=SectionGrid.kept_every(4), seed=0).stages()
        assert stages[-1].choice.keep == keep and all(stage.choice == LAST for stage in stages[:-1])


def test_the_student_and_the_diffusion_of_d2r_have_choices_of_their_own():
    kind, _, presets = built_in_methods()["d2r-srunet"].resolved()
    smoke, found = presets["smoke"], []
    for diffusion, student in (({}, {"choice": "best", "patience": 10}), ({"choice": "average"}, {})):
        arguments = {
            **smoke,
            "diffusion": {**smoke["diffusion"], **diffusion},
            "distil": {**smoke["distil"], **student},
        }
        stages = build_method(kind, "d2r-srunet", arguments, grid=SectionGrid.kept_every(4), seed=0).stages()
        found.append([(stage.choice.keep, stage.choice.patience) for stage in stages])
    assert found == [[("last", None), ("best", 10)], [("average", None), ("last", None)]]


def test_isovem_is_chosen_by_the_structural_similarity_of_its_frames(tmp_path):
    kind, _, presets = built_in_methods()["isovem"].resolved()
    arguments = {**presets["smoke"], "choice": "best", "budget": 6}
    method = build_method(kind, "isovem", arguments, grid=SectionGrid.kept_every(4), seed=0)
    train(method, source(), tmp_path, identity="x", seed=0, watch=0.1)
    chosen, curves = chosen_weights(tmp_path)["fit"], read_log(tmp_path / "fit" / "loss.csv")
    batches, values = curves["validation ssim"]
    assert (chosen.of, chosen.value) == ("ssim", max(values)) and batches[values.index(max(values))] == chosen.batch
    same_image = {"observed": torch.full((1, 1, 4, 8, 32), 0.5), "target": torch.full((1, 1, 4, 32, 32), 0.5)}
    method.restore = lambda observed: same_image["target"]
    assert method.validate(same_image)["ssim"] == 1


class TwoStages(Scripted):
    """The second one goes on with the weights of the first."""

    def stages(self):
        (stage,) = super().stages()
        return replace(stage, name="first"), replace(stage, name="fit", choice=LAST)


def taken(kind, wanted, kept, place, folder):
    """A method that wants another choice than one that is trained, and its training after it took what it could."""
    first, _ = trained(kept, place, kind)
    other = initialise(lambda: kind(wanted), 0)
    take_trained(other, folder, "y", initialise(lambda: kind(kept), 0), place, "x")
    train(other, source(), folder, identity="y", seed=0)
    return first, other


@pytest.mark.parametrize("last", [LAST, WeightChoice(of="ssim")], ids=["psnr", "ssim"])
def test_the_last_weights_are_had_of_the_training_of_a_run_that_kept_the_best(tmp_path, last):
    first, other = taken(Scripted, last, WeightChoice("best"), tmp_path / "a", tmp_path / "b")
    assert not other.seen, "nothing was learned again"
    assert same(weights(other), first.seen[8]) and not chosen_weights(tmp_path / "b")
    marks = [json.loads((tmp_path / name / "fit" / "stage.json").read_text()) for name in "ab"]
    assert marks[1]["shared"] and marks[0]["seconds"] == marks[1]["seconds"]
    logs = [(tmp_path / name / "fit" / "loss.csv").read_bytes() for name in "ab"]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (WeightChoice("best"), LAST),
        (WeightChoice("best"), WeightChoice("average")),
        (LAST, WeightChoice("best", patience=2)),
    ],
    ids=lambda choice: choice.keep,
)
def test_weights_that_a_training_does_not_have_any_more_are_learned_again(wanted, kept, tmp_path):
    _, other = taken(Scripted, wanted, kept, tmp_path / "a", tmp_path / "b")
    alone, _ = trained(wanted, tmp_path / "c")
    assert max(other.seen) == 8 and same(weights(other), weights(alone))


def test_what_follows_a_stage_that_kept_other_weights_is_learned_again(tmp_path):
    _, other = taken(TwoStages, LAST, WeightChoice("best"), tmp_path / "a", tmp_path / "b")
    assert "shared" in (tmp_path / "b" / "first" / "stage.json").read_text()
    assert "shared" not in (tmp_path / "b" / "fit" / "stage.json").read_text()
    alone, _ = trained(LAST, tmp_path / "c", TwoStages)
    assert max(other.seen) == 8 and same(weights(other), weights(alone))


def bench(runs, processes, choice="best"):
    """Of a training that chooses; its result and its weights."""
    words = ["bench", "--dataset", "phantom", "--split", "smoke", "--scale", "4", "--degradation", "subsample"]
    words += ["--methods", "lateral-cnn", "--preset", "smoke", "--metrics", "psnr", "--runs", str(runs)]
    words += ["--kernels", "asked", "--set", f"lateral-cnn.choice={choice}", "--processes", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "vemrecon.cli", *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = max(runs.glob("*/lateral-cnn-*"), key=lambda path: (path / "result.json").stat().st_mtime_ns)
    assert ("best validation psnr" in (runs / "report" / "README.md").read_text()) or choice == "last"
    return json.loads((folder / "result.json").read_text()), load_file(folder / "weights.safetensors")


@pytest.mark.slow
def test_the_result_of_a_run_has_the_batch_that_was_chosen(tmp_path):
    result, _ = bench(tmp_path / "runs", 1)
    chosen, (log,) = result["chosen"]["fit"], (tmp_path / "runs").glob("*/*/train/fit/loss.csv")
    batches, values = read_log(log)["validation psnr"]
    assert (chosen["keep"], chosen["value"], chosen["batches"]) == ("best", max(values), batches[-1])
    assert chosen["batch"] == batches[values.index(max(values))]
    last, _ = bench(tmp_path / "runs", 1, "last")
    assert "chosen" not in last and last["costs"]["train_seconds"] == result["costs"]["train_seconds"], "learned once"


@pytest.mark.slow
def test_two_processes_choose_as_one_does(tmp_path):
    (one, alone), (two, shared) = (bench(tmp_path / f"{processes}", processes) for processes in (1, 2))
    assert two["chosen"]["fit"]["batch"] == one["chosen"]["fit"]["batch"]
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, atol=1e-5, rtol=0)
