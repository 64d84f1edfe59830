"""`vemrecon check`: what passes, what is kept of it, and other kinds than methods."""

import json

import pytest

from vemrecon.check.dataset_checks import CHECKS as DATASET
from vemrecon.check.dataset_checks import Subject as DatasetSubject
from vemrecon.check.degradation_checks import CHECKS as DEGRADATION
from vemrecon.check.degradation_checks import Subject as DegradationSubject
from vemrecon.check.method_checks import CHECKS
from vemrecon.check.metric_checks import CHECKS as METRIC
from vemrecon.check.metric_checks import Subject as MetricSubject
from vemrecon.check.process import answer
from vemrecon.check.subject import MethodSubject
from vemrecon.check.verdict import CheckReport, Outcome
from vemrecon.cli import main
from vemrecon.data import dataset_names
from vemrecon.degradations import degradations
from vemrecon.errors import DataError
from vemrecon.metrics import catalogue
from vemrecon.protocol import names

SLOW = ("two processes",)
"""Checks that begin processes of their own."""


def verdicts(checks, subject, but=SLOW):
    return [answer(check, subject) for check in checks if check.name not in but]


def failed(found):
    return [(one.check, one.words) for one in found if one.outcome is Outcome.FAILED]


@pytest.mark.parametrize("method", names("methods"))
def test_built_in_methods_pass(method, tmp_path):
    assert not failed(verdicts(CHECKS, MethodSubject(method, tmp_path)))


def test_built_in_degradations_pass(tmp_path):
    for name in degradations().own:
        assert not failed(verdicts(DEGRADATION, DegradationSubject(name, tmp_path))), name


def test_built_in_metrics_pass(tmp_path):
    for name in catalogue.metrics().own:
        assert not failed(verdicts(METRIC, MetricSubject(name, tmp_path))), name


def test_built_in_datasets_pass(tmp_path):
    for name in dataset_names():
        assert not failed(verdicts(DATASET, DatasetSubject(name, tmp_path, str(tmp_path)))), name


def test_the_command_prints_a_line_each_and_keeps_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "linear"]) == 0
    said = capsys.readouterr().out.splitlines()
    report = CheckReport.read(tmp_path / "check.json")
    assert len(said) == len(report.verdicts) + 1 and "linear passes" in said[-1]
    assert report.passed and report.class_path.endswith("Interpolation") and report.origin is None
    data = json.loads((tmp_path / "check.json").read_text())
    data["passed"], data["verdicts"][0]["outcome"] = True, "failed"
    (tmp_path / "check.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match="changed by hand"):
        CheckReport.read(tmp_path / "check.json")


def test_some_checks_alone_leave_no_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "linear", "--only", "range"]) == 0
    assert not (tmp_path / "check.json").exists()
    assert main(["check", "linear", "--limit", "0"]) == 2
    assert main(["check", "--kind", "metric", "no.such.METRIC"]) == 1
