"""From what was asked and found to a list of runs: a pure function, which looks at nothing and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vemrecon import protocol
from vemrecon.bench.chosen_methods import ChosenMethod
from vemrecon.bench.job import Job
from vemrecon.bench.request import Request, metrics_of
from vemrecon.bench.resolve import Resolved, ResolvedSplit
from vemrecon.bench.spec import BF16, KIND_AXES, VALIDATION, DegradationVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.degradations import degradations
from vemrecon.errors import ConfigError
from vemrecon.methods.weight_choice import watches


@dataclass(frozen=True)
class PlannedRun:
    """A run to be done or already done, with the job that would do it."""

    folder: RunFolder
    job: Job
    learns: bool = False
    """Whether the method is trained, so that runs should not compete for the same cores."""


def plan(resolved: Resolved, group: str = "") -> list[PlannedRun]:
    """Every run that is asked for, in order, without doubles; `group` is what logs of training put them under."""
    setup, rules = resolved.setup, protocol.protocol()
    planned: dict[str, PlannedRun] = {}
    for part in resolved.requests:
        require_measured(part.request, part.methods)
        for found in part.splits:
            metrics = metrics_of(found.kind, part.request.metrics, part.request.missing_sections)
            job = Job(
                found.truth,
                found.training,
                found.validation,
                found.defects,
                found.segmentation,
                weights=str(part.request.weights.absolute()) if part.request.weights else None,
                loggers=setup.log,
                group=group,
            )
            for task in tasks_of(part.request, found):
                for method in part.methods:
                    learning = found.learning if method.has_learned else None
                    if method.card.at_test:
                        learning = {"mode": "transductive"}
                    variant = method.variant(task, learning)
                    if learning and found.watched and watches(variant.arguments):
                        if found.choice_fault:
                            raise ConfigError(f"method '{method.name}': {found.choice_fault}")
                        learning = {**learning, VALIDATION: found.watched}
                    for seed in part.request.seeds if method.card.random else part.request.seeds[:1]:
                        spec = RunSpec(
                            task,
                            variant,
                            method.preset,
                            seed,
                            rules["version"],
                            metrics,
                            precision_of(part.request, method, rules["precision"]),
                            learning,
                            part.request.track if method.learns else None,
                            part.request.segmenter if "segmentation" in metrics else (),
                        )
                        run = PlannedRun(RunFolder.of(spec, setup.folder), job, method.learns)
                        planned.setdefault(spec.run_id, run)
    return list(planned.values())


def precision_of(request: Request, method: ChosenMethod, usual: str) -> str:
    """What the networks of a method compute in: bfloat16 where that is asked for and its card allows it."""
    return BF16 if request.precision == BF16 and method.card.bf16 else usual


def require_measured(request: Request, methods: Sequence[ChosenMethod]) -> None:
    """Refuse bfloat16 where none of the methods may compute in it.

    Raises:
        ConfigError: With what would allow it.
    """
    if request.precision == BF16 and not any(method.card.bf16 for method in methods):
        names = ", ".join(method.name for method in methods)
        raise ConfigError(
            f"--precision {BF16}: nobody has measured what it changes for {names}; a card says so (`bf16`, see "
            f"docs/plugins.md)"
        )


def tasks_of(request: Request, found: ResolvedSplit) -> Iterator[Task]:
    """The tasks of a split: each scale with each degradation."""
    for scale in request.scale:
        for asked in request.degradation:
            yield Task(
                dataset=found.dataset,
                split=found.split.name,
                scale=scale,
                degradation=DegradationVariant(degradations().canonical(asked), dict(request.set.get(asked, {}))),
                dataset_digest=found.truth.digest,
                split_digest=found.split.digest,
                kind=found.kind,
                axis=KIND_AXES[found.kind],
                degradation_seed=protocol.protocol()["degradation_seed"],
                missing=request.missing_sections,
            )
