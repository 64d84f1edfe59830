"""Golden files of the same keys with other cases are checked as well: made from those that there are, in a process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import UNSET, golden_files
from other_golden import other_file

HERE = Path(__file__).parent
SETS = {
    "half the cases, with other names, in another order": {"keep": lambda number: number % 2 == 0, "rename": True},
    "the other half of the cases": {"keep": lambda number: number % 2},
    "one case": {"keep": lambda number: number == 0, "rename": True},
    "no case": {"keep": lambda number: False},
    "half of the values": {"holes": True},
    "more than we know": {"more": True, "rename": True},
}


def checked(folder, files, modules, **change):
    """Output of the golden tests on other files; they must pass."""
    for golden in files:
        other_file(golden.path, folder, **change)
    command = [sys.executable, "-m", "pytest", "-rs", "-m", "not slow", *(str(HERE / module) for module in modules)]
    done = subprocess.run(
        command, env={**os.environ, "VEMRECON_GOLDEN": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 0
    return done.stdout


def test_other_cases_are_checked_and_what_is_unknown_is_listed(tmp_path):
    quick = [golden for golden in golden_files() if golden.family in ("srunet", "gauss2d")]
    if not quick:
        pytest.skip(UNSET)
    modules = ("test_srunet.py", "test_gauss2d.py", "test_coverage.py")

    output = checked(tmp_path, quick, modules, keep=lambda number: number % 2 == 0, rename=True, more=True)

    listed = re.findall(r"^not checked in (\S+): (.*)$", output, re.MULTILINE)
    assert len(listed) == len(quick)
    for file, names in listed:
        assert (tmp_path / file).exists() and "unknown.tensor" in names and "unknown_value" in names


@pytest.mark.slow
@pytest.mark.parametrize("change", SETS.values(), ids=SETS)
def test_every_family_is_checked_with_other_cases(tmp_path, change):
    known = [golden for golden in golden_files() if golden.family]
    if not known:
        pytest.skip(UNSET)
    modules = [path.name for path in HERE.glob("test_*.py") if path.name != Path(__file__).name]

    checked(tmp_path, known, modules, **change)
