from __future__ import annotations

import json
from pathlib import Path

import pytest

from vemrecon.report import write_report
from vemrecon.report.load import artifact, load_results, read_runs


def test_results_are_found_in_a_fixed_order(make_run, tmp_path: Path):
    folders = [make_run(name) for name in ("linear", "bicubic", "nearest")]

    found = load_results(tmp_path / "runs")

    assert [folder for folder, _ in found] == sorted(folders)


@pytest.mark.parametrize(
    "content",
    ['{"schema": 1, "run_', "[]", '{"schema": 99}', '{"schema": "one"}', '{"schema": 1, "scores": []}', "\x00\x01"],
)
def test_an_unreadable_result_is_a_warning_and_never_a_crash(make_run, tmp_path: Path, content: str):
    make_run("bicubic")
    broken = tmp_path / "runs" / "task" / "broken-000" / "result.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(content)

    results, warnings = read_runs(tmp_path / "runs")

    assert [result.spec.method.name for _, result in results] == ["bicubic"]
    assert len(warnings) == 1
    assert warnings[0].startswith("task/broken-000/result.json is left out")
    assert str(tmp_path) not in warnings[0]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("spec", {"task": {}}, "spec"),
        ("status", "perfect", "perfect"),
        ("scores", [{"metric": "psnr"}], "variant"),
        ("costs", None, "costs"),
    ],
)
def test_a_result_that_lacks_what_a_table_needs_is_a_warning(make_run, tmp_path: Path, field, value, named):
    path = make_run("bicubic") / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))

    results, warnings = read_runs(tmp_path / "runs")

    assert not results
    assert len(warnings) == 1
    assert named in warnings[0]


def test_a_run_that_is_there_twice_counts_once(make_run, tmp_path: Path):
    folder = make_run("bicubic")
    copy = folder.with_name("copy")
    copy.mkdir()
    (copy / "result.json").write_bytes((folder / "result.json").read_bytes())

    results, warnings = read_runs(tmp_path / "runs")

    assert len(results) == 1
    assert "already there" in warnings[0]


def test_a_started_run_without_a_result_is_mentioned(make_run, tmp_path: Path):
    folder = make_run("bicubic")
    (folder / "spec.json").write_text("{}")
    (folder / "result.json").unlink()

    results, warnings = read_runs(tmp_path / "runs")

    assert not results
    assert warnings == ["1 started run(s) have no result yet and are not shown"]


def test_an_artifact_outside_the_run_is_not_opened(make_run, tmp_path: Path):
    folder = make_run("bicubic")
    (folder.parent / "secret.npz").write_text("")
    ((_, result),) = load_results(tmp_path / "runs")

    assert artifact(folder, result, "sections") == folder / "sections.npz"
    object.__setattr__(result, "artifacts", {"sections": "../secret.npz", "curves": str(folder / "curves.json")})
    assert artifact(folder, result, "sections") is None
    assert artifact(folder, result, "curves") is None


def leaves(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of every mapping entry in a result, down to two score rows."""
    if not isinstance(value, dict):
        return []
    return [found for key, item in value.items() for found in ((*path, key), *leaves(item, (*path, key)))]


@pytest.mark.parametrize("wrong", [None, "x", 3, [], {}, {"a": [1]}, float("nan")], ids=repr)
def test_no_field_of_a_result_can_break_the_report(make_run, tmp_path: Path, wrong: object):
    path = make_run("bicubic", pictures=False) / "result.json"
    good = json.loads(path.read_text())
    good["scores"] = good["scores"][:2]
    damaged = []
    for number, leaf in enumerate([*leaves(good), *(("scores", 0, key) for key in good["scores"][0])]):
        data = json.loads(json.dumps(good))
        parent = data
        for key in leaf[:-1]:
            parent = parent[key]
        parent[leaf[-1]] = wrong
        if leaf != ("run_id",):
            data["run_id"] = f"run-{number}"
        damaged.append(data)
    for number, data in enumerate(damaged):
        folder = tmp_path / "damaged" / "task" / f"bicubic-{number}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(data))

    report = write_report(tmp_path / "damaged", tmp_path / "report")

    shown = sum(len(row.runs) for table in report.board.tables for row in table.rows)
    assert shown + sum("left out" in warning for warning in report.warnings) == len(damaged)
