"""The commands of results that are handed in: submit, verify, leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vemrecon.bench.levels import LEVEL_WORDS, Level
from vemrecon.commands.options import require_runs
from vemrecon.errors import ConfigError
from vemrecon.file_options import RootOptions
from vemrecon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(Options):
    """Options of `submit`."""

    runs: Path = option("folder of finished runs", positional=True)
    method: str = option("name of the method, as tables have it")
    out: Path = option("folder in which one is made for each run")
    check: Path = option("what `vemrecon check` has found", Path("check.json"))
    authors: str = option("as they want to be named", "")
    source: str = option("address of the method's source", "")
    commit: str = option("of the source", "")
    licence: str = option("of the method", "", unset="that of its card")
    paper: str = option("of the method", "", unset="that of its card")
    address: str = option(
        "where weights and reconstructions will be: what stands before the names of their folders", ""
    )
    note: str = option("for readers", "")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(RootOptions):
    """Options of `verify`."""

    folder: Path = option("a submission, or a folder of several", positional=True)
    reconstruct: bool = option("make the reconstruction again from the weights, too", False)
    retrain: bool = option("train again, too", False)
    write: bool = option("keep the level that was reached in verification.json, which tables show", False)


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions(RootOptions):
    """Options of `reproduce`."""

    board: str = option("of the table, such as fib25s-test-reference-z-average-x8", positional=True)
    method: str = option("name of the row, or the id of its run")
    seed: int = option("of the row", 0, least=0)
    submissions: Path = option("folder of submissions", Path("leaderboards/submissions"))


@dataclass(frozen=True, kw_only=True)
class LeaderboardOptions(Options):
    """Options of `leaderboard`."""

    action: Literal["build"] = option("what to do", positional=True, noun="action")
    submissions: Path = option("folder of submissions", Path("leaderboards/submissions"))
    out: Path = option("folder of the board", Path("leaderboards/board"))
    pictures: int | None = option(
        "rows of each table whose sections the page shows, the best ones; 0 for none", None, least=0, unset="a few"
    )
    archive: Path | None = option("ZIP file of submissions and board, for a repository with DOIs", None, unset="none")
    croissant: Path | None = option("folder of descriptions of results and datasets in Croissant", None, unset="none")


def submit(options: SubmitOptions) -> int:
    """Write one folder for each run of a method."""
    from vemrecon.submissions.hand_in import Authors, hand_in

    require_runs(options.runs)
    names = ("authors", "source", "commit", "licence", "paper", "address", "note")
    authors = Authors(**{name: getattr(options, name) for name in names})
    count = 0
    for place in hand_in(options.runs, options.method, options.out, options.check, authors):
        print(place, flush=True)
        count += 1
    print(f"{count} run{'s' * (count > 1)} of {options.method}; next: vemrecon verify {options.out}")
    return 0


def verify(options: VerifyOptions) -> int:
    """Say of each submission how far it was verified, or why it is refused; give 1 if one is."""
    from vemrecon.submissions.submission import folders_of

    if not options.folder.exists():
        raise ConfigError(f"{options.folder}: no such folder")
    level: Level = "retrained" if options.retrain else "reconstructed" if options.reconstruct else "rescored"
    reached = [_verified(folder, level, options) for folder in folders_of(options.folder)]
    return 1 if None in reached else 0


def _verified(folder: Path, level: Level, options: VerifyOptions) -> Level | None:
    """The level that a submission reaches; None if it is refused."""
    from vemrecon.submissions.verify import RefusedError, Verifier

    print(f"{folder}", flush=True)
    try:
        found = Verifier(folder, options.data_root, say=lambda line: print(f"  {line}", flush=True)).verify(level)
    except RefusedError as error:
        print(f"  refused: {error}", flush=True)
        return None
    print(f"  {found.level}: {LEVEL_WORDS[found.level]}", flush=True)
    if options.write:
        found.write(folder)
    return found.level


def reproduce(options: ReproduceOptions) -> int:
    """Run one row from scratch and compare it with what the table has; give 1 if it is another, or cannot be run."""
    from vemrecon.errors import unknown
    from vemrecon.submissions.submission import Submission, folders_of

    boards: dict[str, dict[Path, Submission]] = {}
    for folder in folders_of(options.submissions):
        submission = Submission.read(folder)
        boards.setdefault(str(submission.run["task"]), {})[folder] = submission
    if options.board not in boards:
        raise unknown("board", options.board, boards)
    rows = boards[options.board]
    named = [one for one in rows if options.method in (rows[one].run["method"], rows[one].run["run_id"])]
    if not named:
        raise unknown(f"row of {options.board}", options.method, {str(one.run["method"]) for one in rows.values()})
    found = [one for one in named if rows[one].run["seed"] == options.seed]
    if not found:
        seeds = ", ".join(sorted({str(rows[one].run["seed"]) for one in named}))
        raise ConfigError(f"--seed {options.seed}: '{options.method}' has other ones there: {seeds}")
    if len(found) > 1:
        ids = ", ".join(str(rows[one].run["run_id"]) for one in found)
        raise ConfigError(f"--method {options.method}: means {len(found)} rows; name one of the runs {ids}")
    asked = VerifyOptions(folder=found[0], data_root=options.data_root)
    return 0 if _verified(found[0], "retrained", asked) == "retrained" else 1


def leaderboard(options: LeaderboardOptions) -> int:
    """Build the board of all submissions."""
    from rich.console import Console

    from vemrecon.report import print_table
    from vemrecon.submissions.archive import write_archive
    from vemrecon.submissions.board import build_board
    from vemrecon.submissions.croissant import write_croissant

    console = Console(highlight=False)
    report = build_board(options.submissions, options.out, options.pictures)
    print_table(report, console)
    console.print(f"board: {options.out / 'index.html'}")
    if options.archive:
        write_archive(options.archive, options.submissions, options.out)
        console.print(f"archive: {options.archive}")
    if options.croissant:
        datasets = sorted({table.task.dataset for table in report.board.tables})
        written = write_croissant(options.croissant, options.out, datasets)
        console.print(f"Croissant: {len(written)} files in {options.croissant}")
    return 0
