from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from report.report_fakes import METRICS, score, scores

from vemrecon.metrics import Reference
from vemrecon.report import write_report
from vemrecon.report.calibration import calibration_points

CURVE = {"uncertainty": [0.5, 1.0, 4.0], "error": [0.7, 1.5, 2.0]}


def test_the_page_shows_error_against_uncertainty_beside_the_other_curves(make_run, tmp_path: Path):
    mean = score("uncertainty", "mean", "volume", 1.5, reference=Reference.NONE)
    rows = [*scores(), mean, score("uncertainty", "spearman", "volume", 0.4)]
    folder = make_run("isovem", rows=rows, metrics=(*METRICS, "uncertainty"))
    (folder / "curves.json").write_text(json.dumps({"uncertainty": {"all": CURVE, "span": CURVE}}))
    make_run("linear")

    report = write_report(tmp_path / "runs", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()

    assert "Uncertainty against error" in page
    (chart,) = re.findall(r'<svg[^>]*aria-label="Error against uncertainty of isovem".*?</svg>', page)
    assert chart.count('class="mark') == 3 and "dashed: error of a Gaussian of this width" in chart
    headings = [c.heading for c in report.board.tables[0].main if c.group == "Uncertainty"]
    assert headings == ["Uncertainty mean (grey)", "Uncertainty 99 % (grey)", "Uncertainty with error"]


def test_without_uncertainty_there_is_no_such_chart(make_run, tmp_path: Path):
    make_run("linear")
    write_report(tmp_path / "runs", tmp_path / "report")
    assert "Uncertainty against error" not in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize("content", [{}, {"uncertainty": {"span": CURVE}}, {"uncertainty": {"all": {"error": 3}}}])
def test_runs_without_a_curve_are_no_error(content):
    assert calibration_points(content) == []
