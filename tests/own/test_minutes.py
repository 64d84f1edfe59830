"""`--train-minutes`: as many batches as the time takes, decided once."""

import json
import math

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data.source import Source
from vemrecon.degradations import make_degradation
from vemrecon.errors import ConfigError
from vemrecon.fit import minutes, pace
from vemrecon.fit.minutes import length_of
from vemrecon.fit.pace import Pace, paces
from vemrecon.methods.batches import batches_of
from vemrecon.methods.build import build_method
from vemrecon.methods.lateral_cnn import LateralCNN
from vemrecon.methods.registry import method_entry
from vemrecon.own.steps import make_ready
from vemrecon.own.wish import Wish
from vemrecon.progress import silent
from vemrecon.volume import SectionGrid, Volume

GRID = SectionGrid.slabs(4.0)
SMALL = {"width": 8, "blocks": 1, "patch": 32, "batch": 4}


def source():
    return Source.of([Volume(textured((10, 48, 48)), None, "v")], make_degradation("average", 4), "self")


TWO = (Pace(0.1, 0.2), Pace(0.5, 1.0))


def decided(time, scratch, name="vemamba", found=TWO, preset="cpu", said=None):
    kind, _, presets = method_entry(name).resolved()

    def build(arguments):
        return build_method(kind, name, arguments, grid=GRID, seed=0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minutes, "paces", lambda *words, **more: list(found))
        made = length_of(
            time, kind, presets[preset], build, source(), scratch, identity="x", seed=0, device="cpu",
            progress=silent, say=(said if said is not None else []).append,
        )  # fmt: skip
    return build(made.arguments), made.watch


@pytest.mark.parametrize("time", [2, 10, 100])
def test_all_stages_together_take_the_time_in_proportion_to_their_budgets(time, tmp_path):
    said = []
    method, watch = decided(time, tmp_path, said=said)
    seconds = sum(
        stage.epochs * (stage.batches_per_epoch * one.batch + watch * one.epoch)
        for one, stage in zip(TWO, method.stages(), strict=True)
    )
    assert 0.85 * 60 * time < seconds < 1.05 * 60 * time
    first, second = batches_of(method).values()
    assert first / second == pytest.approx(50 / 3000, rel=0.3)
    assert said == [
        f"training of {time} min, as timed on this machine: degradation {first} batches of 0.1 s, "
        f"fit {second} batches of 0.5 s"
    ]


def test_what_was_decided_stays_however_fast_the_machine_is_later(tmp_path):
    first, watch = decided(5, tmp_path)
    again, same = decided(5, tmp_path, found=(Pace(9, 9), Pace(9, 9)))
    assert (batches_of(again), same) == (batches_of(first), watch)
    other, _ = decided(6, tmp_path, found=(Pace(0.2, 0.2), Pace(0.7, 1.0)))
    assert batches_of(other) != batches_of(first), "another request"


def test_looking_at_held_out_patches_takes_a_tenth_of_the_time_at_most(tmp_path):
    slow = [Pace(1.0, 30.0)]  # 20 epochs of it would be the whole time
    method, watch = decided(10, tmp_path, "lateral-cnn", slow)
    (stage,) = method.stages()
    assert stage.epochs * watch * 30.0 <= 61
    assert stage.epochs * stage.batches_per_epoch == pytest.approx(540, rel=0.05)


def test_what_is_prepared_is_part_of_the_time_where_that_is_asked_for(tmp_path):
    found = (Pace(0.1, 0.0), Pace(0.5, 0.0, prepare=120.0))
    first, second = batches_of(decided(5, tmp_path, found=found)[0]).values()
    assert 0.1 * first + 0.5 * second == pytest.approx(300 - 120, rel=0.05)
    limits = json.loads((tmp_path / "minutes.json").read_text())["limits"]
    assert limits["degradation"] == pytest.approx(0.1 * first, rel=0.05) and limits["fit"] == pytest.approx(300)


def test_a_time_that_is_too_short_is_refused_with_what_it_takes(tmp_path):
    with pytest.raises(ConfigError, match=r"--train-minutes 0\.1: 20 batches, which are few, take .* minutes here"):
        decided(0.1, tmp_path, "lateral-cnn", [Pace(1.0, 0.1)])
    assert not (tmp_path / "minutes.json").exists()


def test_a_method_that_does_not_say_what_counts_batches_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(LateralCNN, "in_batches", ())
    with pytest.raises(ConfigError, match=r"does not say .* \(Method\.in_batches\)"):
        decided(5, tmp_path, "lateral-cnn", [Pace(1.0, 0.1)])


@pytest.mark.parametrize("name", ["lateral-cnn", "d2r-aenet", "cyclegan-ir"])
def test_batches_are_timed_without_a_trace(name, tmp_path, monkeypatch):
    from vemrecon.methods.d2r import distilled

    monkeypatch.setattr(pace, "LONG_ENOUGH", 0.2)
    monkeypatch.setattr(distilled, "stored_pseudo_truth", lambda *words: pytest.fail("takes long"))
    kind, _, presets = method_entry(name).resolved()
    grey = textured((24, 96, 96))
    seen = Source.of(
        [Volume(grey, None, "v")], make_degradation("average", 4), "self", validation=[Volume(grey, None, "w")]
    )

    def timed():
        method = build_method(kind, name, presets["smoke"], grid=GRID, seed=0)
        found = paces(method, seen, tmp_path / "rehearsal", seed=0)
        assert len(found) == len(method.stages())
        assert all(one.batch > 0 and one.epoch > 0 for one in found)

    with monkeypatch.context() as killed:
        killed.setattr(pace.shutil, "rmtree", lambda *words, **more: None)
        timed()
    assert (tmp_path / "rehearsal").exists()
    timed()
    assert list(tmp_path.iterdir()) == []


class _StopError(Exception):
    pass


def test_an_interrupted_training_goes_on_with_as_many_batches_as_were_decided(tmp_path, monkeypatch):
    wish = Wish(method="lateral-cnn", train_minutes=0.01, settings=SMALL)
    observed = Volume(textured((10, 48, 48)), None, "v", GRID)

    def ready(place, seconds, stop=2.0):
        monkeypatch.setattr(minutes, "paces", lambda *words, **more: [Pace(seconds, 0.0)])

        def progress(phase, share, note=""):
            if phase == "fit" and share > stop:
                raise _StopError

        return make_ready(wish, observed, tmp_path / place, progress, [].append)

    calm = ready("calm", 0.01)
    with pytest.raises(_StopError):
        ready("killed", 0.01, stop=0.5)
    resumed = ready("killed", 0.0001)
    assert resumed.how()["batches"] == calm.how()["batches"] == {"fit": 60}
    np.testing.assert_array_equal(calm.array(silent), resumed.array(silent))


def test_the_output_says_how_many_batches_were_learned(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(minutes, "paces", lambda *words, **more: [Pace(0.01, 0.0)])
    np.save(tmp_path / "v.npy", textured((10, 48, 48)))
    words = ["reconstruct", tmp_path / "v.npy", tmp_path / "out.zarr", "--scale", "4", "--method", "lateral-cnn"]
    words += ["--blend", "--train-minutes", "0.005", "--set", *(f"{name}={value}" for name, value in SMALL.items())]
    assert main([str(word) for word in words]) == 0
    assert "training of 0.005 min, as timed on this machine: fit 30 batches of 0.01 s" in capsys.readouterr().err
    how = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]["vemrecon"]["made"]
    assert (how["batches"], how["train_minutes"], how["preset"]) == ({"fit": 30}, 0.005, "cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "lateral-cnn", "--train-minutes", "0"], "above 0"),
        (["--method", "lateral-cnn", "--train-minutes", "-3"], "above 0"),
        (["--method", "lateral-cnn", "--train-minutes", "nan"], "above 0"),
        (["--method", "lateral-cnn", "--train-minutes", "inf"], "above 0"),
        (["--method", "lateral-cnn", "--train-minutes", "soon"], "must be a number"),
        (["--method", "bicubic", "--train-minutes", "5"], "does not learn"),
        (["--method", "emgauss", "--train-minutes", "5"], "while it reconstructs"),
        (["--method", "srunet", "--train-minutes", "5"], "isotropic truth"),
        (["--method", "lateral-cnn", "--train-minutes", "5", "--set", "budget=9"], "--set budget: counts batches"),
        (["--method", "d2r-aenet", "--train-minutes", "5", "--set", "distil.budget=9"], "--set distil.budget"),
    ],
)  # fmt: skip
def test_times_that_mean_nothing_are_refused_before_anything_is_read(words, message, tmp_path, capsys):
    assert main(["reconstruct", str(tmp_path / "none.tif"), str(tmp_path / "out.zarr"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_python_takes_minutes_too(monkeypatch):
    import vemrecon

    monkeypatch.setattr(minutes, "paces", lambda *words, **more: [Pace(0.01, 0.0)])
    grey = textured((8, 48, 48))
    with pytest.warns(UserWarning, match="fit 30 batches"):
        made = vemrecon.reconstruct(
            grey, scale=4, method="lateral-cnn", train_minutes=0.005, settings=SMALL, progress=False
        )
    assert made.shape == (32, 48, 48)
    with pytest.raises(ConfigError, match="above 0"):
        vemrecon.reconstruct(grey, scale=4, method="lateral-cnn", train_minutes=math.nan)
