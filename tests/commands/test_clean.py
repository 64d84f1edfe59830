"""What killed commands leave is found by its name, and nothing else."""

import os
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


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["clean", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
