"""`submitted`: the results of a folder of submissions, as a report takes them. `build_board`: the report of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vemrecon.bench.levels import SUBMISSION
from vemrecon.bench.levels import VERIFICATION as LEVEL
from vemrecon.bench.result import RunResult
from vemrecon.data import dataset_card
from vemrecon.errors import VemreconError
from vemrecon.report.load import Run, once
from vemrecon.report.site import DatasetFacts, SplitFacts, site_pages
from vemrecon.report.write import Report, write_results
from vemrecon.submissions.submission import NAME, RESULT, VERIFICATION, Submission, Verification, folders_of
from vemrecon.volume import Region


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
    """Write tables, JSON and site of all submissions below a place; the same submissions give the same bytes.

    Raises:
        DataError: If there is none.
        OutputError: If files are there that no board has written, or they cannot be written.
    """
    results, warnings = submitted(place)
    names = {result.spec.task.dataset for _, result in results}
    known = {name: facts for name in names if (facts := dataset_facts(name))}
    pages = partial(site_pages, datasets=known)
    return write_results(results, out, f"submissions {place.name}", warnings, pictures, pages)


def dataset_facts(name: str) -> DatasetFacts | None:
    """What the page of a dataset says of it; None if it is not known here."""
    try:
        card = dataset_card(name)
    except VemreconError:
        return None
    splits = [
        SplitFacts(split.name, _where(split.file, split.region, split.group), split.use, split.paper)
        for split in card.splits.values()
    ]
    size = str(card.voxel_size or "")
    return DatasetFacts(card.name, card.title, card.licence, card.citation, size, card.source, card.note, tuple(splits))


def _where(file: str, region: Region | None, group: Sequence[str]) -> str:
    if group:
        return f"all of {', '.join(group)}"
    return f"{file} {region}" if region else file
