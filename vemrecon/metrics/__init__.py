"""Scores of a reconstruction.

`vemrecon.metrics.catalogue` says what metrics there are, without torch; `vemrecon.metrics.evaluate` computes them.
"""

from vemrecon.metrics.score import Limit, Need, Reference, Score

__all__ = ["Limit", "Need", "Reference", "Score"]
