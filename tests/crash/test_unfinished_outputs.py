"""Outputs of several files that were never finished: nothing has their name, and what is left can be listed."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from vemrecon.commands.clean import leftovers
from vemrecon.errors import OutputError
from vemrecon.volume import Volume, VoxelSize, write_volume
from vemrecon.volume import precomputed_writer as sharded

SLOWLY = """
import sys, threading
from pathlib import Path
import numpy as np
from vemrecon.volume import Volume, VoxelSize, write_volume
from vemrecon.volume import precomputed_writer, tensorstore_writing

class Slow:
    shape, dtype = (40, 256, 256), np.dtype(np.uint8)
    seen = 0

    def __getitem__(self, index):
        self.seen += 1
        if self.seen > 3:
            print("half", flush=True)
            threading.Event().wait(60)
        return np.zeros([len(range(*one.indices(256))) for one in index], np.uint8)

precomputed_writer.SHARD_BYTES = tensorstore_writing.HELD_BYTES = 1 << 20
tensorstore_writing.PART_VOXELS = 1 << 18
write_volume(Path(sys.argv[1]), Volume(Slow(), VoxelSize(8, 8, 8), "v"), np.dtype(np.uint8))
"""
NAMES = ["v.n5", "v.precomputed"]


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_writer_leaves_nothing_of_the_name(tmp_path, name):
    words = [sys.executable, "-c", SLOWLY, str(tmp_path / name)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f".{name}.") and any(file.is_file() for file in left.rglob("*"))
    assert [one.path for one in leftovers(tmp_path)] == [left]


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_clear_line_and_nothing_is_left(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sharded, "SHARD_BYTES", 1 << 20)
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        voxels = np.random.default_rng(0).integers(0, 255, (100, 300, 300)).astype(np.uint8)
        with pytest.raises(OutputError, match="the disk is full"):
            write_volume(tmp_path / name, Volume(voxels, VoxelSize(8, 8, 8), "v"), voxels.dtype)
        threading.Event().wait(0.2)  # for writing that would go on
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=False)
