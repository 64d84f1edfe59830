"""`Row`: one method of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vemrecon.report.cells import Cell
from vemrecon.report.load import Run


@dataclass(frozen=True)
class Row:
    """One method variant on one task, all its seeds together; or the seeds that ended in the same other way."""

    label: str
    """Unique in the table."""
    regime: str
    status: str
    reason: str
    runs: tuple[Run, ...]
    """Sorted by seed; the first one stands for the row where only one can be shown."""
    cells: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    """Cells by range and column key."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Specification of the first run."""
        return self.runs[0][1].spec

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.spec["method"]["name"])

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return str(self.spec.get("preset") or "")

    @property
    def seeds(self) -> str:
        """Seeds and, if there are several, their number."""
        seeds = [str(result.spec.get("seed", "")) for _, result in self.runs]
        return ", ".join(seeds) + (f" (n = {len(seeds)})" if len(seeds) > 1 else "")
