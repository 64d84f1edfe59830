"""From what was asked to a list of runs. Reaches no torch for built-in methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vemrecon import protocol
from vemrecon.bench.job import Job, VolumeAt
from vemrecon.bench.spec import RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.data import DatasetCard, Located, Split, dataset_card, locate, require_apart, task_volume
from vemrecon.degrade import make_degradation, trimmed
from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.registry import check_preset, choose_preset, method_entry
from vemrecon.metrics.names import METRICS
from vemrecon.volume import VoxelSize, require_content

Say = Callable[[str], None]
MODES = ("inductive", "transductive")


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
        result.setdefault(method, {})[argument] = protocol.value_of(value)
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
    if request.mode not in MODES:
        raise unknown("mode", request.mode, MODES)
    methods = [_method(name, request) for name in request.methods]
    for name in request.overrides:
        if name not in request.methods:
            raise unknown("method in --set", name, request.methods)
    planned: dict[str, PlannedRun] = {}
    for task, job, learning in _tasks(request, place, fetch, say, any(regime != "none" for *_, regime in methods)):
        for facts, preset, regime in methods:
            learns = regime != "none"
            if learns:
                _check_regime(facts["name"], regime, request.mode, learning, task)
            for seed in request.seeds if learns else request.seeds[:1]:
                spec = RunSpec(
                    task,
                    facts,
                    preset,
                    seed,
                    protocol.protocol()["version"],
                    metrics,
                    protocol.protocol()["precision"],
                    learning if learns else None,
                )
                planned.setdefault(spec.run_id, PlannedRun(RunFolder.of(spec, place.runs), job, learns))
    return list(planned.values())


def _check_regime(name: str, regime: str, mode: str, learning: Mapping[str, Any] | None, task: Task) -> None:
    """Refuse what could only be done by learning from what is scored."""
    if mode == "transductive" and regime != "self":
        raise ConfigError(f"method '{name}' learns from isotropic truth, so it has no transductive mode")
    if learning is None:
        raise ConfigError(
            f"method '{name}' learns, but {task.dataset} has no training split; add --mode transductive to let it "
            f"learn from the observed sections of the test volume, or use training-free methods"
        )


def _method(asked: str, request: Request) -> tuple[dict[str, Any], str, str]:
    """Identity of a method, the preset it runs with, and its regime."""
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
    return facts, preset, card.regime


def _tasks(
    request: Request, place: Place, fetch: bool, say: Say, learns: bool
) -> list[tuple[Task, Job, dict[str, Any] | None]]:
    """Tasks, the jobs that do them, and what methods that learn may learn from."""
    tasks = []
    for wanted in request.tasks:
        card = dataset_card(wanted.dataset)
        split = card.split(wanted.split)
        for scale in wanted.scales:
            for name in wanted.degradations:
                make_degradation(name, scale, wanted.arguments.get(name))  # refuses what cannot be used
        located = _locate(card, split, place, fetch, say)
        job, learning = Job(VolumeAt.of(located, split), processes=place.processes, loggers=place.loggers), None
        if learns:
            job, learning = _learning(card, split, job, request.mode, place, fetch, say)
        if fetch:
            volume = task_volume(located, split)
            volume.require_voxel_size()
            for scale in wanted.scales:
                trimmed(volume, float(scale))
            require_content(volume)
        for scale in wanted.scales:
            for name in wanted.degradations:
                task = Task(
                    dataset=card.name,
                    split=split.name,
                    scale=float(scale),
                    degradation={"name": name, "arguments": dict(wanted.arguments.get(name, {}))},
                    dataset_digest=located.digest,
                    split_digest=split.digest,
                    degradation_seed=protocol.protocol()["degradation_seed"],
                )
                tasks.append((task, job, learning))
    return tasks


def _learning(
    card: DatasetCard, split: Split, job: Job, mode: str, place: Place, fetch: bool, say: Say
) -> tuple[Job, dict[str, Any] | None]:
    """Job and identity of what is learned from; None where the dataset has no training split."""
    if mode == "transductive":
        return job, {"mode": mode}
    if "train" not in card.splits:
        return job, None
    train = card.splits["train"]
    require_apart(train, split)
    located = _locate(card, train, place, fetch, say)
    job = replace(job, training=VolumeAt.of(located, train))
    if "val" in card.splits:
        validation = card.splits["val"]
        job = replace(job, validation=VolumeAt.of(_locate(card, validation, place, fetch, say), validation))
    return job, {
        "mode": mode,
        "split": train.name,
        "dataset_digest": located.digest,
        "split_digest": train.digest,
    }


def _locate(card: DatasetCard, split: Split, place: Place, fetch: bool, say: Say) -> Located:
    return locate(
        card,
        split.file,
        data_root=place.data_root,
        scratch=place.scratch,
        voxel_size=place.voxel_size,
        intensity_range=place.intensity_range,
        fetch=fetch,
        say=say,
    )
