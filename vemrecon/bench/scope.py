"""What methods decline: runs that they cannot do as they are asked to, which is a result with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vemrecon.bench.spec import BF16, WEIGHTS, MethodVariant, RunSpec
from vemrecon.bench.task_volumes import task_degradation
from vemrecon.files import canonical_json
from vemrecon.methods.card import MethodCard
from vemrecon.volume import SectionGrid

if TYPE_CHECKING:
    from vemrecon.bench.plan import PlannedRun
    from vemrecon.bench.store import RunFolder
    from vemrecon.methods.base import Method

USUAL_GRID = SectionGrid.kept_every(8)
"""Decides nothing that a built-in method is asked."""


def declined(folder: RunFolder, card: MethodCard, method: Method) -> str | None:
    """Why a method declines a run; None if it does not.

    Args:
        folder: Of the run, which need not exist.
        card: Of the method.
        method: Built for the task.
    """
    from vemrecon.infer.inpainting import fills

    spec, grid = folder.spec, task_degradation(folder).grid
    if spec.task.missing and not fills(method):
        return "it fills no missing sections"
    if spec.track and card.at_test:
        return "it fits every tile while it reconstructs, so there is no training that could be given a time"
    return _cannot_learn(spec, card, method) or method.supports(spec.task.scale, grid)


def cannot_compute(spec: RunSpec, device: str) -> str | None:
    """Why a device declines a run; None if it does not."""
    import torch

    from vemrecon.methods.short_floats import computes_in_bfloat16

    here = torch.device(device)
    if spec.precision == BF16 and not computes_in_bfloat16(here):
        return f"this {here.type} does not compute in bfloat16"
    return None


def _cannot_learn(spec: RunSpec, card: MethodCard, method: Method) -> str | None:
    others = [scale for scale in (spec.learning_scale, spec.weights_scale) if scale != spec.task.scale]
    if others and method.stages() and not method.any_scale:
        return f"it learns, or has learned, at a scale of {others[0]:g}, and its network serves no other"
    if spec.mode == WEIGHTS:
        return None
    if card.regime == "isotropic" and spec.learning_kind != "reference":
        return "it learns from isotropic truth, which an anisotropic dataset does not have"
    if method.sees_across_sections and spec.learning_kind == "lateral":
        return "it learns from planes across sections, which lateral tasks keep apart"
    return None


def will_decline(runs: Sequence[PlannedRun]) -> dict[str, str]:
    """Reasons why planned runs will be declined, by the ids of the runs.

    A built-in method is built once for all tasks, as what it declines is asked with the scale and the grid of each;
    others may look at those that they were built for. What cannot be built is left out: its run says why.
    """

    built: dict[str, tuple[MethodCard, Method] | None] = {}
    found: dict[str, str] = {}
    for run in runs:
        variant = run.folder.spec.method
        card = variant.found().card  # known before loading where the method is built in
        if card and card.kernel:
            continue  # kernels do everything, and need no library to say so
        grid = USUAL_GRID if card else task_degradation(run.folder).grid
        key = canonical_json([variant.entry, variant.arguments, grid.as_dict()])
        if key not in built:
            built[key] = _outline(variant, grid)
        if (known := built[key]) and (reason := declined(run.folder, *known)):
            found[run.folder.spec.run_id] = reason
    return found


def _outline(variant: MethodVariant, grid: SectionGrid) -> tuple[MethodCard, Method] | None:
    """A method and its card, as far as possible without memory for its weights, which would take long to fill."""
    import torch

    from vemrecon.methods.build import build_method

    with suppress(Exception):  # a method may raise anything while it is built
        kind, card, _ = variant.found().resolved()
        for device in ("meta", "cpu"):
            with suppress(Exception), torch.device(device):
                return card, build_method(kind, variant.name, variant.arguments, grid=grid, seed=0)
    return None
