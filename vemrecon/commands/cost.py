"""`vemrecon methods --cost`: parameters and floating point operations of every method, or of one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vemrecon.bench.request import known_datasets, known_degradations, known_presets
from vemrecon.errors import ConfigError, VemreconError
from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.methods.registry import MethodEntry

ABOUT = """
Parameters: those that a gradient changes, and all; a running average of weights is a copy and does not count.
Operations: of one call of `reconstruct` on {z} x {y} x {x} observed voxels ({out} x {y} x {x} reconstructed) of kept
sections, with all rotations, steps and samples of the preset, without a halo; 2 for each multiply-add of matrix
products, convolutions and attention, and 9 for each step, channel and state of a selective scan. Other element-wise
operations, norms, Fourier transforms, resampling by indices and noise are not counted. Numbers that papers print have
no stated input and cannot be compared with these."""


@dataclass(frozen=True, kw_only=True)
class MethodsOptions(Options):
    """Options of `methods`."""

    name: str | None = option("show everything about this one", None, positional=True)
    cost: bool = option("show parameters and floating point operations instead", False)
    preset: str | None = option(
        "show what a method does with this one: arguments, who says so, and what differs from the original; with "
        "--cost, size of methods that learn",
        None,
        choices=known_presets,
        noun="preset",
        unset="paper with --cost",
    )
    scale: float = option("with --preset or --cost: anisotropy factor", 8.0)
    degradation: str | None = option(
        "with --preset: how sections came about", None, choices=known_degradations, noun="degradation"
    )
    dataset: str | None = option("with --preset: of what", None, choices=known_datasets, noun="dataset")
    recipes: bool = option("show the presets paper and released of all methods, as Markdown", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale >= 1:
            raise ConfigError(f"--scale {self.scale:g}: must be at least 1")


def costs(options: MethodsOptions) -> int:
    """Print one line for each method."""
    from vemrecon.methods.flops import reference_shape
    from vemrecon.methods.registry import built_in_methods, method_entry, plugin_methods

    preset, scale = options.preset or "paper", options.scale
    entries = [method_entry(options.name)] if options.name else [*built_in_methods().values(), *plugin_methods()]
    heads = ("method", "preset", "trained M", "total M", "GFLOP/tile", "GFLOP/Mvoxel")
    print(f"{heads[0]:18} {heads[1]:8} {heads[2]:>10} {heads[3]:>8} {heads[4]:>12} {heads[5]:>13}  note")
    for entry in entries:
        for line in _lines(entry, preset, scale, with_parts=bool(options.name)):
            print(line, flush=True)  # counting a sampler of many steps takes a minute
    z, y, x = reference_shape(scale)
    print(ABOUT.format(z=z, y=y, x=x, out=round(z * scale)))
    return 0


def _lines(entry: MethodEntry, preset: str, scale: float, *, with_parts: bool) -> Iterator[str]:
    from vemrecon.methods.build import build_method
    from vemrecon.methods.condition import Situation
    from vemrecon.methods.flops import Parameters, count_flops, reference_tile
    from vemrecon.methods.registry import choose_preset
    from vemrecon.volume import SectionGrid

    grid = SectionGrid.kept_every(scale)
    try:
        kind, card, presets = entry.resolved()
        name, chosen = choose_preset(entry.name, preset, presets)
        arguments = chosen.arguments(Situation.of_grid(grid))
        method = build_method(kind, entry.name, arguments, grid=grid, seed=0).eval()
    except VemreconError as error:
        if with_parts:
            raise
        yield f"{entry.name:18} {'':8} {'':10} {'':8} {'-':>12} {'-':>13}  {error}"
        return
    parameters = Parameters.of(method)
    known = f"{entry.name:18} {name:8} {parameters.trained / 1e6:10.3f} {parameters.total / 1e6:8.3f}"
    if (
        reason := "every tile is a fit of its own, which has no fixed cost"
        if card.at_test
        else method.supports(scale, grid)
    ):
        yield f"{known} {'-':>12} {'-':>13}  {reason}"
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                flops = count_flops(method.to("meta"), reference_tile(grid))
        except (RuntimeError, TypeError) as error:  # a method of another package may look at values
            yield f"{known} {'-':>12} {'-':>13}  cannot be counted without computing: {' '.join(str(error).split())}"
        else:
            note = f"{flops.told / 1e9:,.1f} of it in selective scans" if flops.told else ""
            total, relative = _shown(flops.total / 1e9), _shown(flops.per_voxel / 1e3)
            yield f"{known} {total:>12} {relative:>13}  {note}".rstrip()
    if with_parts and parameters.parts:
        parts = (f"{part} {count / 1e6:.3f}" for part, count in parameters.parts.items())
        yield f"parts: {', '.join(parts)} (M)"


def _shown(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.3g}"
