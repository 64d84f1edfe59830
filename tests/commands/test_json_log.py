"""`vemrecon reconstruct --json-log`: what happens, for scripts."""

import json
import re
from datetime import datetime
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.commands import json_log
from vemrecon.commands.json_log import JsonLog
from vemrecon.commands.pace import Pace
from vemrecon.volume import Volume, VoxelSize
from vemrecon.volume.ome_zarr import copy_to_zarr

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
NUMBER, WORDS, SHAPE = {"type": ["number", "null"]}, {"type": "string"}, {"type": "array", "minItems": 3, "maxItems": 3}
SHAPE |= {"items": {"type": "integer", "minimum": 1}}
SHARE, COUNT = {"type": "number", "minimum": 0, "maximum": 1}, {"type": ["integer", "null"], "minimum": 0}
KINDS = {
    "schema": {"const": 1},
    "devices": {"type": "array", "items": WORDS},
    "voxel_size": {"type": ["array", "null"], "items": {"type": "number"}},
    "output": {"anyOf": [WORDS, {"type": "array", "items": WORDS}]},
    "preset": {"type": ["string", "null"]},
    "scale": NUMBER, "shape": SHAPE, "made_shape": SHAPE, "share": SHARE, "voxels_done": COUNT, "voxels_total": COUNT,
    "voxels_per_second": NUMBER, "seconds_left": NUMBER,
}  # fmt: skip


def documented():
    """Fields of every event, as the page about files has them."""
    rows = re.findall(r"^\| `(\w+)` \| (`.*?) \|", PAGE.read_text(encoding="utf-8").split("## The log")[1], re.M)
    return {event: re.findall(r"`(\w+)`", fields) for event, fields in rows}


def read(text):
    """Events of a log, each checked against the page."""
    events = [json.loads(line) for line in text.splitlines()]
    for one in events:
        assert datetime.fromisoformat(one["time"]).utcoffset().total_seconds() == 0
        fields = ["time", "event", *documented()[one["event"]]]
        kinds = {name: KINDS.get(name, WORDS) for name in fields}
        jsonschema.validate(one, {"properties": kinds, "required": fields, "additionalProperties": False})
    return events


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.zarr"
    voxels = textured((10, 48, 48)).clip(1)
    voxels[4] = 0
    copy_to_zarr(path, Volume(voxels, VoxelSize(40, 10, 10), "stack"), "uint8")
    return path


def run(*words):
    return main([str(word) for word in words])


def test_a_reconstruction_says_what_it_does_to_the_end(stack, tmp_path, capsys):
    out, log = tmp_path / "out.tif", tmp_path / "log.jsonl"
    assert run("reconstruct", stack, out, "--method", "linear", "--region", "0:8", ":", "16:48", "--json-log", log) == 0
    events = read(log.read_text(encoding="utf-8"))
    start, done = events[0], events[-1]
    assert start["event"] == "start" and start["scale"] == 4 and start["voxel_size"] == [40, 10, 10]
    assert (start["shape"], start["made_shape"], start["dtype"]) == ([10, 48, 48], [32, 48, 32], "uint8")
    assert (done["event"], done["output"], done["shape"]) == ("done", [str(out)], [32, 48, 32])
    (warning,) = (one["message"] for one in events if one["event"] == "warning")
    assert warning.startswith("stack.zarr: section 4: black") and warning in capsys.readouterr().err
    phases = [one["phase"] for one in events if one["event"] == "phase"]
    assert phases == ["grey levels", "alignment", "reconstruct", "write out.tif"]
    made = [one for one in events if one.get("phase") == "reconstruct"]
    assert made[-1]["voxels_done"] == made[-1]["voxels_total"] == 32 * 48 * 32


def test_every_event_is_documented_and_none_besides(stack, tmp_path):
    log = tmp_path / "log.jsonl"
    assert run("reconstruct", stack, tmp_path / "out.tif", "--json-log", log) == 0
    assert run("reconstruct", stack, tmp_path / "out.tif", "--json-log", log) == 2
    assert {one["event"] for one in read(log.read_text(encoding="utf-8"))} == set(documented())


def test_another_attempt_goes_on_below_what_a_killed_one_has_left(stack, tmp_path, monkeypatch, capsys):
    from vemrecon.own import reconstruction

    out, log = tmp_path / "out.tif", tmp_path / "log.jsonl"
    calm = reconstruction.write_volume

    def stop(*words, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(reconstruction, "write_volume", stop)
    assert run("reconstruct", stack, out, "--json-log", log) == 130
    first = log.read_text(encoding="utf-8")
    assert read(first)[-1] | {"time": ""} == {
        "time": "", "event": "error", "kind": "KeyboardInterrupt", "message": "interrupted; the same command goes on",
    }  # fmt: skip
    torn = first + '{"time": "2026-0'  # as a kill leaves it
    log.write_text(torn, encoding="utf-8")
    monkeypatch.setattr(reconstruction, "write_volume", calm)
    assert run("reconstruct", stack, out, "--json-log", log) == 0
    text = log.read_text(encoding="utf-8")
    assert text.startswith(torn + "\n")
    events = read(text[len(torn) + 1 :])
    (begins,) = (one for one in events if one["event"] == "phase" and one["phase"] == "reconstruct")
    assert begins["share"] == 1 and events[-1]["event"] == "done"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["--preview", "99", "0", "0"], "ConfigError"),
        (["--method", "bicubik"], "ConfigError"),
        (["--dataset", "none"], "DataError"),
        (["--region", "0:99", ":", ":"], "ConfigError"),
    ],
)
def test_what_is_refused_is_the_last_line(stack, tmp_path, capsys, words, kind):
    log = tmp_path / "log.jsonl"
    assert run("reconstruct", stack, tmp_path / "out.tif", *words, "--json-log", log) == 2
    last = read(log.read_text(encoding="utf-8"))[-1]
    assert (last["event"], last["kind"]) == ("error", kind)
    assert f"vemrecon reconstruct: error: {last['message']}\n" == capsys.readouterr().err


def test_previews_and_estimates_say_what_they_made(stack, tmp_path):
    log = tmp_path / "log.jsonl"
    assert run("reconstruct", stack, tmp_path / "out.tif", "--dry-run", "--json-log", log) == 0
    assert read(log.read_text(encoding="utf-8"))[-1]["output"] == []
    assert run("reconstruct", stack, tmp_path / "out.tif", "--preview", "--json-log", log) == 0
    last = read(log.read_text(encoding="utf-8"))[-1]
    assert last["output"] == [str(tmp_path / "out-preview.png")] and last["shape"] == [40, 48, 48]


def test_on_standard_error_there_is_nothing_but_lines(stack, tmp_path, capsys):
    assert run("reconstruct", stack, tmp_path / "out.tif", "--json-log", "-") == 0
    error = capsys.readouterr().err.splitlines()
    events = read("\n".join(line for line in error if line.startswith("{")))
    assert events[-1]["event"] == "done" and len(error) - len(events) == 1, "the warning is for people, too"


def test_files_that_are_no_logs_are_left_as_they_are(stack, tmp_path, capsys):
    np.save(tmp_path / "v.npy", textured((4, 8, 8)))
    before = (tmp_path / "v.npy").read_bytes()
    for path, message in (
        (tmp_path / "v.npy", "holds something else than a log"),
        (tmp_path / "out.tif", "is an output"),
        (tmp_path, "cannot be written"),
        (tmp_path / "none" / "log.jsonl", "cannot be written"),
    ):
        assert run("reconstruct", stack, tmp_path / "out.tif", "--json-log", path) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert (tmp_path / "v.npy").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr", "v.npy"}


def test_a_full_disk_ends_the_log_and_not_the_work(tmp_path, capsys):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    with JsonLog(Full()) as log:
        log.event("warning", message="a")
        log.event("warning", message="b")
    assert capsys.readouterr().err == "--json-log: cannot be written any more (No space left on device)\n"


def test_a_line_now_and_then_is_enough(tmp_path, monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(json_log, "EVERY", 10.0)
    monkeypatch.setattr(json_log.time, "monotonic", lambda: float(next(now)))
    path, pace = tmp_path / "log.jsonl", Pace(lambda: 0.0)
    with JsonLog.to(str(path)) as log:
        for n in range(101):
            log.progress(pace, pace.told("training", n / 100))
    shares = [one["share"] for one in read(path.read_text(encoding="utf-8"))]
    assert shares == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
