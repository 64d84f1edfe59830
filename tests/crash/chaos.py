"""A sweep that is killed and damaged at random until it has suffered enough, and then has to be as if nothing had been.

    python tests/crash/chaos.py [--kills 60] [--damages 20] [--seed 0] [--folder FOLDER]

Twenty-two runs are done two at a time on this machine, by a dask scheduler with two workers, or by a LocalCluster;
two more are trainings that two processes share. Meanwhile processes are killed with -9: the runner, the process that
forks runs, the runs, trainers, workers of dask and their keepers, and the scheduler. Between two attempts files of
runs are damaged. In the end all scores must be those of a sweep that nobody disturbed, no process may be left, and
whatever lies in the folders of runs beside what that sweep has left there, `vemrecon clean` must name.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from damages import DAMAGES
from small_volumes import textured

PROGRAM = [sys.executable, "-m", "vemrecon.cli"]
KERNELS = ("nearest", "linear", "bicubic", "bicubic-keys", "bspline3", "lanczos3")
LONGER = ("--set", "lateral-cnn.budget=1000")  # or trainings would be over before they can be disturbed
SIGNED = "VEMRECON_CHAOS"  # in the environment of every process that belongs to the sweep
TARGETS = ("*/*/train/*/*", "*/*/*.json", "*/*/*.npz", "*/*/*.log", "*/*/reconstruction.zarr/**/*", "*/observed-*/**/*")
EVERY = 1.5  # seconds between kills, on average
FIRST = (2.0, 12.0)  # seconds before the first one: libraries are imported meanwhile


class Sweep:
    """The commands of one sweep in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self.mark = f"{folder}"
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", SIGNED: self.mark}
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "v.npy", textured((48, 64, 64)))

    def words(self, part: str) -> list[str]:
        """`vemrecon bench` of most of the runs, or of those that two processes share."""
        found = [*PROGRAM, "bench", "--dataset", f"local:{self.folder.parent / 'v.npy'}", "--voxel-size", "8", "8", "8"]
        found += ["--metrics", "psnr", "ssim", "--runs", str(self.runs), "--mode", "transductive", "--preset", "smoke"]
        if part == "shared":
            found += [
                "--methods",
                "lateral-cnn",
                "--seeds",
                "8",
                "9",
                "--scale",
                "4",
                "--devices-per-run",
                "2",
                "--kernels",
                "asked",
            ]
            return [*found, *LONGER]
        return [*found, "--methods", *KERNELS, "lateral-cnn", "--seeds", "0", "1", "2", "3", "4", "--scale", "2", "4"]

    def start(self, part: str, *more: str) -> subprocess.Popen[bytes]:
        """Begin a command; what it prints goes to a file."""
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen([*self.words(part), *more], stdout=said, stderr=said, env=self.environment)

    def processes(self) -> dict[int, str]:
        """All processes of the sweep that are alive, with their command lines."""
        found = {}
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not place.name.isdigit() or int(place.name) == os.getpid():
                    continue
                if f"{SIGNED}={self.mark}\0".encode() in (place / "environ").read_bytes():
                    found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def scores(self) -> dict[str, object]:
        """Status and scores of every run."""
        found = {}
        for path in self.runs.glob("*/*/result.json"):
            with contextlib.suppress(ValueError):
                result = json.loads(path.read_text())
                found[result["run_id"]] = [result["status"], result["scores"]]
        return found

    def files(self) -> set[str]:
        """Files of the run folders, without those whose names are random or tell of attempts."""
        every = (path for path in self.runs.glob("*/**/*") if path.is_file())
        return {path.relative_to(self.runs).as_posix() for path in every if path.name not in ("log.txt",)}


def kind_of(command: str) -> str:
    """What a process is, by its command line."""
    names = {
        "vemrecon.bench.executors.warm": "warm process or run",
        "training_process": "trainer",
        "dask scheduler": "scheduler",
        "dask worker": "worker of dask",
        "multiprocessing": "process of dask",
        "vemrecon.cli": "runner",
    }
    return next((name for word, name in names.items() if word in command), "other")


@contextlib.contextmanager
def scheduler(sweep: Sweep) -> Iterator[str]:
    """A scheduler of dask and two workers, begun from the shell as a user would."""
    file = sweep.folder / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "dask"]
    begin = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": sweep.environment}
    words = ["--scheduler-file", str(file), "--dashboard-address", ":0"]
    held = [subprocess.Popen([*dask, "scheduler", "--port", "0", *words], **begin)]
    worker = [*dask, "worker", "--scheduler-file", str(file), "--nthreads", "1", "--memory-limit", "0"]
    worker += ["--dashboard-address", ":0", "--death-timeout", "20"]
    held += [subprocess.Popen(worker, **begin) for _ in range(2)]
    pause = threading.Event()
    for _ in range(600):
        if file.exists():
            break
        pause.wait(0.1)
    try:
        yield str(file)
    finally:
        for process in held:
            process.terminate()
        for process in held:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()


def torment(
    sweep: Sweep, chance: random.Random, process: subprocess.Popen[bytes], killed: Counter[str], most: int
) -> None:
    """Kill processes of a sweep, one now and then, until the command has ended or enough were killed."""
    pause = threading.Event()
    pause.wait(chance.uniform(*FIRST))
    while process.poll() is None:
        pause.wait(chance.expovariate(1 / EVERY))
        if killed.total() >= most:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=300)
            if process.poll() is None:
                raise AssertionError("the command did not end")
            return
        alive = sweep.processes()
        kinds = sorted({kind_of(command) for command in alive.values()})
        if not kinds or process.poll() is not None:
            continue
        if "runner" in kinds and len(kinds) > 1 and chance.random() < 0.7:  # its end ends all others, too
            kinds.remove("runner")
        kind = chance.choice(kinds)
        victim = chance.choice(sorted(pid for pid, command in alive.items() if kind_of(command) == kind))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            killed[kind] += 1


def damage(sweep: Sweep, chance: random.Random, done: Counter[str]) -> None:
    """Damage one file of a run."""
    pattern = chance.choice(TARGETS)
    files = sorted(path for path in sweep.runs.glob(pattern) if path.is_file() and path.stat().st_size > 40)
    files = [path for path in files if ".damaged-" not in str(path) and path.name != "job.json"]
    if files:
        path, (name, change) = chance.choice(files), chance.choice(sorted(DAMAGES.items()))
        path.write_bytes(change(path.read_bytes()))
        done[f"{path.name if not path.name.isdigit() else 'chunk'} {name}"] += 1


def gone(sweep: Sweep, patience: float = 60.0) -> dict[int, str]:
    """Processes that are still alive when patience is at an end."""
    pause, begun = threading.Event(), time.monotonic()
    while (alive := sweep.processes()) and time.monotonic() - begun < patience:
        pause.wait(0.2)
    return alive


def attempt(sweep: Sweep, chance: random.Random, killed: Counter[str], most: int) -> int:
    """One command, tormented; gives its exit code."""
    part = chance.choice(["most", "shared"])
    way = chance.choice(["here", "here", "local", "scheduler"])
    with contextlib.ExitStack() as places:
        more = ["--jobs", "2"] if way == "here" else ["--dask", "local:2"]
        if way == "scheduler":
            more = ["--dask", places.enter_context(scheduler(sweep))]
        process = sweep.start(part, *more)
        torment(sweep, chance, process, killed, most)
    left = gone(sweep)
    assert not left, f"processes that outlived their command: {left}"
    return process.wait()


def completed(sweep: Sweep) -> int:
    """Start both commands until they have nothing to do; gives how often that was."""
    for number in range(1, 6):
        codes = [sweep.start(part, "--jobs", "2").wait() for part in ("most", "shared")]
        if codes == [0, 0]:
            return number
    raise AssertionError((sweep.folder / "said.txt").read_text()[-4000:])


def chaos(folder: Path, kills: int, damages: int, seed: int) -> None:
    """See the head of this file.

    Raises:
        AssertionError: If something is not as it must be.
    """
    chance = random.Random(seed)
    calm, wild = Sweep(folder / "calm"), Sweep(folder / "wild")
    np.save(folder / "v.npy", textured((48, 64, 64)))
    completed(calm)
    wanted = calm.scores()
    assert len(wanted) == 24 and all(status == "done" for status, _ in wanted.values())
    killed, harmed, attempts = Counter[str](), Counter[str](), 0
    while killed.total() < kills or harmed.total() < damages:
        attempts += 1
        attempt(wild, chance, killed, kills)
        for _ in range(chance.randint(1, 3)):
            if harmed.total() < damages:
                damage(wild, chance, harmed)
        if killed.total() < kills and attempts % 2 == 0:  # or nothing would be left to do
            for path in sorted(wild.runs.glob("*/*/result.json")):
                if chance.random() < 0.3:
                    shutil.rmtree(path.parent)
                elif chance.random() < 0.3:
                    path.unlink()
        print(f"attempt {attempts}: {killed.total()} kills, {harmed.total()} damages", flush=True)
    starts = completed(wild)
    assert not gone(wild), wild.processes()
    found = wild.scores()
    assert found.keys() == wanted.keys()
    assert found == wanted, [run for run in wanted if found[run] != wanted[run]]
    words = [*PROGRAM, "clean", str(wild.runs), "--hours", "0", "--remove"]
    clean = subprocess.run(words, capture_output=True, text=True, check=True)
    litter = wild.files() - calm.files()
    print(f"{killed.total()} kills {dict(killed)}\n{harmed.total()} damages {dict(harmed)}")
    print(f"{attempts} attempts, then {starts} more")
    print(f"clean: {clean.stdout.splitlines()[-1:]}; beside: {sorted(litter)}")
    assert not litter, sorted(litter)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--damages", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        chaos(asked.folder or Path(place), asked.kills, asked.damages, asked.seed)


if __name__ == "__main__":
    main()
