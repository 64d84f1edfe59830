"""A module is enough for a metric or a degradation, and a function for a part of the report."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from metrics.metric_volumes import GreyVolume, noisy, textured
from report.report_fakes import METRICS, maker, scores

import vemrecon.degradations
from vemrecon.bench.request import known_metrics
from vemrecon.cli import main
from vemrecon.degradations import catalogue as degradations
from vemrecon.degradations import degrade, make_degradation
from vemrecon.metrics import catalogue
from vemrecon.metrics.evaluate import evaluate, pair_metrics
from vemrecon.report import page, print_table, write_report
from vemrecon.report.panel import Fragment
from vemrecon.volume import Volume, VoxelSize
from vemrecon.volume.region import Region

MAE = '''
"""MAE: the mean absolute error of a volume, in grey levels."""

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import REFERENCE, MetricSpec


def columns(kind, axis):
    return (Column("mae", "volume", "MAE", "volume", Better.LOW, unit="grey", help="mean absolute error, all voxels"),)


def evaluate(evidence):
    from vemrecon.metrics.tiles import read_pair

    for name, region in evidence.ranges.items():
        total = 0.0
        for slab in region.blocks((16, *region.shape[1:])):
            a, b = read_pair(*evidence.pair, slab)
            total += float((a.double() - b.double()).abs().sum())
        yield Score("mae", "", "volume", name, "all", total / region.voxels, "grey")


SPECS = (MetricSpec("mae", "mean absolute error", columns, evaluate, kinds=frozenset({REFERENCE})),)
'''
DIMMED = '''
"""`Dimmed`: kept sections, darker than they were."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vemrecon.degradations.degradation import Degradation
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class Dimmed(Degradation):
    """Keeps every `scale`-th section and darkens it."""

    factor: float = 0.5
    name: ClassVar[str] = "dimmed"

    @property
    def grid(self):
        return SectionGrid.kept_every(self.scale)

    def apply(self, truth, start, first, last, n, seed):
        kept = self.grid.kept(last)[first:] - start
        return np.float32(self.factor) * truth[kept]
'''


@pytest.fixture
def with_mae(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mae.py").write_text(MAE)
    monkeypatch.setattr(catalogue, "__path__", [*catalogue.__path__, str(tmp_path)])
    catalogue.metrics.cache_clear()
    yield
    catalogue.metrics.cache_clear()
    sys.modules.pop("vemrecon.metrics.catalogue.mae", None)


@pytest.fixture
def with_dimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dimmed.py").write_text(DIMMED)
    monkeypatch.setattr(vemrecon.degradations, "__path__", [*vemrecon.degradations.__path__, str(tmp_path)])
    degradations.degradations.cache_clear()
    yield
    degradations.degradations.cache_clear()
    sys.modules.pop("vemrecon.degradations.dimmed", None)


def test_a_metric_in_one_file_is_listed_computed_and_shown_everywhere(with_mae, tmp_path: Path, capsys):
    from rich.console import Console

    a = textured((24, 33, 29))
    b = noisy(a)
    assert "mae" in known_metrics() and "mae" in pair_metrics()
    found = evaluate(GreyVolume(a), GreyVolume(b), metrics=("mae", "psnr"), ranges={"all": Region.whole(a.shape)})
    (mae,) = [score for score in found.scores if score.metric == "mae"]
    assert mae.value == pytest.approx(np.abs(a.astype(float) - b).mean(), abs=1e-9)
    assert main(["metrics", "mae"]) == 0 and "MAE volume (grey)" in capsys.readouterr().out

    make = maker(tmp_path / "runs")
    make("bicubic", rows=[*scores(), mae], metrics=(*METRICS, "mae"))
    make("linear", rows=[*scores(23.0), mae], metrics=(*METRICS, "mae"))
    report = write_report(tmp_path / "runs", tmp_path / "report")
    console = Console(file=io.StringIO(), width=300)
    print_table(report, console)

    text = f"{mae.value:.2f}"
    assert isinstance(console.file, io.StringIO)
    assert text in console.file.getvalue()
    markdown, html = ((tmp_path / "report" / name).read_text() for name in ("README.md", "index.html"))
    assert "MAE volume (grey) ↓" in markdown and text in markdown
    assert 'title="mean absolute error, all voxels"' in html and f">{text}" in html
    record = json.loads((tmp_path / "report" / "leaderboard.json").read_text())["tasks"][0]
    assert record["columns"]["mae/volume"]["better"] == "low"
    assert record["rows"][0]["cells"]["all"]["mae/volume"]["value"] == mae.value
    rows = csv.DictReader(io.StringIO((tmp_path / "report" / "leaderboard.csv").read_text()))
    assert [float(row["value"]) for row in rows if row["metric"] == "mae"] == [mae.value] * 2


def test_a_degradation_in_one_file_is_listed_explained_checked_and_used(with_dimmed, tmp_path: Path, capsys):
    truth = Volume(textured((24, 12, 10)), VoxelSize(8, 8, 8), "truth")
    observed = degrade(truth, make_degradation("dimmed", 4, {"factor": 0.25}))
    assert np.allclose(observed.read(observed.whole), 0.25 * truth.read(truth.whole)[::4])
    assert main(["degradations", "dimmed"]) == 0 and "--set factor=0.5" in capsys.readouterr().out
    np.save(tmp_path / "truth.npy", textured((24, 12, 10)))
    words = ["degrade", str(tmp_path / "truth.npy"), str(tmp_path / "seen.zarr"), "--scale", "4"]
    assert main([*words, "--degradation", "dimmed", "--set", "factr=0.5"]) == 2
    assert "did you mean 'factor'" in capsys.readouterr().err
    assert main([*words, "--degradation", "dimmed", "--voxel-size", "8", "8", "8"]) == 0


def test_a_panel_is_a_function_and_a_line_in_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def hello(table, look):
        return Fragment(f"<p>hello from {len(table.rows)} rows</p>", "Curves", small=True)

    maker(tmp_path / "runs")("bicubic", pictures=False)
    monkeypatch.setattr(page, "PANELS", (*page.PANELS, hello))
    write_report(tmp_path / "runs", tmp_path / "report")
    assert "hello from 1 rows" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize("left_out", range(len(page.PANELS)))
def test_no_panel_depends_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: int):
    maker(tmp_path / "runs")("bicubic")
    whole = write_report(tmp_path / "runs", tmp_path / "whole")
    monkeypatch.setattr(page, "PANELS", page.PANELS[:left_out] + page.PANELS[left_out + 1 :])
    part = write_report(tmp_path / "runs", tmp_path / "part")
    assert part.warnings == whole.warnings
    before, after = ((tmp_path / name / "index.html").read_text() for name in ("whole", "part"))
    sections = [html.count("<section") + html.count("<figure") + html.count("<table") for html in (before, after)]
    assert sections[1] <= sections[0]
