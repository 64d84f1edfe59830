"""What is shown while one job is at work: a bar where one can be drawn, else a line now and then."""

import io
import json
import re

import pytest
from rich.console import Console

from vemrecon.commands import bars
from vemrecon.commands.bars import PhaseBar
from vemrecon.commands.json_log import JsonLog


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass at every report."""
    now = [0.0]

    def passed():
        return now[0]

    monkeypatch.setattr(bars.time, "monotonic", passed)
    return now


def made(clock, log=None):
    with PhaseBar(log) as bar:
        bar.pace.clock = lambda: clock[0]
        bar.pace.voxels = {"reconstruct": 2_000_000}
        for n in range(9):
            bar.progress("reconstruct", n / 20)
            clock[0] += 10
    return bar


def test_without_a_terminal_a_line_says_share_speed_and_time_left(clock, capsys):
    made(clock)
    assert capsys.readouterr().err.splitlines() == [
        "reconstruct: 10.0%, 10 k voxels/s, 3.0 min left",
        "reconstruct: 20.0%, 10 k voxels/s, 2.7 min left",
        "reconstruct: 30.0%, 10 k voxels/s, 2.3 min left",
        "reconstruct: 40.0%, 10 k voxels/s, 2.0 min left",
    ]


def test_how_a_training_goes_stands_behind_the_time_left(clock, capsys, tmp_path):
    with JsonLog.to(str(tmp_path / "log.jsonl")) as log, PhaseBar(log) as bar:
        bar.pace.clock = lambda: clock[0]
        for n in range(4):
            bar.progress("training", n / 4, f"loss 0.{9 - n}")
            clock[0] += 10
    assert capsys.readouterr().err == "training: 50.0%, 20 s left; loss 0.7\n"
    last = json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["phase"], last["note"]) == ("training", "loss 0.6")


def test_a_log_on_standard_error_takes_the_place_of_lines(clock, capsys):
    made(clock, JsonLog.to("-"))
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("{") for line in lines)


def test_in_a_terminal_a_bar_says_the_same(clock, monkeypatch, capsys):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    monkeypatch.setattr(bars, "Console", lambda stderr: console)
    bar = made(clock)
    console.print(bar.bars.get_renderable())
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert re.search(r"reconstruct .* 40% .* 10 k voxels/s, 110 s left", shown), shown
    assert not capsys.readouterr().err


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_has_a_bar_where_it_has_widgets_and_lines_elsewhere(monkeypatch, widgets):
    monkeypatch.setattr(bars, "find_spec", lambda name: object() if widgets and name == "ipywidgets" else None)
    console = Console(file=io.StringIO(), force_jupyter=True)
    monkeypatch.setattr(bars, "Console", lambda stderr: console)
    assert PhaseBar().bars.disable is not widgets
