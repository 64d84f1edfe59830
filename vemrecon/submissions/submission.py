"""`Submission`: submission.json, what is handed in with the result of a run. `Verification`: how far it was verified.

A folder of one run holds submission.json, spec.json, result.json, curves.json, check.json, the losses of its trainings,
and, unless they lie elsewhere, its weights and its reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from vemrecon.bench.levels import Level
from vemrecon.bench.result import RunResult
from vemrecon.errors import DataError
from vemrecon.files import canonical_json, digest_of, from_plain, read_json, write_json

SCHEMA = 1
NAME: Final = "submission.json"
RESULT: Final = "result.json"
SPEC: Final = "spec.json"
CHECK: Final = "check.json"
VERIFICATION: Final = "verification.json"
WEIGHTS: Final = "weights.safetensors"
RECONSTRUCTION: Final = "reconstruction.tif"


@dataclass(frozen=True)
class LargeFile:
    """A file that need not lie in the folder.

    Attributes:
        file: Its name.
        sha256: Of its bytes.
        address: Where it can be had; empty while it is in the folder only.
    """

    file: str
    sha256: str
    address: str = ""


@dataclass(frozen=True)
class Submission:
    """What is handed in with a result. All that the result says, too, must agree with it."""

    schema: int
    run: Mapping[str, Any]
    """What of the result says what was run: see `summary`."""
    files: Mapping[str, str]
    """sha256 of all other files of the folder, by name."""
    observed: str
    """sha256 of the voxels of the observed volume."""
    truth: str
    """sha256 of the voxels that were scored against; empty in native tasks."""
    reconstruction: LargeFile | None
    weights: LargeFile | None
    source: str = ""
    """Address of the method's source."""
    source_commit: str = ""
    authors: str = ""
    licence: str = ""
    """Of the method."""
    paper: str = ""
    note: str = ""
    """What else its readers should know."""

    def write(self, folder: Path) -> None:
        """Write submission.json."""
        write_json(folder / NAME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """Read submission.json.

        Raises:
            DataError: If it is missing, none, or of a newer version.
        """
        path = folder / NAME
        data = read_json(path)
        if not isinstance(data, Mapping) or not isinstance(data.get("schema"), int):
            raise DataError(f"{path}: no submission")
        if data["schema"] > SCHEMA:
            raise DataError(f"{path}: written by a newer vemrecon (schema {data['schema']}); upgrade to read it")
        try:
            return from_plain(cls, data)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    @property
    def digest(self) -> str:
        """Of all of it; a verification is of this one and no other."""
        return digest_of(asdict(self))


def summary(result: RunResult) -> dict[str, Any]:
    """What a result says was run, for readers of submission.json."""
    spec, card, origin = result.spec, result.card, result.spec.method.origin
    return {
        "run_id": result.run_id,
        "protocol": spec.protocol,
        "task": spec.task.slug,
        "method": spec.method.name,
        "class_path": spec.method.class_path,
        "distribution": origin.distribution if origin else "vemrecon",
        "version": origin.version if origin else str(result.environment.get("vemrecon", "")),
        "source_sha256": origin.source if origin else "",
        "commit": str(result.environment.get("commit", "")),
        "arguments": dict(spec.method.arguments),
        "preset": spec.preset,
        "seed": spec.seed,
        "regime": card.regime if card else "",
        "learned_from": spec.learned_from,
        "external": [asdict(one) for one in card.weights] if card else [],
        "environment": dict(result.environment),
        "costs": asdict(result.costs),
    }


def agrees(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first fact of two summaries that differs; empty if they agree."""
    for name in {**one, **other}:
        if canonical_json(one.get(name)) != canonical_json(other.get(name)):
            return name
    return ""


@dataclass(frozen=True)
class Verification:
    """What a verification has found.

    Attributes:
        level: That was reached.
        of: Digest of the submission.
        notes: What readers should know, such as scores that could not be computed again.
        facts: Largest differences, by what was compared.
        environment: Where it was made.
    """

    level: Level
    of: str
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write verification.json."""
        write_json(folder / VERIFICATION, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Verification | None:
        """Read verification.json; None if there is none.

        Raises:
            DataError: If it is none.
        """
        path = folder / VERIFICATION
        return from_plain(cls, read_json(path)) if path.exists() else None


def folders_of(place: Path) -> Iterator[Path]:
    """Folders of submissions at or below a place, sorted.

    Raises:
        DataError: If there is none.
    """
    found = sorted(path.parent for path in place.rglob(NAME)) if place.is_dir() else []
    if not found:
        raise DataError(f"{place}: holds no submission (a folder with {NAME}, as `vemrecon submit` writes it)")
    yield from found
