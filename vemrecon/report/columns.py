"""Columns of a table: those of the metrics that were asked for, those folded away, those of tables apart, and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vemrecon.bench.result import RunResult, Status
from vemrecon.metrics.catalogue import columns as declared
from vemrecon.metrics.catalogue import known as known_metrics
from vemrecon.metrics.catalogue import metrics
from vemrecon.metrics.column import Better, Column, plane_order
from vemrecon.metrics.score import Score


@dataclass(frozen=True)
class CostColumn:
    """A column of costs; see `Column` for what its properties say."""

    cost: str
    """Name in `Costs`."""
    key: str
    label: str
    style: str
    """seconds, bytes or count."""
    better: Better
    rank: int
    help: str
    group: str = "Cost"
    unit: str = ""

    @property
    def heading(self) -> str:
        """Label alone: the unit stands beside every value."""
        return self.label

    def text(self, value: float) -> str:
        """The value with its unit."""
        return FORMATS[self.style](value)


@dataclass(frozen=True)
class GainColumn:
    """How much better a row is than the best kernel of its table; see `Column` for what its properties say."""

    of: Column
    """The score that ranks the rows."""
    key: str = "gain"
    label: str = "gain"
    better: Better = Better.HIGH
    rank: int = 3
    help: str = (
        "how much better than the best kernel of the table, which is chosen on the same blocks: rather too small"
    )

    @property
    def group(self) -> str:
        """That of the score."""
        return self.of.group

    @property
    def unit(self) -> str:
        """That of the score."""
        return self.of.unit

    @property
    def heading(self) -> str:
        """Label with its group and unit."""
        return f"{self.group} {self.label}{f' ({self.unit})' if self.unit else ''}"

    def text(self, value: float) -> str:
        """With a sign, unless it reads as zero, and as many digits as the score."""
        text = self.of.text(value)
        return f"+{text}" if value > 0 and text.strip("0.") else text


AnyColumn = Column | CostColumn | GainColumn


def seconds_text(value: float) -> str:
    """A time with two or three significant digits, in the unit that reads best.

    >>> [seconds_text(v) for v in (0, 0.0312, 4.56, 75.2, 300, 41900)]
    ['0 s', '0.031 s', '4.6 s', '75 s', '5.0 min', '11.6 h']
    """
    if value < 1:
        return f"{value:.2g} s"
    if value < 120:
        return f"{value:.{1 if value < 9.95 else 0}f} s"
    minutes = value / 60
    return f"{minutes:.{1 if minutes < 9.95 else 0}f} min" if minutes < 119.5 else f"{minutes / 60:.1f} h"


def bytes_text(value: float) -> str:
    """Memory in binary units.

    >>> bytes_text(3 * 2**30), bytes_text(300 * 2**20)
    ('3.0 GiB', '300 MiB')
    """
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def count_text(value: float) -> str:
    """A count with thousands or millions.

    >>> count_text(0), count_text(665921), count_text(12_345_678)
    ('0', '666 k', '12.3 M')
    """
    if value >= 999_500:
        return f"{value / 1e6:.1f} M" if value < 99.95e6 else f"{value / 1e6:.0f} M"
    return f"{value / 1e3:.0f} k" if value >= 1000 else f"{value:.0f}"


FORMATS: Mapping[str, Callable[[float], str]] = {"seconds": seconds_text, "bytes": bytes_text, "count": count_text}
COSTS = (
    CostColumn("train_seconds", "cost/train", "train", "seconds", Better.NEITHER, 6, "training time"),
    CostColumn("reconstruct_seconds", "cost/reconstruct", "reconstruct", "seconds", Better.LOW, 4,
               "time for the reconstruction of the scored volume"),
    CostColumn("peak_memory_bytes", "cost/memory", "memory", "bytes", Better.LOW, 7, "peak memory"),
    CostColumn("parameters", "cost/parameters", "parameters", "count", Better.NEITHER, 8, "all parameters"),
)  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """All columns of a table, by where they are shown."""

    main: tuple[AnyColumn, ...]
    more: tuple[Column, ...] = ()
    """Folded away on the page; in the files."""
    apart: tuple[Column, ...] = ()
    """In tables of what is looked for in the volumes."""

    @property
    def every(self) -> tuple[AnyColumn, ...]:
        """All of them."""
        return (*self.main, *self.more, *self.apart)

    @property
    def primary(self) -> AnyColumn:
        """The first score in which there is something to win."""
        return next((c for c in self.main if isinstance(c, Column) and c.better), self.main[0])

    @property
    def gain(self) -> GainColumn | None:
        """That of the score which ranks; None where nothing can be won."""
        return next((column for column in self.main if isinstance(column, GainColumn)), None)

    @property
    def leading(self) -> tuple[Column, ...]:
        """The first score of every metric in the main table."""
        found: dict[str, Column] = {}
        for column in sorted((c for c in self.main if isinstance(c, Column)), key=lambda column: column.rank):
            found.setdefault(column.metric, column)
        return tuple(found.values())


def columns_of(results: Sequence[RunResult]) -> Columns:
    """Columns for the runs of one task.

    The main table has the default columns of all metrics that a run was asked for. A variant of a metric is folded away
    where its primary variant is there too. A column shows up in the other places as soon as one run has such a score.
    """
    done = [result for result in results if result.status == Status.DONE]
    task = results[0].spec.task
    whole = [score for result in done for score in result.scores if score.whole]
    scores = {score.kind: score for score in sorted(whole, key=lambda score: score.value is not None)}
    names = known_metrics(name for result in done or results for name in result.spec.metrics)
    every = [column for column in declared(task.kind, task.axis, [*metrics().own, *names]) if not column.per_target]
    every += _of_targets(task.kind, task.axis, scores.values())
    known = {column.kind for column in every}
    asked = {column.kind for column in declared(task.kind, task.axis, names) if not column.per_target}
    asked |= {column.kind for column in every if column.per_target and scores[column.kind].value is not None}
    primaries = {column.metric for column in every if column.primary and column.kind in asked}
    folded = {column.kind for column in every if not column.primary and column.metric in primaries}
    main = [column for column in every if column.default and column.kind in asked - folded]
    if not any(column.default for column in main):
        main = [column for column in every if column.kind in asked]
    rest = [column for column in every if column.kind in scores and column not in main]
    rest += [_unknown(score) for score in scores.values() if score.kind not in known]
    return Columns(
        (*_with_gain(main), *COSTS),
        tuple(column for column in rest if not column.per_target),
        tuple(column for column in rest if column.per_target),
    )


def _with_gain(main: Sequence[Column]) -> Iterator[AnyColumn]:
    """The gain stands behind the score that ranks."""
    ranking = next((column for column in main if column.better), None)
    for column in main:
        yield column
        if column is ranking:
            yield GainColumn(column)


def _of_targets(kind: str, axis: str, scores: Iterable[Score]) -> Iterable[Column]:
    """One column for every thing that was looked for, and for what it was compared with."""
    for column in declared(kind, axis, metrics().own):
        if column.per_target:
            found = [s for s in scores if column.shows(s.kind) and s.reference == column.reference]
            for score in sorted(found, key=lambda s: s.target):
                made = column.of(score.target, score.reference)
                mean = column.style == "tally" and score.unit  # a mean over things, not a count
                label = score.target if column.default else f"{made.label} {made.target}, against {made.reference}"
                yield replace(made, label=label, style="2" if mean else column.style)


def _unknown(score: Score) -> Column:
    """A column for a score of a metric that is not installed."""
    parts = (score.variant, score.target, score.plane)
    return Column(
        score.metric, score.plane, score.metric.replace("_", "-"), " ".join(part for part in parts if part),
        Better.NEITHER, "4", score.unit, score.variant, False, False, per_target=bool(score.target),
        target=score.target, reference=score.reference,
    )  # fmt: skip


def score_order(score: Score) -> tuple[object, ...]:
    """Sort key of scores in files."""
    return (
        score.metric, score.variant, score.target, score.reference, plane_order(score.plane), score.range,
        not score.whole, score.block,
    )  # fmt: skip
