"""A finished benchmark of a method of another package, and what was handed in of it."""

import os
import shutil

import pytest

from vemrecon.cli import main
from vemrecon.plugins import code_digest

METHOD = """
from vemrecon.methods import Method, MethodCard, interpolated

class Mixed(Method):
    card = MethodCard("linear and cubic interpolation, mixed", regime="none", licence="MIT")
    any_grid = True

    def __init__(self, amount: float = 0.5):
        super().__init__()
        self.amount = amount

    def reconstruct(self, tile):
        linear, cubic = (interpolated(tile.observed, tile.grid, k) for k in ("linear", "cubic_a-0.5"))
        return (linear + self.amount * (cubic - linear)).clamp(0, 1)
"""
NAME = "Mixed"


@pytest.fixture(scope="session")
def benched(tmp_path_factory):
    """Folder with a benchmark and the report of a check."""
    place = tmp_path_factory.mktemp("handed-in")
    (place / "mixed_method.py").write_text(METHOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]))
        words = [
            "--dataset",
            "phantom",
            "--split",
            "smoke",
            "--scale",
            "4",
            "--degradation",
            "subsample",
            "--jobs",
            "1",
        ]
        methods = ["--methods", "linear", "mixed_method.Mixed", "--metrics", "psnr", "ssim"]
        assert main(["bench", *words, *methods]) == 0
        assert main(["check", "mixed_method.Mixed"]) == 0
        assert main(["submit", "runs", "--method", NAME, "--out", "sub", "--authors", "A. Author"]) == 0
    return place


@pytest.fixture
def handed_in(benched, tmp_path, monkeypatch):
    """A copy of what was handed in, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(benched)
    shutil.copytree(benched / "sub", tmp_path / "sub")
    (folder,) = (tmp_path / "sub").iterdir()
    return folder


@pytest.fixture
def here(benched, tmp_path, monkeypatch):
    """A copy of the benchmark, as the current folder."""
    place = tmp_path / "work"
    shutil.copytree(benched, place)
    shutil.rmtree(place / "sub")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    code_digest.cache_clear()
    yield place
    code_digest.cache_clear()
