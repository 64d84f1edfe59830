"""Logs beside loss.csv: one run of Weights & Biases for a seed, folders of TensorBoard, nothing sent unless asked."""

import sys
from types import SimpleNamespace

import pytest

from vemrecon.fit.loggers import Logs, close_logs, make_loggers

LOGS = {"run": "0123456789ab", "title": "isovem-cpu-seed-1", "group": "quick", "facts": {"seed": 1}}


class Recorder:
    def __init__(self, **facts):
        self.facts = facts


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """Gives what the logger of Weights & Biases is made with."""
    from lightning.pytorch import loggers

    monkeypatch.setattr(loggers, "WandbLogger", Recorder)

    def made(stage="fit"):
        (logger,) = make_loggers(Logs(("wandb",), tmp_path, **LOGS), stage)
        return logger

    return made


def test_wandb_has_a_group_for_a_suite_a_run_for_a_seed_and_no_network(wandb, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    first, second = wandb("diffusion"), wandb("distil")
    assert (first.facts["group"], first.facts["name"], first.facts["project"]) == ("quick", LOGS["title"], "vemrecon")
    assert first.facts["id"] == second.facts["id"] == LOGS["run"], "all stages are one run"
    assert (first.facts["prefix"], first.LOGGER_JOIN_CHAR, second.facts["prefix"]) == ("diffusion", "/", "distil")
    assert (first.facts["mode"], first.facts["save_dir"]) == ("offline", tmp_path)


@pytest.mark.parametrize("mode", ["online", "disabled"])
def test_what_the_user_has_said_to_wandb_holds(wandb, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert (wandb().facts["mode"], wandb().facts["project"]) == (mode, "mine")


def test_a_run_of_wandb_is_ended_with_the_training(monkeypatch):
    ended = []
    calls = {name: lambda name=name: ended.append(name) for name in ("finish", "teardown")}
    for run in (object(), None):
        monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run, **calls))
        close_logs()
    assert ended == ["finish", "teardown"]


def test_wandb_itself_writes_a_run_that_was_not_sent(monkeypatch, tmp_path):
    pytest.importorskip("wandb", reason="the package wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    logs = Logs(("wandb",), tmp_path, **LOGS)
    for stage in ("diffusion", "distil"):
        (logger,) = make_loggers(logs, stage)
        logger.log_metrics({"loss": 1.0}, step=1)
    close_logs()
    (found,) = tmp_path.glob("wandb/offline-run-*/run-0123456789ab.wandb")
    content = found.read_bytes()
    assert all(word in content for word in (b"quick", b"isovem-cpu-seed-1", b"diffusion/loss", b"distil/loss"))


def test_tensorboard_shows_runs_by_task_method_seed_and_stage(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    for stage in ("diffusion", "distil"):
        (logger,) = make_loggers(Logs(("tensorboard",), tmp_path / "task" / "isovem-01", **LOGS), stage)
        logger.log_metrics({"loss": 1.0}, step=1)
        logger.finalize("success")
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    found.Reload()
    place = "task/isovem-01/tensorboard/isovem-cpu-seed-1"
    assert {name: tags["scalars"] for name, tags in found.Runs().items()} == {
        f"{place}/diffusion": ["loss"], f"{place}/distil": ["loss"],
    }  # fmt: skip
