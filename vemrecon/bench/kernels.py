"""Kernels beside methods that learn: nobody knows what a decibel is worth where the best kernel has not been run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vemrecon.bench.chosen_methods import chosen_methods
from vemrecon.bench.request import Request, known_kinds
from vemrecon.methods.registry import built_in_methods
from vemrecon.metrics.catalogue import expanded, metric


def kernels() -> tuple[str, ...]:
    """Names of the kernels of this project."""
    return tuple(name for name, entry in built_in_methods().items() if entry.card and entry.card.kernel)


def kernels_beside(requests: Sequence[Request]) -> tuple[Request, ...]:
    """What has to be run besides, so that the best kernel of every task on which a method learns is known.

    That is all kernels, as any of them may be the best on some tissue; they take seconds. A request that names kernels
    has made its choice, unless it says `kernels: all`. They are scored by the quick metrics that it asks for, and by
    that which ranks.

    Args:
        requests: As they were asked for.
    """
    return tuple(more for request in requests if (more := _beside(request)) is not None)


def _beside(request: Request) -> Request | None:
    methods = chosen_methods(request)
    wanted = request.kernels or ("asked" if any(method.card.kernel for method in methods) else "all")
    named = {method.name for method in methods}
    missing = tuple(name for name in kernels() if name not in named)
    if wanted == "asked" or not missing or not any(method.card.regime != "none" for method in methods):
        return None
    settings = {name: request.set[name] for name in request.degradation if name in request.set}
    quick = quick_metrics(request.metrics)
    return replace(request, methods=missing, set=settings, metrics=quick, segmenter=(), kernels="asked", precision="32")


def quick_metrics(asked: Sequence[str]) -> tuple[str, ...]:
    """Those metrics that are quick, and those by which rows are ranked, however slow.

    >>> quick_metrics(["psnr", "lpips", "fsc"]), quick_metrics(["lpips"])
    (('psnr', 'fsc'), ('lpips_vgg',))
    """
    names = dict.fromkeys(name for name in asked if not metric(name).slow)
    for kind in known_kinds():
        fitting = (spec.name for spec in expanded(asked) if kind in spec.kinds)
        names |= dict.fromkeys(name for name in [next(fitting, "")] if name)
    return tuple(names)
