"""Workers of dask: the same bytes, whoever dies meanwhile."""

import os
import random
import signal
import threading

import dask
import numpy as np
import pytest
from patient import GREY, Blended, Failing, Patient, observed, smaller

import vemrecon
from vemrecon.cli import main
from vemrecon.errors import ConfigError, DataError
from vemrecon.infer.cluster import Cluster
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.schedulers import connected, require_place
from vemrecon.volume import open_volume

pytest.importorskip("distributed", reason="pip install vemrecon[dask]")


def bytes_of(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def made(folder, method, workers=None, most=6000):
    folder.mkdir(exist_ok=True)
    volume, shares = observed(), []
    reconstruct_volume(
        method, volume, folder / "r.zarr", like=volume, most=most, workers=workers, pyramid=True, progress=shares.append
    )
    assert shares == sorted(shares) and shares[-1] == 1
    return bytes_of(folder / "r.zarr")


def kill_now_and_then(cluster, killed, enough, ended, pause=(0.2, 0.6)):
    """Kill a random worker process again and again; its nanny begins another."""
    dice = random.Random(0)
    while not ended.wait(dice.uniform(*pause)):
        if len(killed) >= enough:
            return
        alive = [nanny.pid for nanny in cluster.workers.values() if getattr(nanny, "pid", None)]
        if alive:
            victim = dice.choice(alive)
            try:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            except ProcessLookupError:
                pass


@pytest.fixture(scope="module")
def two():
    with connected("local:2") as client:
        yield client


@pytest.mark.parametrize("kind", [pytest.param(Patient, marks=pytest.mark.slow), Blended])
def test_workers_that_are_killed_lose_nothing(tmp_path, kind):
    wanted = made(tmp_path / "alone", kind(0))
    killed, ended = [], threading.Event()
    with connected("local:2") as client:
        killer = threading.Thread(target=kill_now_and_then, args=(client.cluster, killed, 3, ended))
        killer.start()
        try:
            found = made(tmp_path / "killed", kind(0.1), Cluster(client, kind(0.1), observed))
        finally:
            ended.set()
            killer.join()
    assert found == wanted and len(killed) >= 1
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["blocks.log", "r.zarr"]


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    wanted = made(tmp_path / "alone", Blended(0), most=1)
    killed, ended = [], threading.Event()
    with connected("local:4") as client:
        words = (client.cluster, killed, 20, ended, (2, 4))  # a new worker takes seconds to begin
        killer = threading.Thread(target=kill_now_and_then, args=words)
        killer.start()
        try:
            found = made(tmp_path / "killed", Blended(0.9), Cluster(client, Blended(0.9), observed), most=1)
        finally:
            ended.set()
            killer.join()
    print(f"{len(killed)} workers killed")
    assert found == wanted and len(killed) >= 20
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["blocks.log", "r.zarr"]


def test_errors_of_workers_end_the_run_and_the_rest_goes_on_later(tmp_path, two):
    with pytest.raises(ValueError, match="no such thing"):
        made(tmp_path / "a", Failing(), Cluster(two, Failing(), observed))
    with pytest.raises(DataError, match=r"has \(20, 70, 66\) voxels here"):
        made(tmp_path / "b", Patient(0), Cluster(two, Patient(0), smaller))
    assert made(tmp_path / "a", Patient(0), Cluster(two, Patient(0), observed)) == made(tmp_path / "c", Patient(0))


def test_the_command_and_python_leave_the_blocks_to_workers(tmp_path, two):
    np.save(tmp_path / "v.npy", GREY)
    words = ["reconstruct", str(tmp_path / "v.npy"), "--voxel-size", "30", "10", "10", "--method", "lanczos3"]
    address = two.scheduler.address
    assert main([*words[:2], str(tmp_path / "alone.zarr"), *words[2:]]) == 0
    assert main([*words[:2], str(tmp_path / "out.zarr"), *words[2:], "--dask", address]) == 0
    size = {"voxel_size": (30, 10, 10), "method": "lanczos3", "progress": False}
    vemrecon.reconstruct(GREY, **size, dask=two, out=tmp_path / "array.zarr")
    alone, *others = (open_volume(tmp_path / f"{name}.zarr") for name in ("alone", "out", "array"))
    for other in others:
        assert np.array_equal(alone.read_raw(alone.whole), other.read_raw(other.whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.zarr", "array.zarr", "out.zarr", "v.npy"]
    with pytest.raises(ConfigError, match="out=FILE"):
        vemrecon.reconstruct(GREY, **size, dask=two)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("somewhere", "--dask somewhere: must be local:N"),
        ("local:none", "local:N"),
        ("slurm", "slurm:N"),
        ("tcp://127.0.0.1:1", "no scheduler answers there"),
    ],
)
def test_a_place_that_is_none_is_one_line(where, message):
    short = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with short, pytest.raises(ConfigError, match=message):
        require_place(where)


def test_a_batch_system_is_configured_before_anything_is_computed():
    with pytest.raises(ConfigError, match=r"say cores and memory of a job in .*jobqueue\.yaml"):
        require_place("slurm:2")
    with dask.config.set({"jobqueue.slurm.cores": 4, "jobqueue.slurm.memory": "8GB"}):
        require_place("slurm:2")


def test_the_scheduler_sees_no_voxels(tmp_path, two):
    made(tmp_path / "a", Patient(0), Cluster(two, Patient(0), observed))
    sizes = two.run_on_scheduler(lambda dask_scheduler: [one.nbytes for one in dask_scheduler.tasks.values()])
    assert sum(size for size in sizes if size > 0) < 10_000
