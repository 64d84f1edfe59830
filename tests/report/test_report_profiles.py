from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from report.report_fakes import score, scores

from vemrecon.report import write_report
from vemrecon.report.profiles import LONGEST, profile_of

TEETH = [0.0, 4.0, 6.0, 4.0] * 4
DRIFT = [0.0, 1.0, -3.0, 0.5] * 4


def slices(mae=TEETH, error=DRIFT, first=0) -> dict:
    return {"slices": {"all": {"axis": "z", "first": first, "mae": mae, "error": error}}}


def page_of(tmp_path: Path) -> str:
    write_report(tmp_path / "runs", tmp_path / "report")
    return (tmp_path / "report" / "index.html").read_text()


def charts(page: str) -> dict[str, str]:
    return {name: svg for svg, name in re.findall(r'(<svg[^>]*aria-label="(mean [^"]*)".*?</svg>)', page)}


def height(svg: str, label: str) -> list[float]:
    """Pixels of a curve, from the top of the chart."""
    (path,) = re.findall(rf'<path class="line[^>]* d="([^"]*)"><title>{label}</title>', svg)
    return [float(point.split()[1]) for point in re.split("[ML]", path)[1:]]


def test_the_page_draws_absolute_and_signed_error_along_the_degraded_axis(make_run, tmp_path: Path):
    (make_run("bicubic") / "curves.json").write_text(json.dumps(slices()))
    (make_run("linear") / "curves.json").write_text(json.dumps(slices([2 * v for v in TEETH])))

    page = page_of(tmp_path)
    found = charts(page)

    assert list(found) == ["mean |e| (grey levels) along z, of bicubic, linear",
                           "mean e (grey levels) along z, of bicubic, linear"]  # fmt: skip
    absolute, signed = found.values()
    bicubic, linear = height(absolute, "bicubic"), height(absolute, "linear")
    floor = max(bicubic)
    assert bicubic[::4] == [floor] * 4, "sections that were kept touch the axis"
    assert [floor - b for b in linear] == pytest.approx([2 * (floor - b) for b in bicubic], abs=0.05)
    levels = height(signed, "bicubic")
    assert levels[2] > levels[0] > levels[1], "too dark is below zero, too bright above"
    assert "recorded sections that a method keeps have no error" in page


def test_of_a_long_volume_the_middle_is_drawn_and_the_page_says_so(make_run, tmp_path: Path):
    (make_run("bicubic") / "curves.json").write_text(json.dumps(slices(TEETH * 20, DRIFT * 20, first=8)))

    page = page_of(tmp_path)
    absolute = next(iter(charts(page).values()))

    assert len(height(absolute, "bicubic")) == LONGEST
    assert f'data-range="{8 + 80} {8 + 80 + LONGEST - 1}"' in absolute
    assert f"the middle {LONGEST} of {len(TEETH) * 20} voxels" in page


def test_a_perfect_reconstruction_has_a_flat_profile(make_run, tmp_path: Path):
    (make_run("bicubic") / "curves.json").write_text(json.dumps(slices([0.0] * 8, [0.0] * 8)))

    absolute, signed = charts(page_of(tmp_path)).values()

    assert len(set(height(absolute, "bicubic"))) == 1
    assert len(set(height(signed, "bicubic"))) == 1


def test_without_profiles_and_axial_scores_there_is_no_such_section(make_run, tmp_path: Path):
    make_run("linear")

    assert "Along the degraded axis" not in page_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    [{}, {"slices": {}}, {"slices": {"all": {"mae": 3}}}, slices([], []), slices([1.0], [1.0, 2.0]), slices("ab")],
)
def test_runs_without_a_profile_are_no_error(content):
    assert profile_of(content, "linear", 0) is None


def test_axial_scores_stand_in_a_table_of_their_own(make_run, tmp_path: Path):
    axial = [score("axial", "slice_mae", "z", 6.0229), score("axial", "continuity", "z", 0.6261)]
    make_run("bicubic", rows=[*scores(), *axial])
    make_run("linear", rows=[*scores(), *axial[:1]])

    page = page_of(tmp_path)
    (table,) = re.findall(r'<table class="plain layering">.*?</table>', page, re.DOTALL)

    assert re.findall(r"<th scope=\"col\"[^>]*>([^<]*)<", table) == ["Method", "mean |e| ", "continuity z "]
    rows = dict(re.findall(r"</svg> (\w+)</th>(.*)</tr>", table))
    cells = {name: [c.strip() for c in re.findall(r"<td[^>]*>([^<]*)", row)] for name, row in rows.items()}
    assert cells == {"bicubic": ["6.02", "0.626"], "linear": ["6.02", "\N{EN DASH}"]}
