"""How fast long work goes, by a clock that the test holds."""

import pytest

from vemrecon.commands.pace import Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    pace = Pace(clock)
    pace.voxels = {"reconstruct": 1000}
    return pace


def goes_on(pace, clock, steps, seconds, by):
    """Shares that grow by `by` after every `seconds`."""
    for _ in range(steps):
        clock.now += seconds
        pace.told("reconstruct", pace.share + by)


def test_speed_and_time_left_are_those_of_steady_work(pace, clock):
    assert pace.told("reconstruct", 0.0) and str(pace) == ""
    goes_on(pace, clock, 100, 0.5, 0.004)
    assert pace.voxels_done == 400 and pace.voxels_total == 1000
    assert pace.voxels_per_second == pytest.approx(8) and pace.seconds_left == pytest.approx(75)
    assert str(pace) == "8 voxels/s, 75 s left"
    clock.now += 15
    assert pace.seconds_left == pytest.approx(60), "it goes down between reports"
    clock.now += 1000
    assert pace.seconds_left == 0


def test_what_an_earlier_attempt_has_made_does_not_count(pace, clock):
    pace.told("reconstruct", 0.5)
    goes_on(pace, clock, 4, 10, 0.01)
    assert pace.voxels_done == 540 and pace.seconds_left == pytest.approx(460)


@pytest.mark.parametrize("made", [2, 3, 30])
def test_tiles_that_are_found_after_a_restart_do_not_count(pace, clock, made):
    pace.told("reconstruct", 0.0)
    for _ in range(60):
        goes_on(pace, clock, 1, 0.01, 0.005)  # found
        goes_on(pace, clock, made == 30, 0.9, 0.0005)  # made again, as it took too little to be kept
    goes_on(pace, clock, made, 5, 0.0025)
    assert pace.rate == pytest.approx(0.0005, rel=0.2)


def test_the_rate_is_that_of_late(pace, clock):
    pace.told("reconstruct", 0.0)
    goes_on(pace, clock, 120, 1, 0.002)
    goes_on(pace, clock, 60, 1, 0.001)
    assert pace.rate == pytest.approx(0.001, rel=0.05)
    slow = Pace(clock)
    slow.told("reconstruct", 0.0)
    goes_on(slow, clock, 5, 600, 0.01)
    assert slow.rate == pytest.approx(0.01 / 600), "of steps that take longer, several"


def test_many_small_steps_and_pauses_are_no_surprise(pace, clock):
    pace.told("reconstruct", 0.0)
    for _ in range(40):
        goes_on(pace, clock, 500, 0.002, 1e-5)
        goes_on(pace, clock, 1, 1.0, 0.0)  # as a validation between batches
    assert pace.rate == pytest.approx(0.0025, rel=0.1)
    assert len(pace._steps) < 400


def test_waiting_for_a_block_to_be_written_is_part_of_the_time(pace, clock):
    pace.told("reconstruct", 0.0)
    for _ in range(3):
        goes_on(pace, clock, 64, 0.1, 0.001)
        goes_on(pace, clock, 1, 10, 0.001)
        assert 0.0015 < pace.rate < 0.006
    goes_on(pace, clock, 64, 0.1, 0.001)
    assert 0.003 < pace.rate < 0.006


def test_every_phase_begins_anew(pace, clock):
    pace.told("training", 0.0)
    clock.now += 10
    assert not pace.told("training", 0.5)
    assert pace.seconds_left == pytest.approx(10) and pace.voxels_per_second is None
    assert str(pace) == "10 s left"
    assert pace.told("reconstruct", 0.2) and pace.rate is None
    clock.now += 10
    pace.told("reconstruct", 0.4)
    assert pace.told("reconstruct", 0.0), "the same work once more"
    assert pace.rate is None


def test_clocks_that_stand_still_are_no_division_by_zero(pace):
    for share in (0.0, 0.5, 0.5, 1.0, 1.0):
        pace.told("reconstruct", share)
    assert pace.rate is None and pace.voxels_done == 1000
