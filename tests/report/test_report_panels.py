"""What a panel shows depends on the runs alone: on their own section grid, and on no other panel."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report.report_fakes import TASK, score, scores

from vemrecon.report import load_results, write_report
from vemrecon.report.leaderboard import build
from vemrecon.report.page import html_text
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
    viewer = build_viewer(table, table.done)

    with np.load(folder / "sections.npz") as file:
        observed, truth = file["observed_xz"], file["truth_xz"]
    rows = stretch(observed, truth.shape, grid)
    expected = np.clip(np.rint(np.floor(grid.sections_at(np.arange(len(truth))) + 0.5)), 0, len(observed) - 1)
    assert np.array_equal(rows, observed[expected.astype(int)])
    assert table.grid == grid and viewer.planes
    shown = re.search(r"<dt>Sections</dt><dd>([^<]*)</dd>", page_of(tmp_path))
    assert shown and shown.group(1) == str(grid)


def test_the_page_draws_the_best_rows_and_the_best_one_without_training(make_run, tmp_path: Path):
    for name, psnr in (("linear", 24.0), ("bicubic", 25.0)):
        make_run(name, rows=scores(psnr))
    for n in range(5):
        make_run("vemamba", regime="self", arguments={"dim": n}, rows=scores(26.0 + n))

    def drawn(number: int) -> list[str]:
        write_report(tmp_path / "runs", tmp_path / "report", pictures=number)
        page = (tmp_path / "report" / "index.html").read_text()
        return sorted(set(re.findall(r'data-method="([^"]*)"', page)))

    assert drawn(0) == []
    assert drawn(1) == ["bicubic"]
    assert drawn(3) == ["bicubic", "vemamba (dim=3)", "vemamba (dim=4)"]
    assert len(drawn(99)) == 7


def test_the_page_of_2000_rows_stays_below_5_megabytes(make_run, tmp_path: Path):
    """With gains. Pictures of 320 x 320 voxels are as hard to compress as those of FIB-25: 0.73 bytes a voxel."""
    first = make_run("vemamba", regime="self", arguments={"dim": 0}, rows=scores(26.0))
    rng = np.random.default_rng(0)
    planes = {plane: rng.normal(128, 5, (320, 320)) for plane in ("xy", "xz", "yz")}
    noise = {"truth": 0, "observed": 3, "reconstruction": 3}
    grey = {
        f"{role}_{plane}": np.rint(section + more * rng.normal(size=section.shape)).astype(np.uint8)
        for role, more in noise.items()
        for plane, section in planes.items()
    }
    np.savez(first / "sections.npz", **grey, position=np.full(3, 160), voxel_size=np.full(3, 10.0))
    ((_, result),) = load_results(tmp_path / "runs")
    results = []
    for n in range(2000):
        method = replace(result.spec.method, arguments={"dim": n, "depth": n % 7})
        parts = [
            score("psnr", "", "volume", 24 + float(value), block=f"0-0-{b}")
            for b, value in enumerate(rng.normal(size=8))
        ]
        found = (*(one for one in scores(24.0 + rng.normal()) if one.whole), *parts)
        spec = replace(result.spec, method=method)
        card = replace(result.card, regime="none", kernel=True, random=False) if n == 0 else result.card
        results.append((first, replace(result, spec=spec, card=card, run_id=f"{n:012x}", scores=found)))

    page, warnings = html_text(build(results), pictures=4)

    assert not warnings
    assert page.count("<tr data-regime") == page.count('<svg class="ci"') == 2000
    assert page.count('<div class="pair" data-method') == 3 * 4
    pictures = re.findall(r"data:image/png;base64,([^\"]*)", page)
    assert 0.73 < sum(map(len, pictures)) / len(pictures) / 320**2 < 0.85
    assert len(page.encode()) < 5_000_000
