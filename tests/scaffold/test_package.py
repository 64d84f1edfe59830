"""`vemrecon new`: what it writes passes every check as it is, and can be installed."""

import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from vemrecon.check import dataset_checks, degradation_checks, metric_checks
from vemrecon.check.method_checks import CHECKS
from vemrecon.check.process import answer
from vemrecon.check.subject import MethodSubject
from vemrecon.check.verdict import Outcome
from vemrecon.cli import main
from vemrecon.scaffold.package import LIKES

OTHERS = {"metric": metric_checks, "degradation": degradation_checks, "dataset": dataset_checks}


def failed(checks, subject):
    found = [answer(check, subject) for check in checks if check.name != "two processes"]
    return [(one.check, one.words) for one in found if one.outcome is Outcome.FAILED]


@pytest.mark.parametrize("like", LIKES)
def test_every_example_of_a_method_passes(like, tmp_path, monkeypatch):
    name = f"new-{like}"
    assert main(["new", "method", name, "--like", like, "--out", str(tmp_path)]) == 0
    monkeypatch.syspath_prepend(tmp_path / name)
    module = name.replace("-", "_")
    path = f"{module}.method.{''.join(word.capitalize() for word in name.split('-'))}"
    place = tmp_path / "check"
    place.mkdir()
    assert not failed(CHECKS, MethodSubject(path, place))
    assert "Example" not in (tmp_path / name / module / "method.py").read_text()


@pytest.mark.parametrize("kind", OTHERS)
def test_examples_of_other_kinds_pass(kind, tmp_path, monkeypatch):
    name = f"own-{kind}"
    assert main(["new", kind, name, "--out", str(tmp_path)]) == 0
    monkeypatch.syspath_prepend(tmp_path / name)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / name))
    module = name.replace("-", "_")
    place = {
        "metric": f"{module}.metric.{module.upper()}",
        "degradation": f"{module}.degradation.OwnDegradation",
        "dataset": f"{module}.{module.upper()}",
    }[kind]
    subject = OTHERS[kind].Subject(place, tmp_path, str(tmp_path / name / "data"))
    assert not failed(OTHERS[kind].CHECKS, subject)


def test_a_package_is_installed_listed_and_used(tmp_path, monkeypatch, capsys):
    assert main(["new", "method", "quick-one", "--like", "training-free", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "vemrecon check quick_one.method.QuickOne" in said
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target),
         str(tmp_path / "quick-one")],
        check=True,
    )  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(target), *sys.path])
    assert main(["methods", "quick-one"]) == 0
    said = capsys.readouterr().out
    assert "quick_one.method.QuickOne" in said and "linear interpolation, sharpened" in said
    from importlib.metadata import distribution

    assert [Requirement(one).name for one in distribution("quick-one").requires][:1] == ["vemrecon"]


def test_names_that_cannot_be_used_are_refused_and_nothing_is_left(tmp_path, capsys):
    for kind, name in (("method", "linear"), ("metric", "psnr"), ("method", "No Good"), ("method", "torch")):
        assert main(["new", kind, name, "--out", str(tmp_path)]) == 2
    assert main(["new", "dataset", "mine", "--like", "two-stage", "--out", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())
    assert main(["new", "method", "mine-too", "--out", str(tmp_path)]) == 0
    assert main(["new", "method", "mine-too", "--out", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
