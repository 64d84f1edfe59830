"""The commands fetch, cite and datasets as a user meets them."""

import subprocess
import sys

import pytest
import yaml
from data_room.faulty_server import digest, noise

from vemrecon import protocol
from vemrecon.cli import main

RAW, LABELS, OPEN = noise(40_000), noise(20_000, seed=1), noise(30_000, seed=2)


@pytest.fixture
def brain(server, tmp_path, monkeypatch):
    """A dataset with a mirror, labels, a file without known sha256 and a generated one; gives its data root."""
    facts = {
        "title": "A brain of noise",
        "licence": "CC0-1.0",
        "citation": "Nobody, 2020",
        "voxel_size": [8, 8, 8],
        "files": {
            "cube": {
                "path": "brain/raw.h5",
                "url": server.url("gone.h5"),
                "mirrors": [server.serve("raw.h5", RAW)],
                "sha256": digest(RAW),
                "bytes": len(RAW),
                "labels": {
                    "neurons": {
                        "path": "brain/labels.h5",
                        "url": server.serve("labels.h5", LABELS),
                        "sha256": digest(LABELS),
                    },
                    "clefts": {"path": "brain/raw.h5", "dataset": "clefts"},
                },
            },
            "open": {"path": "brain/open.h5", "url": server.serve("open.h5", OPEN)},
            "made": {"generator": {"shape": [16, 16, 16], "seed": 1}},
        },
    }
    splits = {
        "test": {"file": "cube", "region": [[0, 8], [0, 9], [0, 10]], "use": "numbers"},
        "all": {"group": ["test"], "use": "the mean"},
    }
    real = protocol.benchmark_folder()
    for kind, content in (("datasets", facts), ("splits", splits)):
        (tmp_path / "benchmark" / kind).mkdir(parents=True)
        (tmp_path / "benchmark" / kind / "brain.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "benchmark" / "methods").symlink_to(real / "methods")
    monkeypatch.setattr(protocol, "benchmark_folder", lambda: tmp_path / "benchmark")
    return tmp_path / "data"


def run(capsys, *words):
    """Exit code, standard output and standard error of a command."""
    code = main([str(word) for word in words])
    out, error = capsys.readouterr()
    assert "Traceback" not in error
    return code, out, error


def test_fetch_downloads_everything_says_where_it_is_and_verifies_it_the_next_time(server, brain, capsys):
    code, out, error = run(capsys, "fetch", "brain", "--data-root", brain)
    assert code == 0
    lines = out.splitlines()
    for line, (name, data) in zip(lines, {"raw.h5": RAW, "labels.h5": LABELS, "open.h5": OPEN}.items(), strict=False):
        path = brain / "brain" / name
        unknown = f"downloaded; no checksum is published, recorded sha256 {digest(data)}: {path}"
        assert line == (unknown if data is OPEN else f"downloaded, verified: {path}  sha256 {digest(data)}")
        assert (brain / "brain" / name).read_bytes() == data
    assert lines[3:] == [f"3 files of brain in {brain}"]
    assert "HTTP 404; trying the next address" in error and error.count("\n") == 1
    asked = len(server.seen)
    code, out, error = run(capsys, "fetch", "brain", "--data-root", brain)
    assert (code, error, len(server.seen)) == (0, "", asked)
    assert out.count("here already, verified: ") == 2
    assert f"here already, as when it was first seen: {brain / 'brain' / 'open.h5'}" in out


def test_fetch_takes_some_files_and_leaves_out_labels(brain, capsys, monkeypatch):
    monkeypatch.setenv("VEMRECON_DATA", str(brain))
    assert run(capsys, "fetch", "brain", "cube", "--no-labels")[0] == 0
    assert sorted(path.name for path in (brain / "brain").glob("[!.]*")) == ["raw.h5"]
    assert "made on demand" in run(capsys, "fetch", "brain", "made")[1]
    assert "did you mean 'cube'" in run(capsys, "fetch", "brain", "cubes")[2]
    assert "did you mean 'brain'" in run(capsys, "fetch", "brian")[2]
    assert "nothing to fetch" in run(capsys, "fetch", "local:x.h5")[2]


def test_fetch_offline_lists_every_missing_file_in_one_error(server, brain, capsys, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    code, out, error = run(capsys, "fetch", "brain", "--data-root", brain)
    assert (code, out, server.seen) == (2, "", [])
    head, *lines = error.splitlines()
    assert head.startswith("vemrecon fetch: error: 3 files are missing")
    for line, name in zip(lines, ("raw.h5", "labels.h5", "open.h5"), strict=True):
        assert line.endswith(f"put it at {brain / 'brain' / name}") and "VEMRECON_OFFLINE is set" in line
    assert "40.0 kB" in lines[0] and digest(RAW) in lines[0] and server.url("raw.h5") in lines[0]
    (brain / "brain").mkdir(parents=True)
    for name, data in (("raw.h5", RAW), ("labels.h5", LABELS), ("open.h5", OPEN)):
        (brain / "brain" / name).write_bytes(data)
    assert run(capsys, "fetch", "brain", "--data-root", brain)[0] == 0


def test_bench_offline_says_which_file_to_put_where(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    words = [
        "bench",
        "--dataset",
        "fib25",
        "--data-root",
        tmp_path,
        "--runs",
        tmp_path / "runs",
        "--methods",
        "bicubic",
    ]
    code, _, error = run(capsys, *words)
    assert code == 2 and error.count("\n") == 1
    assert str(tmp_path / "fib25" / "validation_sample" / "grayscale_maps.h5") in error


def test_datasets_shows_files_splits_and_tasks_of_one(brain, capsys):
    code, out, _ = run(capsys, "datasets", "brain", "--data-root", brain)
    assert code == 0
    for fact in (
        "tasks:         reference",
        "size:      40.0 kB",
        "sha256:    recorded at first download",
        "mirror 1:  http://127.0.0.1",
        f"brain/open.h5 (not here: {brain / 'brain' / 'open.h5'})",
        "labels clefts: clefts of the same file",
        "made on demand",
        "cube z[0,8) y[0,9) x[0,10) (numbers)",
        "the splits test (the mean)",
        "A brain of noise",
    ):
        assert fact in out, fact
    run(capsys, "fetch", "brain", "open", "--data-root", brain)
    out = run(capsys, "datasets", "brain", "--data-root", brain)[1]
    assert f"is here: {brain / 'brain' / 'open.h5'}" in out and digest(OPEN) in out


def test_cite_prints_citation_and_licence_of_datasets_and_methods(capsys):
    code, out, _ = run(capsys, "cite", "fib25", "isovem", "bicubic")
    assert code == 0
    one, two, three = out.split("\n\n")
    assert "Takemura" in one and "Creative Commons" in one
    assert "method:        isovem" in two and "IsoVEM" in two and "licence:" in two
    assert "Keys" in three
    code, _, error = run(capsys, "cite", "fib25", "isovemm")
    assert code == 2 and "unknown dataset or method 'isovemm': did you mean 'isovem'" in error


def test_commands_that_list_import_nothing_that_downloads():
    code = (
        "import sys; from vemrecon.cli import main\n"
        "assert [main(words) for words in (['datasets', 'fib25'], ['cite', 'fib25', 'vemamba'])] == [0, 0]\n"
        "heavy = {'requests', 'urllib3', 'filelock', 'torch', 'tensorstore'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_cache_is_the_data_root_where_none_is_named(monkeypatch, tmp_path):
    from vemrecon.data import default_data_root

    monkeypatch.delenv("VEMRECON_DATA", raising=False)
    assert default_data_root().name == "vemrecon" and default_data_root().is_absolute()
    monkeypatch.setenv("VEMRECON_DATA", str(tmp_path))
    assert default_data_root() == tmp_path
