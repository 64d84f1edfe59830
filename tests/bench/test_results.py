"""Results as files: nothing is lost on the way, and those of older schemas are still read.

The files of `schema1/` were written by vemrecon 0.1.0 at commit a79e683 and are never edited: `bench` with the metrics
that each of them names, on small volumes and on the phantom.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from damages import DAMAGES

from vemrecon.bench.due import needs_work
from vemrecon.bench.migration import SCHEMA, STEPS, NewerError
from vemrecon.bench.result import Costs, RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.bench.store import NEWER, PLANNED, RunFolder
from vemrecon.errors import DataError
from vemrecon.kept import CRC, write_mark
from vemrecon.metrics import Limit, Need, Reference, Score, catalogue
from vemrecon.metrics.catalogue import metrics
from vemrecon.metrics.column import Column
from vemrecon.plugins import Catalogue
from vemrecon.report import read_board, write_report
from vemrecon.volume import SectionGrid

OLD = {path.stem: path for path in (Path(__file__).parent / "schema1").glob("*.json")}
BOARD = Path(__file__).parent / "schema1" / "board"
"""As an early version has written it."""


def found(result: RunResult, metric: str, plane: str, **where: object) -> Score:
    where = {"range": "all", "block": "all", **where}
    (score,) = [
        s
        for s in result.scores
        if (s.metric, s.plane) == (metric, plane) and all(getattr(s, key) == value for key, value in where.items())
    ]
    return score


@pytest.mark.parametrize("name", OLD)
def test_a_result_of_schema_1_is_read_whole(name: str):
    old = json.loads(OLD[name].read_text())

    result = RunResult.read(OLD[name])

    assert result.status == Status.DONE
    assert [score.value for score in result.scores] == [row["value"] for row in old["scores"]]
    assert [score.metric for score in result.scores] == [row["metric"] for row in old["scores"]]
    assert result.spec.run_id == result.run_id == old["run_id"], "what names a run has not changed"
    assert result.spec.as_dict() == old["spec"]
    assert result.costs.reconstruct_seconds == old["costs"]["reconstruct_seconds"]


@pytest.mark.parametrize("name", OLD)
def test_a_result_is_what_was_written(name: str, tmp_path: Path):
    result = RunResult.read(OLD[name])

    result.write(tmp_path / "result.json")

    assert RunResult.read(tmp_path / "result.json") == result


def test_what_schema_1_said_in_words_has_fields():
    kept, native, segmented = (RunResult.read(OLD[name]) for name in ("reference", "native", "segmentation"))

    assert kept.grid == SectionGrid.kept_every(4)
    assert native.grid == SectionGrid.slabs(4)
    assert found(kept, "lpips", "xy", variant="vgg").missing == Need.WEIGHTS
    assert found(kept, "psnr", "xy").missing is None
    assert found(segmented, "fsc", "y").limit == Limit.AT_MOST
    assert found(segmented, "fsc", "z").limit is None
    assert found(segmented, "fsc", "ratio").limit == Limit.AT_LEAST, "a bound of what it is divided by turns round"
    iou = found(segmented, "iou", "volume", target="mitochondria", reference=Reference.LABELS)
    assert iou.value == pytest.approx(0.2667, abs=1e-4) and iou.variant == ""
    assert found(native, "holdout", "xy", variant="psnr").reference == Reference.RECORDED
    assert not any(score.note in ("crossing", "no_crossing") for score in segmented.scores)


def test_old_and_new_results_share_a_table(tmp_path: Path):
    for name, path in OLD.items():
        folder = tmp_path / "runs" / "task" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(path.read_bytes())
    RunResult.read(OLD["reference"]).write(tmp_path / "runs" / "task" / "reference" / "result.json")

    report = write_report(tmp_path / "runs", tmp_path / "report")

    assert not report.warnings
    assert len(report.board.tables) == len(OLD)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 99}, "written by a newer vemrecon"),
        ({"schema": None}, "not a vemrecon result"),
        ({"status": "perfect"}, "perfect"),
        ({"scores": [{"metric": "psnr"}]}, "variant"),
        ({"spec": {}}, "spec"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(tmp_path: Path, change: dict, reason: str):
    path = tmp_path / "result.json"
    RunResult.read(OLD["reference"]).write(path)
    data = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in data.items() if key != CRC}))

    with pytest.raises(DataError, match=reason):
        RunResult.read(path)


def folder_of(old: str, runs: Path) -> RunFolder:
    """A run folder that holds a result."""
    result = RunResult.read(OLD[old])
    folder = RunFolder.of(result.spec, runs)
    folder.create()
    result.write(folder.result_file)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 99}',
        json.dumps({"schema": 99, "scores": "of another form", CRC: 1}),
        json.dumps({"schema": 99, "status": "better than done"}),
    ],
)
def test_a_result_of_a_newer_schema_is_never_touched(tmp_path: Path, text: str):
    folder = folder_of("reference", tmp_path)
    folder.result_file.write_text(text)

    assert folder.state() == NEWER
    with pytest.raises(NewerError, match="upgrade to read it"):
        folder.create()
    with pytest.raises(NewerError):
        folder.write_result(Status.DONE)
    assert folder.result_file.read_text() == text
    assert not needs_work(folder, {"failed", "stale"})


def test_a_way_to_end_that_a_later_version_knows_is_not_taken_for_an_interruption(tmp_path: Path):
    folder = folder_of("reference", tmp_path)
    data = json.loads(folder.result_file.read_text())
    write_mark(folder.result_file, {**{k: v for k, v in data.items() if k != CRC}, "status": "ended by the moon"})

    assert folder.state() == NEWER


def test_keys_that_nobody_knows_change_nothing(tmp_path: Path):
    folder = folder_of("reference", tmp_path)
    data = json.loads(folder.result_file.read_text())
    write_mark(folder.result_file, {**{k: v for k, v in data.items() if k != CRC}, "colour": "green"})

    assert folder.state() == Status.DONE


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_moved_aside(tmp_path: Path, damage: str):
    folder = folder_of("reference", tmp_path)
    content = DAMAGES[damage](folder.result_file.read_bytes())
    folder.result_file.write_bytes(content)

    assert folder.state() == Status.INTERRUPTED
    folder.create()

    assert not folder.result_file.exists()
    assert folder.path.joinpath("result.json.damaged-1").read_bytes() == content


def test_a_damaged_specification_of_a_finished_run_is_written_again(tmp_path: Path):
    folder = folder_of("reference", tmp_path)
    before = folder.path.joinpath("spec.json").read_bytes()
    folder.path.joinpath("spec.json").write_bytes(b"")

    folder.mend()

    assert folder.path.joinpath("spec.json").read_bytes() == before
    assert folder.path.joinpath("spec.json.damaged-1").exists() and folder.state() == Status.DONE


def test_a_changed_digit_of_a_score_is_noticed(tmp_path: Path):
    folder = folder_of("reference", tmp_path)
    text = folder.result_file.read_text()
    value = next(score.value for score in RunResult.read(folder.result_file).scores if score.value)
    folder.result_file.write_text(text.replace(repr(value), repr(value + 1), 1))

    with pytest.raises(DataError, match="damaged, or changed by hand"):
        RunResult.read(folder.result_file)


def test_every_older_schema_has_a_step_to_the_next():
    assert sorted(STEPS) == list(range(1, SCHEMA))


def test_a_result_of_schema_2_is_read(tmp_path: Path):
    folder = folder_of("native", tmp_path)
    data = json.loads(folder.result_file.read_text())
    del data[CRC], data["metric_versions"]
    folder.result_file.write_text(json.dumps({**data, "schema": 2}))

    assert folder.result() == RunResult.read(OLD["native"])
    assert folder.state() == PLANNED, "its metric inpainting computes other values now"


def test_results_of_schema_3_know_which_methods_are_kernels(tmp_path: Path):
    """Then all of them were of one class; that of the earliest ones is not named."""
    result = RunResult.read(OLD["reference"])
    assert result.card is not None and not result.card.random
    kernel = "vemrecon.methods.interpolation.Interpolation"
    for path, name, expected in (
        (kernel, "mine", True),
        ("", "linear", True),
        ("", "mine", False),
        ("m.M", "linear", False),
    ):
        method = replace(result.spec.method, class_path=path, name=name)
        data = json.loads(json.dumps(replace(result, spec=replace(result.spec, method=method)).as_dict()))
        del data["card"]["kernel"]
        found = RunResult.from_dict({**data, "schema": 3})
        assert found.card is not None and found.card.kernel is expected


def test_a_metric_that_computes_other_values_now_is_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_of("reference", tmp_path)
    assert folder.state() == Status.DONE
    own = metrics().own
    newer = Catalogue("metric", {**own, "psnr": replace(own["psnr"], version=2)}, lambda one: None)
    monkeypatch.setattr(catalogue, "metrics", lambda: newer)

    assert folder.state() == PLANNED
    folder.write_result(Status.DONE, metric_versions=catalogue.versions_of(folder.spec.metrics))
    assert folder.state() == Status.DONE


def test_numbers_that_are_none_are_no_values():
    assert Score("psnr", "", "xy", "all", "all", float("nan")).value is None
    assert Costs(train_seconds=float("inf"), parameters=3).train_seconds is None


def test_a_specification_keeps_its_identity_on_the_way_through_a_file(tmp_path: Path):
    spec = RunResult.read(OLD["native"]).spec
    (tmp_path / "spec.json").write_text(json.dumps(spec.as_dict()))

    assert RunSpec.read(tmp_path / "spec.json") == spec


def cells_of(markdown: str) -> dict[str, dict[str, str]]:
    """The first table of a README: row, heading, text without marks."""
    heads, _, *lines = [line for line in markdown.split("## ")[1].splitlines() if line.startswith("|")]
    names = [head.strip() for head in heads.strip("|").split("|")]
    rows = [[re.sub(r"<sup>.*?</sup>|\*", "", cell).strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def test_the_measured_leaderboard_is_rebuilt_from_its_json_with_the_same_values(tmp_path: Path):
    published = (BOARD / "README.md").read_text()

    report = write_report(tmp_path, tmp_path / "report", read_board(BOARD / "leaderboard.json"))

    before, after = cells_of(published), cells_of((tmp_path / "report" / "README.md").read_text())
    assert list(before) == list(after)
    for label, row in before.items():
        assert {name: after[label][name].removesuffix(" †") for name in row} == row
    old = json.loads((BOARD / "leaderboard.json").read_text())["tasks"][0]
    (table,) = report.board.tables
    for row, record in zip(table.rows, old["rows"], strict=True):
        values = {cell["value"] for cells in record["scores"].values() for cell in cells.values()}
        mine = {
            row.cells[name][column.key].value
            for name in table.ranges
            for column in table.columns.every
            if isinstance(column, Column)
        }
        assert values - {None} == mine - {None}, "all ranges and columns, to the last bit"
        assert row.runs[0][1].run_id == record["runs"][0]["run_id"]


def test_a_leaderboard_is_rebuilt_from_its_own_json(tmp_path: Path):
    first = write_report(tmp_path, tmp_path / "first", read_board(BOARD / "leaderboard.json"))

    again = write_report(tmp_path, tmp_path / "again", read_board(tmp_path / "first" / "leaderboard.json"))

    for one, other in zip(first.files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
