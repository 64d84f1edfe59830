"""Methods of other packages: found, refused, never a crash."""

import inspect
import sys

import pytest

from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.methods.condition import Situation
from vemrecon.methods.registry import built_in_methods, choose_preset, method_entry
from vemrecon.volume import SectionGrid

PLUGIN = """
from vemrecon.methods import Method, MethodCard

class Repeat(Method):
    card = MethodCard("Repeat each section", "none")

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Function that installs a package with one method under a name, without pip."""

    def put(package, name, source, class_name="Repeat"):
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vemrecon.methods]\n{name} = {package}:{class_name}\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if p != str(tmp_path))])
        sys.modules.pop(package, None)

    return put


def test_every_built_in_method_loads_and_has_a_card():
    for name, entry in built_in_methods().items():
        kind, card, presets = entry.resolved()
        task = {"scale": 4.0, "grid": SectionGrid.slabs(4)}
        for preset in presets:
            arguments = choose_preset(name, preset, presets)[1].arguments(Situation(4.0))
            known = inspect.signature(kind.__init__).parameters
            assert set(arguments) <= set(known), (name, preset)
            method = kind(**{key: value for key, value in task.items() if key in known}, **arguments)
            assert (method.parameter_count() > 0) == (card.regime != "none"), name
            assert bool(method.stages()) == (card.regime != "none" and not card.at_test), name
        assert card.title


def test_a_method_of_another_package_is_found_by_its_entry_point(install, capsys):
    install("repeatpkg", "repeat", PLUGIN)
    _, card, _ = method_entry("repeat").resolved()
    assert card.title == "Repeat each section"
    assert main(["methods"]) == 0
    assert "repeatpkg" in capsys.readouterr().out


def test_a_method_is_loaded_by_class_path_with_dot_or_colon(install):
    install("pathpkg", "unused", PLUGIN)
    for text in ("pathpkg.Repeat", "pathpkg:Repeat"):
        assert method_entry(text).resolved()[1].regime == "none"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("raise RuntimeError('needs a GPU')", "needs a GPU"),
        ("Repeat = int", "not a subclass"),
        (PLUGIN.replace("    card =", "    other ="), "no MethodCard"),
        ("", "has no attribute 'Repeat'"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_one_clear_line(install, capsys, source, reason, tmp_path):
    install("brokenpkg", "broken", source)
    assert main(["plan", "--methods", "broken", "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert main(["methods"]) == 0


def test_presets_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        choose_preset("x", "papr", {"smoke": {}, "paper": {}})
    name, preset = choose_preset("x", "paper", {"default": {"a": 1}})
    assert (name, preset.arguments(Situation(8.0))) == ("default", {"a": 1})
