from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from report.report_fakes import TASK, score, scores
from report.segmentation_fakes import SIDE, judged, keep_curves, rows

from vemrecon.metrics import Reference
from vemrecon.report import Report, write_report
from vemrecon.report.leaderboard import TIMES
from vemrecon.report.segmentation_table import Segmentation
from vemrecon.report.segmenter_record import segmenter_records

LABELS = Reference.LABELS


def report_of(tmp_path: Path) -> Report:
    return write_report(tmp_path / "runs", tmp_path / "report")


def page_of(tmp_path: Path) -> str:
    return (tmp_path / "report" / "index.html").read_text()


def section(page: str, title: str = "Segmentation: membranes") -> str:
    (found,) = re.findall(rf'<section class="segmentation" aria-label="{title}">.*?</section>', page, re.DOTALL)
    return found


def only(report: Report) -> Segmentation:
    (found,) = report.board.tables[0].segmentations
    return found


def lines(page: str) -> dict[str, str]:
    """HTML of the rows of a table, by the text of their headings."""
    body = page.split("<tbody>")[1].split("</tbody>")[0]
    parts = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    heads = [re.search(r'<th scope="row">(.*?)</th>', part, re.DOTALL).group(1) for part in parts]
    return {re.sub(r"<[^>]*>", "", head): part for head, part in zip(heads, parts, strict=True)}


def test_ceiling_first_then_methods_as_in_the_main_table_then_the_floor(make_run, tmp_path: Path):
    judged(make_run, "nearest", 0.4, psnr=23.0)
    judged(make_run, "linear", 0.35, psnr=24.0)
    judged(make_run, "vemamba", 0.6, psnr=22.0, regime="self")

    report = report_of(tmp_path)
    found = lines(section(page_of(tmp_path)))

    assert [row.label for row in report.board.tables[0].rows] == ["linear", "nearest", "vemamba"]
    assert list(found) == ["truth (ceiling)", "linear", "nearest", "vemamba", "bicubic (floor)"]
    assert ">0.900</td>" in found["truth (ceiling)"]
    assert "it is what the others are compared with" in found["truth (ceiling)"]
    assert found["bicubic (floor)"].count(">0.300</td>") == 2


def test_a_run_of_bicubic_with_the_scores_of_the_floor_is_not_shown_twice(make_run, tmp_path: Path):
    judged(make_run, "bicubic", 0.3)
    judged(make_run, "linear", 0.2)

    report = report_of(tmp_path)

    assert [line.label for line in only(report).lines] == ["truth (ceiling)", "bicubic", "linear"]
    assert 'bicubic<small class="tag">floor</small>' in section(page_of(tmp_path))


def test_a_run_of_bicubic_with_other_scores_stands_beside_the_floor(make_run, tmp_path: Path):
    judged(make_run, "bicubic", 0.31)

    assert [line.label for line in only(report_of(tmp_path)).lines] == ["truth (ceiling)", "bicubic", "bicubic (floor)"]


def test_best_values_are_those_of_methods_not_of_the_ceiling(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)
    judged(make_run, "vemamba", 0.6, regime="self")

    report_of(tmp_path)
    found = lines(section(page_of(tmp_path)))

    bold = {label: re.findall(r'<td class="num best[^>]*>([^<]*)<', html) for label, html in found.items()}
    assert bold["truth (ceiling)"] == bold["bicubic (floor)"] == []
    assert bold["vemamba"][:3] == ["0.600", "0.750", "0.400"], "IoU and Dice high, ARE low"
    assert bold["linear"][:1] == ["2.000"], "equal VOI wins in both rows"


def test_the_main_table_has_one_column_per_thing_and_the_rest_is_in_the_files(make_run, tmp_path: Path):
    folder = judged(make_run, "linear", 0.35)
    path = folder / "result.json"
    known = json.loads(path.read_text())
    path.write_text(
        json.dumps(known | {"scores": known["scores"] + [row.as_dict() for row in rows("mitochondria", 0.7)]})
    )
    keep_curves(folder, "mitochondria")

    report = report_of(tmp_path)
    table = report.board.tables[0]
    page = page_of(tmp_path)

    assert [column.heading for column in table.main if column.group == "IoU"] == ["IoU membranes", "IoU mitochondria"]
    main = page.split('<table class="scores">')[1].split("</table>")[0]
    assert "membranes, labels" not in main and "membranes, truth" not in main
    record = json.loads((tmp_path / "report/leaderboard.json").read_text())["tasks"][0]["rows"][0]["cells"]["all"]
    assert record["voi_split/membranes/truth"]["value"] == 2.0
    assert record["iou/mitochondria/labels"]["value"] == 0.7
    written = list(csv.DictReader(io.StringIO((tmp_path / "report/leaderboard.csv").read_text())))
    assert sum(row["target"].startswith("m") for row in written) == len(rows()) + len(rows("mitochondria"))
    titles = ["Segmentation: membranes", "Segmentation: mitochondria"]
    assert [found.title for found in table.segmentations] == titles
    heads = re.findall(r'<th scope="col" class="num[^>]*>([A-Za-z ]*)', section(page, titles[0]))
    assert [head.strip() for head in heads] == [
        "IoU", "Dice", "ARE", "VOI split", "VOI merge", "VOI", "breaks", "IoU", "Dice", "ARE", "VOI", "breaks",
    ]  # fmt: skip
    assert "overlap <small>µm³</small>" in section(page, titles[1])


def test_seeds_are_averaged(make_run, tmp_path: Path):
    for seed, iou in enumerate((0.5, 0.6)):
        judged(make_run, "vemamba", iou, seed=seed, regime="self")

    report_of(tmp_path)

    assert ">0.550 <small>± 0.071</small>" in lines(section(page_of(tmp_path)))["vemamba"]


def test_a_blank_row_says_why(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)
    missing = score(
        "iou", "", "volume", None, note="unavailable: scikit-image is missing", target="membranes", reference=LABELS
    )
    make_run("nearest", rows=[*scores(23.0), missing])
    make_run("lanczos3", rows=scores(22.0))

    report_of(tmp_path)
    found = lines(section(page_of(tmp_path)))

    assert "unavailable: scikit-image is missing</td>" in found["nearest"]
    assert "not computed by this run</td>" in found["lanczos3"]
    markdown = (tmp_path / "report/README.md").read_text()
    assert "| nearest | *unavailable: scikit-image is missing* |" in markdown


def test_a_dataset_without_labels_has_a_section_that_says_so_and_no_column(make_run, tmp_path: Path):
    reason = "the dataset has no labels to segment by"
    make_run("linear", rows=[*scores(), score("iou", "", "volume", None, note=reason, reference=LABELS)])

    report = report_of(tmp_path)

    assert "Segmentation" not in [column.group for column in report.board.tables[0].main]
    assert f"Not scored: {reason}." in section(page_of(tmp_path), "Segmentation")
    assert f"Not scored: {reason}" in (tmp_path / "report/README.md").read_text()


def test_without_segmentations_there_is_no_section(make_run, tmp_path: Path):
    make_run("linear")

    report = report_of(tmp_path)

    assert report.board.tables[0].segmentations == ()
    assert 'class="segmentation"' not in page_of(tmp_path)
    assert "Segmentation" not in (tmp_path / "report/README.md").read_text()


def test_the_segmenter_and_the_measures_are_explained(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)

    report_of(tmp_path)
    text = unescape(re.sub(r"<[^>]*>", "", section(page_of(tmp_path))))
    size = f" {TIMES} ".join(map(str, SIDE))

    assert "preset cpu; learned on fib25s (raw.h5 z 0-250, y 0-120, x 0-250; 15.6 M true voxels)" in text
    assert "500 batches in 12 min; last loss 0.123; 123 k parameters; weights aaaaaaaaaaaa" in text
    assert f"recipe 1: batch 2, falling, filters 12-24; looked at {size} voxels from z, y, x = 4, 0, 8" in text
    assert "breaks parts of at least 100 voxels that are too many or too few, mean over the labelled neurons" in text
    assert "weights aaaaaaaaaaaa" in (tmp_path / "report/README.md").read_text()


def test_rows_of_different_segmenters_are_marked_and_nothing_wins(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)
    judged(make_run, "vemamba", 0.6, regime="self", weights="b" * 64, preset="gpu10", ceiling=0.95, floor=0.4)

    report = report_of(tmp_path)
    found = only(report)
    html = section(page_of(tmp_path))

    assert [(line.label, line.judges) for line in found.lines] == [
        ("truth (ceiling)", "A"), ("truth (ceiling)", "B"), ("linear", "A"), ("vemamba", "B"),
        ("bicubic (floor)", "A"), ("bicubic (floor)", "B"),
    ]  # fmt: skip
    assert "The rows were judged by different segmenters" in html
    assert "A: preset cpu" in html and "B: preset gpu10" in html and "weights bbbbbbbbbbbb" in html
    assert "num best" not in html
    assert not [key for _, key, _ in report.board.tables[0].best if "membranes" in key]
    assert "| linear | A | 0.350 |" in (tmp_path / "report/README.md").read_text()


def test_the_range_without_extrapolation_says_that_segmentations_are_not_scored_there(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)

    cell = report_of(tmp_path).board.tables[0].rows[0].cells["span"]["iou/membranes/labels"]

    assert cell.notes == ("what is looked for in the volumes is scored on all sections only",)


def test_iou_of_something_else_stays_among_the_other_metrics(make_run, tmp_path: Path):
    make_run("linear", rows=[*scores(), score("iou", "tracks", "xy", 0.5)])

    table = report_of(tmp_path).board.tables[0]

    assert table.segmentations == ()
    assert [column.heading for column in table.columns.more if column.metric == "iou"] == ["iou tracks xy"]


def test_a_name_from_a_file_is_escaped_and_no_path(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.35)
    make_run("nearest", task={**TASK, "scale": 8.0}, rows=[*scores(), *rows("../<b>x")])

    report_of(tmp_path)

    assert "<b>x" not in page_of(tmp_path)
    assert "<b>x" not in (tmp_path / "report/README.md").read_text()


@pytest.mark.parametrize("content", [{}, {"segmentation": 3}, {"segmentation": {"membranes": {"region": []}}}])
def test_runs_without_a_segmenter_are_no_error(content):
    assert segmenter_records(content) == {}


def test_ceiling_and_floor_of_schema_1_are_told_apart(make_run, tmp_path: Path):
    folder = judged(make_run, "linear", 0.35, ceiling=0.9, floor=0.3)
    path = folder / "curves.json"
    known = json.loads(path.read_text())
    for name, found in known["segmentation"]["membranes"]["references"].items():
        old = [{key: row[key] for key in ("metric", "plane", "range", "block", "value", "unit", "std", "count", "note")}
               | {"variant": f"{row['target']}, {row['reference']}"} for row in found]  # fmt: skip
        for row in old:
            if name == "bicubic" and row["variant"].endswith("truth") and row["metric"] == "iou":
                row["value"] = 0.77
        known["segmentation"]["membranes"]["references"][name] = old
    path.write_text(json.dumps(known))

    by_role = {line.role: line for line in only(report_of(tmp_path)).lines}

    assert by_role["truth"].cells["iou/membranes/labels"].value == 0.9
    assert by_role["bicubic"].cells["iou/membranes/labels"].value == 0.3
    assert by_role["bicubic"].cells["iou/membranes/truth"].value == 0.77
