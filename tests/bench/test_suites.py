"""Suites: stored requests that can be planned anywhere, and what they are made of."""

import socket

import pytest
import yaml

from vemrecon import protocol
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.suite import read_suite, requests_and_setup
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import method_entry
from vemrecon.volume import SectionGrid

PAPERS = {"vemamba", "isovem", "emgauss", "d2r", "cyclegan-ir", "emdiffuse", "lateral-diffusion"}
PARTS = {"epfl", "cremi", "fib25", "fanc", "tissues"} | PAPERS


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without data and without a network."""
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "create_connection", None)
    return Setup(tmp_path / "runs", data_root=tmp_path / "data")


def specs_of(name, setup):
    requests, _ = requests_and_setup(read_suite(str(name)))
    return [run.folder.spec for run in plan(resolve(requests, setup, fetch=False))]


@pytest.mark.parametrize("name", sorted(PARTS | {"default", "quick"}))
def test_every_suite_can_be_planned_without_data_and_without_a_network(name, nowhere):
    specs = specs_of(name, nowhere)
    assert specs and len({spec.run_id for spec in specs}) == len(specs)
    rows = {(spec.task_id, spec.method.name, spec.seed) for spec in specs}
    assert len(rows) == len(specs), "no two runs of a task look alike"


def test_all_of_them_are_known_and_together_in_one():
    assert set(protocol.names("suites")) == PARTS | {"all", "board-fib25s", "default", "quick"}
    together = read_suite("all")
    assert [entry for name in sorted(PARTS) for entry in read_suite(name) if entry not in together] == []
    assert all(together.count(entry) == 1 for entry in together)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PAPERS))
def test_every_row_of_a_paper_can_be_made(name, nowhere):
    made = set()
    for spec in specs_of(name, nowhere):
        if spec.method.name not in made and (made.add(spec.method.name) or "[" in spec.method.name):
            kind = method_entry(spec.method.entry).load()
            arguments = spec.method.arguments
            method = build_method(kind, spec.method.name, arguments, grid=SectionGrid.kept_every(8), seed=0)
            assert type(method).__name__ == spec.method.class_path.rpartition(".")[2]


def test_every_kind_of_method_is_in_the_quick_one(nowhere):
    specs = specs_of("quick", nowhere)
    assert {spec.preset for spec in specs} == {"smoke", "default"}
    kinds = {spec.method.class_path for spec in specs}
    assert kinds == {entry["class_path"] for entry in (protocol.load("methods", m) for m in protocol.names("methods"))}


def test_the_ablation_of_vemamba_has_its_rows(nowhere):
    specs = [spec for spec in specs_of("vemamba", nowhere) if spec.task.dataset == "epfl" and spec.task.scale == 4]
    names = {spec.method.name for spec in specs if spec.method.entry == "vemamba"}
    assert {"vemamba", "vemamba[dwam=False]", "vemamba[alcssm=False]", "vemamba[moco=False]"} <= names


def written(path, **facts):
    path.write_text(yaml.safe_dump(facts))
    return path


TWICE = ["linear", "isovem", {"class_path": "isovem", "init_args": {"rotations": [0]}}]


def test_a_method_may_stand_several_times_with_other_arguments(tmp_path, nowhere):
    suite = written(tmp_path / "s.yaml", dataset="phantom", methods=TWICE, preset="smoke")
    specs = specs_of(suite, nowhere)
    assert [spec.method.name for spec in specs] == ["linear", "isovem", "isovem[rotations=[0]]"]
    assert specs[2].method.arguments["rotations"] == [0]
    plain = specs_of(written(tmp_path / "p.yaml", dataset="phantom", methods=TWICE[:2], preset="smoke"), nowhere)
    assert [spec.run_id for spec in plain] == [spec.run_id for spec in specs[:2]]
    with pytest.raises(ConfigError, match="isovem stands twice with arguments"):
        Request(dataset="phantom", methods=[TWICE[2], TWICE[2]])


def test_settings_of_the_command_line_reach_all_of_them(tmp_path, capsys):
    suite = written(tmp_path / "s.yaml", dataset="phantom", methods=TWICE, preset="smoke")
    words = ["plan", "--suite", str(suite), "--runs", str(tmp_path / "runs"), "--set", "isovem.budget=9"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "isovem[budget=9]" in text and "isovem[budget=9,rotations=[0]]" in text
    assert main([*words[:3], "--print_config"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert requests_and_setup(read_suite(str(printed)))[0] == requests_and_setup(read_suite(str(suite)))[0]


def test_a_suite_may_include_others_without_doubles(tmp_path, nowhere):
    one = written(tmp_path / "one.yaml", dataset="phantom", methods=["linear"], tasks=[{"scale": 4}, {"scale": 8}])
    two = written(tmp_path / "two.yaml", dataset="phantom", methods=["linear", "bicubic"], scale=8)
    both = written(tmp_path / "both.yaml", include=[str(one), str(two)], seeds=[1])
    specs = specs_of(both, nowhere)
    assert [(spec.task.scale, spec.method.name) for spec in specs] == [(4, "linear"), (8, "linear"), (8, "bicubic")]
    more = written(
        tmp_path / "more.yaml", include=[str(one)], preset="smoke", methods=["nearest"],
        tasks=[{"dataset": "phantom", "scale": 2}],
    )  # fmt: skip
    assert [(spec.task.scale, spec.method.name) for spec in specs_of(more, nowhere)] == [
        (4, "nearest"), (8, "nearest"), (2, "nearest"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("include", "message"),
    [("quick", "include must be a list of suites"), (["qick"], "did you mean 'quick'"), (["LOOP"], "includes itself")],
)
def test_a_suite_that_cannot_be_included_is_named(tmp_path, include, message):
    path = tmp_path / "loop.yaml"
    include = [str(path)] if include == ["LOOP"] else include
    written(path, include=include)
    with pytest.raises(ConfigError, match=message):
        read_suite(str(path))


def test_the_list_has_a_line_for_every_suite(capsys):
    assert main(["suites"]) == 0
    text = capsys.readouterr().out
    assert all(name in text and protocol.load("suites", name)["title"] for name in protocol.names("suites"))


@pytest.mark.slow
def test_the_quick_suite_runs_to_its_end(tmp_path):
    assert main(["bench", "--suite", "quick", "--runs", str(tmp_path), "--jobs", "2"]) == 0
    assert len(list(tmp_path.glob("*/*/result.json"))) == 16
