"""`vemrecon status` names every run, those that nobody can read among them, and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vemrecon import plugins
from vemrecon.bench import changes
from vemrecon.bench.changes import state_of
from vemrecon.bench.due import clear_stale, needs_work
from vemrecon.bench.heartbeat import Heartbeat
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Status
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.cli import main
from vemrecon.kept import write_mark
from vemrecon.protocol import protocol

TASK = Task("phantom", "test", 4.0, DegradationVariant("average"), "d", "s")
LINEAR = MethodVariant("linear", "linear", "vemrecon.methods.interpolation.Interpolation", "1")
SPEC = RunSpec(TASK, LINEAR, "default", 0, protocol()["version"])


def made(runs: Path, seed: int, status: str = "", reason: str = "") -> RunFolder:
    folder = RunFolder.of(replace(SPEC, seed=seed), runs)
    folder.create()
    if status:
        folder.write_result(Status(status), reason=reason)
    return folder


def asked(runs: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main(["status", "--runs", str(runs), "--json"]) == 0
    return {one["path"]: one for one in json.loads(capsys.readouterr().out)}


def test_every_run_has_its_state_and_what_to_do(tmp_path, capsys):
    done, failed, waiting, newer, nobody, hurt, torn = (made(tmp_path, seed) for seed in range(7))
    done.write_result(Status.DONE)
    failed.write_result(Status.TIMED_OUT, reason="longer than 5 minutes")
    (failed.path / "log.txt").write_text("epoch 3\n")
    newer.result_file.write_text('{"schema": 99}')
    nobody.result_file.write_text('{"schema": null}')
    hurt.result_file.write_bytes(bytes(100))
    (torn.path / "spec.json").write_bytes(b"{")
    with Heartbeat(waiting.path, host="elsewhere") as beat:
        beat.progress("fit", 0.0)
        beat.progress("fit", 0.25, "loss 0.1")
        beat._write()
        found = asked(tmp_path, capsys)
        assert main(["status", "--runs", str(tmp_path)]) == 0
        said = capsys.readouterr().out

    states = {Path(path).name: one["state"] for path, one in found.items()}
    assert states == {
        done.path.name: "done", failed.path.name: "timed out", waiting.path.name: "running",
        newer.path.name: "newer", nobody.path.name: "interrupted", hurt.path.name: "interrupted",
        torn.path.name: "unreadable",
    }  # fmt: skip
    running = found[str(waiting.path)]
    assert (running["phase"], running["share"], running["note"]) == ("fit", 0.25, "loss 0.1")
    assert "on elsewhere" in running["who"] and running["left_seconds"] >= 0 and running["age_seconds"] < 60
    assert found[str(failed.path)]["log"].endswith("log.txt")
    assert "writes spec.json again" in found[str(torn.path)]["reason"]
    assert "schema 99" in found[str(newer.path)]["reason"]
    assert "makes it again" in found[str(nobody.path)]["reason"]
    assert "longer than 5 minutes" in said and "fit 25%" in said and "7 runs: " in said


def test_a_run_whose_method_has_changed_is_stale_and_made_anew_when_asked(tmp_path, capsys, monkeypatch):
    folder = made(tmp_path, 0)
    write_mark(folder.path / "reconstruction.json", {changes.CODE: changes.code_digest(LINEAR.class_path)})
    folder.write_result(Status.DONE)
    assert asked(tmp_path, capsys)[str(folder.path)]["state"] == "done"

    monkeypatch.setattr(changes, "code_digest", lambda path: "another")
    one = asked(tmp_path, capsys)[str(folder.path)]
    assert one["state"] == "stale" and "code of linear has changed" in one["reason"]
    assert state_of(folder) == "stale"
    assert not needs_work(folder, {"failed"}) and needs_work(folder, {"stale"})

    clear_stale([PlannedRun(folder, job=None)])
    assert not (folder.path / "reconstruction.json").exists() and folder.result() is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": 0}, "version 0 of the protocol"),
        ({"method": replace(LINEAR, version="0")}, "version 0 of linear"),
    ],
)
def test_results_of_older_rules_are_stale(tmp_path, capsys, change, words):
    folder = RunFolder.of(replace(SPEC, **change), tmp_path)
    folder.create()
    folder.write_result(Status.DONE)
    one = asked(tmp_path, capsys)[str(folder.path)]
    assert one["state"] == "stale" and words in one["reason"] and "--retry stale" in one["reason"]


def test_the_source_of_a_method_is_found_without_importing_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("raise RuntimeError('imported')")
    plugins.code_digest.cache_clear()
    before = plugins.code_digest("mine.Method")
    (tmp_path / "mine.py").write_text("raise RuntimeError('imported again')")
    plugins.code_digest.cache_clear()
    assert before and plugins.code_digest("mine.Method") != before
    assert plugins.code_digest("nowhere.Method") == ""
    assert plugins.code_digest("vemrecon.methods.vemamba.VEMamba")
