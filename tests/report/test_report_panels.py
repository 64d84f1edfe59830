"""What a panel shows depends on the runs alone: on their own section grid, and on no other panel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from report.report_fakes import TASK, score

from vemrecon.report import load_results, write_report
from vemrecon.report.leaderboard import build
from vemrecon.report.pictures import stretch
from vemrecon.report.viewer import build_viewer
from vemrecon.volume import SectionGrid


def page_of(tmp_path: Path) -> str:
    write_report(tmp_path / "runs", tmp_path / "report")
    return (tmp_path / "report" / "index.html").read_text()


def test_learning_curves_stay_where_a_run_is_scored_by_psnr_alone(make_run, tmp_path: Path):
    folder = make_run(
        "isovem", regime="self", rows=[score("psnr", "", "volume", 25.0)], metrics=("psnr",), pictures=True
    )
    watched = {"fit": {"validation psnr": {"batch": [0, 10, 20], "value": [20.0, 24.0, 25.0]}}}
    (folder / "curves.json").write_text(json.dumps({"training": watched}))

    page = page_of(tmp_path)

    assert 'aria-label="Learning curves of isovem"' in page
    assert "Fourier shell correlation" not in page


@pytest.mark.parametrize(
    "grid", [SectionGrid.kept_every(4), SectionGrid.kept_every(4, 2), SectionGrid.slabs(4)], ids=str
)
def test_observed_sections_are_drawn_where_the_grid_of_the_run_says(make_run, tmp_path: Path, grid: SectionGrid):
    """Not where the name of the degradation suggests: `realistic` may keep sections."""
    realistic = {"name": "realistic", "arguments": {"sections_by": "subsample"}}
    folder = make_run("linear", task={**TASK, "degradation": realistic}, grid=grid)

    (table,) = build(load_results(tmp_path / "runs")).tables
    viewer = build_viewer(table)

    with np.load(folder / "sections.npz") as file:
        observed, truth = file["observed_xz"], file["truth_xz"]
    rows = stretch(observed, truth.shape, grid)
    expected = np.clip(np.rint(np.floor(grid.sections_at(np.arange(len(truth))) + 0.5)), 0, len(observed) - 1)
    assert np.array_equal(rows, observed[expected.astype(int)])
    assert table.grid == grid and viewer.planes
    shown = re.search(r"<dt>Sections</dt><dd>([^<]*)</dd>", page_of(tmp_path))
    assert shown and shown.group(1) == str(grid)
