"""Processes of runs: limits are kept, nothing outlives whoever began it, and every end has its name."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.bench.devices import device_groups
from vemrecon.bench.executors import on_dask
from vemrecon.bench.executors.attend import Order, Outcome
from vemrecon.bench.executors.limits import Limits, Watch, memory_of, read_timeout
from vemrecon.bench.executors.messages import Lines
from vemrecon.bench.executors.on_dask import OnDask
from vemrecon.bench.job import Job
from vemrecon.bench.request import Setup
from vemrecon.bench.result import Status
from vemrecon.data.volume_at import VolumeAt
from vemrecon.environment import cores
from vemrecon.errors import ConfigError
from vemrecon.processes import (
    adopt_launcher,
    launched_together,
    local_rank,
    local_world_size,
    rank,
    world_size,
)

HERE = Path(__file__).parent
VOLUME = VolumeAt("v.npy", None, "", None, None, "test", None)


def bench(folder, methods, *more):
    """`vemrecon bench` of methods, by their class paths or names, on a small volume."""
    path = folder / "v.npy"
    if not path.exists():
        np.save(path, textured((32, 48, 48)))
    words = [sys.executable, "-m", "vemrecon.cli", "bench", "--dataset", f"local:{path}", "--scale", "4"]
    words += ["--methods", *methods, "--voxel-size", "8", "8", "8", "--metrics", "psnr", "--runs", str(folder / "runs")]
    return [*words, *more]


def environment():
    paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}


def run(folder, methods, *more):
    words = bench(folder, methods, *more)
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment(), timeout=300)


def results(folder):
    found = [json.loads(path.read_text()) for path in (folder / "runs").glob("*/*/result.json")]
    return {one["spec"]["method"]["name"]: one for one in found}


def ended(pid, patience=20.0):
    """Whether a process ends soon."""
    pause = threading.Event()
    for _ in range(int(patience / 0.05)):
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # nobody has asked how it ended
        except OSError:
            return True
        pause.wait(0.05)
    return False


def session(leader):
    """Processes of a session."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and int((place / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(place.name))
        except OSError:
            continue
    return found


def wait_for(found, process, patience=120.0):
    """What `found` gives, as soon as it gives something; the process must live meanwhile."""
    pause = threading.Event()
    for _ in range(int(patience / 0.05)):
        if seen := found():
            return seen
        assert process.poll() is None, process.communicate()
        pause.wait(0.05)
    raise AssertionError("it did not come")


def test_every_end_has_its_name_and_stops_nobody(tmp_path):
    names = ["Hanging", "Outgrown", "Killed", "Leaving", "Honest"]
    done = run(tmp_path, [f"troubled_methods.{name}" for name in names], "--timeout", "8", "--jobs", "4")
    assert done.returncode == 1, done.stdout + done.stderr
    found = results(tmp_path)
    assert {name: one["status"] for name, one in found.items()} == {
        "Hanging": "timed out", "Outgrown": "out of memory", "Killed": "interrupted", "Leaving": "failed",
        "Honest": "done",
    }  # fmt: skip
    assert "took more than 8 s (in reconstruct); give --timeout more" in found["Hanging"]["reason"]
    assert "no room for 900 GB" in found["Outgrown"]["reason"]
    assert "it asked to end with 2" in found["Leaving"]["reason"]
    assert found["Killed"]["reason"] == "ended by SIGKILL; start again to go on"
    (log,) = (tmp_path / "runs").glob("*/Hanging-*/log.txt")
    children = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("child")]
    assert children and all(ended(pid) for pid in children), "what a run begins ends with it"


def test_a_run_goes_on_that_has_lost_one_of_its_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("TROUBLED_MARK", str(tmp_path / "killed"))
    words = [
        "--mode",
        "transductive",
        "--preset",
        "smoke",
        "--processes",
        "2",
        "--devices",
        "cpu",
        "--kernels",
        "asked",
    ]
    assert run(tmp_path, ["troubled_methods.Halved"], *words).returncode == 1
    assert results(tmp_path)["Halved"]["reason"] == "ended by SIGKILL; start again to go on"
    (log,) = (tmp_path / "runs").glob("*/Halved-*/log.txt")
    assert "process 1 of 2 of the training: ended by SIGKILL" in log.read_text()
    again = run(tmp_path, ["troubled_methods.Halved"], *words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(tmp_path)["Halved"]["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_at_once_share_the_cores(tmp_path, jobs):
    free = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    words = bench(tmp_path, ["troubled_methods.Counting"], "--jobs", str(jobs))
    subprocess.run(words, capture_output=True, check=True, env=free, timeout=300)
    share = max(1, cores() // jobs)
    (log,) = (tmp_path / "runs").glob("*/Counting-*/log.txt")
    assert f"threads {share}\n" in log.read_text()
    assert results(tmp_path)["Counting"]["environment"]["threads"] == share


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of several processes together")
def test_a_run_that_takes_too_much_memory_is_ended(tmp_path):
    done = run(tmp_path, ["troubled_methods.Greedy", "linear"], "--memory", "700MiB", "--jobs", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    found = results(tmp_path)
    assert (found["Greedy"]["status"], found["linear"]["status"]) == ("out of memory", "done")
    assert "more than 700; give --memory more" in found["Greedy"]["reason"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("whom", ["runner", *(pytest.param(one, marks=pytest.mark.slow) for one in ("worker", "warm"))])
def test_no_process_outlives_who_began_it(tmp_path, whom):
    """A training in two processes: whoever is killed, all below end at once, and the next start completes it."""
    words = bench(tmp_path, ["lateral-cnn"], "--devices-per-run", "2", "--preset", "smoke", "--mode", "transductive")
    words += ["--set", "lateral-cnn.budget=4000", "--kernels", "asked"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    runs = tmp_path / "runs"
    worker = int(wait_for(lambda: [*runs.glob("*/*/lease.owner")], process)[0].read_text().split()[1])
    wait_for(lambda: [*runs.glob("*/*/train/fit/last.ckpt")], process)
    parent = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    below = session(worker)
    assert len(below) == 3, "the worker and two that train"
    os.kill({"runner": process.pid, "worker": worker, "warm": parent}[whom], signal.SIGKILL)
    assert all(ended(pid) for pid in below)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if whom == "runner" else 1), output
    assert ended(parent)
    if whom != "runner":
        assert results(tmp_path)["lateral-cnn[budget=4000]"]["status"] == "interrupted"


@pytest.mark.parametrize("command", ["bench", "plan"])
def test_batches_and_devices_are_checked_before_anything_is_run(tmp_path, command):
    words = bench(tmp_path, ["lateral-cnn"], "--preset", "smoke", "--mode", "transductive", "--devices-per-run", "3")
    words[words.index("bench")] = command
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(), timeout=300)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "batches of" in done.stderr and "3 devices cannot share evenly" in done.stderr


def groups(*words, jobs=None, count=1):
    return device_groups(Setup(devices=words, jobs=jobs, devices_per_run=count), ())


def test_no_device_is_in_two_runs_unless_it_was_named_twice():
    assert groups("cuda:1") == [("cuda:1",)]
    assert groups("4", count=2) == [("cuda:0", "cuda:1"), ("cuda:2", "cuda:3")]
    assert groups("cuda:2", "cuda:0", "cuda:1", count=2) == [("cuda:2", "cuda:0")]
    assert groups("cuda:0", "cuda:0") == [("cuda:0",), ("cuda:0",)]
    assert groups("cpu", jobs=3, count=2) == [("cpu", "cpu")] * 3
    for words, jobs, count, said in [
        (("2",), 3, 1, "name a device twice"),
        (("2",), None, 3, "names only 2"),
        (("cuda:0", "cuda:0"), None, 2, "cannot share"),
        (("cpu", "cuda:0"), None, 2, "cannot share"),
    ]:
        with pytest.raises(ConfigError, match=said):
            groups(*words, jobs=jobs, count=count)


def test_times_and_parts_are_read():
    assert read_timeout(["2h", "train=1.5d", "score=90"]) == (7200, {"train": 129600, "score": 90})
    for word, said in [("2y", "must be a time"), ("trian=2h", "did you mean 'train'"), ("0s", "must be a time")]:
        with pytest.raises(ConfigError, match=said):
            read_timeout([word])


def test_limits_are_of_the_run_and_of_its_parts():
    now = [0.0]
    watch = Watch(Limits(seconds=100, parts={"train": 10}), 1, clock=lambda: now[0])
    assert watch.pause() == 100 and watch.over() is None
    now[0] = 50
    watch.enter("train")
    assert watch.pause() == 10
    now[0] = 59
    watch.enter("score")
    assert watch.pause() == 41 and watch.over() is None
    now[0] = 100
    assert watch.over()[0] == Status.TIMED_OUT


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_all_processes_of_a_session():
    code = "import os, sys; held = bytearray(os.urandom(1 << 20) * 100); print('ready', flush=True); sys.stdin.read()"
    begin = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(begin, start_new_session=True, **pipe) as process:
        process.stdout.readline()
        found = memory_of(process.pid)
        process.stdin.close()
    assert 100 << 20 < found < 160 << 20


def test_messages_are_whole_however_they_were_cut():
    text = b'{"phase": "a", "share": 0.5}\nnoise\n[1]\n{"part": "score"}\n'
    for cut in range(len(text)):
        lines = Lines()
        found = [*lines.of(text[:cut]), *lines.of(text[cut:])]
        assert found == [{"phase": "a", "share": 0.5}, {"part": "score"}]


def test_workers_of_dask_do_what_this_machine_does(tmp_path):
    calm, cluster = tmp_path / "calm", tmp_path / "cluster"
    for folder, more in [(calm, []), (cluster, ["--dask", "local:2"])]:
        folder.mkdir()
        done = run(folder, ["nearest", "linear", "bicubic", "troubled_methods.Outgrown"], *more)
        assert done.returncode == 1, done.stdout + done.stderr
    alone, shared = results(calm), results(cluster)
    assert {name: one["status"] for name, one in shared.items()} == {n: one["status"] for n, one in alone.items()}
    assert all(alone[name]["scores"] == one["scores"] for name, one in shared.items())
    assert shared["Outgrown"]["status"] == "out of memory"


def test_runs_of_a_local_scheduler_share_no_gpu(tmp_path, monkeypatch):
    taken, both = [], threading.Barrier(2)

    def attended(warm, order, told, wanted):
        taken.append(order.job.devices)
        both.wait(timeout=30)
        return Outcome(0)

    monkeypatch.setattr(on_dask, "visible_gpus", lambda: ["cuda:0", "cuda:1"])
    monkeypatch.setattr(on_dask, "attended", attended)
    ended = threading.Semaphore(0)
    with OnDask("local:4", devices=1, gpus=True) as executor:
        assert executor.room() == 2
        for _ in range(2):
            executor.submit(Order(tmp_path, Job(truth=VOLUME)), lambda message: None, lambda outcome: ended.release())
        assert all(ended.acquire(timeout=60) for _ in range(2))
    assert sorted(taken) == [("cuda:0",), ("cuda:1",)]
    with pytest.raises(ConfigError, match="this machine has 2 GPUs, a run takes 4"), OnDask("local:1", 4, gpus=True):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_no_run_outlives_the_workers_of_dask(tmp_path):
    words = bench(tmp_path, ["troubled_methods.Hanging"], "--dask", "local:1")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    owners = wait_for(lambda: [*(tmp_path / "runs").glob("*/*/lease.owner")], process)
    worker = int(owners[0].read_text().split()[1])
    process.kill()
    process.communicate(timeout=60)
    assert ended(worker, 60)


def weights(runs):
    (path,) = runs.glob("*/*/weights.safetensors")
    return load_file(path)


@pytest.mark.slow
def test_two_nodes_train_what_one_process_does(tmp_path):
    """Two process groups of torchrun on one machine, each with a process, stand for two nodes."""
    words = ["--preset", "smoke", "--mode", "transductive", "--set", "lateral-cnn.budget=20", "--kernels", "asked"]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder, more in [(alone, []), (shared, ["--prepare"])]:
        folder.mkdir()
        done = run(folder, ["lateral-cnn"], *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    folder = done.stdout.strip().splitlines()[-1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    launch += [f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=two", "-m", "vemrecon.cli", "run", folder, "--together"]
    nodes = [
        subprocess.Popen(launch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
        for _ in range(2)
    ]
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert results(shared)["lateral-cnn[budget=20]"]["status"] == "done"
    torch.testing.assert_close(weights(shared / "runs"), weights(alone / "runs"), atol=1e-5, rtol=0)


def test_a_run_together_needs_somebody_who_launches_it(tmp_path):
    done = run(tmp_path, ["linear"], "--prepare")
    words = [sys.executable, "-m", "vemrecon.cli", "run", done.stdout.strip().splitlines()[-1], "--together"]
    alone = subprocess.run(words, capture_output=True, text=True, check=False, env=environment())
    assert alone.returncode == 2 and "neither torchrun nor srun" in alone.stderr


def test_srun_says_which_process_this_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    slurm = {"PROCID": "5", "LOCALID": "1", "NODEID": "1", "NTASKS": "8", "NNODES": "2"}
    monkeypatch.setattr(os, "environ", os.environ | {f"SLURM_{name}": value for name, value in slurm.items()})
    adopt_launcher()
    assert (rank(), local_rank(), world_size(), local_world_size()) == (5, 1, 8, 4)
    assert launched_together()


def test_the_script_of_a_batch_job_is_shown_and_tells_its_gpus(tmp_path):
    pytest.importorskip("dask_jobqueue")
    words = ["--dask", "slurm:4", "--devices", "cuda", "--devices-per-run", "2"]
    plan = [word.replace("bench", "plan") if word == "bench" else word for word in bench(tmp_path, ["linear"], *words)]
    jobs = {"DASK_JOBQUEUE__SLURM__CORES": "4", "DASK_JOBQUEUE__SLURM__MEMORY": "8GB"}
    done = subprocess.run(plan, capture_output=True, text=True, check=False, env=environment() | jobs)
    assert done.returncode == 0, done.stderr
    script = done.stdout.partition("script of each job:\n")[2]
    assert script.startswith("#!/usr/bin/env bash") and "#SBATCH --cpus-per-task=4" in script
    assert "--resources GPU=2" in script
