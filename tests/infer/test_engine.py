"""Blocks of a reconstruction: the same bytes whatever their size, order, kills and damages; one file each."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.infer import reconstruct as engine
from vemrecon.infer.marks import Marks, checksum
from vemrecon.infer.overlap import WriteBehind, read_ahead
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.infer.tiles import TilePlan
from vemrecon.methods import Method
from vemrecon.methods.base import TileShape
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume

GREY = textured((13, 40, 36))


class Slow(Method):
    """Repeats sections, counts its tiles, and is interrupted where a test says so."""

    tile = TileShape(4, 16, 16, halo=(1, 2, 2))

    def __init__(self, stop_after=None):
        super().__init__()
        self.calls, self.stop_after = 0, stop_after

    def reconstruct(self, tile):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)

    @property
    def has_spread(self):
        return True

    def reconstruct_with_spread(self, tile):
        made = self.reconstruct(tile)
        return made, made / 4


def observed(scale=3):
    return replace(Volume(GREY, None, "v"), grid=SectionGrid.slabs(scale))


def bytes_of(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def made(folder, method=None, most=6000, **more):
    folder.mkdir(exist_ok=True)
    reconstruct_volume(method or Slow(), observed(), folder / "r.zarr", like=observed(), most=most, **more)
    return open_volume(folder / "r.zarr")


@pytest.mark.parametrize("most", [1, 6000, 30_000, 1 << 20])
def test_voxels_do_not_depend_on_blocks(tmp_path, most):
    found = made(tmp_path / "a", most=most)
    assert np.array_equal(found.read_raw(found.whole), GREY.repeat(3, axis=0))
    shards = [file for file in (tmp_path / "a" / "r.zarr" / "0" / "c").rglob("*") if file.is_file()]
    assert len(shards) == len(TilePlan.of(GREY.shape, SectionGrid.slabs(3), Slow.tile, most).blocks())


@pytest.mark.parametrize("axis", [1, 2])
def test_another_axis_is_turned_and_turned_back(tmp_path, axis):
    turned = np.swapaxes(GREY, 0, axis)
    volume = replace(Volume(turned, None, "v"), grid=SectionGrid.slabs(3))
    reconstruct_volume(Slow(), volume, tmp_path / "r.zarr", like=volume, axis=axis, most=6000)
    found = open_volume(tmp_path / "r.zarr")
    assert np.array_equal(found.read_raw(found.whole), turned.repeat(3, axis=axis))


@pytest.mark.parametrize("slow", [0.0, 1e9])
@pytest.mark.parametrize("stop", [0, 1, 5, 9, 20])
def test_a_killed_reconstruction_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, stop, slow):
    monkeypatch.setattr(engine, "SLOW", slow)
    made(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "killed", Slow(stop))
    rest = Slow()
    made(tmp_path / "killed", rest)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    total = len(list(TilePlan.of(GREY.shape, SectionGrid.slabs(3), Slow.tile, 6000).tiles()))
    assert rest.calls <= total - stop + 1 if slow == 0 else rest.calls < total or stop < 5
    again = Slow(0)
    made(tmp_path / "killed", again)
    assert again.calls == 0


DAMAGES = {
    "flipped": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "truncated": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["0/c/1/0/1", "0/c/0/0/0", "0/zarr.json", "../blocks.log"])
def test_damage_is_noticed_and_made_again(tmp_path, damage, which):
    made(tmp_path / "a")
    whole = bytes_of(tmp_path / "a" / "r.zarr")
    file = tmp_path / "a" / "r.zarr" / which
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    method = Slow()
    made(tmp_path / "a", method)
    assert bytes_of(tmp_path / "a" / "r.zarr") == whole
    assert method.calls > 0


def test_a_block_that_is_gone_is_made_again_alone(tmp_path):
    made(tmp_path / "a")
    (tmp_path / "a" / "r.zarr" / "0" / "c" / "0" / "1" / "1").unlink()
    method = Slow()
    found = made(tmp_path / "a", method)
    assert 0 < method.calls <= 4
    assert np.array_equal(found.read_raw(found.whole), GREY.repeat(3, axis=0))


def test_another_plan_begins_anew(tmp_path):
    made(tmp_path / "a")
    method = Slow()
    made(tmp_path / "a", method, most=1 << 20)
    assert method.calls == len(list(TilePlan.of(GREY.shape, SectionGrid.slabs(3), Slow.tile).tiles()))


def test_the_uncertainty_has_the_same_blocks(tmp_path):
    made(tmp_path / "a", uncertainty=tmp_path / "a" / "u.zarr")
    spread = open_volume(tmp_path / "a" / "u.zarr")
    assert np.allclose(spread.read_raw(spread.whole), GREY.repeat(3, axis=0) / 255 / 4, atol=1e-6)


def test_a_damaged_chunk_is_an_error_for_readers(tmp_path):
    made(tmp_path / "a")
    file = tmp_path / "a" / "r.zarr" / "0" / "c" / "0" / "0" / "0"
    data = bytearray(file.read_bytes())
    data[40] ^= 4
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(tmp_path / "a" / "r.zarr" / "0")[:]


@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.sampled_from([1.5, 2.0, 2.5, 4.0, 8.0, 17.5]),
    st.tuples(*[st.integers(5, 20)] * 3),
    st.sampled_from([1, 5000, 50_000, 10**6]),
)
@settings(max_examples=60, deadline=None)
def test_blocks_are_whole_files_and_cover_a_reconstruction_once(shape, scale, core, most):
    plan = TilePlan.of(shape, SectionGrid.slabs(scale), TileShape(*core, halo=(1, 1, 1)), most)
    assert all(shard % chunk == 0 for shard, chunk in zip(plan.shard, plan.chunk, strict=True))
    seen = np.zeros(plan.made, np.uint8)
    files = set()
    for block in plan.blocks():
        output = plan.output(block)
        assert all(a % shard == 0 for a, shard in zip(output.start, plan.shard, strict=True))
        assert all(n <= shard for n, shard in zip(output.shape, plan.shard, strict=True))
        files.add(tuple(a // shard for a, shard in zip(output.start, plan.shard, strict=True)))
        parts = list(plan.tiles(block))
        assert parts[0].output.start == output.start and parts[-1].core.stop == block.stop
        for part in parts:
            assert output.contains(part.output) and part.tile.contains(part.core)
            seen[part.output.slices] += 1
    assert (seen == 1).all() and len(files) == len(plan.blocks())


def test_a_terabyte_has_a_few_thousand_files():
    plan = TilePlan.of((1250, 10_000, 10_000), SectionGrid.slabs(8), TileShape(32, 64, 64, halo=(5, 5, 5)))
    assert 5_000 < len(plan.blocks()) < 40_000, "10^12 voxels; 100 GB then have less than 4000 files"
    assert all(32 <= edge <= 128 for edge in plan.chunk)


def test_marks_survive_what_happens_to_files(tmp_path):
    log = tmp_path / "blocks.log"
    marks = Marks(log, "plan")
    marks.begin()
    for number in range(5):
        marks.add(number, {"r.zarr": number})
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(
        lines[0] + lines[1] + lines[2].replace(b"1", b"7", 1) + bytes(30) + b"\n" + lines[4] + lines[5][:-4]
    )
    found = Marks(log, "plan")
    assert found.finished == {0: {"r.zarr": 0}, 3: {"r.zarr": 3}}
    found.add(9, {"r.zarr": 9})
    assert Marks(log, "plan").finished == {0: {"r.zarr": 0}, 3: {"r.zarr": 3}, 9: {"r.zarr": 9}}
    assert Marks(log, "other").fresh and not Marks(log, "other").finished
    assert checksum(tmp_path / "none") is None


def test_reading_ahead_is_bounded_and_passes_errors_on():
    read, lock = [], threading.Lock()

    def one(n):
        with lock:
            read.append(n)
        if n == 6:
            raise ValueError("seven")
        return n * n

    found = []
    with pytest.raises(ValueError, match="seven"):
        for n, value in read_ahead(one, range(1000)):
            found.append((n, value))
            assert max(read) <= n + 3
    assert found == [(n, n * n) for n in range(6)] and max(read) < 12


def test_an_error_in_the_writer_ends_the_run():
    def fail():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), WriteBehind() as write:
        write(fail)
        write(lambda: None)
    with pytest.raises(OSError, match="full"), WriteBehind() as write:
        write(fail)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    from vemrecon.errors import OutputError

    def full(files, above):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(engine, "reach_disk", full)
    with pytest.raises(OutputError, match="disk is full"):
        made(tmp_path / "a")


def test_the_halo_reaches_over_blocks(tmp_path):
    class Blurs(Slow):
        def reconstruct(self, tile):
            padded = torch.nn.functional.pad(tile.observed, (1, 1, 1, 1, 1, 1), mode="replicate")
            return torch.nn.functional.avg_pool3d(padded, 3, 1).repeat_interleave(3, dim=2)

    whole = Region.whole((39, 40, 36))
    one, other = (made(tmp_path / str(most), Blurs(), most) for most in (1, 1 << 20))
    assert np.array_equal(one.read_raw(whole), other.read_raw(whole))


def test_in_memory_the_same_voxels_are_made(tmp_path):
    found = made(tmp_path / "a")
    shares = []
    inside = engine.reconstruct_array(Slow(), observed(), like=observed(), progress=shares.append)
    assert inside.dtype == GREY.dtype and np.array_equal(inside, found.read_raw(found.whole))
    assert shares == sorted(shares) and shares[-1] == 1


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_region_is_a_part_of_the_whole(data):
    class Blurs(Slow):
        def reconstruct(self, tile):
            padded = torch.nn.functional.pad(tile.observed, (1, 1, 1, 1, 1, 1), mode="replicate")
            return torch.nn.functional.avg_pool3d(padded, 3, 1).repeat_interleave(3, dim=2)

    volume = observed()
    ranges = []
    for count in GREY.shape:
        start = data.draw(st.integers(0, count - 1))
        ranges.append((start, data.draw(st.integers(start + 1, count))))
    region = Region.of(ranges)
    whole = engine.reconstruct_array(Blurs(), volume, like=volume)
    part = engine.reconstruct_array(Blurs(), volume, like=volume, region=region)
    (z0, z1), y, x = ranges
    assert np.array_equal(part, whole[3 * z0 : 3 * z1, slice(*y), slice(*x)])


def test_a_region_lies_where_it_was(tmp_path):
    volume = replace(observed(), voxel_size=VoxelSize(24, 8, 8))
    region = Region((2, 8, 0), (9, 40, 20))
    reconstruct_volume(Slow(), volume, tmp_path / "r.zarr", like=volume, region=region, most=6000)
    found = open_volume(tmp_path / "r.zarr")
    assert np.array_equal(found.read_raw(found.whole), GREY.repeat(3, axis=0)[6:27, 8:40, :20])
    assert found.origin == ((6 - 1) * 8, 64, 0)
    with pytest.raises(DataError, match="multiple of 2"):
        TilePlan.of((9, 9, 9), SectionGrid.slabs(2.5), Slow.tile, region=Region((1, 0, 0), (4, 9, 9)))
    with pytest.raises(DataError, match="outside"):
        TilePlan.of((9, 9, 9), SectionGrid.slabs(2), Slow.tile, region=Region((1, 0, 0), (4, 9, 10)))
