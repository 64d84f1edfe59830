"""How sure a number is: intervals, paired tests and ranks. Knows arrays of scores, and nothing of what was scored."""

from vemrecon.statistics.interval import FEWEST_BLOCKS, Interval, combined_interval, mean_interval
from vemrecon.statistics.paired import FEWEST_TESTED, Difference, Tested, compare, compare_all
from vemrecon.statistics.ranks import SIGNIFICANT, Rank, ranks
from vemrecon.statistics.several import Estimate, mean_of_groups

__all__ = [
    "FEWEST_BLOCKS",
    "FEWEST_TESTED",
    "SIGNIFICANT",
    "Difference",
    "Estimate",
    "Interval",
    "Rank",
    "Tested",
    "combined_interval",
    "compare",
    "compare_all",
    "mean_interval",
    "mean_of_groups",
    "ranks",
]
