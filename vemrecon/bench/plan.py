"""From what was asked to a list of runs. Reaches no torch for built-in methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.spec import RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.data.catalogue import dataset_card, locate, task_volume
from vemrecon.degrade import make_degradation, trimmed
from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.registry import check_preset, choose_preset, method_entry
from vemrecon.metrics.names import METRICS
from vemrecon.volume import VoxelSize, require_content

Say = Callable[[str], None]


@dataclass(frozen=True)
class TaskRequest:
    """Tasks that a suite or the command line asks for: one dataset and split at several scales and degradations."""

    dataset: str
    split: str | None = None
    scales: tuple[float, ...] = (8,)
    degradations: tuple[str, ...] = ("average",)
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arguments of a degradation, by its name."""


@dataclass(frozen=True)
class Request:
    """A whole benchmark as it was asked for."""

    tasks: tuple[TaskRequest, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    preset: str = "cpu"
    metrics: tuple[str, ...] = ()
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

    @property
    def scratch(self) -> Path:
        """Generated volumes and remembered checksums."""
        return self.runs / "data"


@dataclass(frozen=True)
class PlannedRun:
    """A run to be done or already done, with the job that would do it."""

    folder: RunFolder
    job: Job
    learns: bool = False
    """Whether the method is trained, so that runs should not compete for the same cores."""


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


def parse_overrides(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`METHOD.ARGUMENT=VALUE` as nested settings.

    >>> parse_overrides(["bicubic.kernel=cubic_a-0.5"])
    {'bicubic': {'kernel': 'cubic_a-0.5'}}
    """
    result: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        method, dot, argument = path.rpartition(".")
        if not (equals and dot and argument):
            raise ConfigError(f"--set {text}: must read METHOD.ARGUMENT=VALUE, such as bicubic.kernel=linear")
        result.setdefault(method, {})[argument] = yaml.safe_load(value)
    return result


def make_plan(request: Request, place: Place, *, fetch: bool, say: Say = lambda text: None) -> list[PlannedRun]:
    """Every run that a request asks for, in order, without doubles.

    Args:
        request: What to run.
        place: Where data and runs are.
        fetch: Whether to get missing data now and look into them; without it only names are checked.
        say: Told what takes time.

    Raises:
        VemreconError: For an unknown name, a missing or unusable dataset, or a scale that cannot be used.
    """
    metrics = request.metrics or tuple(protocol.protocol()["metrics"])
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
    check_preset(request.preset)
    methods = [_method(name, request) for name in request.methods]
    for name in request.overrides:
        if name not in request.methods:
            raise unknown("method in --set", name, request.methods)
    planned: dict[str, PlannedRun] = {}
    for task, job in _tasks(request.tasks, place, fetch, say):
        for facts, preset, learned in methods:
            for seed in request.seeds if learned else request.seeds[:1]:
                spec = RunSpec(
                    task, facts, preset, seed, protocol.protocol()["version"], metrics, protocol.protocol()["precision"]
                )
                planned.setdefault(spec.run_id, PlannedRun(RunFolder.of(spec, place.runs), job, learned))
    return list(planned.values())


def _method(asked: str, request: Request) -> tuple[dict[str, Any], str, bool]:
    """Identity of a method, the preset it runs with, and whether it learns (so that seeds matter)."""
    entry = method_entry(asked)
    card, presets = entry.card, entry.presets
    if card is None:
        _, card, presets = entry.resolved()
    preset, arguments = choose_preset(entry.name, request.preset, presets)
    changed = dict(request.overrides.get(asked, {}))
    arguments = arguments | changed
    label = ",".join(f"{key}={value}" for key, value in sorted(changed.items()))
    facts = {
        "name": f"{entry.name}[{label}]" if label else entry.name,
        "entry": asked,
        "class_path": entry.class_path,
        "version": card.version,
        "arguments": arguments,
    }
    return facts, preset, card.regime != "none"


def _tasks(requests: Sequence[TaskRequest], place: Place, fetch: bool, say: Say) -> list[tuple[Task, Job]]:
    tasks = []
    for request in requests:
        card = dataset_card(request.dataset)
        split = card.split(request.split)
        for scale in request.scales:
            for name in request.degradations:
                make_degradation(name, scale, request.arguments.get(name))  # refuses what cannot be used
        located = locate(
            card,
            split.file,
            data_root=place.data_root,
            scratch=place.scratch,
            voxel_size=place.voxel_size,
            intensity_range=place.intensity_range,
            fetch=fetch,
            say=say,
        )
        job = Job.of(located, split, "cpu")
        if fetch:
            volume = task_volume(located, split)
            volume.require_voxel_size()
            for scale in request.scales:
                trimmed(volume, float(scale))
            require_content(volume)
        for scale in request.scales:
            for name in request.degradations:
                task = Task(
                    dataset=card.name,
                    split=split.name,
                    scale=float(scale),
                    degradation={"name": name, "arguments": dict(request.arguments.get(name, {}))},
                    dataset_digest=located.digest,
                    split_digest=split.digest,
                    degradation_seed=protocol.protocol()["degradation_seed"],
                )
                tasks.append((task, job))
    return tasks
