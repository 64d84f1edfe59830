"""The table of speeds: what a row is, and what it says where it cannot be measured. Nothing is timed here."""

import subprocess
import sys
from pathlib import Path

import pytest

import vemrecon

FOLDER = Path(vemrecon.__file__).parents[1] / "benchmark" / "perf"


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in [name for name in sys.modules if name in ("ratios", "table") or name.startswith("rows_")]:
        monkeypatch.delitem(sys.modules, name)
    import table

    return table


def test_a_row_is_one_function(table):
    from ratios import ROWS, Ratio, row

    @row("twice", "something", "the same, slower")
    def twice():
        return Ratio(0.5, 1.0, "0 voxels")

    found = ROWS["twice"].measure()
    assert found.value == 2
    assert (
        table.line(ROWS["twice"], found) == "| `twice` | something | the same, slower | 0.5 | 1 | **2.00** | 0 voxels |"
    )


def test_a_row_whose_baseline_is_not_installed_says_so(table):
    from ratios import Row

    row = Row("absent", "something", "a package", lambda: 1 / 0, ("no-such-package",))
    assert table.measured(row, 1) == "no-such-package is not installed"
    assert table.line(row, row.obstacle).endswith("|  |  |  | no-such-package is not installed |")


def test_what_stands_in_the_readme_are_rows(table):
    listed = subprocess.run([sys.executable, FOLDER / "table.py", "--list"], capture_output=True, text=True, check=True)
    rows = {line.split()[0] for line in listed.stdout.splitlines()}
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    assert {line.split("`")[1] for line in lines if line.startswith("| `")} <= rows
