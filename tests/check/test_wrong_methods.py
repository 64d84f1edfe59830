"""Methods that are wrong in one way each: a check fails with a line that says what to do."""

import sys

import pytest

from vemrecon.check import run
from vemrecon.check.findings import words_of
from vemrecon.check.method_checks import CHECKS
from vemrecon.check.process import answer
from vemrecon.check.subject import MethodSubject
from vemrecon.check.verdict import Outcome
from vemrecon.errors import VemreconError

HEAD = """
import itertools, pathlib, time
import h5py
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from vemrecon.methods import LateralSections, Method, MethodCard, Stage, Tile, interpolated

def interpolate(tile):
    return interpolated(tile.observed, tile.grid)

class Wrong(Method):
    card = MethodCard("wrong in one way", regime={regime!r})
    any_grid = True
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(1, 1, 3, padding=1)
        self.kept = []
        self.prepare_all()
    def prepare_all(self):
        pass
    def reconstruct(self, tile):
        return interpolate(tile)
"""
STAGES = """
    def stages(self):
        patches = LateralSections(32, 32)
        return tuple(Stage(name, ("net",), patches, 2, 2, epoch=1) for name in ("one", "two"))
    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=1e-3)
    def restore(self, observed):
        return observed.repeat_interleave(4, dim=2) + 0 * self.net(observed.repeat_interleave(4, dim=2))
    def training_step(self, batch, index):
        return (self.restore(batch["observed"]) - batch["target"]).abs().mean()
"""
WRONG = {  # what is wrong: regime, code, which check says it, in which words
    "shape": ("none", "    def reconstruct(self, tile): return tile.observed", "tasks", "returned shape"),
    "nan": ("none", "    def reconstruct(self, tile): return interpolate(tile) * float('nan')", "tasks", "NaN"),
    "grey": ("none", "    def reconstruct(self, tile): return interpolate(tile) * 255", "range", "divide by 255"),
    "signed": ("none", "    def reconstruct(self, tile): return interpolate(tile) * 2 - 1", "range", "add 1 and halve"),
    "random": (
        "none",
        "    def reconstruct(self, tile): return interpolate(tile) * (1 - 0.1 * torch.rand(()))",
        "repeat",
        "derive randomness from self.seed",
    ),
    "tiles": (
        "none",
        "    def reconstruct(self, tile): return interpolate(tile) * 0.5 + tile.observed.mean() / 2",
        "tiles",
        "depend on how the volume is cut",
    ),
    "origin": (
        "none",
        "    def reconstruct(self, tile): return interpolate(tile) * (0.9 if sum(tile.origin) else 1)",
        "tiles",
        "depend on how the volume is cut",
    ),
    "peeks": (
        "none",
        """    def reconstruct(self, tile):
        for path in pathlib.Path("runs/data").rglob("*.npy"):
            np.load(path)
        return interpolate(tile)""",
        "files",
        "a volume of the benchmark",
    ),
    "asks": (
        "self",
        STAGES + "    def prepare(self, stage, source, scratch): return source.truth and source",
        "training",
        "asked for isotropic truth",
    ),
    "crashes": (
        "self",
        STAGES.replace("    def training_step", "    def training_step_")
        + """    def training_step(self, batch, index):
        if self.stage.name == "two":
            raise RuntimeError("of its own")
        return self.training_step_(batch, index)""",
        "training",
        "stage 'two' (2 of 2): RuntimeError: of its own",
    ),
    "forgets": (
        "self",
        STAGES.replace("    def training_step", "    def training_step_")
        + """    def training_step(self, batch, index):
        self.kept.append(len(self.kept))
        return self.training_step_(batch, index) * len(self.kept)
        """.replace("+ 0 *", "+"),
        "resumption",
        "went on learned other weights",
    ),
    "leaks": (
        "none",
        """    def reconstruct(self, tile):
        self.kept.append(interpolate(tile))
        return self.kept[-1]""",
        "leaks",
        "keep nothing of a tile",
    ),
    "leaks_arrays": (
        "none",
        """    def reconstruct(self, tile):
        made = interpolate(tile)
        self.kept.append(made.numpy().copy())
        return made""",
        "leaks",
        "keep nothing of a tile",
    ),
    "opens": (
        "none",
        """    def reconstruct(self, tile):
        self.kept.append(open(__file__))
        return interpolate(tile)""",
        "leaks",
        "more open files",
    ),
    "pickled": (
        "external",
        "    def prepare_all(self): torch.load(pathlib.Path(__file__).with_name('net.pt'))",
        "pickles",
        "use safetensors",
    ),
    "brings": (
        "none",
        "    def prepare_all(self): np.load(pathlib.Path(__file__).with_name('net.npy'))",
        "files",
        "its regime is none",
    ),
    "brings_safetensors": (
        "none",
        "    def prepare_all(self): load_file(pathlib.Path(__file__).with_name('net.safetensors'))",
        "files",
        "its regime is none",
    ),
    "brings_h5": (
        "self",
        "    def prepare_all(self): h5py.File(pathlib.Path(__file__).with_name('net.h5'))['a'][:]",
        "files",
        "its regime is self",
    ),
    "undeclared": (
        "external",
        "    def prepare_all(self): np.load(pathlib.Path(__file__).with_name('net.npy'))",
        "files",
        "declare it on the card",
    ),
    "silent": ("self", "", "regime", "stages() is empty"),
    "loud": ("none", STAGES, "regime", "has training stages"),
    "declines": ("none", "    def supports(self, scale, grid): return 'not today'", "presets", "declines everything"),
    "fits": (
        "none",
        """    def reconstruct(self, tile):
        self.net(tile.observed[0].transpose(0, 1)).sum().backward()
        return interpolate(tile)""",
        "range",
        "fits_at_test",
    ),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Function that writes a module with a wrong method; gives its class path."""
    import h5py
    import numpy as np
    import torch
    from safetensors.torch import save_file

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "net.npy", np.zeros(3))
    torch.save({"a": torch.zeros(3)}, tmp_path / "net.pt")
    save_file({"a": torch.zeros(3)}, tmp_path / "net.safetensors")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["a"] = np.zeros(3)

    def write(name, regime, code):
        source = HEAD.format(regime=regime) + code
        (tmp_path / f"wrong_{name}.py").write_text(source.replace("+ 0 *", "+") if name == "forgets" else source)
        return f"wrong_{name}.Wrong"

    return write


@pytest.mark.parametrize("name", WRONG)
def test_each_is_caught_with_a_line_that_helps(plugin, tmp_path, name, monkeypatch):
    regime, code, check, words = WRONG[name]
    (tmp_path / "check").mkdir()
    monkeypatch.chdir(tmp_path / "check")  # as the process of the checks does
    subject = MethodSubject(plugin(name, regime, code), tmp_path / "check")
    order = {one.name: one for one in CHECKS}
    before = {"resumption": ["training"], "files": ["load", "tasks", "repeat"], "pickles": ["load", "tasks"]}
    for one in before.get(check, []):
        answer(order[one], subject)
    verdict = answer(order[check], subject)
    assert verdict.outcome is Outcome.FAILED and words in verdict.words, verdict
    assert "\n" not in verdict.words


def test_one_that_hangs_and_one_that_ends_its_process_are_ended(plugin, monkeypatch):
    hangs = plugin("hangs", "none", "    def reconstruct(self, tile): time.sleep(1000)")
    *_, verdict, repeat = run.check("method", hangs, only=["range", "repeat"], limit=20)
    assert verdict.outcome is Outcome.FAILED and "it hangs" in verdict.words
    assert (
        repeat.outcome is Outcome.LEFT_OUT and "'range' took too long" in repeat.words
    )  # nobody waits for all of them
    dies = plugin("dies", "none", "    def reconstruct(self, tile): import os; os.abort()")
    load, presets, verdict, repeat = run.check("method", dies, only=["range", "repeat"])
    assert load.outcome is presets.outcome is Outcome.PASSED
    assert "its process ended" in verdict.words and "its process ended" in repeat.words  # a new one for each


def test_one_that_cannot_be_imported_and_one_whose_name_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_one.py").write_text("import no_such_module_anywhere\n")
    first, *others = run.check("method", "broken_one.Method")
    assert first.outcome is Outcome.FAILED and "no_such_module_anywhere" in first.words
    assert {one.outcome for one in others} == {Outcome.LEFT_OUT}
    (tmp_path / "taken.py").write_text(HEAD.format(regime="none"))
    info = tmp_path / "taken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: taken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vemrecon.methods]\nlinear = taken:Wrong\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (verdict,) = [one for one in run.check("method", "taken:linear", only=["load"]) if one.check == "load"]
    assert verdict.outcome is Outcome.NOTED and "rename it" in verdict.words


def test_errors_are_one_line():
    assert "\n" not in words_of(ValueError("a\nb"))
    with pytest.raises(VemreconError, match="unknown check"):
        run.check("method", "linear", only=["nonsense"])
