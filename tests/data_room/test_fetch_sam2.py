"""`vemrecon fetch sam2`: the only place where the checkpoint of SAM 2 is downloaded."""

import lpips_stand_in
import pytest
import sam2_stand_in as stand_in
from data_room.faulty_server import digest, noise

from vemrecon.cli import main
from vemrecon.segment import tracker

DATA = noise(5000)


@pytest.fixture
def checkpoints(monkeypatch, tmp_path):
    """An empty cache of torch, and a file of noise that counts as the checkpoint; the package is missing."""
    known = tracker.Checkpoint("sam2.1_hiera_small.pt", "small.yaml", digest(DATA), len(DATA))
    monkeypatch.setattr(tracker, "CHECKPOINT", known)
    stand_in.without_package(monkeypatch)
    return lpips_stand_in.empty_cache(monkeypatch, tmp_path)


@pytest.fixture
def served(server, monkeypatch):
    """A server that has the file."""
    server.serve("sam2.1_hiera_small.pt", DATA)
    monkeypatch.setattr(tracker.Checkpoint, "url", property(lambda checkpoint: server.url(checkpoint.file)))
    return server


def test_fetch_sam2_downloads_verifies_and_says_what_else_is_needed(served, checkpoints, capsys):
    assert main(["fetch", "sam2"]) == 0
    line, where, package = capsys.readouterr().out.splitlines()
    path = checkpoints / "sam2.1_hiera_small.pt"
    assert line == f"downloaded, verified: {path}  sha256 {digest(DATA)}" and path.read_bytes() == DATA
    assert where == f"1 file of sam2 in {checkpoints}"
    assert package.startswith("SAM 2 also needs its package (") and "pip install 'vemrecon[sam2]'" in package
    asked = len(served.seen)
    assert main(["fetch", "sam2"]) == 0
    assert capsys.readouterr().out.startswith("here already, verified: ") and len(served.seen) == asked


def test_fetch_sam2_refuses_another_file(served, checkpoints, capsys):
    served.serve("sam2.1_hiera_small.pt", noise(5000, seed=9))
    assert main(["fetch", "sam2"]) == 2
    assert "wrong file" in capsys.readouterr().err and not list(checkpoints.glob("*.pt"))


def test_fetch_sam2_offline_says_in_one_line_which_file_to_put_where(checkpoints, capsys, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    assert main(["fetch", "sam2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "VEMRECON_DATA" not in error
    assert "https://dl.fbaipublicfiles.com/segment_anything_2/092824/sam2.1_hiera_small.pt" in error
    assert digest(DATA) in error and f"put it at {checkpoints / 'sam2.1_hiera_small.pt'}" in error


def test_fetch_sam2_finds_the_package(served, checkpoints, capsys, monkeypatch):
    stand_in.with_stand_in(monkeypatch)
    assert main(["fetch", "sam2", "small"]) == 0
    assert capsys.readouterr().out.endswith("the package sam2 is installed\n")
