from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report.segmentation_fakes import ORIGIN, SIDE, keep_masks, volumes

from vemrecon.commands.figure import _check_outlined
from vemrecon.errors import ConfigError, DataError
from vemrecon.figure.cuts import cut_at
from vemrecon.figure.drawing import draw
from vemrecon.figure.from_runs import with_outlines
from vemrecon.figure.layout import Style
from vemrecon.figure.outlines import outlines_of
from vemrecon.figure.plate import Entry, make_plate
from vemrecon.figure.subject import Subject
from vemrecon.report.overlay import load_masks
from vemrecon.volume import Volume, VoxelSize

SIZE = VoxelSize(20.0, 10.0, 10.0)
SHAPE = (20, 16, 32)


def volume(name: str = "truth") -> Volume:
    return Volume(np.full(SHAPE, 100, np.uint8), SIZE, name)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).mkdir()
        keep_masks(tmp_path / name)
    return [tmp_path / name for name in names]


def subject(*names: str) -> Subject:
    return Subject(volume(), None, tuple(Entry(name, volume(name)) for name in names))


def test_masks_lie_where_they_were_found(tmp_path: Path):
    (folder,) = folders(tmp_path, "linear")

    found = outlines_of(load_masks(folder / "segmentation-membranes.npz"), "found", SIZE)

    z, y, x = ORIGIN
    assert found["xz"].extent == (x * 10.0, (x + SIDE[2]) * 10.0, (z + SIDE[0]) * 20.0, z * 20.0)
    assert found["xy"].extent == (x * 10.0, (x + SIDE[2]) * 10.0, (y + SIDE[1]) * 10.0, y * 10.0)
    assert np.array_equal(found["xz"].mask, volumes()["found"][:, 8])


def test_what_was_found_is_outlined_in_truth_and_reconstructions(tmp_path: Path):
    made = with_outlines(subject("linear"), folders(tmp_path, "linear"), "membranes")
    where = cut_at(SHAPE, SIZE, None, made.outlined)
    plate = make_plate(made.truth, None, made.entries, where, ("xz",), outlines=made.outlines)

    truth, linear = draw(plate, Style()).axes

    (path,) = linear.collections[0].get_paths()
    x, z = path.vertices.T
    assert (x.min(), x.max()) == pytest.approx(((8 + 10) * 10, (8 + 13) * 10)), "edges of the voxels that were found"
    assert (z.min(), z.max()) == pytest.approx(((4 + 0.5) * 20, (16 - 0.5) * 20)), "to the middle of the outer voxels"
    (path,) = truth.collections[0].get_paths()
    assert path.vertices[:, 0].min() == pytest.approx((8 + 9) * 10)


def test_planes_without_a_mask_are_refused(tmp_path: Path):
    made = with_outlines(subject("linear"), folders(tmp_path, "linear"), "membranes")
    assert made.outlined == (10, 8, 18)

    elsewhere = cut_at(SHAPE, SIZE, None, (10, 3, 18))
    _check_outlined(elsewhere, ("xy", "yz"), made.outlined)
    with pytest.raises(ConfigError, match="--at 10 8 18, which is the default"):
        _check_outlined(elsewhere, ("xz",), made.outlined)


def test_a_run_without_masks_is_named(tmp_path: Path):
    known = folders(tmp_path, "linear", "nearest")
    (known[1] / "segmentation-membranes.npz").unlink()

    with pytest.raises(DataError, match="made with --metrics segmentation"):
        with_outlines(subject("linear", "nearest"), known, "membranes")


def test_masks_of_another_place_are_refused(tmp_path: Path):
    known = folders(tmp_path, "linear", "nearest")
    keep_masks(known[1], position=np.array([6, 8, 10]))

    with pytest.raises(DataError, match=r"goes through \(6, 8, 10\)"):
        with_outlines(subject("linear", "nearest"), known, "membranes")


def test_a_name_that_is_a_path_finds_nothing(tmp_path: Path):
    known = folders(tmp_path, "linear")

    with pytest.raises(DataError, match="no such file"):
        with_outlines(subject("linear"), known, "x/../../linear/segmentation-membranes")
