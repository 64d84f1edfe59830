"""Presets as data: conditions, sources and deviations, and that those of every method can be used."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from vemrecon.arguments import check_arguments
from vemrecon.commands.recipes import recipes_page
from vemrecon.data import dataset_names
from vemrecon.degradations import degradations
from vemrecon.errors import ConfigError
from vemrecon.methods.base import Method
from vemrecon.methods.build import build_method
from vemrecon.methods.condition import Condition, Situation
from vemrecon.methods.preset import SOURCES, STEPS, Preset, leaves, merged
from vemrecon.methods.registry import built_in_methods, choose_preset
from vemrecon.protocol import benchmark_folder
from vemrecon.volume import SectionGrid

METHODS = built_in_methods()
AFTER_SOMETHING = [
    (name, preset) for name, entry in METHODS.items() for preset in ("paper", "released") if preset in entry.presets
]
SITUATIONS = [
    Situation(float(scale), degradation, dataset)
    for scale in (2, 2.5, *range(3, 21))
    for degradation in ("", *degradations())
    for dataset in ("", *dataset_names())
]
CASES = {
    "small": {"width": 4},
    "paper": {
        "parts": [
            {"from": "paper", "arguments": {"width": 8, "inner": {"a": 1, "b": 2}}},
            {"from": "released code", "when": {"scale": {"above": 9}}, "arguments": {"inner": {"b": 3}}},
            {"when": {"dataset": ["cremi", "cremis"], "scale": 4}, "arguments": {"width": 16}},
        ],
        "reasons": {"width": "Table 2"},
        "deviations": [
            {"at": "loss", "is": "another one"},
            {"at": "width", "is": "wider", "when": {"degradation": "average"}},
        ],
    },
    "released": {
        "like": "paper",
        "agrees": ["loss"],
        "parts": [{"from": "released code", "arguments": {"width": 32}}],
        "deviations": [{"at": "data", "is": "all of them"}],
    },
}


@cache
def read(name: str, preset: str) -> Preset:
    return choose_preset(name, preset, METHODS[name].presets)[1]


def test_a_later_part_takes_the_place_of_earlier_ones_where_its_condition_holds():
    preset = Preset.read("paper", CASES)
    assert preset.arguments(Situation(8)) == {"width": 8, "inner": {"a": 1, "b": 2}}
    assert preset.arguments(Situation(9)) == preset.arguments(Situation(8))
    assert preset.arguments(Situation(10)) == {"width": 8, "inner": {"a": 1, "b": 3}}
    assert preset.arguments(Situation(4, "average", "cremi"))["width"] == 16
    assert preset.arguments(Situation(4))["width"] == 8  # a volume of one's own is of no dataset
    assert preset.by_task == ("inner.b", "width")


def test_every_argument_has_the_source_of_the_part_that_it_comes_from():
    (a, b, width) = Preset.read("paper", CASES).stated(Situation(10))
    assert [(one.name, one.value, one.source) for one in (a, b, width)] == [
        ("inner.a", 1, "paper"), ("inner.b", 3, "released code"), ("width", 8, "paper"),
    ]  # fmt: skip
    assert width.reason == "Table 2" and not a.reason
    assert str(b.when) == "scale above 9" and not str(a.when)


def test_a_preset_may_begin_with_another_one_and_agree_where_that_deviates():
    preset = Preset.read("released", CASES)
    assert preset.arguments(Situation(4, "", "cremis")) == {"width": 32, "inner": {"a": 1, "b": 2}}
    assert [one.at for one in preset.deviations_for(Situation(8))] == ["data"]
    assert [one.at for one in preset.deviations_for(Situation(8, "average"))] == ["width", "data"]
    assert preset.by_task == ("inner.b",)  # its width is the same for all


def test_a_plain_mapping_of_arguments_is_a_preset():
    preset = Preset.read("small", CASES)
    assert preset.arguments(Situation(8)) == {"width": 4} and not preset.deviations and not preset.by_task
    assert [one.source for one in preset.stated(Situation(8))] == [""]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"scale": 8}, (8,)),
        ({"scale": [4, 10]}, (4, 10)),
        ({"scale": {"from": 8}}, (8, 9.5, 10)),
        ({"scale": {"above": 8}}, (9.5, 10)),
        ({"scale": {"to": 8}}, (4, 8)),
        ({"scale": {"below": 8, "from": 2}}, (4,)),
    ],
)
def test_conditions_of_scale(when, holds):
    condition = Condition.read(when, "a test")
    assert tuple(scale for scale in (4, 8, 9.5, 10) if condition.holds(Situation(scale))) == holds


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"when": {"scael": 8}}, "unknown condition of preset paper 'scael': did you mean 'scale'"),
        ({"when": {}}, "must name scale or degradation or dataset"),
        ({"when": {"scale": "8"}}, "8 is no scale"),
        ({"when": {"scale": {"form": 8}}}, "did you mean 'from'"),
        ({"when": {"scale": {}}}, "must have a bound"),
        ({"when": {"dataset": 8}}, "must be a name or a list of names"),
        ({"from": "papr"}, "did you mean 'paper'"),
        ({"arguments": [1]}, "must have named arguments"),
        ({"argument": {}}, "did you mean 'arguments'"),
    ],
)
def test_parts_that_nobody_understands_are_refused(changed, words):
    part = {"arguments": {"width": 1}, **changed}
    with pytest.raises(ConfigError, match=words):
        choose_preset("x", "paper", {"paper": {"parts": [part]}})


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ({"parts": [], "deviation": []}, "did you mean 'deviations'"),
        ({"parts": {}}, "parts: must be a list"),
        ({"parts": [], "reasons": {"a": 1}}, "must say in words"),
        ({"parts": [], "deviations": [{"at": "loss"}]}, "must say in words"),
        ({"parts": [], "like": "gpu"}, "gpu is no other preset"),
        ({"parts": [], "like": "paper"}, "paper is no other preset"),
        ({"parts": [], "like": "small", "agrees": ["loss"]}, "unknown deviation that preset paper agrees at 'loss'"),
    ],
)
def test_presets_that_nobody_understands_are_refused(preset, words):
    with pytest.raises(ConfigError, match=f"method 'x': .*{words}"):
        choose_preset("x", "paper", {"small": {}, "paper": preset})


@pytest.mark.parametrize(("name", "preset"), AFTER_SOMETHING)
def test_every_argument_of_what_is_named_after_something_has_a_source(name, preset):
    found = read(name, preset)
    sources = {case.source for argument in found.names for case in found.cases(argument)}
    assert found.names and sources <= set(SOURCES)
    assert preset != "released" or "paper" not in sources  # what only the paper says is none of the code
    for argument in found.reasons:
        assert argument in found.names, "a reason for no argument"


@pytest.mark.parametrize(("name", "preset"), AFTER_SOMETHING)
def test_every_deviation_is_at_an_argument_or_a_step(name, preset):
    found = read(name, preset)
    for one in found.deviations:
        assert one.at in (*found.names, *STEPS)
        assert one.when == Condition() or any(one.when.holds(situation) for situation in SITUATIONS)
    assert len({(one.at, one.words) for one in found.deviations}) == len(found.deviations), "say it once"


@pytest.mark.parametrize(("name", "preset"), AFTER_SOMETHING)
def test_presets_can_be_used_for_every_scale_degradation_and_dataset(name, preset):
    found, kind = read(name, preset), METHODS[name].load()
    known = {"dataset": set(dataset_names()), "degradation": set(degradations())}
    for part in found.parts:
        for what, names in known.items():
            assert set(getattr(part.when, what)) <= names
        assert part.when == Condition() or any(part.when.holds(situation) for situation in SITUATIONS)
    distinct = {str(arguments): (arguments, one.scale) for one in SITUATIONS for arguments in [found.arguments(one)]}
    for arguments, scale in distinct.values():
        checked(kind, name, arguments)
        with torch.device("cpu" if name.startswith("isovem") else "meta"):  # whose layers look at numbers
            method = build_method(kind, name, small(arguments), grid=SectionGrid.slabs(scale), seed=0)
        assert isinstance(method, Method)


def checked(kind, name, arguments):
    check_arguments(kind, name, arguments)
    for outer, inner in kind.inner(arguments).items():
        check_arguments(inner, f"{name}.{outer}", arguments.get(outer, {}), given=("scale", "grid", "axes"))


def small(arguments):
    """The same with fewer channels, where these alone cost time."""
    widths = {"width": 8} if arguments.get("multiples") or arguments.get("network") == "nafnet" else {}
    widths |= {"widths": [8, 8, 8, 16]} if len(arguments.get("widths", ())) == 4 else {}
    inner = {key: small(value) for key, value in arguments.items() if isinstance(value, dict)}
    return {**arguments, **widths, **inner}


def test_what_two_methods_share_is_the_same_in_both():
    blank = {"blank_sections": True, "blank_neighbours": True}
    for preset in ("paper", "released"):
        for scale in (4, 8, 10):
            one, plus = (read(name, preset).arguments(Situation(scale)) for name in ("isovem", "isovem-plus"))
            assert plus == one | blank
    diffusion = read("irsde", "paper").arguments(Situation(10))
    for student in ("aenet", "dgean", "srunet"):
        own = read(f"d2r-{student}", "paper").arguments(Situation(10))
        assert own["diffusion"].items() <= diffusion.items()
        alone = "srunet" if student == "srunet" else f"sup-{student}"
        assert own["distil"].items() <= read(alone, "paper").arguments(Situation(10)).items()
    assert {name for name, entry in METHODS.items() if "released" in entry.presets} == {
        "cyclegan-ir", "emdiffuse-a", "emdiffuse-i", "isovem", "isovem-plus", "vemamba",
    }  # fmt: skip


def test_presets_are_what_papers_and_released_code_say():
    """Numbers of the papers' texts and of the released configurations, from the specifications."""
    at = {scale: read("vemamba", "paper").arguments(Situation(scale)) for scale in (4, 8, 10)}
    assert [at[scale]["crop"] for scale in at] == [[32, 128, 128], [16, 128, 128], [16, 160, 160]]
    assert at[8]["learning_rate"] == 5e-5
    cremi = read("vemamba", "released").arguments(Situation(10, "average", "cremi"))
    assert (cremi["budget"], cremi["learning_rate"]) == (50000, 5e-4)
    assert cremi["crop"] == [16, 128, 128] and cremi["layout"] == "released"
    at = {scale: read("isovem", "paper").arguments(Situation(scale)) for scale in (4, 8, 10, 17.5)}
    assert [at[scale]["window"] for scale in at] == [[4, 4, 16], [2, 2, 16], [2, 2, 20], [2, 2, 20]]
    assert [at[scale]["crop"] for scale in at][:3] == [[32, 128, 128], [16, 128, 128], [16, 160, 160]]
    assert 80_000 <= at[8]["budget"] <= 150_000 and at[8]["blend"]
    released = read("isovem", "released").arguments(Situation(10))
    assert (released["window"], released["budget"]) == ([4, 2, 20], 50000)
    plain = read("emdiffuse-i", "released").arguments(Situation(8))
    assert (plain["average"], plain["loss"], plain["warm_up"]) == (False, "mse", 0)
    assert read("irsde", "paper").arguments(Situation(8))["budget"] == 700_000
    assert read("d2r-dgean", "paper").arguments(Situation(8))["distil"]["continuity_every"] == 1


@pytest.mark.parametrize("name", ["isovem", "vemamba", "irsde"])
def test_blended_tiles_with_their_margins_are_those_of_the_release(name):
    sides = {"isovem": (128, 160), "vemamba": (128, 128), "irsde": (256, 256)}[name]
    for scale, lateral in zip((8.0, 10.0), sides, strict=True):
        grid = SectionGrid.slabs(scale)
        arguments = read(name, "paper").arguments(Situation.of_grid(grid))
        tile = build_method(METHODS[name].load(), name, small(arguments), grid=grid, seed=0).tile
        assert tile.blended
        assert tile.y + 2 * tile.halo[1] == lateral and 2 * tile.halo[1] == (4 if name == "irsde" else 8)


def test_presets_without_conditions_are_as_they_are_written():
    for name, entry in METHODS.items():
        for preset in set(entry.presets) - {"paper", "released"}:
            data = entry.presets[preset]
            assert "parts" not in data and read(name, preset).arguments(SITUATIONS[0]) == data


def test_arguments_merge_as_deep_as_mappings_go():
    assert merged({"a": 1, "b": {"c": 2}}, {"b": 3}) == {"a": 1, "b": 3}
    assert dict(leaves(merged({"b": {"c": 2}}, {"b": {"d": {"e": 4}}}))) == {"b.c": 2, "b.d.e": 4}


def test_the_page_of_recipes_is_as_the_command_writes_it():
    page = benchmark_folder().parent / "docs" / "recipes.md"
    assert page.read_text(encoding="utf-8") == recipes_page()
