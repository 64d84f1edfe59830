"""Blocks of a reconstruction: the same bytes whatever their size, order, kills and damages; one file each."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from damages import DAMAGES
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.files import checksum
from vemrecon.infer import maker
from vemrecon.infer import reconstruct as engine
from vemrecon.infer.marks import Marks
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
    monkeypatch.setattr(maker, "SLOW", slow)
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
    assert all(shard % chunk == 0 for shard, chunk in zip(plan.levels[0].shard, plan.levels[0].chunk, strict=True))
    seen = np.zeros(plan.made, np.uint8)
    files = set()
    for block in plan.blocks():
        output = plan.output(block)
        assert all(a % shard == 0 for a, shard in zip(output.start, plan.levels[0].shard, strict=True))
        assert all(n <= shard for n, shard in zip(output.shape, plan.levels[0].shard, strict=True))
        files.add(tuple(a // shard for a, shard in zip(output.start, plan.levels[0].shard, strict=True)))
        parts = list(plan.tiles(block))
        assert parts[0].output.start == output.start and parts[-1].core.stop == block.stop
        for part in parts:
            assert output.contains(part.output) and part.tile.contains(part.core)
            seen[part.output.slices] += 1
    assert (seen == 1).all() and len(files) == len(plan.blocks())


def test_a_terabyte_has_a_few_thousand_files():
    plan = TilePlan.of((1250, 10_000, 10_000), SectionGrid.slabs(8), TileShape(32, 64, 64, halo=(5, 5, 5)))
    assert 5_000 < len(plan.blocks()) < 40_000, "10^12 voxels; 100 GB then have less than 4000 files"
    assert all(32 <= edge <= 128 for edge in plan.levels[0].chunk)
    assert replace(plan, pyramid=True).files < 20_000, "with coarser levels"


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

    monkeypatch.setattr(maker, "reach_disk", full)
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
    with pytest.raises(DataError, match="multiple of 4"):
        TilePlan.of((9, 9, 9), SectionGrid.slabs(2.5), Slow.tile, region=Region((1, 0, 0), (4, 9, 9)))
    with pytest.raises(DataError, match="outside"):
        TilePlan.of((9, 9, 9), SectionGrid.slabs(2), Slow.tile, region=Region((1, 0, 0), (4, 9, 10)))


class Windowed(Slow):
    """Sees farther than its halo, so that what it makes of neighbouring tiles does not fit."""

    tile = TileShape(4, 16, 16, halo=(1, 2, 2), blended=True)

    def reconstruct(self, tile):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        made = tile.observed.repeat_interleave(int(tile.scale), dim=2)
        return made * 0.5 + 0.5 * made.mean()


def test_blended_tiles_weigh_one_everywhere(tmp_path):
    found = made(tmp_path / "a", type("Plain", (Slow,), {"tile": Windowed.tile})(), most=6000)
    assert np.array_equal(found.read_raw(found.whole), GREY.repeat(3, axis=0))
    inside = engine.reconstruct_array(Windowed(), observed(), like=observed())
    cut = engine.reconstruct_array(type("Cut", (Windowed,), {"tile": Slow.tile})(), observed(), like=observed())
    steps = [np.abs(np.diff(one.astype(float), axis=2))[:, :, 15].mean() for one in (inside, cut)]
    usual = np.abs(np.diff(cut.astype(float), axis=2))[:, :, 8].mean()
    assert abs(steps[0] - usual) < 0.5 * abs(steps[1] - usual), "borders of tiles are hidden"


@pytest.mark.parametrize("most", [1, 6000, 30_000, 1 << 20])
def test_blended_voxels_do_not_depend_on_blocks(tmp_path, most):
    volume = observed()
    like = Volume(np.zeros((1, 1, 1), np.float32), None, "float")
    reconstruct_volume(Windowed(), volume, tmp_path / "r.zarr", like=like, most=most)
    found = open_volume(tmp_path / "r.zarr")
    wanted = engine.reconstruct_array(Windowed(), volume, like=like)
    assert np.abs(found.read_raw(found.whole) - wanted).max() < 1e-6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks.log", "r.zarr"]


@pytest.mark.parametrize("stop", [0, 3, 9, 20, 25])
@pytest.mark.parametrize("slow", [0.0, 1e9])
def test_a_killed_blended_reconstruction_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, stop, slow):
    monkeypatch.setattr(maker, "SLOW", slow)
    made(tmp_path / "whole", Windowed())
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "killed", Windowed(stop))
    parts = sorted((tmp_path / "killed" / "parts").glob("*.npy"))
    if parts:
        parts[0].write_bytes(b"damaged")
    rest = Windowed()
    made(tmp_path / "killed", rest)
    assert bytes_of(tmp_path / "killed" / "r.zarr") == bytes_of(tmp_path / "whole" / "r.zarr")
    total = len(list(TilePlan.of(GREY.shape, SectionGrid.slabs(3), Slow.tile, 6000).tiles()))
    assert rest.calls < total or stop < 9


def test_parts_are_removed_as_soon_as_nobody_needs_them(tmp_path, monkeypatch):
    most, seen = 0, engine._Run._done

    def counted(self, unit, sums):
        nonlocal most
        seen(self, unit, sums)
        most = max(most, len(list((self.job.folder / "parts").glob("*.npy"))))

    monkeypatch.setattr(engine._Run, "_done", counted)
    made(tmp_path / "a", Windowed(), most=1)
    plan = TilePlan.of(GREY.shape, SectionGrid.slabs(3), Windowed.tile, 1)
    assert 9 < most < len(plan.blocks())


@pytest.mark.parametrize("method", [Slow, Windowed])
def test_several_devices_share_the_blocks_and_make_the_same_bytes(tmp_path, method):
    made(tmp_path / "one", method())
    made(tmp_path / "three", method(), devices=["cpu", "cpu", "cpu"])
    assert sorted(bytes_of(tmp_path / "three" / "r.zarr").items()) == sorted(
        bytes_of(tmp_path / "one" / "r.zarr").items()
    )


def test_an_error_on_one_device_ends_all(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "a", Windowed(3), devices=["cpu", "cpu"])
    made(tmp_path / "a", Windowed(), devices=["cpu", "cpu"])
    made(tmp_path / "b", Windowed())
    assert bytes_of(tmp_path / "a" / "r.zarr") == bytes_of(tmp_path / "b" / "r.zarr")


@pytest.mark.parametrize(
    ("shape", "scale", "most"), [((13, 300, 36), 3, 6000), ((40, 530, 70), 8, 1 << 18), ((7, 257, 9), 2.5, 1)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_levels_are_means_of_the_level_before(tmp_path, shape, scale, most, axis):
    grey = np.swapaxes(textured(shape), 0, axis)
    volume = replace(Volume(grey, VoxelSize(8, 8, 8), "v"), grid=SectionGrid.slabs(scale))
    method = Interpolated()
    reconstruct_volume(method, volume, tmp_path / "r.zarr", like=volume, axis=axis, most=most, pyramid=True)
    group = zarr.open_group(tmp_path / "r.zarr", mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [one["path"] for one in datasets] == [str(n) for n in range(len(datasets))] and len(datasets) > 1
    place = open_volume(tmp_path / "r.zarr")
    for number in range(1, len(datasets)):
        finer, coarser = (group[str(n)][:].astype(float) for n in (number - 1, number))
        odd = [(0, n % 2) for n in finer.shape]
        padded = np.pad(finer, odd, mode="edge")
        z, y, x = (n // 2 for n in padded.shape)
        means = padded.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5))
        assert np.array_equal(coarser, np.rint(means))
        level = open_volume(tmp_path / "r.zarr", str(number))
        assert tuple(level.voxel_size) == tuple(edge * 2**number for edge in place.voxel_size)
        between = [(2**number - 1) / 2 * edge for edge in place.voxel_size]
        assert level.origin == pytest.approx([a + b for a, b in zip(place.origin, between, strict=True)])
    assert max(datasets and group[datasets[-1]["path"]].shape) <= 256


class Interpolated(Slow):
    """Any scale."""

    def reconstruct(self, tile):
        rows = tile.grid.extent(tile.observed.shape[2])
        return torch.nn.functional.interpolate(tile.observed, (rows, *tile.observed.shape[3:]))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_coarser_level_is_made_again(tmp_path, damage):
    grey = textured((13, 600, 36))
    volume = replace(Volume(grey, None, "v"), grid=SectionGrid.slabs(3))

    def run():
        reconstruct_volume(Slow(), volume, tmp_path / "r.zarr", like=volume, most=6000, pyramid=True)
        return bytes_of(tmp_path / "r.zarr")

    whole = run()
    files = sorted((tmp_path / "r.zarr" / "2" / "c").rglob("*"))
    file = next(one for one in files if one.is_file())
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert run() == whole


def test_an_estimate_counts_what_blended_tiles_share_once(monkeypatch):
    from vemrecon.infer import estimate as estimates

    monkeypatch.setattr(estimates, "_timed", lambda *given: 2.0)
    volume = replace(Volume(textured((16, 64, 64)), None, "v"), grid=SectionGrid.slabs(3))
    plain, blended = (estimates.estimate(method, volume) for method in (Slow(), Windowed()))
    assert plain.seconds == blended.seconds == 2.0 * 4 * 4 * 4
