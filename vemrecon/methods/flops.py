"""What a reconstruction costs: floating point operations of one tile, and parameters.

Operations are counted by torch in matrix products, convolutions and attention, two for each multiply-add, over all that
`Method.reconstruct` does: every step of a sampler, every sample, every rotation. A module whose work is of another kind
may tell it by a method `uncounted_flops(*arguments)`, which takes what its `forward` takes; that of the selective scan
does. Not counted are other element-wise operations, norms, Fourier transforms, resampling by indices, and noise.

On torch's meta device nothing is computed, only the shapes are followed, so that a network of any size is counted in
seconds. What a module does there depends on the shapes of what it is given alone, so that a call like an earlier one is
not repeated but added again; the sum stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import isfunction
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vemrecon.compiled import without_kernels
from vemrecon.methods.base import Method, Tile
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple

TILES: Mapping[float, Triple] = {4: (32, 128, 128), 8: (16, 128, 128), 10: (16, 160, 160)}
"""Observed tiles of the metrics page: 128 or 160 voxels along every axis of the result."""
EDGE = 128


@dataclass(frozen=True)
class Flops:
    """Floating point operations of the reconstruction of one tile.

    Attributes:
        layers: Of matrix products, convolutions and attention.
        told: By modules, of work of another kind.
        output_voxels: Of the reconstructed tile.
    """

    layers: int
    told: int
    output_voxels: int

    @property
    def total(self) -> int:
        """All that is known."""
        return self.layers + self.told

    @property
    def per_voxel(self) -> float:
        """For each voxel of the result."""
        return self.total / self.output_voxels


@dataclass(frozen=True)
class Parameters:
    """Learnable numbers of a method; a running average of them is a copy and does not count.

    Attributes:
        trained: Those that a gradient changes.
        total: With those that follow others, such as a momentum encoder, or rest; the number in tables.
        parts: By submodule of the method, copies included.
    """

    trained: int
    total: int
    parts: Mapping[str, int]

    @classmethod
    def of(cls, method: Method) -> Parameters:
        """Count those of a method."""
        trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in method.named_children()}
        return cls(trained, method.parameter_count(), {name: count for name, count in counts.items() if count})


def reference_shape(scale: float) -> Triple:
    """Observed voxels of the tile that is counted.

    That of the metrics page where it states one; else an even number of sections that gives about 128.

    >>> reference_shape(8), reference_shape(10), reference_shape(2.5)
    ((16, 128, 128), (16, 160, 160), (52, 128, 128))
    """
    return TILES.get(scale, (max(2, 2 * round(EDGE / scale / 2)), EDGE, EDGE))


def reference_tile(grid: SectionGrid, device: str = "meta") -> Tile:
    """The tile that is counted, without a halo."""
    return Tile(torch.zeros(1, 1, *reference_shape(grid.scale), device=device), grid)


@torch.no_grad()
def count_flops(method: Method, tile: Tile) -> Flops:
    """Count what `method.reconstruct(tile)` does.

    Args:
        method: In evaluation mode, on the device of the tile. `method.to("meta")` forgets its weights, and is enough.
        tile: What is observed.
    """
    counter = FlopCounterMode(display=False)
    sums = _Sums(counter)
    with without_kernels(), _followed(method, sums, remember=tile.observed.is_meta), counter:
        voxels = method.reconstruct(tile).numel()
    return Flops(counter.get_total_flops() + sums.layers, sums.told, voxels)


class _Sums:
    """What is known beside the counter of torch."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.counter = counter
        self.layers = 0  # of calls that were not repeated
        self.told = 0

    def now(self) -> tuple[int, int]:
        return self.counter.get_total_flops() + self.layers, self.told


@contextmanager
def _followed(method: Method, sums: _Sums, *, remember: bool) -> Iterator[None]:
    """Let submodules tell their uncounted work and, on the meta device, remember calls of their functions."""
    with ExitStack() as stack:
        for module in method.modules():
            if module is not method:
                tell = getattr(module, "uncounted_flops", None)
                public = [name for name, value in vars(type(module)).items() if isfunction(value) and name[0] != "_"]
                for name in {"forward", *(public if remember else ())}:
                    follow = _follow(getattr(module, name), sums, tell if name == "forward" else None, remember)
                    stack.enter_context(_in_place_of(vars(module), name, follow))
        yield


@contextmanager
def _in_place_of(names: dict[str, Any], name: str, value: object) -> Iterator[None]:
    """Hide what a name of an object stands for, often something of its class."""
    hidden = {name: names[name]} if name in names else {}
    names[name] = value
    try:
        yield
    finally:
        del names[name]
        names.update(hidden)


def _follow(
    function: Callable[..., Any], sums: _Sums, tell: Callable[..., int] | None, remember: bool
) -> Callable[..., Any]:
    known: dict[Any, tuple[Any, int, int]] = {}

    def run(*arguments: Any, **named: Any) -> Any:
        key = _signature((arguments, named)) if remember else None
        if key in known:
            result, layers, told = known[key]
            sums.layers += layers
            sums.told += told
            return result
        before = sums.now()
        if tell is not None:
            sums.told += tell(*arguments, **named)
        result = function(*arguments, **named)
        if key is not None and all(leaf is None or isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            layers, told = (after - start for after, start in zip(sums.now(), before, strict=True))
            known[key] = result, layers, told
        return result

    return run


def _signature(arguments: Any) -> tuple[Any, ...] | None:
    """What decides a call on the meta device; None where an argument cannot be compared."""
    leaves, structure = tree_flatten(arguments)
    if not all(isinstance(leaf, Tensor | int | float | str | None) for leaf in leaves):
        return None
    facts = [(v.shape, v.stride(), v.dtype, v.is_meta) if isinstance(v, Tensor) else (type(v), v) for v in leaves]
    return (str(structure), *facts)
