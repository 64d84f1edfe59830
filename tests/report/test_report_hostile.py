"""Texts that come from plugins and cards mean nothing in a spreadsheet, in Markdown or on a page."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.report_fakes import TASK, scores

from vemrecon.files import FORMULA, csv_cell
from vemrecon.fit.callbacks import read_log, write_log
from vemrecon.report import print_table, write_report

FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", " =1", "\N{FULLWIDTH EQUALS SIGN}1"]
NOT_OF_THE_CELL = re.compile(r"^\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}]")


def hostile(make_run, tmp_path: Path, text: str):
    """A report of which every text that can come from outside is the same."""
    name = text.replace("/", "\N{DIVISION SLASH}")  # folders of runs are two deep
    task = {**TASK, "dataset": name, "split": text, "degradation": {"name": text, "arguments": {text: text}}}
    card = {"title": text, "regime": "self", "paper": text, "citation": text, "licence": text, "version": text}
    environment = dict.fromkeys(("vemrecon", "commit", "python", "torch", "platform", "cpu", "device"), text)
    rows = [replace(row, note=text, unit=text, block=text if row.block != "all" else "all") for row in scores()]
    rows.append(replace(rows[0], value=-3.25, plane="xz", variant=text))
    same = {"task": task, "card": card, "environment": environment, "preset": text}
    make_run(name[:20], rows=rows, arguments={text: text}, **same)
    make_run("other", status="failed", reason=text, **same)
    return write_report(tmp_path / "runs", tmp_path / "report")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_and_negative_numbers_stay_numbers(make_run, tmp_path: Path, text: str):
    hostile(make_run, tmp_path, text)
    read = list(csv.DictReader(io.StringIO((tmp_path / "report/leaderboard.csv").read_bytes().decode(), newline="")))
    assert -3.25 in [float(row["value"]) for row in read if row["value"]]
    assert f"'{text}" in {row["reason"] for row in read}
    for row in read:
        for name, cell in row.items():
            if NOT_OF_THE_CELL.match(cell):
                assert isinstance(float(cell), float), name


@given(st.text(max_size=6))
def test_only_text_that_begins_as_a_formula_is_changed(text: str):
    kept = csv_cell(text)
    if kept != text:
        assert kept == f"'{text}"
    elif text.startswith(FORMULA):
        float(text)


def test_a_log_of_training_has_no_formulas_and_keeps_its_numbers(tmp_path: Path):
    write_log(tmp_path / "loss.csv", [(1, "=cmd", -0.5), (2, "=cmd", -1e-3), (2, "loss", 3.0)])
    assert read_log(tmp_path / "loss.csv") == {"'=cmd": ([1, 2], [-0.5, -1e-3]), "loss": ([2], [3.0])}


class Tags(HTMLParser):
    """Names of elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.handlers: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><svg onload=alert(1)>", "{{7*7}}"]


@pytest.mark.parametrize("text", EVIL)
def test_the_page_has_no_elements_or_handlers_of_others(make_run, tmp_path: Path, text: str):
    hostile(make_run, tmp_path, "harmless")
    plain, other = Tags(), Tags()
    plain.feed((tmp_path / "report/index.html").read_text())
    hostile(make_run, tmp_path, text)
    page = (tmp_path / "report/index.html").read_text()
    other.feed(page)
    assert other.found == plain.found and other.handlers == plain.handlers
    assert "<script>alert" not in page and "<img src=x" not in page
    assert text != "{{7*7}}" or text in page


def test_markdown_cells_stay_cells(make_run, tmp_path: Path):
    text = "a | b\n| c | `d` **e** [f](javascript:g) # h"
    hostile(make_run, tmp_path, text)
    written = (tmp_path / "report/README.md").read_text()
    tables = [line for line in written.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in tables}) == 1
    assert all("\\|" in line for line in tables[2:])
    assert "[f](" not in written and "\n| c" not in written


def test_the_terminal_shows_texts_as_they_are(make_run, tmp_path: Path):
    from rich.console import Console

    report = hostile(make_run, tmp_path, "[red]x[bold]")
    stream = io.StringIO()
    print_table(report, Console(file=stream, width=400))
    assert "[red]x[bold]" in stream.getvalue()
