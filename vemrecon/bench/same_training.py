"""Runs whose trainings are the same batch by batch, but that keep other weights of it: one of them learns for both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vemrecon.bench.changes import state_of
from vemrecon.bench.result import Status
from vemrecon.bench.spec import FLOAT32, VALIDATION, RunSpec
from vemrecon.bench.store import RunFolder
from vemrecon.errors import VemreconError
from vemrecon.files import canonical_json, checksum, make_folder, output_error
from vemrecon.fit.checkpoints import last_weights
from vemrecon.fit.stages import LOG, WEIGHTS, finished, save_tensors, stage_key
from vemrecon.kept import read_mark, write_mark
from vemrecon.methods.base import Method
from vemrecon.methods.stage import Stage
from vemrecon.methods.weight_choice import CHOICE


def same_trainings(folder: RunFolder) -> Iterator[RunFolder]:
    """Finished runs that train as a run does, whatever they keep of it; none that code or data have outdated."""
    wanted = _training(folder.spec)
    for path in sorted(folder.path.parent.glob("*/spec.json")):
        try:
            other = RunFolder.open(path.parent)
        except VemreconError:
            continue
        if other.spec.run_id == folder.spec.run_id or _training(other.spec) != wanted:
            continue
        if state_of(other) == Status.DONE:
            yield other


def _training(spec: RunSpec) -> str:
    facts = spec.made()
    method = {**facts["method"], "name": spec.method.entry, "arguments": _without_choice(spec.method.arguments)}
    seen = {name: value for name, value in (spec.training or {}).items() if name != VALIDATION}
    return canonical_json({**facts, "method": method, "training": seen, "precision": FLOAT32})


def _without_choice(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_choice(value) if isinstance(value, Mapping) else value
        for name, value in arguments.items()
        if name != CHOICE
    }


def take_trained(method: Method, place: Path, identity: str, other: Method, there: Path, theirs: str) -> None:
    """Take stages of another training, up to the first one that has kept other weights.

    The weights of the last batch can be had of any stage that went on to its end: its checkpoint holds them. Those of
    another choice are gone.

    Args:
        method: That wants them.
        place: Folder of its training.
        identity: Of its run.
        other: Made with the same arguments apart from choices.
        there: Folder of its training.
        theirs: Identity of its run.

    Raises:
        OutputError: If they cannot be written.
    """
    pairs = list(zip(method.stages(), other.stages(), strict=True))
    if all(stage.choice == known.choice for stage, known in pairs):
        return  # the argument decides something else
    for number, (stage, known) in enumerate(pairs):
        key, mark = stage_key(identity, number, stage), place / stage.name / "stage.json"
        if not finished(mark, key):
            source = there / known.name
            if not finished(source / "stage.json", stage_key(theirs, number, known)):
                return
            if not _taken(stage, known, source, mark, key):
                return
        if stage.choice != known.choice:
            return  # what follows has learned from other weights


def _taken(stage: Stage, known: Stage, source: Path, mark: Path, key: str) -> bool:
    """Whether a finished stage had what is wanted of it, which is in the folder of the mark then."""
    facts, weights = read_mark(source / "stage.json"), make_folder(mark.parent) / WEIGHTS
    if replace(stage, choice=known.choice) != known:
        return False
    try:
        if stage.choice == known.choice:
            shutil.copyfile(source / WEIGHTS, weights)
        else:
            whole = facts.get("batches") == stage.epochs * stage.batches_per_epoch
            found = last_weights(source, stage.trains) if not stage.choice.chooses and whole else None
            if found is None:
                return False
            save_tensors(weights, found)
            facts = {name: value for name, value in facts.items() if name != "chosen"}
        shutil.copyfile(source / LOG, mark.with_name(LOG))
    except OSError as error:
        raise output_error(mark.parent, error) from error
    write_mark(mark, {**facts, "key": key, "crc32": checksum(weights), "shared": True})
    return True
