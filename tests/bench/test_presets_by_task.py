"""Presets in a benchmark: arguments by task, methods that lack one, and what a run keeps of its preset."""

from __future__ import annotations

import pytest

from vemrecon.bench.chosen_methods import situation_of
from vemrecon.bench.learn_from import LearnFrom
from vemrecon.bench.plan import plan
from vemrecon.bench.preset_facts import preset_facts
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.errors import ConfigError
from vemrecon.methods.condition import Situation

PLUGIN = """
from vemrecon.methods import Method, MethodCard

class Sized(Method):
    card = MethodCard("of a package of its own", regime="self")
    presets = {
        "smoke": {"width": 2},
        "paper": {
            "parts": [
                {"arguments": {"width": 4}},
                {"when": {"scale": {"from": 8}}, "arguments": {"width": 8}},
                {"when": {"degradation": "subsample", "dataset": "phantom"}, "arguments": {"batch": 3}},
            ],
            "deviations": [{"at": "width", "is": "odd in the paper"}, {"at": "data", "is": "fewer"}],
        },
    }

    def __init__(self, width: int = 1, batch: int = 1) -> None:
        super().__init__()

    def reconstruct(self, tile):
        return tile.observed
"""


@pytest.fixture
def sized(tmp_path, monkeypatch):
    (tmp_path / "sized.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "sized.Sized"


def specs(tmp_path, **more):
    request = Request(**{"dataset": "phantom", "scale": (4, 8), "kernels": "asked", **more})
    return [run.folder.spec for run in plan(resolve([request], Setup(tmp_path / "runs"), fetch=False))]


def test_arguments_are_those_of_each_task(sized, tmp_path):
    found = specs(tmp_path, methods=(sized,), preset="paper", degradation=("average", "subsample"))
    assert {(s.task.scale, s.task.degradation.name): dict(s.method.arguments) for s in found} == {
        (4.0, "average"): {"width": 4},
        (4.0, "subsample"): {"width": 4, "batch": 3},
        (8.0, "average"): {"width": 8},
        (8.0, "subsample"): {"width": 8, "batch": 3},
    }
    assert len({s.run_id for s in found}) == 4


def test_built_in_presets_depend_on_the_task_and_what_is_set_wins(tmp_path):
    methods = {"vemamba": ("crop", [[32, 128, 128], [16, 128, 128]]), "isovem": ("window", [[4, 4, 16], [2, 2, 16]])}
    for name, (argument, values) in methods.items():
        assert [s.method.arguments[argument] for s in specs(tmp_path, methods=(name,), preset="paper")] == values
    changed = specs(tmp_path, methods=("isovem",), preset="paper", set={"isovem": {"window": [2, 2, 8]}})
    assert [s.method.arguments["window"] for s in changed] == [[2, 2, 8]] * 2


def test_what_is_learned_elsewhere_is_learned_as_the_preset_has_it_there(tmp_path):
    elsewhere = LearnFrom("hemibrains", "a-train", scale=10.0)
    (spec,) = specs(tmp_path, methods=("isovem",), preset="paper", scale=4, dataset="fib25s", learn_from=(elsewhere,))
    assert spec.method.arguments["crop"] == [16, 160, 160] and spec.task.scale == 4
    assert situation_of(spec.task, spec.training) == Situation(10.0, "average", "hemibrains")
    assert situation_of(spec.task) == Situation(4.0, "average", "fib25s")


def test_methods_without_a_preset_are_named_together(tmp_path):
    with pytest.raises(
        ConfigError, match="no preset 'released': irsde \\(has smoke, cpu, gpu10, paper\\), srunet"
    ) as error:
        specs(tmp_path, methods=("isovem", "irsde", "srunet", "linear"), preset="released")
    assert "isovem" not in str(error.value) and "linear" not in str(error.value)
    assert {s.preset for s in specs(tmp_path, methods=("isovem", "linear"), preset="released")} == {
        "released",
        "default",
    }


def test_wrong_arguments_under_a_condition_are_refused_by_the_plan(tmp_path, monkeypatch):
    (tmp_path / "mistaken.py").write_text(PLUGIN.replace('"arguments": {"width": 8}', '"arguments": {"widht": 8}'))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert specs(tmp_path, methods=("mistaken.Sized",), preset="paper", scale=4)
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        specs(tmp_path, methods=("mistaken.Sized",), preset="paper", scale=8)


def test_a_run_keeps_the_deviations_of_its_preset_but_not_at_what_was_changed(sized, tmp_path):
    (spec,) = specs(tmp_path, methods=(sized,), preset="paper", scale=4)
    assert [(one.at, one.words) for one in preset_facts(spec).deviations] == [
        ("width", "odd in the paper"), ("data", "fewer"),
    ]  # fmt: skip
    assert preset_facts(spec).by_task == ("batch", "width")
    (spec,) = specs(tmp_path, methods=(sized,), preset="paper", scale=4, set={sized: {"width": 5}})
    assert [one.at for one in preset_facts(spec).deviations] == ["data"]
    (spec,) = specs(tmp_path, methods=(sized,), preset="smoke", scale=4)
    assert not preset_facts(spec).deviations and not preset_facts(spec).by_task
