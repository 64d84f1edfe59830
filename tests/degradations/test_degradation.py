import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon.degradations import check_scale, degrade, make_degradation, trimmed
from vemrecon.degradations.realistic import Realistic
from vemrecon.errors import ConfigError, DataError
from vemrecon.seeding import derive
from vemrecon.volume import Region, Volume

KINDS = ("average", "subsample", "realistic", "realistic_released")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_degraded_volume_does_not_depend_on_how_it_is_read(make_volume, kind, axis):
    volume = make_volume((24, 26, 28))
    observed = degrade(volume, make_degradation(kind, 4), axis=axis, seed=3)
    whole = observed.read(observed.whole)
    pieces = np.zeros_like(whole)
    for block in observed.whole.blocks((2, 5, 3)):
        pieces[block.slices] = observed.read(block)
    np.testing.assert_array_equal(pieces, whole)
    assert observed.voxel_size.scaled(axis, 1 / 4) == volume.voxel_size


def test_average_equals_the_block_mean(make_volume):
    volume = make_volume((17, 9, 8))
    observed = degrade(volume, make_degradation("average", 4))
    wanted = volume.read(volume.whole)[:16].reshape(4, 4, 9, 8).mean(axis=1)
    np.testing.assert_allclose(observed.read(observed.whole), wanted, atol=1e-7)


@given(scale=st.floats(1.05, 9.0), n=st.integers(10, 40))
@settings(max_examples=60, deadline=None)
def test_fractional_average_keeps_constants_and_places_ramps(scale, n):
    ramp = np.broadcast_to(np.linspace(0, 1, n, dtype=np.float32)[:, None, None], (n, 2, 2))
    observed = degrade(Volume(ramp, None, "ramp"), make_degradation("average", scale))
    degradation = make_degradation("average", scale)
    wanted = degradation.positions(observed.shape[0]) / (n - 1)
    # a slab that cuts a section in the middle sees that section's grey level over part of its thickness
    np.testing.assert_allclose(observed.read(observed.whole)[:, 0, 0], wanted, atol=0.5 / (n - 1))


@given(scale=st.floats(1.05, 12.0), n=st.integers(13, 200))
@settings(max_examples=100, deadline=None)
def test_trimming_twice_changes_nothing_and_keeps_the_number_of_sections(scale, n):
    volume = Volume(np.zeros((n, 1, 1), np.uint8), None, "v")
    once = trimmed(volume, scale)
    degradation = make_degradation("average", scale)
    assert degradation.sections(once.shape[0]) == degradation.sections(n)
    assert trimmed(once, scale).shape == once.shape
    assert degradation.grid.extent(degradation.sections(n)) <= once.shape[0] <= n


def test_subsample_copies_sections_and_knows_where_they_were(make_volume):
    volume = make_volume((23, 6, 5))
    degradation = make_degradation("subsample", 6, {"offset": 2})
    observed = degrade(volume, degradation)
    positions = degradation.positions(observed.shape[0]).astype(int)
    np.testing.assert_array_equal(observed.read(observed.whole), volume.read(volume.whole)[positions])


def test_noise_of_realistic_has_the_stated_variance():
    grey = Volume(np.full((40, 64, 64), 128, np.uint8), None, "flat")
    kind = Realistic(4, alpha=0.004, sigma=0.02)
    observed = degrade(grey, kind, seed=1)
    wanted = 0.004 * 128 / 255 + 0.02**2 + 1 / 12 / 255**2
    assert observed.read(observed.whole).var() == pytest.approx(wanted, rel=0.03)


def test_realistic_depends_on_the_seed_and_draws_training_values_in_range(make_volume):
    volume = make_volume()
    one, two = (degrade(volume, make_degradation("realistic", 4), seed=s) for s in (1, 2))
    assert (one.read(one.whole) != two.read(two.whole)).any()
    drawn = Realistic(8).drawn(derive(0, "test"))
    assert 0.2 <= drawn.axial_sigma_per_scale * 8 <= 4
    assert 0 <= drawn.alpha <= 0.01


@pytest.mark.parametrize("scale", [0, -1, 1, 1e9, "abc", float("nan"), float("inf"), None])
def test_impossible_scales_are_refused(scale):
    with pytest.raises(ConfigError, match="scale"):
        check_scale(scale)


def test_unknown_names_say_the_closest_one():
    with pytest.raises(ConfigError, match="did you mean 'average'"):
        make_degradation("averge", 4)
    with pytest.raises(ConfigError, match="did you mean 'offset'"):
        make_degradation("subsample", 4, {"ofset": 1})
    with pytest.raises(ConfigError, match="must be whole"):
        make_degradation("subsample", 2.5)


def test_a_volume_thinner_than_the_scale_is_refused(make_volume):
    volume = make_volume((6, 20, 20))
    for function in (lambda: trimmed(volume, 8), lambda: degrade(volume, make_degradation("average", 8))):
        with pytest.raises(DataError, match="fewer than the scale"):
            function()


def test_a_degraded_part_of_a_volume_sees_only_that_part(make_volume):
    volume = make_volume((24, 8, 8))
    part = volume.crop(Region((8, 0, 0), (24, 8, 8)))
    observed = degrade(part, make_degradation("realistic", 4), seed=1)
    alone = degrade(make_volume(volume.read_raw(volume.whole)[8:]), make_degradation("realistic", 4), seed=1)
    np.testing.assert_array_equal(observed.read(observed.whole), alone.read(alone.whole))
