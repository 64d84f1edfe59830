"""`write_report`: read results, write every form of the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vemrecon.errors import OutputError
from vemrecon.files import atomic_write, make_folder, recalled, sha256_of, write_json
from vemrecon.report.chosen_rows import PICTURES
from vemrecon.report.leaderboard import Leaderboard, build
from vemrecon.report.load import Run, once, read_runs
from vemrecon.report.markdown import markdown_text
from vemrecon.report.page import html_text
from vemrecon.report.published_table import with_published
from vemrecon.report.records import csv_text, json_text
from vemrecon.report.segmentation import with_segmentations

MARK = ".report.json"
"""File that says what a report has written, and of which results."""
REPORT = "report"
"""Folder of the report of a folder of runs."""
BESIDE = "the runs beside it"
"""What such a report is of."""


@dataclass(frozen=True)
class Report:
    """What was written, and the leaderboard in it."""

    board: Leaderboard
    files: tuple[Path, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for everything that could not be read or shown."""
        return self.board.warnings


def require_own(out: Path, names: Iterable[str], source: str) -> None:
    """Refuse to write over files that an earlier report of the same source has not written.

    Raises:
        OutputError: With what to do.
    """
    if source == BESIDE:
        return  # a folder of runs may be moved, and its report is made again after every benchmark
    there = [name for name in names if (out / name).exists()]
    known = recalled(out / MARK)
    if not there or (known.get("source") == source and _unchanged(out, known.get("files", {}))):
        return
    by = f"is of {known['source']}" if known.get("source") not in (None, source) else "was not written by this report"
    raise OutputError(f"{out / there[0]}: {by}; choose another --out, or remove that folder first")


def _unchanged(out: Path, files: Mapping[str, str]) -> bool:
    return all(not (out / name).exists() or sha256_of(out / name) == known for name, known in files.items())


def write_report(runs: Path, out: Path, results: Iterable[Run] | None = None, pictures: int | None = None) -> Report:
    """Write leaderboard.csv, leaderboard.json, README.md and index.html; the same results give the same bytes.

    Args:
        runs: Run store with `<task>/<method>-<run_id>/result.json`.
        out: Folder of the report; made if missing.
        results: Folders and results to show instead of everything below `runs`.
        pictures: Rows of a table whose sections the page shows: the best ones, and the best one without training.
            None for `PICTURES`.

    Raises:
        ConfigError: If a file cannot be written.
    """
    found, warnings = read_runs(runs) if results is None else once(results, runs)
    beside = out.absolute() == (runs / REPORT).absolute()
    return write_results(found, out, BESIDE if beside else f"runs {runs.absolute()}", warnings, pictures)


Pages = Callable[[Leaderboard, int], tuple[Mapping[str, str], tuple[str, ...]]]
"""Makes HTML files by their names, with rows whose sections they show; and warnings."""


def one_page(board: Leaderboard, pictures: int) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """All tables on one page."""
    page, warnings = html_text(board, pictures)
    return {"index.html": page}, warnings


def write_results(
    found: Iterable[Run],
    out: Path,
    source: str,
    warnings: Iterable[str] = (),
    pictures: int | None = None,
    pages: Pages = one_page,
) -> Report:
    """Write all forms of a leaderboard.

    Args:
        found: Results, every run once.
        out: Folder of the files.
        source: What the results are of: a report of another source is never written over this one.
        warnings: One line each.
        pictures: See `write_report`.
        pages: Makes the HTML.

    Raises:
        OutputError: If there are files that are not those of an earlier report of the same source, or they cannot be
            written.
    """
    board = with_segmentations(with_published(build(found, warnings)))
    made, more = pages(board, PICTURES if pictures is None else pictures)
    board = Leaderboard(board.tables, (*board.warnings, *more))
    texts = {
        "leaderboard.csv": csv_text(board),
        "leaderboard.json": json_text(board),
        "README.md": markdown_text(board),
        **made,
    }
    require_own(out, texts, source)
    for name in recalled(out / MARK).get("files", {}):
        if name not in texts:
            (out / name).unlink(missing_ok=True)  # of something that is no part of it any more
    for name, text in texts.items():
        make_folder((out / name).parent)
        with atomic_write(out / name, "wb") as file:
            file.write(text.encode())
    write_json(out / MARK, {"source": source, "files": {name: sha256_of(out / name) for name in texts}})
    return Report(board, tuple(out / name for name in texts))
