"""Cards, addresses and settings that come from strangers: nothing is written or read where it must not be."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data.card_checks import stays_below
from vemrecon.data.catalogue import dataset_card
from vemrecon.data.remote.fetch import fetch_file
from vemrecon.errors import ConfigError
from vemrecon.protocol import MOST_VALUES, read_yaml

CARD = {
    "title": "A card",
    "voxel_size": [8, 8, 8],
    "files": {"v": {"path": "v.npy"}},
    "splits": {"test": {"file": "v"}},
}
ADDRESS = "https://127.0.0.1:1/v.npy"


def written(folder: Path, **facts: object) -> str:
    (folder / "own.yaml").write_text(yaml.safe_dump({**CARD, **facts}))
    return str(folder / "own.yaml")


def refused(capsys, *words: object) -> str:
    capsys.readouterr()
    begun = time.monotonic()
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error and len(error) < 2000
    assert time.monotonic() - begun < 30
    return error


ELSEWHERE = ["../v.npy", "a/../../v.npy", "/tmp/v.npy", "C:/v.npy", "..\\v.npy", "\\\\server\\v.npy", "", ".", "a\0b"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_is_downloaded_stays_below_the_folder_of_the_card(tmp_path, capsys, path):
    for file in (
        {"path": path, "url": ADDRESS},
        {"path": path, "mirrors": [ADDRESS]},
        {"path": path, "box": {"url": ADDRESS, "region": [[0, 1], [0, 1], [0, 1]]}},
        {"path": "v.npy", "labels": {"neurons": {"path": path, "url": ADDRESS}}},
    ):
        for words in (["fetch"], ["datasets"], ["plan", "--methods", "linear", "--runs", tmp_path / "r", "--dataset"]):
            error = refused(capsys, *words, written(tmp_path, files={"v": file}))
            assert "dataset card 'own': path" in error
    assert [p.name for p in tmp_path.iterdir()] == ["own.yaml"]


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b.h5", "c:", "~"]), min_size=1, max_size=5))
def test_a_path_that_stays_below_lands_below(parts):
    path = "/".join(parts)
    if stays_below(path):
        landed = (Path("/root/data") / path).resolve()
        assert landed.is_relative_to("/root/data")


def test_a_card_of_ones_own_may_name_files_anywhere_that_are_only_read(tmp_path):
    (tmp_path / "cards").mkdir()
    np.save(tmp_path / "v.npy", textured((8, 16, 16)))
    for path in ("../v.npy", str(tmp_path / "v.npy")):
        card = dataset_card(written(tmp_path / "cards", files={"v": {"path": path}}))
        assert Path(card.files["v"].path).resolve() == tmp_path / "v.npy"
        assert "no checksum is published, and none is recorded" in str(fetch_file(card, card.files["v"], tmp_path))
    assert {one.name for one in tmp_path.iterdir()} == {"cards", "v.npy"}, "nothing is written beside what is only read"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"files": {"v": {"path": "v.npy", "url": "file:///etc/passwd"}}}, "by http and https only"),
        ({"files": {"v": {"path": "v.npy", "url": "ftp://127.0.0.1/v"}}}, "by http and https only"),
        ({"files": {"v": {"path": "v.npy", "mirrors": ["file:///etc/passwd"]}}}, "by http and https only"),
        ({"files": {"v": {"path": ["v.npy"]}}}, "must be text"),
        ({"files": {"v": {"path": "v.npy", "bytes": "many"}}}, "must be a whole number"),
        ({"files": {"../v": {"path": "v.npy"}}}, "can stand in a file name"),
        ({"splits": {"../../x": {"file": "v"}}}, "can stand in a file name"),
        ({"files": {"v": {"path": "v.npy", "labels": {"../x": {"path": "l.npy"}}}}}, "can stand in a file name"),
        ({"splits": {"test": {"file": "w"}}}, "unknown file 'w'"),
        ({"files": {"v": {"generator": {"shape": [10**5] * 3, "seed": 0}}}}, "voxels are too many"),
        ({"files": {"v": {"generator": {"shape": [8, 8], "seed": 0}}}}, "shape of three whole numbers"),
        ({"files": {"v": {"generator": {"shape": [8, 8, 8], "seed": 0}, "labels": {"axons": {}}}}}, "unknown labels"),
        ({"files": {"v": {"path": "v.npy", "generator": {}}}}, "shape of three whole numbers"),
        ({"voxel_size": [8, 8, -8]}, "positive"),
        ({"files": 3}, "dataset card 'own'"),
    ],
)
def test_a_card_that_lies_is_one_line(tmp_path, capsys, facts, message):
    np.save(tmp_path / "v.npy", textured((8, 16, 16)))
    words = ["plan", "--dataset", written(tmp_path, **facts), "--methods", "linear", "--runs", tmp_path / "r"]
    assert message in refused(capsys, *words)


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody to a file of their own machine."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/passwd")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("VEMRECON_OFFLINE", raising=False)
    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v.npy"
        card = written(tmp_path, files={"v": {"path": "v.npy", "url": url}})
        capsys.readouterr()
        assert main(["fetch", card]) == 2
        server.shutdown()
    assert "could not be downloaded" in capsys.readouterr().err
    assert not (tmp_path / "v.npy").exists()


LAUGHS = "\n".join(["a0: &a0 [1, 2]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "stands for more than"),
        ("title: &t [*t]", "stands for more than"),
        ("title: " + "[" * 3000, "too deep"),
        ("title: 2020-13-45", "not YAML"),
        ("title: " + "9" * 10000, "not YAML"),
        ("!!python/object/apply:os.system [echo]", "not YAML"),
        ("x: '" + "y" * (5 << 20) + "'", "bytes"),
        ("title: \x00", "not YAML"),
        ("\udc80".encode("utf-8", "surrogateescape").decode("latin1"), "not"),
    ],
)
def test_settings_that_attack_are_one_line(tmp_path, capsys, text, message):
    (tmp_path / "own.yaml").write_bytes(text.encode("latin1"))
    for words in (["datasets", tmp_path / "own.yaml"], ["plan", "--config", tmp_path / "own.yaml"]):
        assert message in refused(capsys, *words)


def test_values_are_counted_and_not_walked_without_end():
    assert len(read_yaml("[" + "1," * 1000 + "]", "v")) == 1000
    with pytest.raises(ConfigError, match=f"{MOST_VALUES:,}"):
        read_yaml(LAUGHS, "v")
    with pytest.raises(ConfigError, match="not YAML"):
        read_yaml("2020-13-45", "v")
