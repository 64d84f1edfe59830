"""`hand_in`: from finished runs to folders that anybody can verify."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vemrecon import protocol
from vemrecon.bench.changes import changed_since
from vemrecon.bench.job import Job
from vemrecon.bench.phases import reconstruction
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.bench.store import RunFolder, run_folders
from vemrecon.bench.task_volumes import observe
from vemrecon.check.verdict import CheckReport
from vemrecon.data.catalogue import LOCAL
from vemrecon.data.remote.recognise import voxels_sha256
from vemrecon.errors import ConfigError, OutputError, unknown
from vemrecon.files import canonical_json, make_folder, output_error, sha256_of
from vemrecon.submissions.submission import (
    CHECK,
    NAME,
    RECONSTRUCTION,
    RESULT,
    SCHEMA,
    WEIGHTS,
    LargeFile,
    Submission,
    summary,
)
from vemrecon.volume.write import write_volume

KEPT = ("spec.json", "curves.json", "sections.npz")
QUICK = ("smoke",)
"""Presets that show that something runs, and nothing else."""


@dataclass(frozen=True)
class Authors:
    """What only those who hand in can say.

    Attributes:
        authors: As they want to be named.
        source: Address of the method's source.
        commit: Of the source.
        licence: Of the method; by default that of its card.
        paper: Likewise.
        address: Where weights and reconstructions will be: what stands before the names of their folders.
        note: For readers.
    """

    authors: str = ""
    source: str = ""
    commit: str = ""
    licence: str = ""
    paper: str = ""
    address: str = ""
    note: str = ""


def chosen_runs(runs: Path, method: str) -> list[tuple[RunFolder, RunResult]]:
    """The runs of a method that can be handed in: finished, with enough seeds, of code that has not changed.

    Raises:
        ConfigError: With the first reason why one cannot.
    """
    folders = list(run_folders(runs))
    mine = [folder for folder in folders if method in (folder.spec.method.name, folder.spec.method.entry)]
    if not mine:
        raise unknown(f"method in {runs}", method, {folder.spec.method.name for folder in folders})
    found = []
    for folder in mine:
        result = folder.result()
        if result is not None and result.status == Status.DECLINED:
            continue  # has no scores, and plans say as much
        if result is None or result.status != Status.DONE:
            said = f"{result.status.value}: {result.reason}" if result else "not finished"
            raise ConfigError(f"{folder.path.name}: is {said}; finish it, or leave its folder out")
        if reason := refusal(folder):
            raise ConfigError(f"{folder.path.name}: {reason}")
        found.append((folder, result))
    if not found:
        raise ConfigError(f"method '{method}' has declined all tasks of {runs}; there is nothing to hand in")
    _require_seeds(found)
    return found


def refusal(folder: RunFolder) -> str:
    """Why a finished run cannot be handed in; empty if it can."""
    if reason := unfit(folder.spec):
        return reason
    if reason := changed_since(folder):
        return f"{reason}: run it again (--retry stale)"
    return ""


def unfit(spec: RunSpec) -> str:
    """Why no run of a specification could be handed in; empty if it could."""
    if spec.preset in QUICK:
        return f"preset '{spec.preset}' only shows that a method runs; hand in another one"
    if spec.task.dataset.startswith(LOCAL):
        return "its dataset is a file of yours, so that nobody else could verify it; announce a card with an address"
    return ""


def _require_seeds(found: Sequence[tuple[RunFolder, RunResult]]) -> None:
    least = int(protocol.protocol()["seeds_to_submit"])
    seeds: dict[str, set[int]] = {}
    for folder, result in found:
        if result.card and result.card.random:
            alike = canonical_json({**replace(folder.spec, seed=0).made()})
            seeds.setdefault(alike, set()).add(folder.spec.seed)
    for known in seeds.values():
        if len(known) < least:
            raise ConfigError(
                f"a method that depends on its seed is handed in with at least {least} of them, and one of its tasks "
                f"has {len(known)}: add --seeds {' '.join(map(str, range(least)))} to bench"
            )


def passed_check(path: Path, folder: RunFolder) -> CheckReport:
    """The report of `vemrecon check` that belongs to the code of a run.

    Raises:
        ConfigError: If there is none, it failed, or is of other code; with what to do.
    """
    method, again = folder.spec.method, f"run `vemrecon check {folder.spec.method.entry}`"
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; {again}, or name its report with --check")
    report = CheckReport.read(path)
    if report.class_path != method.class_path:
        raise ConfigError(f"{path}: is of {report.class_path}, not of {method.class_path}; {again}")
    ours = method.origin.source if method.origin else ""
    theirs = report.origin.source if report.origin else ""
    if report.version != method.version or ours != theirs:
        raise ConfigError(f"{path}: is of other code than the runs; {again}")
    if not report.passed:
        failed = next(one for one in report.verdicts if one.outcome == "failed")
        raise ConfigError(f"{path}: the check '{failed.check}' failed ({failed.words}); mend it, then {again}")
    return report


def hand_in(runs: Path, method: str, out: Path, check: Path, authors: Authors) -> Iterator[Path]:
    """Write one folder for each run of a method; nothing is written unless all can be.

    Args:
        runs: Folder of runs.
        method: Its name in tables.
        out: Where the folders are made.
        check: What `vemrecon check` has found.
        authors: What else is said.

    Yields:
        The folders, as they are finished.

    Raises:
        ConfigError: If a run cannot be handed in.
        OutputError: If a folder is there already, or cannot be written.
    """
    found = chosen_runs(runs, method)
    for folder, _ in found:
        passed_check(check, folder)
        if (place := place_of(out, folder)).exists():
            raise OutputError(f"{place}: is there already; choose another folder, or remove it")
    for folder, result in found:
        place = place_of(out, folder)
        try:
            write_submission(folder, result, place, check, authors)
        except OSError as error:
            raise output_error(place, error) from error
        yield place


def place_of(out: Path, folder: RunFolder) -> Path:
    """Where the folder of a run is made."""
    return out / f"{folder.path.parent.name}--{folder.path.name}"


def write_submission(folder: RunFolder, result: RunResult, place: Path, check: Path, authors: Authors) -> None:
    """Write the folder of one run, whole or not at all.

    Args:
        folder: Of the run.
        result: What it found.
        place: The folder to make.
        check: What `vemrecon check` has found.
        authors: What else is said.
    """
    partial = place.with_name(f".{place.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    job = Job.read(folder.path / "job.json")
    volumes = observe(folder, job)
    made = reconstruction(folder, volumes)
    write_volume(partial / RECONSTRUCTION, made, made.dtype, made.intensity_range)
    shutil.copy(check, partial / CHECK)
    for name in (RESULT, *KEPT):
        if (folder.path / name).is_file():
            shutil.copy(folder.path / name, partial / name)
    for log in sorted(folder.path.glob("train/*/loss.csv")):
        shutil.copy(log, partial / f"loss-{log.parent.name}.csv")
    weights = folder.path / WEIGHTS
    if weights.is_file():
        shutil.copy(weights, partial / WEIGHTS)
    card = result.card
    large = {name: _large(partial / name, place.name, authors) for name in (WEIGHTS, RECONSTRUCTION)}
    Submission(
        SCHEMA,
        summary(result),
        sums(partial),
        voxels_sha256(volumes.observed),
        voxels_sha256(volumes.truth) if volumes.truth is not None else "",
        large[RECONSTRUCTION],
        large[WEIGHTS],
        authors.source,
        authors.commit,
        authors.authors,
        authors.licence or (card.licence if card else ""),
        authors.paper or (card.paper if card else ""),
        authors.note,
    ).write(partial)
    partial.rename(place)


def sums(folder: Path) -> Mapping[str, str]:
    """sha256 of the small files of a submission."""
    large = (NAME, WEIGHTS, RECONSTRUCTION)
    return {file.name: sha256_of(file) for file in sorted(folder.iterdir()) if file.name not in large}


def _large(file: Path, name: str, authors: Authors) -> LargeFile | None:
    if not file.is_file():
        return None
    address = f"{authors.address.rstrip('/')}/{name}/{file.name}" if authors.address else ""
    return LargeFile(file.name, sha256_of(file), address)
