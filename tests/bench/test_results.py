"""Results as files: nothing is lost on the way, and those of schema 1 are still read.

The files of `schema1/` were written by vemrecon 0.1.0 at commit a79e683 and are never edited: `bench` with the metrics
that each of them names, on small volumes and on the phantom.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vemrecon.bench.result import Costs, RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError
from vemrecon.metrics import Limit, Need, Reference, Score
from vemrecon.metrics.column import Column
from vemrecon.report import read_board, write_report
from vemrecon.volume import SectionGrid

OLD = {path.stem: path for path in (Path(__file__).parent / "schema1").glob("*.json")}
BOARD = Path(__file__).parents[2] / "leaderboards" / "fib25s-subsample-x8"


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
        ({"schema": 3}, "written by a newer vemrecon"),
        ({"schema": None}, "not a vemrecon result"),
        ({"status": "perfect"}, "perfect"),
        ({"scores": [{"metric": "psnr"}]}, "variant"),
        ({"spec": {}}, "spec"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(tmp_path: Path, change: dict, reason: str):
    path = tmp_path / "result.json"
    RunResult.read(OLD["reference"]).write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(DataError, match=reason):
        RunResult.read(path)


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
        assert {name: after[label][name] for name in row} == row
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
