"""`--resample`: sections at the next whole scale, and from there to the one that is wanted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import textured
from whole_only import WholeOnly

import vemrecon
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.own.scales import Resampling, whole_grid
from vemrecon.own.steps import make_ready
from vemrecon.own.wish import Wish
from vemrecon.volume import Made, Region, SectionGrid, Volume, VoxelSize, open_source, open_volume, write_volume

METHOD = ("--method", "whole_only.WholeOnly")


def run(*words):
    return main([str(word) for word in words])


def wave(z, scale):
    """A smooth truth, by voxels of the wanted grid: a period of five sections."""
    return 0.5 + 0.4 * np.sin(2 * np.pi * np.asarray(z) / (5 * scale) + 0.3)


@st.composite
def grids(draw):
    scale = draw(st.floats(1.2, 20))
    first = draw(st.floats(0, 0.99)) * scale
    return draw(st.sampled_from([SectionGrid.slabs(scale), SectionGrid.kept_every(scale, first)]))


def perfect(way, count):
    """What a method without errors makes of the wave, and the observed volume."""
    voxels = np.arange(way.made.extent(count))
    truth = wave(way.wanted.first + (voxels - way.made.first) / way.made.scale * way.wanted.scale, way.wanted.scale)
    made = np.broadcast_to(truth.astype(np.float32)[:, None, None], (len(truth), 2, 3)).copy()
    observed = Volume(np.zeros((count, 2, 3), np.float32), VoxelSize(40, 4, 4), "v", grid=way.wanted)
    return Volume(made, None, "v"), observed


@settings(max_examples=60, deadline=None)
@given(wanted=grids(), even=st.booleans())
def test_voxels_fall_where_the_wanted_grid_says(wanted, even):
    way = Resampling.next(wanted, lambda grid: "odd" if even and grid.scale % 2 else None)
    assert way.made.scale.is_integer() and 0 < way.made.scale - wanted.scale <= 2
    assert way.made.kind == wanted.kind
    shift = way.made.first - way.made.canonical.first
    assert shift.is_integer(), "a method that does not know where sections lie takes it"
    made, observed = perfect(way, 24)
    found = way.resampled(made, 0, observed.whole, observed)
    assert found.shape[0] == wanted.extent(24)
    inner = slice(6 * int(wanted.scale) + 2, -6 * int(wanted.scale) - 2)  # ends are continued flat
    error = found.read(found.whole)[:, 0, 0] - wave(np.arange(found.shape[0]), wanted.scale)
    assert np.abs(error[inner]).max() < 1e-2 / way.made.scale**2
    places = way.made.first + (np.arange(found.shape[0]) - wanted.first) / wanted.scale * way.made.scale
    covered = (places >= 0) & (places <= made.shape[0] - 1)
    assert np.abs(error[covered]).max() < 0.06 and covered.sum() >= found.shape[0] - 2


@settings(max_examples=30, deadline=None)
@given(wanted=grids(), cut=st.tuples(st.integers(0, 20), st.integers(1, 9)))
def test_any_part_is_that_of_the_whole(wanted, cut):
    way = Resampling(wanted, whole_grid(int(wanted.scale) + 1, wanted))
    voxels = np.random.default_rng(0).random((way.made.extent(30), 5, 6), np.float32)
    observed = Volume(np.zeros((30, 5, 6), np.float32), VoxelSize(40, 4, 4), "v", grid=wanted, origin=(8.0, 0.0, 4.0))
    made = Volume(voxels, None, "v")
    whole = way.resampled(made, 0, observed.whole, observed)
    all_of_it = whole.read(whole.whole)
    region = Region((cut[0], 1, 2), (cut[0] + cut[1], 4, 6))
    seen = way.observed(region, 30)
    start, stop = way.made.extent(seen.start[0]), way.made.extent(seen.stop[0])
    part = made.crop(Region((start, 1, 2), (stop, 4, 6)))
    found = way.resampled(part, seen.start[0], region, observed)
    first = wanted.extent(region.start[0])
    np.testing.assert_allclose(found.read(found.whole), all_of_it[first : first + found.shape[0], 1:4, 2:6], atol=1e-6)
    moved = [a - b for a, b in zip(found.origin, whole.origin, strict=True)]
    np.testing.assert_allclose(moved, [first * 40 / wanted.scale, 4, 8], atol=1e-6)


def test_kept_sections_stay_as_they_were():
    wanted = SectionGrid.kept_every(2.5)
    way = Resampling(wanted, whole_grid(3, wanted))
    sections = np.random.default_rng(0).random((11, 4, 5), np.float32)
    made = np.tensordot(interpolation_matrix("bspline3", 11, way.made), sections, axes=1).clip(0, 1)
    observed = Volume(sections, VoxelSize(10, 4, 4), "v", grid=wanted)
    found = way.resampled(Volume(made.astype(np.float32), None, "v"), 0, observed.whole, observed)
    np.testing.assert_allclose(found.read(found.whole)[::5], sections[::2], atol=1e-6)


@pytest.fixture
def stack(tmp_path):
    voxels = textured((11, 40, 36))
    volume = Volume(voxels, VoxelSize(10, 4, 4), "v", grid=SectionGrid.slabs(2.5), origin=(3.0, 4.0, 8.0))
    write_volume(tmp_path / "stack.zarr", volume, voxels.dtype)
    return tmp_path / "stack.zarr"


@pytest.mark.parametrize("ending", [".zarr", ".tif"])
def test_what_is_written_is_at_the_wanted_scale_and_says_both(stack, tmp_path, ending):
    out, direct = tmp_path / f"out{ending}", tmp_path / "direct.zarr"
    assert run("reconstruct", stack, out, *METHOD, "--resample") == 0
    assert run("reconstruct", stack, direct, "--method", "bspline3") == 0
    found, other = open_volume(out), open_volume(direct)
    assert (found.shape, found.voxel_size, found.origin) == (other.shape, other.voxel_size, other.origin)
    assert found.shape == (28, 40, 36)
    difference = found.read_raw(found.whole).astype(float) - other.read_raw(other.whole)
    assert np.abs(difference[3:-3]).max() < 4 and difference.std() < 1
    made = open_source(out).made
    assert (made["scale"], made["resampled_from_scale"]) == (2.5, 3)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    same = vemrecon.reconstruct(stack, method="whole_only.WholeOnly", resample=True, progress=False)
    np.testing.assert_array_equal(same, found.read_raw(found.whole))


def test_a_part_and_the_uncertainty_are_resampled_too(stack, tmp_path):
    words = (*METHOD, "--resample", "--uncertainty", tmp_path / "spread.tif")
    assert run("reconstruct", stack, tmp_path / "out.tif", *words) == 0
    region = ("--region", "3:8", "5:20", ":")
    assert run("reconstruct", stack, tmp_path / "part.h5", *METHOD, "--resample", *region) == 0
    whole, part, spread = (open_volume(tmp_path / name) for name in ("out.tif", "part.h5", "spread.tif"))
    assert part.shape == (12, 15, 36) and part.origin[0] == pytest.approx(whole.origin[0] + 8 * 4)
    np.testing.assert_array_equal(part.read_raw(part.whole), whole.read_raw(whole.whole)[8:20, 5:20])
    quarter = spread.read(spread.whole) - whole.read(whole.whole) / 4
    assert spread.shape == whole.shape and np.abs(quarter).max() < 0.01
    kept, made = {"method": "whole_only.WholeOnly", "resample": True, "progress": False}, whole.read_raw(whole.whole)
    voxels, uncertain = vemrecon.reconstruct(stack, uncertainty=True, **kept)
    np.testing.assert_array_equal(voxels, made)
    assert uncertain.shape == made.shape and np.abs(uncertain - spread.read(spread.whole)).max() < 0.01


def test_what_was_made_is_not_made_again_after_an_interruption(stack, tmp_path, monkeypatch):
    def stop(*words, **more):
        raise KeyboardInterrupt

    words = ("reconstruct", stack, tmp_path / "out.tif", *METHOD, "--resample")
    with monkeypatch.context() as patched:
        patched.setattr("vemrecon.own.reconstruction.write_volume", stop)
        assert run(*words) == 130
    calls = WholeOnly.calls
    assert run(*words) == 0 and WholeOnly.calls == calls


def test_it_is_refused_where_it_is_not_needed_and_offered_where_it_is(stack, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    for words, said in (
        (("--resample",), "takes a scale of 2.5 as it is; leave it out"),
        ((*METHOD, "--resample", "--preview"), "not both"),
        ((*METHOD, "--scale", 3, "--grid", "centred", "--resample"), "takes a scale of 3 as it is"),
        (METHOD, "needs a whole scale; --resample makes 3 sections of one and resamples them to 2.5"),
        ((*METHOD, "--set", "even=true"), "--resample makes 4 sections of one"),
        (("--method", "lateral-cnn", "--train", "smoke"), "a scale of 2.5 is taken by d2r-aenet"),
        (("--method", "isovem", "--train", "smoke", "--grid", "aligned"), "taken by emgauss, emgauss-keyframes, bic"),
    ):
        assert run("reconstruct", stack, out, *words) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
        assert [path.name for path in tmp_path.iterdir()] == ["stack.zarr"]
    with pytest.raises(ConfigError, match="leave it out"):
        vemrecon.reconstruct(textured((5, 20, 20)), scale=2.5, resample=True, progress=False)


def test_workers_elsewhere_open_the_volume_on_the_grid_that_is_made(tmp_path):
    volume = Volume(textured((5, 20, 20)), VoxelSize(10, 4, 4), "v", grid=SectionGrid.slabs(2.5))
    wish = Wish(method="whole_only.WholeOnly", resample=True)
    nothing = lambda *words: None  # noqa: E731  # told progress and warnings
    ready = make_ready(wish, volume, tmp_path, nothing, nothing, opened=lambda: volume, learn=False)
    assert ready.volume.grid == volume.grid == ready.resampling.wanted
    assert ready.opened().grid == ready.observed.grid == SectionGrid.slabs(3)
    assert ready.how()["scale"] == 2.5 and ready.how()["resampled_from_scale"] == 3


def test_an_estimate_is_of_the_wanted_scale(stack, tmp_path, capsys):
    assert run("reconstruct", stack, tmp_path / "out.zarr", *METHOD, "--resample", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "28 x 40 x 36" in said and "written twice" in said


def test_a_learning_method_gets_there(stack, tmp_path):
    words = ("--method", "lateral-cnn", "--train", "smoke", "--set", "budget=3", "--resample")
    assert run("reconstruct", stack, tmp_path / "out.precomputed", *words) == 0
    assert open_volume(tmp_path / "out.precomputed").shape == (28, 40, 36)
    assert Made(open_source(tmp_path / "out.precomputed").made).label().endswith("of stack.zarr")
