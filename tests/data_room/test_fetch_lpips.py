"""`vemrecon fetch lpips`: the only place where weights of LPIPS are downloaded."""

import sys
from dataclasses import replace

import lpips_stand_in as stand_in
import pytest
from data_room.faulty_server import digest, noise

from vemrecon import perceptual
from vemrecon.cli import main

DATA = {"vgg": noise(5000), "alex": noise(4000, seed=1)}


@pytest.fixture
def checkpoints(monkeypatch, tmp_path):
    """An empty cache of torch, and files of noise that count as the weights."""
    for name, data in DATA.items():
        known = replace(perceptual.NETWORKS[name], sha256=digest(data), bytes=len(data))
        monkeypatch.setitem(perceptual.NETWORKS, name, known)
    monkeypatch.setitem(sys.modules, "lpips", None)
    return stand_in.empty_cache(monkeypatch, tmp_path)


@pytest.fixture
def served(server, monkeypatch):
    """A server that has the files."""
    for name, data in DATA.items():
        server.serve(perceptual.NETWORKS[name].file, data)
    monkeypatch.setattr(perceptual.Network, "url", property(lambda network: server.url(network.file)))
    return server


def test_names_of_files_hold_the_beginning_of_their_sha256():
    for network in perceptual.NETWORKS.values():
        assert network.file.endswith(f"-{network.sha256[:8]}.pth") and len(network.sha256) == 64


def test_fetch_lpips_downloads_verifies_and_says_what_else_is_needed(served, checkpoints, capsys):
    assert main(["fetch", "lpips"]) == 0
    *lines, where, package = capsys.readouterr().out.splitlines()
    for line, (name, data) in zip(lines, DATA.items(), strict=True):
        path = checkpoints / perceptual.NETWORKS[name].file
        assert line == f"downloaded, verified: {path}  sha256 {digest(data)}"
        assert path.read_bytes() == data
    assert where == f"2 files of lpips in {checkpoints}"
    assert "pip install 'vemrecon[lpips]'" in package
    asked = len(served.seen)
    assert main(["fetch", "lpips", "alex"]) == 0
    assert capsys.readouterr().out.startswith("here already, verified: ") and len(served.seen) == asked


def test_fetch_lpips_refuses_another_file(served, checkpoints, capsys):
    served.serve(perceptual.NETWORKS["alex"].file, noise(4000, seed=9))
    assert main(["fetch", "lpips", "alex"]) == 2
    assert "wrong file" in capsys.readouterr().err
    assert not (checkpoints / perceptual.NETWORKS["alex"].file).exists()


def test_fetch_lpips_offline_says_in_one_line_which_files_to_put_where(checkpoints, capsys, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    assert main(["fetch", "lpips"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "VEMRECON_DATA" not in error
    for name, data in DATA.items():
        network = perceptual.NETWORKS[name]
        assert f"https://download.pytorch.org/models/{network.file}" in error
        assert digest(data) in error and f"put it at {checkpoints / network.file}" in error
    assert "pip install 'vemrecon[lpips]'" in error


def test_fetch_lpips_knows_its_files(checkpoints, capsys):
    assert main(["fetch", "lpips", "vgg16"]) == 2
    assert "did you mean 'vgg'" in capsys.readouterr().err
