"""From what was asked to a list of runs. Reaches no torch for built-in methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.request import Place, Request, metrics_of
from vemrecon.bench.spec import MethodVariant, RunSpec
from vemrecon.bench.store import RunFolder
from vemrecon.bench.tasks import PlannedTask, planned_tasks
from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.card import MethodCard
from vemrecon.methods.registry import check_preset, choose_preset, method_entry, with_settings
from vemrecon.metrics.catalogue import metric as known_metric

Say = Callable[[str], None]
MODES = ("inductive", "transductive")


@dataclass(frozen=True)
class PlannedRun:
    """A run to be done or already done, with the job that would do it."""

    folder: RunFolder
    job: Job
    learns: bool = False
    """Whether the method is trained, so that runs should not compete for the same cores."""


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
    for name in request.metrics:
        known_metric(name)
    check_preset(request.preset)
    if request.mode not in MODES:
        raise unknown("mode", request.mode, MODES)
    methods = [_method(name, request) for name in request.methods]
    for name in request.overrides:
        if name not in request.methods:
            raise unknown("method in --set", name, request.methods)
    planned: dict[str, PlannedRun] = {}
    learn = any(card.regime != "none" and not card.at_test for *_, card in methods)
    for found in planned_tasks(request, place, fetch, say, learn):
        metrics = metrics_of(found.task.kind, request.metrics)
        for variant, preset, card in methods:
            learns = card.regime != "none"
            learning = found.learning if learns else None
            if card.at_test:
                learning = {"mode": "transductive"}
            elif learns:
                _check_regime(variant.name, card.regime, request.mode, found)
            for seed in request.seeds if learns else request.seeds[:1]:
                spec = RunSpec(
                    found.task,
                    variant,
                    preset,
                    seed,
                    protocol.protocol()["version"],
                    metrics,
                    protocol.protocol()["precision"],
                    learning,
                )
                planned.setdefault(spec.run_id, PlannedRun(RunFolder.of(spec, place.runs), found.job, learns))
    return list(planned.values())


def _check_regime(name: str, regime: str, mode: str, found: PlannedTask) -> None:
    """Refuse what could only be done by learning from what is scored."""
    if mode == "transductive" and regime != "self":
        raise ConfigError(f"method '{name}' learns from isotropic truth, so it has no transductive mode")
    if found.learning is None:
        advice = (
            "its sections are too small to keep one apart"
            if found.task.kind == "lateral"
            else "add --mode transductive to let it learn from the observed sections of the test volume"
        )
        raise ConfigError(
            f"method '{name}' learns, but {found.task.dataset} has no training split; {advice}, or use training-free "
            f"methods"
        )


def _method(asked: str, request: Request) -> tuple[MethodVariant, str, MethodCard]:
    """Identity of a method, the preset it runs with, and its card."""
    entry = method_entry(asked)
    card, presets = entry.card, entry.presets
    if card is None:
        _, card, presets = entry.resolved()
    preset, arguments = choose_preset(entry.name, request.preset, presets)
    changed = dict(request.overrides.get(asked, {}))
    arguments = with_settings(arguments, changed)
    label = ",".join(f"{key}={value}" for key, value in sorted(changed.items()))
    variant = MethodVariant(
        name=f"{entry.name}[{label}]" if label else entry.name,
        entry=asked,
        class_path=entry.class_path,
        version=card.version,
        arguments=arguments,
    )
    return variant, preset, card
