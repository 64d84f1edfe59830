"""Real kills of real processes: nothing that was finished is lost, and starting again completes the rest."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from small_volumes import textured

METHODS = ("nearest", "bicubic")


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    path = tmp_path_factory.mktemp("volume") / "v.npy"
    np.save(path, textured((48, 64, 64)))
    return path


def command(volume, runs, *more):
    words = ["bench", "--dataset", f"local:{volume}", "--scale", "4", "--methods", *METHODS, "--voxel-size", "8", "8"]
    words += ["8", "--metrics", "psnr", "ssim", "--runs", str(runs), "--jobs", "1", *more]
    return [sys.executable, "-m", "vemrecon.cli", *words]


def start(volume, runs):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(volume, runs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(volume, runs, *more):
    return subprocess.run(command(volume, runs, *more), capture_output=True, text=True, check=False, timeout=300)


def scores(runs):
    found = {}
    for path in runs.glob("*/*/result.json"):
        result = json.loads(path.read_text())
        assert result["status"] == "done", result["reason"]
        found[result["run_id"]] = result["scores"]
    return found


def wait_for(pattern, runs, process, number=1, patience=120):
    """Wait until so many files of a pattern exist, or the process has ended."""
    pause = threading.Event()
    for _ in range(int(patience / 0.01)):
        if len(list(runs.glob(pattern))) >= number or process.poll() is not None:
            return
        pause.wait(0.01)
    raise AssertionError(f"{pattern} did not appear")


@pytest.fixture(scope="module")
def undisturbed(volume, tmp_path_factory):
    """Scores of a run that nobody killed."""
    runs = tmp_path_factory.mktemp("calm") / "runs"
    done = finish(volume, runs)
    assert done.returncode == 0, done.stdout + done.stderr
    return scores(runs)


def test_a_killed_runner_loses_nothing_and_a_new_start_completes(volume, undisturbed, tmp_path):
    runs = tmp_path / "runs"
    process = start(volume, runs)
    wait_for("*/*/result.json", runs, process)
    process.kill()
    process.communicate()
    before = {path: path.read_bytes() for path in runs.glob("*/*/result.json")}
    assert before
    done = finish(volume, runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    assert scores(runs) == undisturbed


@pytest.mark.parametrize("pattern", ["*/*/lease.owner", "*/*/reconstruction.zarr/zarr.json"])
def test_a_killed_worker_stops_no_other_run_and_is_done_by_the_next_start(volume, undisturbed, tmp_path, pattern):
    runs = tmp_path / "runs"
    process = start(volume, runs)
    wait_for(pattern, runs, process)
    with contextlib.suppress(ProcessLookupError):  # it may have ended just now
        owner = next(iter(runs.glob("*/*/lease.owner")))
        os.kill(int(owner.read_text().split()[1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    results = [json.loads(path.read_text()) for path in runs.glob("*/*/result.json")]
    assert len(results) == len(METHODS)
    states = sorted(result["status"] for result in results)
    assert states.count("done") >= len(METHODS) - 1
    assert process.returncode == (1 if "interrupted" in states else 0), output
    assert "SIGKILL" in output or "interrupted" not in states
    done = finish(volume, runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores(runs) == undisturbed


def test_kills_at_random_moments_still_end_with_the_same_numbers(volume, undisturbed, tmp_path):
    runs = tmp_path / "runs"
    moments = random.Random(os.getpid())
    for _ in range(3):
        process = start(volume, runs)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=moments.uniform(0.5, 8))
        process.kill()
        process.communicate()
    done = finish(volume, runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores(runs) == undisturbed


def test_a_second_runner_on_the_same_folder_is_refused(volume, tmp_path):
    runs = tmp_path / "runs"
    first = start(volume, runs)
    wait_for("*/*/lease.owner", runs, first)
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second one begins
    second = finish(volume, runs)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1 and "in use by process" in second.stderr
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    assert len(scores(runs)) == len(METHODS)


def test_a_full_disk_is_one_clear_line_and_nothing_is_lost(volume, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        runs = disk / "runs"
        done = finish(volume, runs)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "disk is full" in done.stderr and done.stderr.count("\n") == 1
        before = {path: path.read_bytes() for path in runs.glob("*/*/result.json")}
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = finish(volume, runs)
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(path.read_bytes() == content for path, content in before.items())
        assert scores(runs) == undisturbed
    finally:
        subprocess.run(["umount", str(disk)], check=False)


FAILING = """
import torch
from vemrecon.methods import Method, MethodCard

class Broken(Method):
    card = MethodCard("Broken on purpose", "none")

    def reconstruct(self, tile):
        raise RuntimeError("no luck today")

class Huge(Method):
    card = MethodCard("Wrong shape", "none")

    def reconstruct(self, tile):
        return torch.zeros(1, 1, 2, 2, 2)

class Picky(Method):
    card = MethodCard("Declines", "none")

    def supports(self, scale, grid):
        return "only factor 10"

    def reconstruct(self, tile):
        return tile.observed
"""


def test_a_failed_run_is_a_row_with_its_reason_and_stops_nobody(volume, tmp_path):
    (tmp_path / "mine.py").write_text(FAILING)
    runs = tmp_path / "runs"
    methods = ["mine.Broken", "mine.Huge", "mine.Picky", "linear"]
    words = [w for w in command(volume, runs) if w not in METHODS]
    at = words.index("--methods") + 1
    words[at:at] = methods
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    results = {
        r["spec"]["method"]["name"]: r for r in map(json.loads, map(Path.read_text, runs.glob("*/*/result.json")))
    }
    assert {name: r["status"] for name, r in results.items()} == {
        "Broken": "failed", "Huge": "failed", "Picky": "declined", "linear": "done",
    }  # fmt: skip
    assert "no luck today" in results["Broken"]["reason"]
    assert "expected" in results["Huge"]["reason"]
    table = (runs / "report" / "leaderboard.csv").read_text()
    assert "no luck today" in table and "only factor 10" in table
    marks = {path: path.stat().st_mtime_ns for path in runs.glob("*/*/result.json")}
    again = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert again.returncode == 1
    assert {path: path.stat().st_mtime_ns for path in marks} == marks, (
        "failed runs are repeated only with --retry failed"
    )
