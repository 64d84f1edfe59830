"""`Request`: what is asked of a benchmark, from a suite and the command line, and where data and runs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vemrecon import protocol
from vemrecon.errors import ConfigError, unknown
from vemrecon.metrics.catalogue import chosen
from vemrecon.volume import VoxelSize


@dataclass(frozen=True)
class TaskRequest:
    """Tasks that a suite or the command line asks for: one dataset and split at several scales and degradations."""

    dataset: str
    split: str | None = None
    scales: tuple[float, ...] = (8,)
    degradations: tuple[str, ...] = ("average",)
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arguments of a degradation, by its name."""
    kind: str | None = None
    """reference, lateral or native; None for the first kind of the dataset's card."""


@dataclass(frozen=True)
class Request:
    """A whole benchmark as it was asked for."""

    tasks: tuple[TaskRequest, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    preset: str = "cpu"
    metrics: tuple[str, ...] = ()
    mode: str = "inductive"
    """What methods learn from: the training split (inductive), or the observed test volume itself (transductive)."""
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arguments of a method that replace those of its preset, by method name."""


@dataclass(frozen=True)
class Place:
    """Where data are and where runs go; no part of any run's identity."""

    runs: Path
    data_root: Path | None = None
    voxel_size: VoxelSize | None = None
    intensity_range: tuple[float, float] | None = None
    devices: tuple[str, ...] = ("cpu",)
    processes: int = 1
    loggers: tuple[str, ...] = ()

    @property
    def scratch(self) -> Path:
        """Generated volumes and remembered checksums."""
        return self.runs / "data"


def read_suite(name: str) -> dict[str, Any]:
    """A suite by name or from a YAML file.

    Raises:
        ConfigError: If it is missing or has unknown keys.
    """
    path = Path(name)
    suite = protocol.load_yaml(path) if path.suffix in (".yaml", ".yml") else protocol.load("suites", name)
    known = {"tasks", "methods", "seeds", "preset", "metrics"}
    for key in suite:
        if key not in known:
            raise unknown(f"key of suite {name}", str(key), known)
    return suite


def task_requests(entries: Sequence[Mapping[str, Any]]) -> tuple[TaskRequest, ...]:
    """The tasks of a suite.

    Raises:
        ConfigError: If a key is unknown.
    """
    known = set(TaskRequest.__dataclass_fields__)
    requests = []
    for entry in entries:
        for key in entry:
            if key not in known:
                raise unknown("key of a task", str(key), known)
        lists = {key: tuple(entry[key]) for key in ("scales", "degradations") if key in entry}
        requests.append(TaskRequest(**{**entry, **lists}))
    return tuple(requests)


def parse_overrides(texts: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`METHOD.ARGUMENT=VALUE` as settings of methods; an argument of an argument follows another dot.

    >>> parse_overrides(["bicubic.kernel=cubic_a-0.5"], ["bicubic"])
    {'bicubic': {'kernel': 'cubic_a-0.5'}}

    Raises:
        ConfigError: If a text reads otherwise.
    """
    result: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not (equals and "." in path.strip(".")):
            raise ConfigError(f"--set {text}: must read METHOD.ARGUMENT=VALUE, such as bicubic.kernel=linear")
        owners = [method for method in methods if path.startswith(f"{method}.")]
        method = max(owners, key=len, default=path.rpartition(".")[0])
        result.setdefault(method, {})[path[len(method) + 1 :]] = protocol.value_of(value)
    return result


def metrics_of(kind: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Metrics of a kind of task: those asked for that it can be scored by, or those of the protocol.

    Raises:
        ConfigError: If it can be scored by none of them.
    """
    if not asked:
        return tuple(protocol.protocol()["metrics"][kind])
    return chosen(kind, asked)
