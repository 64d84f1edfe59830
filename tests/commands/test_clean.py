"""What killed commands leave is found by its name, and nothing else."""

import os
import socket
import time

import pytest

from vemrecon.cli import main

LEFT = [".out.zarr.work-0123456789ab/blocks.log", ".out.zarr.4711.part/0/zarr.json", ".made.ab12.tif.part"]
KEPT = ["out.zarr/0/c/0", "data.part", ".hidden", "notes.work-0123456789ab"]


@pytest.fixture
def folder(tmp_path):
    for name in [*LEFT, *KEPT]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"voxels")
    old = time.time() - 2 * 3600
    for path in [*tmp_path.rglob("*"), tmp_path]:
        os.utime(path, (old, old))
    return tmp_path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_leftovers_are_listed_and_removed_on_request(folder, capsys):
    assert main(["clean", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "3 leftovers" in said and "reconstruction that can go on" in said
    assert names(folder) == sorted([*LEFT, *KEPT])
    assert main(["clean", str(folder), "--remove"]) == 0
    assert names(folder) == sorted(KEPT)
    assert main(["clean", str(folder)]) == 0
    assert "nothing is left over" in capsys.readouterr().out.splitlines()[-1]


def test_what_may_be_at_work_is_left_alone(folder):
    (folder / LEFT[0]).write_bytes(b"more")
    assert main(["clean", str(folder), "--remove"]) == 0
    assert LEFT[0] in names(folder) and LEFT[1] not in names(folder)


GONE = 2**22 + 1  # no process has this number
IN_RUNS = {
    "runs/task/run/train/fit/last.ckpt.part": b"weights",
    "runs/task/run/train/fit/stage.part": b"weights",
    "runs/task/run/result.json.damaged-1": b"{",
    "runs/task/run/holdout/kept.zarr": b"voxels",
    "runs/task/run/lease.owner": f"process {GONE} on {socket.gethostname()}\n".encode(),
    "runs/task/run/heartbeat.json": b'{"host": "%s", "pid": %d, "token": "a"}' % (socket.gethostname().encode(), GONE),
    "runs/task/run/.result.json.ab12.part": b"{",
    "runs/task/shared-stages/tmpab12.part/stage.json": b"{",
    "runs/task/observed-0.zarr.sums": b"{}",
    "runs/task/run/train/fit/pseudo.passes/00000-xz.npz": b"tile",
}
NEEDED = [
    "runs/task/run/spec.json", "runs/task/run/result.json", "runs/task/run/train/fit/last.ckpt",
    "runs/task/run/train/fit/previous.ckpt", "runs/task/run/lease", "runs/task/observed-1.zarr",
    "runs/task/observed-1.zarr.sums", "runs/task/run/train/fit/pseudo.zarr", "runs/task/run/blocks.log",
    "runs/task/other/train/fit/other.passes/00000-xz.npz", "holdout", "stage.part", "notes.sums",
]  # fmt: skip


def test_what_run_folders_hold_that_nobody_needs_is_listed_and_nothing_else(tmp_path, capsys):
    alive = {"runs/task/run2/lease.owner": f"process {os.getpid()} on {socket.gethostname()}\n".encode()}
    for name, content in {**IN_RUNS, **dict.fromkeys(NEEDED, b"data"), **alive}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert main(["clean", str(tmp_path), "--hours", "0", "--remove"]) == 0
    said = capsys.readouterr().out
    assert f"{len(IN_RUNS)} leftovers" in said, said
    assert names(tmp_path) == sorted([*NEEDED, *alive])


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["clean", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
