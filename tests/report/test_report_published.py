from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
from report.report_fakes import SUBSAMPLE, TASK, score, scores

from vemrecon.bench.spec import Task
from vemrecon.cli import main
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import from_plain
from vemrecon.metrics.catalogue import columns
from vemrecon.report import write_report
from vemrecon.report.published import (
    FIELDS,
    MEASURES,
    matching,
    our_datasets,
    published_column,
    published_facts,
    published_file,
    read_published,
)
from vemrecon.report.published_table import parts
from vemrecon.report.published_table import published_lines as lines_for

BY_PAPER = {"VEMamba": 115, "IsoVEM": 10, "EMGauss": 45, "D2R-AENet": 204, "D2R-DGEAN": 261}
METHODS = {
    "interpolation", "bicubic", "isotropic-reference", "SRUNet", "CycleGAN-IR", "IsoVEM", "IsoVEM+", "EMDiffuse",
    "vEMDiffuse-a", "vEMDiffuse-i", "VEMamba", "EMGauss", "D2R-AENet", "D2R-DGEAN", "D2R-SRUNet", "Sup-AENet",
    "Sup-DGEAN", "Lee et al.", "IRSDE",
}  # fmt: skip
AVERAGE = {"name": "average", "arguments": {}}
LATERAL = {"dataset": "cremi", "split": "a-test", "kind": "lateral", "axis": "y", "scale": 8.0, "degradation": AVERAGE}


def task(dataset: str, scale: float, degradation=AVERAGE, split: str = "test") -> dict:
    return {**TASK, "dataset": dataset, "scale": float(scale), "degradation": degradation, "split": split}


def published_lines(wanted: dict, scores):
    """Lines beside a task of plain values."""
    return lines_for(from_plain(Task, {"dataset_digest": "d", "split_digest": "s", **wanted}), scores)


def lines_of(wanted: dict, paper: str = "", table: str = "", method: str = ""):
    found = published_lines(wanted, read_published())
    return [x for x in found if x.paper.startswith(paper) and x.table.startswith(table) and method in ("", x.method)]


def report_of(make_run, tmp_path: Path, wanted: dict, name: str = "report"):
    for method in ("linear", "bicubic"):
        make_run(method, task=wanted, rows=scores(24.0 + len(method)))
    return write_report(tmp_path / "runs", tmp_path / name)


def test_every_paper_has_as_many_numbers_as_were_printed():
    assert Counter(s.paper for s in read_published()) == BY_PAPER
    assert set(published_facts()["papers"]) == set(BY_PAPER)


def test_every_value_is_a_number_as_printed_and_every_word_is_known():
    for s in read_published():
        assert s.value == float(s.text) >= 0
        assert not s.std or float(s.std) > 0
        assert s.method in METHODS or re.match(r"(VEMamba|EMGauss) w/|D2R-AENet k=\d$", s.method), s.method
        assert s.supervision in ("self", "supervised", "none", "test-time")
        assert s.degradation in ("average", "subsample", "realistic", "none", "unknown")
        assert s.plane in ("volume", "XY", "XZ", "YZ")
        assert s.dataset in (*published_facts()["datasets"], "mean(EPFL,FIB-25)", "all")
        if s.measure:
            assert published_column(s.key).key == s.key


def test_scores_have_the_columns_of_our_tables():
    ours = {column.key for column in columns("reference", "z", ("psnr", "ssim"))}

    keys = {s.key for s in read_published() if s.measure in ("psnr", "ssim")}

    assert keys == {f"{m}/{p}" for m in ("psnr", "ssim") for p in ("volume", "xy", "xz", "yz")} <= ours
    assert "FSC_resolution_nm" in MEASURES


def test_the_numbers_equal_those_that_were_collected():
    root = os.environ.get("VEMRECON_SHARED")
    path = Path(root or "") / "published" / "results.csv"
    if not root or not path.exists():
        pytest.skip("set VEMRECON_SHARED to the folder that holds published/results.csv")

    ours, collected = (list(csv.reader(p.open(encoding="utf-8", newline=""))) for p in (published_file(), path))

    assert len(ours) == 636
    for row, other in zip(ours, collected, strict=True):
        assert row == other


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "published.csv"
    good = ",".join(FIELDS) + "\nP,T,EPFL,m,self,8,average,XY,PSNR,25.0,,\n"
    for text, message in (
        (good.replace("25.0", "about 25"), "line 2: value"),
        (good.replace("paper", "who"), "columns must be"),
        (good.replace(",,\n", "\n"), "line 2: must have 12"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_published(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_published(tmp_path / "none.csv")


def test_only_rows_of_the_same_tissue_and_scale_stand_beside_a_table():
    published = read_published()

    for wanted in (task("epfl", 8), task("fib25s", 8), task("fib25", 6), LATERAL):
        kept = [s for line in published_lines(wanted, published) for s in line.scores.values()]
        expected = [
            s
            for s in published
            if wanted["dataset"] in our_datasets(s.dataset) and s.scale == wanted["scale"] and s.measure
        ]
        assert kept
        assert Counter(kept) == Counter(expected)
    assert not lines_of(task("fib25s", 4))
    assert not lines_of(task("phantom", 8))
    assert not lines_of(task("local:raw.h5", 8))
    assert not lines_of({**LATERAL, "kind": "native", "axis": "z", "scale": 10.0})


@pytest.mark.parametrize("split", ["test", "isovem", "vemamba"])
@pytest.mark.parametrize("name", ["average", "subsample", "realistic", "realistic_released"])
@pytest.mark.parametrize(("dataset", "scale"), [("epfl", 4), ("epfl", 6), ("epfl", 8), ("fib25", 8), ("fib25s", 6)])
def test_every_line_beside_a_table_has_a_reason_or_is_comparable(make_run, tmp_path, dataset, scale, name, split):
    found = lines_of(task(dataset, scale, {"name": name, "arguments": {}}, split))

    assert found
    for line in found:
        assert all(line.reasons)
        assert len(set(line.reasons)) == len(line.reasons)
        assert all(len(reason) < 70 for reason in line.reasons)


def test_reasons_follow_from_what_is_known():
    def first(*words, **facts) -> tuple[str, ...]:
        return lines_of(*words, **facts)[0].reasons

    shifted = "this baseline looks shifted by half a slab"
    assert first(task("epfl", 8), "VEMamba")[0] == "degradation realistic, ours average"
    assert {"plane not stated", "LPIPS network not stated"} <= set(first(task("epfl", 8), "VEMamba"))
    assert shifted not in first(task("epfl", 8), "VEMamba", method="interpolation")
    assert shifted in first(task("epfl", 8), "D2R-DGEAN", method="bicubic")
    assert not any("degradation" in reason for reason in first(task("epfl", 8, SUBSAMPLE), "D2R"))
    moved = {"name": "subsample", "arguments": {"offset": 2}}
    assert first(task("epfl", 8, moved), "D2R-DGEAN")[0] == "ours with offset=2"
    assert "voxels of 8 nm, ours 10 nm" in first(task("fib25", 6, SUBSAMPLE), "EMGauss")
    assert "FSIM implementation not stated" in first(task("fib25", 6, SUBSAMPLE), "EMGauss", "Table 2")
    assert first(task("fib25s", 8, SUBSAMPLE), "D2R-AENet")[0] == "our sample is a cube of 250 voxels"
    assert "region not given, one block of 500³ voxels" in first(task("epfl", 6), "EMGauss")
    assert first(task("epfl", 8), "IsoVEM", "text sec. 2.2")[0].startswith("region differs")
    assert not any("region" in r for r in first(task("epfl", 8, split="isovem"), "IsoVEM", "text sec. 2.2"))
    assert first(task("epfl", 8), "IsoVEM", "text sec. 2.5")[0].startswith("filled sections only")
    assert first(LATERAL, "VEMamba", "Figure 5")[0] == "one displayed section only"
    assert first({**LATERAL, "axis": "x"}, "VEMamba", "Table 1")[0] == "degraded along y, ours along x"
    assert any("one of 3 samples" in reason for reason in first(LATERAL))
    assert any("implausible" in reason for reason in first(LATERAL, method="VEMamba"))
    assert not any("implausible" in reason for reason in first(LATERAL, method="IsoVEM"))


def test_a_line_without_any_difference_is_comparable():
    fsc = next(s for s in read_published() if s.paper == "IsoVEM" and s.measure == "fsc")
    made_up = replace(fsc, metric="PSNR", plane="XY", note="")

    (line,) = published_lines(task("epfl", 8, split="isovem"), [made_up])

    assert line.reasons == ()


def test_no_number_of_a_line_is_lost_to_another():
    for dataset, scale in (("epfl", 4), ("epfl", 8), ("fib25", 8), ("cremi", 10)):
        found = lines_of({**task(dataset, scale), "axis": "y" if dataset == "cremi" else "z"})
        keys = Counter((x.paper, x.table, x.method, x.part, x.supervision, x.degradation) for x in found)
        assert set(keys.values()) == {1}
    neurons = lines_of(task("epfl", 8), "D2R-DGEAN", "Table 4", "SRUNet")
    assert [line.part for line in neurons] == ["Neuron_1", "Neuron_2", "Neuron_3", "Neuron_4"]


def test_published_numbers_are_in_no_ranking_and_never_the_best(make_run, tmp_path: Path):
    report = report_of(make_run, tmp_path, task("epfl", 8))
    (table,) = report.board.tables

    assert [row.label for row in table.rows] == ["bicubic", "linear"]
    assert {label for _, _, label in table.best} <= {"linear", "bicubic"}
    page = (tmp_path / "report/index.html").read_text()
    section = page.split('<section class="published"')[1].split("</section>")[0]
    board = page.split('<section class="board"')[1].split("</section>")[0]
    assert "best" not in section
    assert "<button" not in section
    assert "27.119" in section
    assert "27.119" not in board
    text = (tmp_path / "report/README.md").read_text().split("### Published numbers")[1]
    assert "**" not in text
    assert "| VEMamba, Table 1 | IsoVEM | self | realistic | 27.119 |" in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report/leaderboard.csv").read_text())))
    assert {row["method"] for row in rows} == {"linear", "bicubic"}


def test_every_form_of_the_report_says_why_a_line_is_not_comparable(make_run, tmp_path: Path):
    report = report_of(make_run, tmp_path, task("epfl", 8))
    (table,) = report.board.tables
    section = (tmp_path / "report/index.html").read_text().split('<section class="published"')[1]
    section = section.split("</section>")[0]

    assert f"Published numbers ({len(table.published)} lines)" in section
    for line in table.published:
        assert escape(line.method) in section
        assert all(escape(reason) in section for reason in line.reasons)
    assert section.count('<td class="why start">') == len(table.published)
    assert sum(len(part.lines) for part in parts(table)) == len(table.published)
    text = (tmp_path / "report/README.md").read_text().split("### Published numbers")[1]
    shown = [line for line in text.splitlines() if re.match(r"\| (VEM|Iso|EMG|D2R)", line)]
    assert f"{len(table.published) - len(shown)} more lines" in text
    assert all(len(re.split(r"(?<!\\)\|", line)) == len(re.split(r"(?<!\\)\|", shown[0])) for line in shown)
    records = json.loads((tmp_path / "report/leaderboard.json").read_text())["tasks"][0]["published"]
    assert len(records) == len(table.published)
    assert all(record["comparable"] == (not record["why_not"]) for record in records)
    (iso,) = [r for r in records if (r["paper"], r["table"], r["method"]) == ("VEMamba", "Table 1", "IsoVEM")]
    assert iso["scores"]["psnr/volume"] == {"value": 27.119, "text": "27.119", "std": None}


def test_short_lists_are_open_and_long_ones_are_folded(make_run, tmp_path: Path):
    report_of(make_run, tmp_path, task("epfl", 6), "six")
    assert "<details open>\n    <summary>Measures of this table (4)" in (tmp_path / "six/index.html").read_text()
    report_of(make_run, tmp_path, task("epfl", 8), "eight")
    assert "<details>\n    <summary>Measures of this table (39)" in (tmp_path / "eight/index.html").read_text()


def test_a_table_without_published_neighbours_shows_nothing(make_run, tmp_path: Path):
    report_of(make_run, tmp_path, task("fib25s", 4))

    assert "Published numbers" not in (tmp_path / "report/index.html").read_text()
    assert "Published numbers" not in (tmp_path / "report/README.md").read_text()
    assert json.loads((tmp_path / "report/leaderboard.json").read_text())["tasks"][0]["published"] == []


def test_published_words_are_escaped(make_run, tmp_path: Path, monkeypatch):
    evil = "<script>alert(1)</script>|*x*"
    fakes = [replace(s, method=evil, table=evil, note=evil) for s in read_published() if s.paper == "EMGauss"]
    monkeypatch.setattr("vemrecon.report.published_table.read_published", lambda: fakes)

    report_of(make_run, tmp_path, task("epfl", 6))

    assert "<script>alert" not in (tmp_path / "report/index.html").read_text()
    text = (tmp_path / "report/README.md").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\|\\*x\\*" in text
    assert "<script>" not in text


def test_the_same_results_give_the_same_bytes(make_run, tmp_path: Path):
    one = report_of(make_run, tmp_path, task("epfl", 8), "one")
    other = report_of(make_run, tmp_path, task("epfl", 8), "other")

    for first, second in zip(one.files, other.files, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_a_report_is_written_even_if_published_numbers_cannot_be_read(make_run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("vemrecon.report.published.published_file", lambda: tmp_path / "none.csv")

    report = report_of(make_run, tmp_path, task("epfl", 8))

    assert [row.label for row in report.board.tables[0].rows] == ["bicubic", "linear"]
    (warning,) = report.warnings
    assert "published numbers cannot be read" in warning
    assert str(tmp_path) not in warning


def test_a_lateral_table_has_its_lines_in_its_own_columns(make_run, tmp_path: Path):
    rows = [score("psnr", "", "xy", 33.0), score("ssim", "gaussian11", "xy", 0.9)]
    make_run("linear", task=LATERAL, rows=rows)

    report = write_report(tmp_path / "runs", tmp_path / "report")
    same, others = parts(report.board.tables[0])

    assert [column.key for column in same.columns] == ["psnr/xy", "ssim/xy", "lpips/xy"]
    assert not others.lines


def test_rows_are_found_by_our_names_and_by_those_of_papers():
    published = read_published()

    assert matching(published) == list(published)
    assert matching(published, dataset="fib25s") == matching(published, dataset="FIB-25")
    assert {s.method for s in matching(published, method="isovem")} == {"IsoVEM"}
    assert len({s.method for s in matching(published, method="EMGauss")}) == 6
    assert matching(published, metric="fsc") == matching(published, metric="FSC_resolution_nm")
    assert {s.scale for s in matching(published, scale="6.0")} == {6.0}
    for wrong in ({"dataset": "epfk"}, {"metric": "psnrr"}, {"method": "isoven"}):
        with pytest.raises(ConfigError, match="did you mean"):
            matching(published, **wrong)
    with pytest.raises(ConfigError, match="must be a number"):
        matching(published, scale="eight")


def test_the_command_lists_what_was_asked_for(capsys):
    assert main(["published", "--dataset", "epfl", "--scale", "8", "--metric", "psnr", "--method", "vemamba"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "27.418" in line]
    assert " ".join(line.split()) == "VEMamba Table 1 EPFL 8 realistic VEMamba self PSNR volume 27.418"
    assert "arXiv:2603.00887" in out

    assert main(["published"]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith(tuple(f"{paper} " for paper in BY_PAPER)) for line in out.splitlines()) == 635

    assert main(["published", "--dataset", "cremi", "--scale", "6"]) == 0
    assert "no published number" in capsys.readouterr().out
    assert main(["published", "--method", "isoven"]) == 2
    assert "did you mean 'isovem'" in capsys.readouterr().err


def test_the_command_imports_no_torch():
    code = (
        "import sys; from vemrecon.cli import main; main(['published', '--scale', '6'])\n"
        "print(sorted({'torch', 'lightning', 'jinja2', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
