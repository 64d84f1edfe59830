"""Sections that no method mends are found, and whole stacks are left alone."""

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.data.damage import damage_of as remembered
from vemrecon.data.damage import examined
from vemrecon.volume import Volume

STACK = textured((24, 96, 96)) // 2 + 60


def damage_of(voxels):
    return examined(Volume(voxels, None, "v"), lambda phase, share: None)[1]


def with_sections(which, change):
    voxels = STACK.astype(np.float64)
    voxels[which] = change(voxels[which])
    return np.clip(np.rint(voxels), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(24, 64, 64), (40, 48, 80)])
def test_a_whole_stack_has_no_damage(seed, shape):
    damage = damage_of(textured(shape, seed))
    assert not list(damage.warnings()), damage


def test_a_stack_that_darkens_slowly_has_no_damage():
    fall = np.linspace(1, 0.6, 24)[:, None, None]
    assert not list(damage_of(np.rint(STACK * fall).astype(np.uint8)).warnings())


@pytest.mark.parametrize("z", [0, 1, 11, 23])
def test_a_section_of_other_brightness_or_contrast_is_found(z):
    for change in (lambda v: v * 0.75, lambda v: v + 30, lambda v: (v - v.mean()) * 0.4 + v.mean()):
        damage = damage_of(with_sections(z, change))
        assert list(damage.outlying) == [z] and not damage.steps, (z, damage)


@pytest.mark.parametrize("z", [3, 12, 20])
def test_a_lasting_change_is_one_step(z):
    for change in (lambda v: v * 0.8, lambda v: v + 20):
        damage = damage_of(with_sections(slice(z, None), change))
        assert list(damage.steps) == [z] and not damage.outlying, (z, damage)


def test_black_sections_are_named_unless_they_are_filled():
    damage = damage_of(with_sections([4, 5], lambda v: v * 0))
    (line,) = damage.warnings()
    assert "sections 4-5: black" in line and "--missing-sections auto" in line
    assert not list(damage.warnings(filled=[4, 5]))


def test_damage_that_is_learned_from_is_named_and_remembered(tmp_path):
    voxels = with_sections([4, 5], lambda v: v * 0)
    voxels[9] = np.roll(voxels[9], (7, -5), (0, 1))
    volume = Volume(voxels, None, "v")
    damage = remembered("abc", volume, tmp_path)
    assert damage == examined(volume, lambda phase, share: None)[1] and list(damage.displaced) == [9, 10]
    lines = list(damage.behind(100).learned())
    assert lines[0] == "sections 104-105: black, and learned from; leave them out of the region of the split"
    assert lines[1].endswith("(pixels y x): 109 by 7 -5, 110 by -7 5; align them first, as no method does")
    unread = Volume(Unreadable(voxels), None, "v")
    assert remembered("abc", unread, tmp_path) == damage
    (tmp_path / "inspections" / "abc-displaced.json").write_text("{", encoding="utf-8")
    assert remembered("abc", volume, tmp_path) == damage


class Unreadable:
    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        raise AssertionError("read again")


def test_a_volume_of_two_sections_can_be_examined():
    assert not list(damage_of(STACK[:2]).warnings())


def test_floats_that_are_not_finite_are_named():
    voxels = STACK.astype(np.float32) / 255
    voxels[3, 2, 2] = np.nan
    assert damage_of(voxels).not_finite == (3,)
