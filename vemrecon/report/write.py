"""`write_report`: read results, write every form of the leaderboard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vemrecon.files import atomic_write
from vemrecon.report.chosen_rows import PICTURES
from vemrecon.report.leaderboard import Leaderboard, build
from vemrecon.report.load import Run, once, read_runs
from vemrecon.report.markdown import markdown_text
from vemrecon.report.page import html_text
from vemrecon.report.published_table import with_published
from vemrecon.report.records import csv_text, json_text
from vemrecon.report.segmentation import with_segmentations


@dataclass(frozen=True)
class Report:
    """What was written, and the leaderboard in it."""

    board: Leaderboard
    files: tuple[Path, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for everything that could not be read or shown."""
        return self.board.warnings


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
    board = with_segmentations(with_published(build(found, warnings)))
    page, more = html_text(board, PICTURES if pictures is None else pictures)
    board = Leaderboard(board.tables, (*board.warnings, *more))
    texts = {
        "leaderboard.csv": csv_text(board),
        "leaderboard.json": json_text(board),
        "README.md": markdown_text(board),
        "index.html": page,
    }
    for name, text in texts.items():
        with atomic_write(out / name, "wb") as file:
            file.write(text.encode())
    return Report(board, tuple(out / name for name in texts))
