"""`Request`: what is asked of a benchmark. `Setup`: where data and runs are, and what does the work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vemrecon import protocol
from vemrecon.bench.learn_from import LearnFrom, read_learn_from, scale_of
from vemrecon.bench.missing import Missing, read_missing
from vemrecon.bench.track import Track, read_track
from vemrecon.errors import ConfigError, unknown
from vemrecon.file_options import FileOptions, RootOptions
from vemrecon.methods.shipped_weights import weights_path
from vemrecon.options import Options, option
from vemrecon.quantities import byte_count

if TYPE_CHECKING:
    from vemrecon.bench.executors.limits import Limits

Mode = Literal["inductive", "transductive"]
Precision = Literal["32", "bf16"]
Kernels = Literal["all", "asked"]
Retry = Literal["failed", "timed-out", "out-of-memory", "stale"]
"""States of runs that are repeated only when somebody asks for it."""
MOST_SEEDS = 99
"""A larger number is taken for a seed that somebody likes."""
Settings = Mapping[str, Mapping[str, Any]]
"""Arguments by the names of what they belong to."""


def known_kinds() -> Collection[str]:
    """Kinds of task."""
    from vemrecon.data.card import TASK_KINDS

    return TASK_KINDS


def known_degradations() -> Collection[str]:
    """Names of degradations."""
    from vemrecon.degradations import degradations

    return degradations()


def known_datasets() -> Collection[str]:
    """Names of the built-in datasets."""
    from vemrecon.data import dataset_names

    return dataset_names()


def known_presets() -> Collection[str]:
    """Names of presets."""
    from vemrecon.methods.registry import PRESETS

    return (*PRESETS, "default")


def known_metrics() -> Collection[str]:
    """Names of metrics."""
    from vemrecon.metrics.catalogue import metrics

    return metrics()


def known_loggers() -> Collection[str]:
    """Names of loggers of training."""
    from vemrecon.fit.loggers import PACKAGES

    return PACKAGES


def read_scale(word: Any) -> float:
    """A scale that can be used."""
    from vemrecon.degradations import check_scale

    return check_scale(word)


def read_preset(word: Any) -> str:
    """Name of a preset, or path of a file with some."""
    from vemrecon.methods.registry import PRESET_FILES, check_preset

    return str(word) if str(word).endswith(PRESET_FILES) else check_preset(str(word))


def read_precision(word: Any) -> str:
    """A precision, which YAML may take for a number."""
    if str(word) not in get_args(Precision):
        raise unknown("precision", str(word), get_args(Precision))
    return str(word)


def read_segmenter(word: Any) -> str:
    """A class path, or that of a name that a package announces."""
    from vemrecon.plugins import class_path_of, meant

    if one := meant("segmenter", str(word), ()):
        return one.place
    found = class_path_of(str(word))
    if "." not in found or not all(part.isidentifier() for part in found.split(".")):
        raise ConfigError(f"--segmenter {word}: must be the name of an installed one, or a class path, PACKAGE.Class")
    return found


def read_device(word: Any) -> str:
    """A torch device, or a number of GPUs."""
    text = str(word)
    if text in ("cpu", "cuda") or (text.isdigit() and int(text) > 0):
        return text
    if not (text.startswith("cuda:") and text[5:].isdigit()):
        raise ConfigError(f"--devices {text}: must be cpu, cuda, cuda:N or a number of GPUs")
    return text


@dataclass(frozen=True)
class Request(Options):
    """What is compared: datasets, each at several scales and degradations, and methods. A suite is a stored one."""

    dataset: tuple[str, ...] = option(
        "dataset, CARD.yaml, or local:PATH[:DATASET] for a file of your own", (), unset="those of the suite"
    )
    split: str | None = option(
        "named region of the dataset", None, unset="that of its card; 'whole' for local files that are short"
    )
    task: str | None = option(
        "restore z of isotropic data, y of anisotropic data, or the real z without a truth",
        None,
        choices=known_kinds,
        noun="task",
        unset="what suits the dataset",
    )
    scale: tuple[float, ...] = option("anisotropy factors, such as 4 8 10", (8.0,), read=read_scale)
    degradation: tuple[str, ...] = option(
        "how resolution is removed", ("average",), choices=known_degradations, noun="degradation"
    )
    missing_sections: Missing | None = option(
        "sections of the observed volume to remove: methods fill them first, and are scored on it: 11,40 or 10% or "
        "random=12",
        None,
        metavar="NUMBERS",
        read=read_missing,
        unset="none",
    )
    methods: tuple[str, ...] = option("names (see `vemrecon methods`) or class paths", (), unset="those of the suite")
    seeds: tuple[int, ...] = option(
        "how many seeds methods that are random run with (3 is 0 1 2), or several by number, or [7] for one; "
        "the others run once",
        (0,),
        least=0,
    )
    preset: str = option(
        "size of methods that learn: seconds, minutes, 10 minutes of a GPU, as published, as the released code has it "
        "(refused for methods whose code does not differ, with their names); or FILE.yaml with arguments by method",
        "cpu",
        choices=known_presets,
        noun="preset",
        read=read_preset,
    )
    precision: Precision = option(
        "what networks compute in while they reconstruct; bf16 where cards say what that changes, else 32",
        "32",
        read=read_precision,
        noun="precision",
    )
    track: Track | None = option(
        "the same time of one device for every training, in place of the batches of the preset; rows stand apart",
        None,
        metavar="minutes=N",
        read=read_track,
        unset="as long as the preset says",
    )
    mode: Mode = option("learn on the training split, or on the observed test volume", "inductive", noun="mode")
    learn_from: tuple[LearnFrom, ...] = option(
        "what methods learn from in place of the dataset that is scored: transfer, or one model of several datasets",
        (),
        metavar="DATASET[:SPLIT][@SCALE]",
        read=read_learn_from,
        unset="its training split",
    )
    weights: Path | None = option(
        "weights.safetensors of a run, or a name of `vemrecon weights`, that the methods use in place of learning "
        "anything",
        None,
        read=weights_path,
        unset="none",
    )
    fine_tune: bool = option("go on learning from --weights, for as long as the preset or the track says", False)
    metrics: tuple[str, ...] = option(
        "metrics to score", (), choices=known_metrics, noun="metric", unset="those of the protocol"
    )
    segmenter: tuple[str, ...] = option(
        "segmenters of other packages, with published weights, that judge reconstructions besides those of the dataset",
        (),
        metavar="PACKAGE.Class",
        read=read_segmenter,
        unset="none",
    )
    set: Settings = option(
        "METHOD.ARGUMENT=VALUE makes a variant with its own row; DEGRADATION.ARGUMENT=VALUE another task",
        factory=dict,
        metavar="NAME.ARGUMENT=VALUE",
        read=lambda value: value,  # by its owners, when these are known
    )
    kernels: Kernels | None = option(
        "beside methods that learn, run all training-free kernels, so that gains over the best one are known; or those "
        "alone that are asked for",
        None,
        unset="all where none is among the methods",
    )

    def __post_init__(self) -> None:
        names, settings = methods_of(self.methods)
        object.__setattr__(self, "methods", names)
        object.__setattr__(self, "seeds", seeds_of(self.seeds))
        super().__post_init__()
        if not self.dataset:
            raise ConfigError("no dataset is named; give --dataset, or a suite that names one")
        if self.learn_from and self.mode == "transductive":
            raise ConfigError("give --learn-from or --mode transductive, not both")
        if self.fine_tune and self.weights is None:
            raise ConfigError("--fine-tune: give the --weights that it goes on from")
        if self.weights is not None and not self.fine_tune and (self.learn_from or self.track):
            also = "--learn-from" if self.learn_from else "--track"
            raise ConfigError(
                f"--weights with {also}: nothing is learned without --fine-tune; add it, or leave one out"
            )
        if self.segmenter and "segmentation" not in self.metrics:
            raise ConfigError("--segmenter: it is asked by the metric segmentation; add that to --metrics")
        names = [path.rpartition(".")[2] for path in self.segmenter]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"--segmenter {' '.join(self.segmenter)}: rows know them by their names; no two may be one"
            )
        scale_of(self.learn_from)
        if not self.methods:
            raise ConfigError("no method is named; give --methods, or a suite that names some")
        settings = merged(checked_settings(settings, self.owners), checked_settings(self.set, self.owners))
        object.__setattr__(self, "set", settings)

    @property
    def owners(self) -> tuple[str, ...]:
        """What has arguments that can be set."""
        return *self.methods, *self.degradation


TASK_OPTIONS = ("dataset", "split", "task", "scale", "degradation", "missing_sections")
"""What belongs to a dataset: where another one is named, these of the suite do not hold."""


@dataclass(frozen=True)
class Setup(FileOptions, RootOptions):
    """Where data are and runs go, and what does the work; decides no number, but for what files do not say."""

    runs: Path = option("folder of runs and the report", Path("runs"))
    devices: tuple[str, ...] = option("cpu, cuda, cuda:1, ... or a number of GPUs", ("cpu",), read=read_device)
    jobs: int | None = option(
        "runs at once", None, least=1, unset="one per GPU; on a CPU one per core, but trainings one by one"
    )
    devices_per_run: int = option(
        "devices that share the training of one run, each with a process of its own", 1, least=1, also=("--processes",)
    )
    timeout: tuple[str, ...] = option(
        "most time of a run (90s, 30min, 2h), or of a part of it (train=2h; observe, reconstruct, score)",
        (),
        metavar="TIME",
        unset="none",
    )
    dask: str | None = option(
        "who does the runs: local:N processes, slurm:N jobs (also pbs, sge, lsf, htcondor), or the address of a "
        "scheduler; runs and data must be where all of them see them",
        None,
        unset="this process",
    )
    memory: str | None = option("most memory of a run, such as 8GiB", None, metavar="SIZE", unset="no limit")
    log: tuple[str, ...] = option(
        "logs of training beside loss.csv; WANDB_MODE=online sends what is kept offline otherwise",
        (),
        choices=known_loggers,
        noun="logger",
    )
    retry: tuple[Retry, ...] = option("repeat runs that ended so before", ())

    @property
    def limits(self) -> Limits:
        """What each run may take.

        Raises:
            ConfigError: If an option is no time or size, or cannot be watched here.
        """
        from vemrecon.bench.executors.limits import Limits, read_timeout

        memory = None if self.memory is None else byte_count("--memory", self.memory)
        return Limits(*read_timeout(self.timeout), memory)

    @property
    def folder(self) -> Path:
        """The folder of runs, wherever a worker is started."""
        return self.runs.absolute()

    @property
    def scratch(self) -> Path:
        """Generated volumes and remembered checksums."""
        return self.folder / "data"

    @property
    def torch_devices(self) -> tuple[str, ...]:
        """Devices one by one."""
        found = ([f"cuda:{n}" for n in range(int(word))] if word.isdigit() else [word] for word in self.devices)
        return tuple(device for devices in found for device in devices)


def seeds_of(value: Any) -> Any:
    """Seeds where a single number says how many: a word of the command line or of make, or a value that is no list.

    >>> seeds_of(["3"]), seeds_of(3), seeds_of(["0", "4"]), seeds_of([3]), seeds_of(["[3]"])
    ((0, 1, 2), (0, 1, 2), ['0', '4'], [3], '3')

    Raises:
        ConfigError: If so many are asked for that a seed must have been meant.
    """
    alone = isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str)
    word = (value[0] if alone else value) if alone or isinstance(value, str | int) else None
    if isinstance(word, str):
        word = word.strip()
        if word[:1] + word[-1:] == "[]":
            return word[1:-1]
    if word is None or isinstance(word, bool) or not str(word).isdigit() or int(word) == 0:
        return value
    if int(word) > MOST_SEEDS:
        raise ConfigError(f"--seeds {word}: is how many seeds there shall be; for this one alone write [{word}]")
    return tuple(range(int(word)))


def methods_of(value: Any) -> tuple[list[Any], dict[str, Any]]:
    """Methods by name, and the arguments of those that stand as `{class_path: ..., init_args: {...}}`.

    Raises:
        ConfigError: If one stands otherwise.
    """
    names: list[Any] = []
    settings: dict[str, Any] = {}
    for one in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(one, Mapping):
            names.append(one)
            continue
        for key in one:
            if key not in ("class_path", "init_args"):
                raise unknown("key of a method", str(key), ("class_path", "init_args"))
        if not isinstance(one.get("class_path"), str):
            raise ConfigError(f"methods: {dict(one)} must name its class_path")
        if one["class_path"] in settings:
            raise ConfigError(f"methods: {one['class_path']} stands twice with arguments; only a suite takes it so")
        names.append(one["class_path"])
        if one.get("init_args"):
            settings[one["class_path"]] = one["init_args"]
    return names, settings


def merged(below: Settings, above: Settings) -> dict[str, dict[str, Any]]:
    """Settings of two places, argument by argument; where both say something, `above` holds.

    >>> merged({"m": {"a": 1, "b": 1}}, {"m": {"b": 2}, "n": {"c": 3}})
    {'m': {'a': 1, 'b': 2}, 'n': {'c': 3}}
    """
    return {owner: {**below.get(owner, {}), **above.get(owner, {})} for owner in {**below, **above}}


def parse_settings(words: Any, owners: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`NAME.ARGUMENT=VALUE` as settings of methods and degradations; an argument of an argument follows another dot.

    >>> parse_settings(["bicubic.kernel=cubic_a-0.5"], ["bicubic"])
    {'bicubic': {'kernel': 'cubic_a-0.5'}}

    Raises:
        ConfigError: If a word reads otherwise.
    """
    result: dict[str, dict[str, Any]] = {}
    for word in words if isinstance(words, list | tuple) else [words]:
        path, equals, value = str(word).partition("=")
        if not (equals and "." in path.strip(".")):
            raise ConfigError(f"--set {word}: must read METHOD.ARGUMENT=VALUE, such as bicubic.kernel=linear")
        known = [owner for owner in owners if path.startswith(f"{owner}.")]
        owner = max(known, key=len, default=path.rpartition(".")[0])  # class paths have dots of their own
        result.setdefault(owner, {})[path[len(owner) + 1 :]] = protocol.value_of(value)
    return result


def checked_settings(given: Any, owners: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Settings by the names of what they belong to, from words or a mapping; 1e-3, a word to YAML 1.1, is a number.

    Raises:
        ConfigError: If a name is not among `owners`, or has no named arguments.
    """
    settings = given if isinstance(given, Mapping) else parse_settings(given, owners)
    for owner, arguments in settings.items():
        if owner not in owners:
            raise unknown("method or degradation in --set", str(owner), owners)
        if not isinstance(arguments, Mapping):
            raise ConfigError(f"--set {owner}: must hold named arguments, not {arguments}")
    return {
        owner: {str(key): protocol.number_if_one(value) for key, value in arguments.items()}
        for owner, arguments in settings.items()
    }


def metrics_of(kind: str, asked: tuple[str, ...], missing: Missing | None = None) -> tuple[str, ...]:
    """Metrics of a kind of task: those asked for that it can be scored by, or those of the protocol.

    Args:
        kind: Of the task.
        asked: None for those of the protocol.
        missing: Sections that it removes.

    Raises:
        ConfigError: If it can be scored by none of them.
    """
    from vemrecon.metrics.catalogue import chosen

    if asked:
        return chosen(kind, asked, missing is not None)
    rules = protocol.protocol()["metrics"]
    return *rules[kind], *(rules["missing"] if missing else ())
