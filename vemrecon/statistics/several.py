"""Means of estimates over groups, such as gains over the tasks of tissues.

Every group counts the same, however many members it has, and every member of a group the same. Members of a group
share what they were measured on (tasks of one tissue: the same blocks at another scale), so that their errors may go
together: an end of the interval of a group's mean is the mean of the ends, as if they did. Groups are independent:
their ends are combined as standard errors are. Both together are rather too wide than too narrow.

The groups are no sample: nothing is said about others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval; both are the value itself where it is exact."""

    value: float
    low: float | None
    high: float | None
    """None where there is no interval."""


def mean_of_groups(groups: Sequence[Sequence[Estimate]]) -> Estimate:
    """The mean over groups of the means over their members; without ends where a member has none.

    >>> found = mean_of_groups([[Estimate(1.0, 0.9, 1.1), Estimate(2.0, 1.7, 2.3)], [Estimate(0.0, -0.2, 0.2)]])
    >>> found.value, round(found.low, 4), round(found.high, 4)
    (0.75, 0.6086, 0.8914)

    Args:
        groups: At least one, none of them empty.
    """
    value = fmean(fmean(one.value for one in group) for group in groups)
    below, above = [], []
    for group in groups:
        low = [one.value - one.low for one in group if one.low is not None]
        high = [one.high - one.value for one in group if one.high is not None]
        if len(low) < len(group) or len(high) < len(group):
            return Estimate(value, None, None)
        below.append(fmean(low))
        above.append(fmean(high))
    return Estimate(value, value - math.hypot(*below) / len(groups), value + math.hypot(*above) / len(groups))
