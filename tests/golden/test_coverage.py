"""Every golden file of the folder is either checked here, or skipped by name."""

import re
from pathlib import Path

import pytest
from conftest_golden import golden_folder

CHECKED = (
    "cyclegan_ir",
    "d2r",
    "degradation",
    "emdiffuse",
    "flavr_backbone",
    "fsim",
    "gauss2d",
    "irsde",
    "isovem",
    "metrics",
    "srunet",
    "vemamba",
)


def names():
    folder = golden_folder()
    return sorted(path.stem for path in folder.glob("*.json")) if folder else []


@pytest.mark.parametrize("name", names())
def test_golden_file_has_a_test(name):
    answering = [known for known in CHECKED if re.fullmatch(rf"{known}(_.*)?", name)]
    if not answering:
        pytest.skip(f"no part of vemrecon answers to the golden file '{name}' yet")
    assert list(Path(__file__).parent.glob(f"test_{answering[0]}*.py"))
