from __future__ import annotations

from pathlib import Path

import pytest
from report.report_fakes import MakeRun, maker


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    return maker(tmp_path / "runs")
