from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report.report_fakes import TASK, scores

from vemrecon.metrics import Limit
from vemrecon.metrics.catalogue import metric
from vemrecon.report import Report, load_results, print_table, write_report
from vemrecon.report.columns import COSTS
from vemrecon.report.records import HEADER


def report_of(tmp_path: Path, name: str = "report") -> Report:
    return write_report(tmp_path / "runs", tmp_path / name)


def several(make_run) -> None:
    make_run("linear", rows=scores(24.0))
    make_run("bicubic", rows=scores(24.125, axial=20.0, axial_limit=Limit.AT_MOST))
    for seed in (0, 1):
        make_run("vemamba", regime="self", preset="paper", seed=seed, rows=scores(27.0 + seed))
    make_run("cyclegan-ir", regime="self", status="declined", reason="enlarges by 10 only")
    make_run("isovem", regime="self", status="failed", reason="out of memory,\nat batch 3 | of 9")
    make_run("linear", task={**TASK, "scale": 8.0}, pictures=False)


def test_the_long_table_has_one_row_per_score_and_one_per_run_without_scores(make_run, tmp_path: Path):
    several(make_run)

    report_of(tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report/leaderboard.csv").read_text())))

    assert tuple(rows[0]) == HEADER
    assert len(rows) == 5 * len(scores()) + 2
    (failed,) = [row for row in rows if row["status"] == "failed"]
    assert failed["reason"] == "out of memory,\nat batch 3 | of 9"
    assert (failed["metric"], failed["value"]) == ("", "")
    volume = [
        r for r in rows if (r["method"], r["plane"], r["range"], r["block"]) == ("bicubic", "volume", "all", "all")
    ]
    psnr = next(row for row in volume if row["metric"] == "psnr")
    assert (psnr["value"], psnr["scale"], psnr["unit"], psnr["seed"]) == ("24.125", "4.0", "dB", "0")
    (lpips, *_) = [row for row in rows if row["metric"] == "lpips"]
    assert (lpips["value"], lpips["note"]) == ("", "weights are not available")


def test_the_page_about_leaderboards_has_every_column_and_key(make_run, tmp_path: Path):
    several(make_run)
    report_of(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## `leaderboard.json`")[0].splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([^`]*)`", " ".join(row.split(" | ")[0] for row in rows))) == sorted(HEADER)
    board = json.loads((tmp_path / "report/leaderboard.json").read_text())
    keys = {
        *board,
        *board["tasks"][0],
        *board["tasks"][0]["rows"][0],
        *board["tasks"][0]["rows"][0]["cells"]["all"]["gain"],
    }
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_json_holds_no_nan_and_sorted_keys(make_run, tmp_path: Path):
    path = make_run("linear", rows=scores(24.0)) / "result.json"
    path.write_text(path.read_text().replace('"value": 24.0', '"value": NaN'))
    make_run("bicubic")

    report_of(tmp_path)
    text = (tmp_path / "report/leaderboard.json").read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    record = json.loads(text, parse_constant=refuse)
    assert record["schema"] == 2
    assert text == json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    rows = {row["label"]: row for row in record["tasks"][0]["rows"]}
    assert rows["linear"]["cells"]["all"]["psnr/volume"]["value"] is None
    assert rows["bicubic"]["runs"][0]["environment"]["commit"] == "0123abcd4567"


def test_tables_are_rebuilt_byte_for_byte_from_the_result_files(make_run, tmp_path: Path):
    several(make_run)

    first = report_of(tmp_path, "first")
    given = write_report(tmp_path / "runs", tmp_path / "second", reversed(load_results(tmp_path / "runs")))

    assert [path.name for path in first.files] == ["leaderboard.csv", "leaderboard.json", "README.md", "index.html"]
    for one, other in zip(first.files, given.files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_nothing_of_the_machine_is_in_the_report(make_run, tmp_path: Path):
    several(make_run)

    for path in report_of(tmp_path).files:
        assert str(tmp_path) not in path.read_text()


def test_a_corrupted_result_is_a_warning_in_every_form(make_run, tmp_path: Path):
    broken = make_run("linear") / "result.json"
    make_run("bicubic")
    broken.write_text(broken.read_text()[:100])

    report = report_of(tmp_path)

    assert len(report.warnings) == 1
    for name in ("README.md", "index.html", "leaderboard.json"):
        assert "is left out: not a JSON file" in (tmp_path / "report" / name).read_text()


@pytest.mark.parametrize("name", ["sections.npz", "curves.json"])
def test_damaged_pictures_or_curves_are_a_warning(make_run, tmp_path: Path, name: str):
    (make_run("linear") / name).write_bytes(b"PK\x03\x04 half of it")
    make_run("bicubic")

    report = report_of(tmp_path)

    assert len(report.warnings) == 1
    assert "linear" in report.warnings[0]
    assert str(tmp_path) not in report.warnings[0]
    assert report.warnings[0].split(":")[0] in (tmp_path / "report/README.md").read_text().replace("\\", "")


def test_markdown_shows_limits_blanks_failures_and_provenance(make_run, tmp_path: Path):
    several(make_run)

    report_of(tmp_path)
    text = (tmp_path / "report/README.md").read_text()
    lines = {
        line.split(" | ")[0].strip("| "): line for line in text.split("## ")[1].splitlines() if line.startswith("|")
    }

    assert "| **<= 20.0** |" in lines["bicubic"]
    assert "**27.50** ± 0.71" in lines["vemamba"]
    assert "0, 1 (n = 2)" in lines["vemamba"]
    assert "*failed: out of memory, at batch 3 \\| of 9*" in lines["isovem"]
    assert "*declined: enlarges by 10 only*" in lines["cyclegan-ir"]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines.values()}) == 1
    assert "Provenance: protocol 1 · vemrecon 0.1.0 · commit 0123abcd4567 · hardware: Processor 9000, 4 threads" in text


def test_a_blank_cell_carries_the_mark_of_its_reason(make_run, tmp_path: Path):
    make_run("linear", costs={})

    report_of(tmp_path)
    text = (tmp_path / "report/README.md").read_text()

    assert "| <sup>a</sup> |" in text
    assert re.search("<sup>[a-z]</sup> not recorded", text)
    assert re.search("<sup>[a-z]</sup> not recorded", (tmp_path / "report/index.html").read_text())


class Loads(HTMLParser):
    """Collects every address that a browser would load by itself, and the text of styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "action", "xlink:href") or (name == "href" and tag != "a"):
                self.addresses.append(value or "")
            elif name == "href":
                self.anchors.append(value or "")


def test_the_page_loads_nothing_from_anywhere(make_run, tmp_path: Path):
    several(make_run)

    report_of(tmp_path)
    page = (tmp_path / "report/index.html").read_text()
    loads = Loads()
    loads.feed(page)

    assert loads.addresses
    assert all(address.startswith("data:") for address in loads.addresses)
    assert set(loads.anchors) == {"https://doi.org/10.1000/example"}
    assert not re.search(r"https?://", re.sub(r'<a href="https://doi\.org/10\.1000/example"', "", page))
    assert "@import" not in page
    assert "url(" not in page


def test_everything_that_comes_from_files_is_escaped(make_run, tmp_path: Path):
    evil = "<script>alert(1)</script>"
    card = {"title": evil, "regime": "self", "paper": "javascript:alert(1)", "citation": evil, "licence": evil}
    task = {**TASK, "dataset": "<b>data", "degradation": {"name": evil, "arguments": {"x": evil}}}
    make_run(f"m{evil}", card=card, task={**task, "split": "s"}, preset=evil)
    make_run("linear", task={**task, "split": "s"}, status="failed", reason=evil, spec={"precision": evil})

    report_of(tmp_path)

    page = (tmp_path / "report/index.html").read_text()
    assert "<script>alert" not in page
    assert "<b>data" not in page
    assert 'href="javascript' not in page
    assert "<script>" not in (tmp_path / "report/README.md").read_text()


def test_the_page_shows_truth_observed_reconstruction_and_error_in_three_planes(make_run, tmp_path: Path):
    make_run("linear")

    report_of(tmp_path)
    page = (tmp_path / "report/index.html").read_text()

    for plane, position in (("xy", "z = 20"), ("xz", "y = 20"), ("yz", "x = 20")):
        for role in ("Truth", "Observed", "linear", "Error of linear"):
            assert f'alt="{role}, {plane} section at {position} (200 nm)"' in page
    assert page.count("data:image/png;base64,") == 12
    assert "100 nm</span>" in page
    assert "limit" in page
    assert 'aria-label="Fourier shell correlation, Axial (z), of linear"' in page


def test_every_header_cell_has_a_scope_and_every_picture_a_text(make_run, tmp_path: Path):
    several(make_run)

    report_of(tmp_path)
    page = (tmp_path / "report/index.html").read_text()

    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))
    body = page.split('<dialog id="compare"')[0]
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img\b[^>]*>", body))


def test_an_empty_run_store_gives_an_empty_report(tmp_path: Path):
    report = write_report(tmp_path / "runs", tmp_path / "report")

    assert report.board.tables == ()
    assert "No results yet" in (tmp_path / "report/index.html").read_text()


def test_a_task_without_truth_is_shown_without_errors(make_run, tmp_path: Path):
    import numpy as np

    folder = make_run("linear", task={**TASK, "kind": "native"}, rows=[])
    with np.load(folder / "sections.npz") as file:
        kept = {name: file[name] for name in file.files if not name.startswith("truth")}
    np.savez(folder / "sections.npz", **kept)

    report = report_of(tmp_path)
    page = (tmp_path / "report/index.html").read_text()

    assert report.warnings == ()
    assert "Error of linear" not in page
    assert 'alt="Observed, xz section' in page


def test_the_report_room_imports_neither_torch_nor_lightning(make_run, tmp_path: Path):
    make_run("linear")
    code = (
        "import sys; from pathlib import Path; from vemrecon.report import write_report, print_table\n"
        "heavy = {'jinja2', 'PIL', 'rich'} & set(sys.modules); assert not heavy, heavy\n"
        "print_table(write_report(Path(sys.argv[1]), Path(sys.argv[2])))\n"
        "print(sorted({'torch', 'lightning', 'torchmetrics', 'zarr', 'scipy'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "runs", tmp_path / "out"], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_terminal_table_fits_and_shows_failures(make_run, tmp_path: Path, width: int):
    from rich.console import Console

    several(make_run)
    console = Console(file=io.StringIO(), width=width, color_system=None)

    print_table(report_of(tmp_path), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert any("27.50 ± 0.71" in line for line in lines)
    assert any("isovem failed (seed 0): out of memory" in line for line in lines)
    assert any("reconstruct" in line for line in lines) == (width >= 100)


@pytest.mark.parametrize("name", ["uncertainty", "segmentation", "sam2"])
def test_a_narrow_terminal_shows_a_metric_that_no_protocol_asks_for(name: str):
    """It is there because somebody asked for it, so that details of others and costs make way."""
    asked, details = (metric(one).columns("reference", "z") for one in (name, "psnr"))
    assert min(column.rank for column in asked) < min(c.rank for c in (*details[1:], *COSTS))


def test_tables_of_splits_whose_place_papers_do_not_publish_say_so(make_run, tmp_path: Path):
    make_run("bicubic", task={**TASK, "dataset": "epfl", "split": "emgauss"})
    make_run("bicubic", task={**TASK, "dataset": "epfl", "split": "isovem"})
    report_of(tmp_path)
    words = "EMGauss, coordinates not published; chosen here"
    for name in ("README.md", "index.html", "leaderboard.json"):
        assert (tmp_path / "report" / name).read_text(encoding="utf-8").count(words) == 1, name
    tasks = json.loads((tmp_path / "report" / "leaderboard.json").read_text())["tasks"]
    assert [task["split_note"] for task in tasks] == [words, "IsoVEM"]
