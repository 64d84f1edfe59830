"""`submitted`: the results of a folder of submissions, as a report takes them. `build_board`: the report of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon.bench.levels import SUBMISSION
from vemrecon.bench.levels import VERIFICATION as LEVEL
from vemrecon.bench.result import RunResult
from vemrecon.errors import VemreconError
from vemrecon.report.load import Run, once
from vemrecon.report.write import Report, write_results
from vemrecon.submissions.submission import NAME, RESULT, VERIFICATION, Submission, Verification, folders_of


def submitted(place: Path) -> tuple[list[Run], list[str]]:
    """Results below a place, sorted, and one line for each that is left out or is not what was verified.

    Raises:
        DataError: If there is none.
    """
    found: list[Run] = []
    warnings: list[str] = []
    for folder in folders_of(place):
        name = folder.relative_to(place).as_posix()
        try:
            submission, result = Submission.read(folder), RunResult.read(folder / RESULT)
            artifacts = {key: file for key, file in result.artifacts.items() if (folder / file).is_file()}
            artifacts[SUBMISSION] = NAME
            verification = Verification.read(folder)
        except VemreconError as error:
            warnings.append(f"{name} is left out: {str(error).replace(f'{folder}/', '')}")
            continue
        if verification is not None:
            if verification.of == submission.digest:
                artifacts[LEVEL] = VERIFICATION
            else:
                warnings.append(f"{name}: was changed after it was verified; it counts as reported")
        found.append((folder, replace(result, artifacts=artifacts)))
    kept, more = once(found, place)
    return kept, warnings + more


def build_board(place: Path, out: Path, pictures: int | None = None) -> Report:
    """Write tables, JSON and page of all submissions below a place; the same submissions give the same bytes.

    Raises:
        DataError: If there is none.
        OutputError: If files are there that no board has written, or they cannot be written.
    """
    results, warnings = submitted(place)
    return write_results(results, out, f"submissions {place.name}", warnings, pictures)
