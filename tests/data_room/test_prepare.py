"""Prepared volumes: the same voxels, whatever the memory, the format of the raw file, kills and full disks."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from filelock import FileLock
from small_volumes import textured

from vemrecon import cli
from vemrecon.data import Locator
from vemrecon.data.card import DatasetCard, DatasetFile
from vemrecon.data.inspect import inspect_volume
from vemrecon.data.prepare import layout_of, prepare
from vemrecon.data.prepared import prepared_inspection, prepared_path, prepared_volume
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import sha256_of
from vemrecon.volume import Volume, VoxelSize, open_volume, write_volume

MIB = 1 << 20
LITTLE = 13 * MIB  # room for slabs of a few sections
SIZE = ["--voxel-size", "8", "8", "8"]


def voxels_of(path):
    volume = open_volume(path)
    return volume.read_raw(volume.whole)


def write_tiff(path, voxels):
    tifffile.imwrite(path, iter(voxels), shape=voxels.shape, dtype=voxels.dtype, photometric="minisblack",
                     compression="zlib")  # fmt: skip


def write_mapped_tiff(path, voxels):
    tifffile.imwrite(path, voxels, photometric="minisblack")


def write_hdf5(path, voxels):
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=voxels, chunks=(16, 16, 16), compression="gzip", compression_opts=1)


def write_flat_hdf5(path, voxels):
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=voxels)


def write_zarr(path, voxels):
    zarr.create_array(path, data=voxels, chunks=(30, 40, 50))


def write_npy(path, voxels):
    np.save(path, voxels)


WRITERS = {
    "raw.tif": write_tiff,
    "mapped.tif": write_mapped_tiff,
    "raw.h5": write_hdf5,
    "flat.h5": write_flat_hdf5,
    "raw.zarr": write_zarr,
    "raw.npy": write_npy,
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_prepared_volume_is_bit_equal_to_the_raw_file(tmp_path, name, dtype):
    voxels = (textured((71, 65, 130)).astype(np.float64) * (1 if dtype == "uint8" else 0.731)).astype(dtype)
    WRITERS[name](tmp_path / name, voxels)
    volume = open_volume(tmp_path / name, voxel_size=VoxelSize(40, 4, 4.5))
    found = prepare(volume, tmp_path / "out.zarr", digest="d" * 64, memory_bytes=LITTLE)
    prepared = open_volume(tmp_path / "out.zarr")
    assert prepared.dtype == dtype and prepared.voxel_size == VoxelSize(40, 4, 4.5)
    assert voxels_of(tmp_path / "out.zarr").tobytes() == voxels.tobytes()
    assert found == prepared_inspection(tmp_path / "out.zarr") == inspect_volume(volume)
    assert {path.name for path in tmp_path.iterdir()} == {name, "out.zarr"}


@pytest.mark.parametrize("shape", [(1, 5, 7), (64, 64, 64), (65, 64, 1), (130, 17, 129), (3, 200, 90)])
def test_odd_shapes_and_little_memory_change_no_voxel(tmp_path, make_volume, shape):
    voxels = np.random.default_rng(0).integers(0, 65535, shape, np.uint16)
    for memory in (1 << 30, LITTLE):
        out = tmp_path / f"{memory}.zarr"
        prepare(make_volume(voxels), out, digest="d", memory_bytes=memory)
        np.testing.assert_array_equal(voxels_of(out), voxels)


def test_chunks_are_cubes_of_64_and_thinner_only_where_memory_asks_for_it(tmp_path, make_volume):
    volume = make_volume(np.random.default_rng(0).integers(0, 255, (130, 300, 300), np.uint8))
    prepare(volume, tmp_path / "a.zarr", digest="d", memory_bytes=1 << 30)
    prepare(volume, tmp_path / "b.zarr", digest="d", memory_bytes=LITTLE + MIB)
    assert open_volume(tmp_path / "a.zarr").array.chunks == (64, 64, 64)
    z, *lateral = open_volume(tmp_path / "b.zarr").array.chunks
    assert z < 64 and lateral == [64, 64]


@pytest.mark.parametrize("memory", [1 << 30, 64 * MIB, LITTLE])
def test_every_chunk_has_one_writer(tmp_path, make_volume, monkeypatch, memory):
    written, read = [], []
    store = zarr.storage.LocalStore
    put, get = store.set, store.get

    async def counted_put(self, key, *more, **options):
        written.append(key)
        return await put(self, key, *more, **options)

    async def counted_get(self, key, *more, **options):
        read.append(key)
        return await get(self, key, *more, **options)

    monkeypatch.setattr(store, "set", counted_put)
    monkeypatch.setattr(store, "get", counted_get)
    monkeypatch.setattr("vemrecon.data.prepare._cores", lambda: 4)
    prepare(make_volume((200, 130, 70)), tmp_path / "out.zarr", digest="d", memory_bytes=memory)
    chunks = [key for key in written if key.startswith("c/")]
    assert len(chunks) == len(set(chunks)) == open_volume(tmp_path / "out.zarr").array.nchunks
    assert not [key for key in read if key.startswith("c/")]


def test_slabs_in_memory_at_once_fit_into_it():
    volume = Volume(np.broadcast_to(np.uint8(1), (4096, 2048, 2048)), None, "big")
    for mib in (64, 200, 300, 1000, 4000):
        layout = layout_of(volume, mib * MIB, threads=16)
        assert layout.depth * layout.writers * 4 < mib
    assert layout.depth == 64
    with pytest.raises(ConfigError, match="at least"):
        layout_of(volume, 5 * MIB)


def test_defects_are_listed_and_are_no_error(tmp_path, make_volume):
    voxels = textured((70, 40, 40))
    voxels[5], voxels[66] = 0, 200
    found = prepare(make_volume(voxels), tmp_path / "out.zarr", digest="d", memory_bytes=1 << 30)
    assert found.defects(outliers=False) == {5: "black", 66: "constant, grey level 200"}
    np.testing.assert_array_equal(voxels_of(tmp_path / "out.zarr"), voxels)


@pytest.mark.parametrize("writers", [1, 4])
def test_nan_is_refused_with_its_section_and_leaves_nothing(tmp_path, make_volume, monkeypatch, writers):
    monkeypatch.setattr("vemrecon.data.prepare._cores", lambda: writers)
    voxels = textured((150, 40, 40)).astype(np.float32) / 255
    voxels[77, 3, 4] = np.nan
    with pytest.raises(DataError, match="NaN or infinite voxels in section 77"):
        prepare(make_volume(voxels), tmp_path / "out.zarr", digest="d", memory_bytes=1 << 30)
    assert list(tmp_path.iterdir()) == []


def test_a_constant_volume_is_refused_and_leaves_nothing(tmp_path, make_volume):
    with pytest.raises(DataError, match="constant volume"):
        prepare(make_volume(np.full((70, 40, 40), 9, np.uint8)), tmp_path / "o.zarr", digest="d", memory_bytes=1 << 30)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_raw_file_is_refused_and_leaves_nothing(tmp_path):
    write_tiff(tmp_path / "raw.tif", textured((70, 40, 40)))
    with tifffile.TiffFile(tmp_path / "raw.tif") as file:
        offset = file.pages[50].dataoffsets[0]
    with (tmp_path / "raw.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 30)
    with pytest.raises(DataError, match="damaged"):
        prepare(open_volume(tmp_path / "raw.tif"), tmp_path / "out.zarr", digest="d", memory_bytes=LITTLE)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.tif"]


class Recording:
    """An array that notes which sections are read."""

    def __init__(self, voxels):
        self.voxels, self.shape, self.dtype, self.sections = voxels, voxels.shape, voxels.dtype, []

    def __getitem__(self, index):
        self.sections += range(*index[0].indices(self.shape[0]))
        return self.voxels[index]


def test_voxels_are_read_once(tmp_path):
    source = Recording(textured((130, 40, 40)))
    prepare(Volume(source, None, "v"), tmp_path / "out.zarr", digest="d", memory_bytes=LITTLE)
    assert sorted(source.sections) == list(range(130))
    prepare(Volume(source, None, "v"), tmp_path / "out.zarr", digest="d", memory_bytes=LITTLE)
    assert len(source.sections) == 130


KILLED = """
import os, signal, sys
from pathlib import Path
from vemrecon.data.prepare import prepare
from vemrecon.volume import open_volume, VoxelSize

def progress(share):
    if share > float(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

volume = open_volume(sys.argv[1], voxel_size=VoxelSize(8, 8, 8))
prepare(volume, Path(sys.argv[2]), digest="d", memory_bytes=1 << 30, progress=progress)
"""


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_killed_prepare_leaves_nothing_that_looks_finished_and_goes_on(tmp_path, share):
    voxels = textured((300, 40, 40))
    np.save(tmp_path / "raw.npy", voxels)
    out = tmp_path / "out.zarr"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "raw.npy"), str(out), str(share)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists() and prepared_volume(out, "d") is None
    part = tmp_path / ".out.zarr.part"
    finished = {json.loads(line)["part"] for line in (part / "parts.log").read_text().splitlines()}
    assert finished
    with (part / "parts.log").open("a") as log:
        log.write('{"slab": 4, "stat')  # as a kill in the middle of a line would
    (part / "out.zarr" / "0" / "c" / "0.abc.partial").write_bytes(b"half a chunk")
    source = Recording(voxels)
    volume = Volume(source, VoxelSize(8, 8, 8), "raw.npy")
    found = prepare(volume, out, digest="d", memory_bytes=1 << 30)
    assert sorted(source.sections) == [z for z in range(300) if z // 64 not in finished]
    assert found == inspect_volume(volume)
    np.testing.assert_array_equal(voxels_of(out), voxels)
    assert {path.name for path in tmp_path.iterdir()} == {"raw.npy", "out.zarr"}
    assert not list(out.rglob("*.partial"))


def test_what_another_raw_file_left_is_not_gone_on_with(tmp_path, make_volume):
    volume = make_volume((130, 40, 40))
    part = tmp_path / ".out.zarr.part"

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(volume, tmp_path / "out.zarr", digest="old", memory_bytes=1 << 30, progress=stop)
    assert (part / "parts.log").read_text()
    other = make_volume(textured((130, 40, 40), seed=5))
    prepare(other, tmp_path / "out.zarr", digest="new", memory_bytes=1 << 30)
    np.testing.assert_array_equal(voxels_of(tmp_path / "out.zarr"), other.array)


def test_a_second_process_on_the_same_output_is_refused(tmp_path, make_volume):
    part = tmp_path / ".out.zarr.part"
    part.mkdir()
    with FileLock(part / "lock"), pytest.raises(ConfigError, match="another process"):
        prepare(make_volume(), tmp_path / "out.zarr", digest="d", memory_bytes=1 << 30)


def test_an_output_of_another_file_is_not_touched(tmp_path, make_volume):
    prepare(make_volume(), tmp_path / "out.zarr", digest="d", memory_bytes=1 << 30)
    before = sha256_of(tmp_path / "out.zarr")
    with pytest.raises(ConfigError, match="already exists"):
        prepare(make_volume(), tmp_path / "out.zarr", digest="e", memory_bytes=1 << 30)
    assert sha256_of(tmp_path / "out.zarr") == before
    assert prepared_volume(tmp_path / "out.zarr", "e") is None
    assert prepared_volume(tmp_path / "none.zarr", "d") is None


def command(*words):
    words = [sys.executable, "-m", "vemrecon.cli", "prepare", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def test_a_full_disk_is_one_clear_line_and_the_rest_is_done_later(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (300, 64, 64), np.uint8)
    np.save(tmp_path / "raw.npy", voxels)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        words = (tmp_path / "raw.npy", disk / "out.zarr", *SIZE)
        done = command(*words)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "disk is full" in done.stderr and done.stderr.count("\n") == 1
        assert not (disk / "out.zarr").exists()
        finished = (disk / ".out.zarr.part" / "parts.log").read_text()
        assert finished
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = command(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        np.testing.assert_array_equal(voxels_of(disk / "out.zarr"), voxels)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A dataset of one HDF5 file below a data root."""
    root = tmp_path / "root"
    (root / "mine").mkdir(parents=True)
    voxels = textured((70, 40, 50))
    voxels[6] = 0
    with h5py.File(root / "mine" / "a.h5", "w") as file:
        file["volumes/raw"] = voxels
        file["volumes/raw"].attrs["resolution"] = (40, 4, 4)
    file = DatasetFile(path="mine/a.h5", dataset="volumes/raw", sha256=sha256_of(root / "mine" / "a.h5"))
    card = DatasetCard("mine", "mine", {"a": file}, voxel_size=VoxelSize(40, 4, 4))
    monkeypatch.setattr("vemrecon.data.is_dataset", lambda name: name == "mine")
    monkeypatch.setattr("vemrecon.data.dataset_card", lambda name: card)
    return root, card, voxels


def test_a_prepared_file_is_used_and_keeps_the_identity_of_the_raw_one(dataset, tmp_path, capsys):
    root, card, voxels = dataset
    raw = Locator(tmp_path, root).volume(card, "a")
    assert raw.path == root / "mine" / "a.h5"
    assert cli.main(["prepare", "mine", "--data-root", str(root)]) == 0
    ready = Locator(tmp_path, root).volume(card, "a")
    assert ready.path == prepared_path(root, "mine", "a", raw.digest) and ready.dataset is None
    assert (ready.digest, ready.voxel_size) == (raw.digest, raw.voxel_size)
    np.testing.assert_array_equal(ready.open().read_raw(ready.open().whole), voxels)
    said = capsys.readouterr().out
    assert "70 x 40 x 50 voxels of 40 x 4 x 4 nm, uint8" in said and "section 6: black" in said


@pytest.mark.parametrize("recorded", [False, True])
def test_the_prepared_volume_alone_is_enough(dataset, tmp_path, recorded):
    root, card, _ = dataset
    if recorded:  # no sha256 in the card: that of the first use is recorded beside the file
        card.files["a"] = DatasetFile(path="mine/a.h5", dataset="volumes/raw")
    raw = Locator(tmp_path, root).volume(card, "a")
    assert cli.main(["prepare", "mine", "a", "--data-root", str(root)]) == 0
    (root / "mine" / "a.h5").unlink()
    for fetch in (True, False):
        ready = Locator(tmp_path, root, fetch=fetch).volume(card, "a")
        assert ready.digest == raw.digest and ready.open().shape == (70, 40, 50)
    assert cli.main(["prepare", "mine", "--data-root", str(root)]) == 0


def test_an_unfinished_volume_is_not_used(dataset, tmp_path):
    root, card, _ = dataset
    raw = Locator(tmp_path, root).volume(card, "a")
    assert cli.main(["prepare", "mine", "--data-root", str(root)]) == 0
    path = prepared_path(root, "mine", "a", raw.digest)
    group = zarr.open_group(path, mode="r+")
    group.attrs["vemrecon"] = {"grid": "centred"}
    assert Locator(tmp_path, root).volume(card, "a").path == raw.path
    shutil.rmtree(path)
    assert Locator(tmp_path, root).volume(card, "a").path == raw.path


def test_a_file_that_contradicts_its_card_is_not_prepared(dataset, capsys):
    root, card, _ = dataset
    object.__setattr__(card, "voxel_size", VoxelSize(45, 4.3, 4.3))
    assert cli.main(["prepare", "mine", "--data-root", str(root)]) == 2
    assert "40 x 4 x 4 nm, but the card of 'mine' says 45 x 4.3 x 4.3 nm" in capsys.readouterr().err
    assert not (root / "prepared").exists()


def test_a_file_of_ones_own_is_prepared_and_shown_again(tmp_path, capsys):
    np.save(tmp_path / "raw.npy", textured((20, 30, 40)))
    words = ["prepare", str(tmp_path / "raw.npy"), str(tmp_path / "out.zarr"), *SIZE]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    assert "20 x 30 x 40 voxels of 8 x 8 x 8 nm, uint8" in first and "grey levels 0 to 255" in first
    assert cli.main(words) == 0
    assert capsys.readouterr().out == first
    assert prepared_volume(tmp_path / "out.zarr", sha256_of(tmp_path / "raw.npy"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["RAW", "OUT", "--memory", "lots"], "must be a size such as 512MB or 1GiB"),
        (["RAW", "OUT", "--memory", "64MiB"], "the program alone takes"),
        (["RAW", "OUT"], "does not say its voxel size"),
        (["RAW"], "needs one output"),
        (["RAW", "out.tif", *SIZE], "ends in .zarr"),
        (["nowhere.tif", "OUT"], "unknown dataset or file 'nowhere.tif'"),
        (["phantom", "tset"], "did you mean 'test'?"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(tmp_path, capsys, words, text):
    np.save(tmp_path / "raw.npy", textured((20, 30, 40)))
    places = {"RAW": str(tmp_path / "raw.npy"), "OUT": str(tmp_path / "out.zarr")}
    assert cli.main(["prepare", *(places.get(word, word) for word in words)]) == 2
    said = capsys.readouterr().err
    assert text in said and said.count("\n") == 1


def test_generated_volumes_need_no_preparing(capsys):
    assert cli.main(["prepare", "phantom"]) == 0
    assert "made on demand" in capsys.readouterr().out


MEASURED = """
import sys
import vemrecon.data.prepare
vemrecon.data.prepare._cores = lambda: 4  # as many writers as the memory allows, wherever this runs
from vemrecon.cli import main
code = main(sys.argv[1:])
print(open("/proc/self/status").read())
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak memory of a process")
@pytest.mark.parametrize("name", WRITERS)
def test_a_volume_larger_than_the_memory_is_prepared_within_it(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (8, 1024, 1024), np.uint8)
    WRITERS[name](tmp_path / name, np.tile(noise, (32, 1, 1)))  # 256 MiB that do not compress
    words = [sys.executable, "-c", MEASURED, "prepare", str(tmp_path / name), str(tmp_path / "out.zarr")]
    done = subprocess.run([*words, "--memory", "200MiB", *SIZE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) / 1024 < 200  # MiB, of which the program alone takes about 100
    assert prepared_inspection(tmp_path / "out.zarr").shape == (256, 1024, 1024)


def test_a_range_that_the_file_states_is_kept(tmp_path):
    grey = (textured((8, 24, 32)).astype(np.uint16) * 16).astype(np.uint16)
    write_volume(tmp_path / "raw.zarr", Volume(grey, VoxelSize(8, 8, 8), "raw"), grey.dtype, (0.0, 4095.0))
    raw = open_volume(tmp_path / "raw.zarr")
    prepare(raw, tmp_path / "out.zarr", digest="d", memory_bytes=1 << 28)
    kept = open_volume(tmp_path / "out.zarr")
    assert kept.stated and kept.span == raw.span == (0, 4095)
