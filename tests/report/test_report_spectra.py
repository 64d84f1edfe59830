"""Spectra on the page: what is drawn, and what damaged or missing curves do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from report.report_fakes import TASK, curves

from vemrecon.report import write_report
from vemrecon.report.spectra import spectrum_of

FREQUENCY = [0.005 * n for n in range(1, 13)]
TRUTH = [1000.0 / n**2 for n in range(1, 13)]


def power(lost: float = 0.01) -> dict[str, Any]:
    one = {"frequency": FREQUENCY, "truth": TRUTH, "reconstruction": [t * lost for t in TRUTH], "error": TRUTH[::-1]}
    return {"all": dict.fromkeys(("all", "z", "y", "x"), one)}


def page_of(tmp_path: Path) -> tuple[str, tuple[str, ...]]:
    report = write_report(tmp_path / "runs", tmp_path / "report")
    return (tmp_path / "report" / "index.html").read_text(), report.warnings


def titles(page: str) -> list[str]:
    found = re.findall(r"<figcaption[^>]*>(.*?) <span", page)
    return [title for title in found if title.startswith("Power")]


def test_power_and_error_are_drawn_axial_and_lateral_with_the_truth(make_run, tmp_path: Path):
    for name in ("linear", "bicubic"):
        (make_run(name) / "curves.json").write_text(json.dumps(curves() | {"power": power()}))
    page, warnings = page_of(tmp_path)
    assert titles(page) == ["Power, axial (z)", "Power of the error, axial (z)", "Power, lateral (y, x)",
                            "Power of the error, lateral (y, x)"]  # fmt: skip
    charts = [c for c in re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL) if 'class="truth"' in c]
    assert len(charts) == 4 and not warnings
    for chart in charts:
        assert chart.count('class="line') == 2 and "<title>linear</title>" in chart
    data = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    axial = next(d for d in data if isinstance(d, list) and d and d[0].get("label") == "truth")
    assert [round(v, 2) for v in axial[1]["v"]] == [round(v - 20, 2) for v in axial[0]["v"]], "20 dB are lost"


def test_lateral_tasks_have_no_z(make_run, tmp_path: Path):
    task = {**TASK, "kind": "lateral", "axis": "y"}
    found = power()
    del found["all"]["z"]
    (make_run("linear", task=task) / "curves.json").write_text(json.dumps({"power": found}))
    assert titles(page_of(tmp_path)[0])[::2] == ["Power, axial (y)", "Power, lateral (x)"]


def test_the_mean_over_directions_is_one_of_powers(make_run):
    found = power()
    found["all"]["x"] = {**found["all"]["x"], "truth": [3 * t for t in TRUTH]}
    spectrum = spectrum_of({"power": found}, ("y", "x"), "a", 0)
    assert spectrum is not None and spectrum.truth[0] == pytest.approx(10 * 3.30103, abs=1e-4)  # of 2000


@pytest.mark.parametrize(
    "damaged",
    [
        {}, {"power": 3}, {"power": {"all": []}}, {"power": {"all": {"z": {"frequency": []}}}},
        {"power": {"all": {"z": {"frequency": [0.1], "truth": [None], "reconstruction": [1], "error": [1]}}}},
        {"power": {"all": {"z": {"frequency": [0.1, 0.2], "truth": [1], "reconstruction": [1], "error": [1]}}}},
        {"power": {"all": {"z": {"frequency": ["<b>"], "truth": [1], "reconstruction": [1], "error": [1]}}}},
        {"power": {"all": {"z": {"frequency": [-1], "truth": [1], "reconstruction": [1], "error": [1]}}}},
    ],
)  # fmt: skip
def test_missing_and_damaged_curves_are_not_drawn(damaged: dict[str, Any]):
    assert spectrum_of(damaged, ("z",), "a", 0) is None


def test_an_error_of_nothing_is_not_drawn(make_run, tmp_path: Path):
    found = power()
    for direction in found["all"].values():
        direction["error"] = [0.0] * len(FREQUENCY)
    (make_run("linear") / "curves.json").write_text(json.dumps({"power": found}))
    page, _ = page_of(tmp_path)
    charts = [c for c in re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL) if 'class="truth"' in c]
    assert len(charts) == 4 and all("nan" not in c and "inf" not in c for c in charts)
