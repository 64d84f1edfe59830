"""Small volumes that several rooms test with."""

import os
from pathlib import Path

import pytest
from kept_process import Keeper
from small_volumes import textured

from vemrecon.volume import Volume, VoxelSize


@pytest.fixture
def make_volume():
    """Function that makes a volume of 10 nm voxels from a shape or an array."""

    def make(source=(17, 33, 29), voxel_size=(10, 10, 10), **more):
        array = textured(source) if isinstance(source, tuple) else source
        return Volume(array, VoxelSize(*voxel_size) if voxel_size else None, "test", **more)

    return make


@pytest.fixture(scope="session")
def fib25():
    """Path of the real FIB-25 sample with labels; the test skips where it is not."""
    root = os.environ.get("VEMRECON_SHARED")
    path = Path(root or "") / "data" / "fib25" / "training_sample2" / "raw.h5"
    if not root or not path.exists():
        pytest.skip("real data: set VEMRECON_SHARED to the folder that holds data/fib25/training_sample2/raw.h5")
    return path


@pytest.fixture(scope="session")
def tissues(fib25):
    """The folder of the real volumes; the test skips where these cubes and crops are not."""
    root = fib25.parents[2]
    if not (root / "hemibrain").exists() or not (root / "cremi_crops").exists():
        pytest.skip("real data: hemibrain/ and cremi_crops/ are not beside fib25/")
    return root


@pytest.fixture(scope="session")
def keeper():
    """Keeps the process that begins runs from one benchmark to the next."""
    found = Keeper()
    yield found
    found.end()


@pytest.fixture(autouse=True)
def kept_process(keeper, monkeypatch):
    """Benchmarks that are begun in this process share the one that begins runs; commands begin their own."""
    monkeypatch.setattr("vemrecon.bench.executors.warm_process.WarmProcess", keeper.process_here)
