"""Scores of a reconstruction against the truth; the work is in `vemrecon.metrics.evaluate`, which loads torch."""

from vemrecon.metrics.names import METRICS
from vemrecon.metrics.score import Score

__all__ = ["METRICS", "Score"]
