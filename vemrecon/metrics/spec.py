"""`MetricSpec`: all that is to be known of a metric, stated once, in the module that also computes it.

Whatever lists, validates, explains, computes or shows metrics asks here; see `vemrecon.metrics.catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Score

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

REFERENCE, LATERAL, NATIVE = "reference", "lateral", "native"
"""Kinds of tasks: z of an isotropic volume is degraded; y of an anisotropic one is; real z, without a truth."""
NO_SPREAD = "the method averages over neither rotations nor samples"


class Evaluator(Protocol):
    """Gives the scores of a metric."""

    def __call__(self, evidence: Evidence, /) -> Iterable[Score]:
        """All of them."""


@dataclass(frozen=True)
class MetricSpec:
    """A metric by the name that users ask for."""

    name: str
    words: str
    """What it measures, in one line."""
    columns: Callable[[str, str], Sequence[Column]]
    """All scores that it gives for a kind of task along an axis (`z`, `y`, `x`); others are not kept."""
    evaluate: Evaluator
    version: int = 1
    """To be raised when it computes other values: runs that were scored by another version are scored again."""
    kinds: frozenset[str] = frozenset({REFERENCE, LATERAL})
    """Kinds of tasks that can be scored by it."""
    gaps: frozenset[str] = frozenset()
    """More of them, if they have removed sections of the observed volume."""
    needs: frozenset[Need] = frozenset({Need.TRUTH})
    shortest: int = 0
    """Voxels that both sides of a section must have at least, where that is more than a window."""
    slow: bool = False
    """Whether it takes far longer than the others, so that no protocol should ask for it."""
    place: int = 1000
    """Metrics are listed in the order of their places, then of their names."""
    stands_for: tuple[str, ...] = ()
    """Names of the metrics that are meant, where this is no metric of its own."""
    tiles: Callable[[Evidence], Any] | None = None
    """Makes what is shown every tile of the pair, in one pass that all metrics share; `halo` says its margin."""
    halo: Callable[[Any], int] = lambda metric: 1
    tile_work: float = 0
    """Cost of `tiles` per voxel, where reading and PSNR cost 1."""
    spectra: Callable[[Evidence, Sequence[Any]], Any] | None = None
    """Makes what is shown the spectra of the blocks of a region, likewise."""
    work: float = 0
    """Cost of `evaluate` per voxel of the whole scored ranges."""
    obstacle: Callable[[], str] | None = None
    """Why it cannot be computed on this machine, or an empty text; where it needs weights or a package."""

    def fits(self, kind: str, gaps: bool = False) -> bool:
        """Whether it can score a kind of task, with sections removed or without."""
        return kind in self.kinds or (gaps and kind in self.gaps)

    def blank(self, evidence: Evidence, note: str, missing: Need | None = None) -> list[Score]:
        """Scores without a value, with the reason."""
        return [
            Score(c.metric, c.variant, c.plane, name, "all", None, c.unit, note=note, reference=c.reference,
                  missing=missing)
            for name in evidence.ranges
            for c in self.columns(evidence.kind, evidence.along)
            if not c.per_target or c.default  # nobody knows what would have been looked for
        ]  # fmt: skip


def judged(name: str) -> Evaluator:
    """The evaluator of a metric whose scores are those of judges, who also leave what the report shows beside them."""

    def evaluate(evidence: Evidence) -> Iterable[Score]:
        assert evidence.judges is not None
        for judge in evidence.judges(name):
            if isinstance(judge, Score):
                yield judge
                continue
            yield from judge.scores(evidence.reconstruction)
            evidence.curves.setdefault(name, {}).update(judge.kept())

    return evaluate


def section_columns(
    metric: str,
    group: str,
    words: str,
    *,
    variant: str = "",
    primary: bool = True,
    unit: str = "",
    better: Better = Better.HIGH,
    style: str = "4",
    default: Sequence[str] = ("xy", "mean"),
    lateral: Sequence[str] = ("xy",),
    volume: str = "three-dimensional window",
    ranks: Mapping[str, int] = {"mean": 3, "xy": 6},  # read only
) -> Callable[[str, str], Sequence[Column]]:
    """Columns of a metric that is a mean over sections: three planes, their mean, and the volume if there is a form.

    Args:
        metric: Name in scores.
        group: Heading.
        words: What it measures.
        variant: Of the scores.
        primary: Whether it is the variant that is meant by the name alone.
        unit: Of the values.
        better: Which value is the better one.
        style: Decimals.
        default: Planes of the main table.
        lateral: Planes that mean something in a lateral task; all of them are in its main table.
        volume: What the volume value is; empty if there is none.
        ranks: Of planes that a narrow terminal should show.
    """
    meanings = {"mean": "mean of the three planes", "volume": volume}

    def columns(kind: str, axis: str) -> Sequence[Column]:
        planes = lateral if kind == LATERAL else ("xy", "xz", "yz", "mean", *(("volume",) if volume else ()))
        first = [p for p in default if p in planes and kind != LATERAL]
        first += [p for p in planes if p not in first]
        return tuple(
            Column(
                metric, plane, group, plane, better, style, unit, variant, primary,
                default=kind == LATERAL or plane in default,
                rank=ranks.get(plane, 8),
                help=f"{words}, {meanings.get(plane, f'mean over the {plane} sections')}",
            )
            for plane in first
        )  # fmt: skip

    return columns
