from __future__ import annotations

import builtins
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from vemrecon.degradations import Average, Subsample, degrade
from vemrecon.errors import ConfigError, DataError
from vemrecon.figure.cuts import Observed, cut, cut_at, cut_observed
from vemrecon.figure.drawing import draw, write_figure
from vemrecon.figure.layout import Style, lay_out
from vemrecon.figure.plate import Entry, make_plate
from vemrecon.volume import Volume, VoxelSize

SHAPE = (24, 40, 32)
AXES = "zyx"
PLANES = {"xy": ("y", "x"), "xz": ("z", "x"), "yz": ("z", "y")}


class Counting:
    """An array that remembers how many voxels were asked for at once."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, index):
        found = self.array[index]
        self.most = max(self.most, found.size)
        return found


def positions(shape=SHAPE) -> np.ndarray:
    """Grey levels that say where a voxel lies."""
    z, y, x = np.indices(shape)
    return (5 * z + 2 * y + x).astype(np.uint8)


def volume(array=None, size=(10, 10, 10), name="truth") -> Volume:
    return Volume(positions() if array is None else array, VoxelSize(*size), name)


def observed_of(truth: Volume, degradation, axis: int = 0) -> Observed:
    made = degrade(truth, degradation, axis=axis)
    return Observed(made, axis)


def plate_of(errors: bool = False, size=(10, 10, 10), planes=("xy", "xz", "yz"), side=16, scores=None):
    truth = volume(size=size)
    seen = observed_of(truth, Subsample(4))
    worse = volume(np.clip(positions().astype(int) + 7, 0, 255).astype(np.uint8), size, "bicubic")
    where = cut_at(SHAPE, VoxelSize(*size), seen, side=side)
    entries = [Entry("bicubic", worse, scores or {})]
    return make_plate(truth, seen, entries, where, planes, errors)


@pytest.mark.parametrize("plane", PLANES)
def test_planes_are_cut_where_asked(plane):
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, at=(9, 21, 13), side=8)

    found = cut(volume(), plane, where)

    box = {"z": slice(5, 13), "y": slice(17, 25), "x": slice(9, 17)}
    normal = next(axis for axis in AXES if axis not in PLANES[plane])
    at = {"z": 9, "y": 21, "x": 13}[normal]
    index = tuple(at if axis == normal else box[axis] for axis in AXES)
    assert np.array_equal(found.section, positions()[index])
    rows, columns = (box[axis] for axis in PLANES[plane])
    assert found.extent == (10 * columns.start, 10 * columns.stop, 10 * rows.stop, 10 * rows.start)


@pytest.mark.parametrize(
    ("degradation", "axis"), [(Subsample(4), 0), (Average(4), 0), (Subsample(8), 1), (Average(2.5), 0), (Average(4), 1)]
)
def test_by_default_no_plane_shows_a_section_that_was_recorded(degradation, axis):
    truth = volume()
    seen = observed_of(truth, degradation, axis)

    where = cut_at(SHAPE, VoxelSize(10, 10, 10), seen)

    assert not seen.recorded(where.at)
    kept = degradation.positions(degradation.sections(SHAPE[axis])) if degradation.name == "subsample" else []
    assert where.at[axis] not in list(kept)
    assert abs(where.at[axis] - SHAPE[axis] // 2) <= degradation.scale


def test_a_crop_at_the_edge_keeps_its_size():
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, at=(0, 39, 31), side=16)

    assert where.box.start == (0, 24, 16)
    assert where.box.stop == (16, 40, 32)


def test_observed_voxels_are_drawn_where_they_were_recorded():
    truth = volume()
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, at=(10, 20, 16), side=16)

    kept = cut_observed(observed_of(truth, Subsample(4)), "xz", where)
    means = cut_observed(observed_of(truth, Average(4)), "xz", where)

    rows = positions()[:, 20, 8:24]
    assert np.array_equal(kept.section, rows[::4][: len(kept.section)])
    top, bottom = kept.extent[3], kept.extent[2]
    edges = np.linspace(top, bottom, len(kept.section) + 1)
    assert ((edges[:-1] + edges[1:]) / 2).tolist() == [10 * (4 * k + 0.5) for k in range(len(kept.section))]
    assert (means.extent[3], means.extent[2]) == (0, 200), "slabs 0 to 4 cover the window from 20 to 180 nm"
    assert np.array_equal(means.section, np.rint(rows.reshape(6, 4, 16).mean(1))[:5])


def test_an_observed_section_along_the_coarse_axis_is_the_nearest():
    truth = volume()
    for at, nearest in ((9, 8), (11, 12), (23, 20)):
        where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, at=(at, 20, 16), side=8)
        found = cut_observed(observed_of(truth, Subsample(4)), "xy", where)
        assert np.array_equal(found.section, positions()[nearest, 16:24, 12:20])


def test_a_lateral_task_has_blocks_along_y():
    truth = volume(size=(40, 4, 4))
    where = cut_at(SHAPE, VoxelSize(40, 4, 4), None, at=(10, 20, 16), side=16)

    found = cut_observed(observed_of(truth, Average(4), axis=1), "xy", where)

    assert found.section.shape == (4, 16)
    assert found.extent == (32, 96, 112, 48)


@pytest.mark.parametrize("columns", ["planes", "methods"])
@pytest.mark.parametrize("size", [(10, 10, 10), (40, 4, 4)])
def test_a_nanometre_is_as_long_in_every_picture_and_direction(columns, size):
    plate = plate_of(errors=True, size=size)

    figure = draw(plate, Style(columns=columns))
    figure.canvas.draw()

    wide, tall = figure.get_size_inches()
    scales = []
    for axes in figure.axes:
        if axes.images:
            box = axes.get_position(original=False)
            (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
            scales += [box.width * wide / (right - left), box.height * tall / (bottom - top)]
    assert len(scales) == 2 * 3 * 4
    assert max(scales) == pytest.approx(min(scales), rel=1e-6)


@pytest.mark.parametrize(("asked", "length", "label"), [(None, 50, "50 nm"), (120.0, 120, "120 nm")])
def test_the_scale_bar_is_as_long_as_its_label_says_once_per_plane(asked, length, label):
    figure = draw(plate_of(), Style(bar_nm=asked))

    bars = [p for axes in figure.axes for p in axes.patches if p.get_gid() == "scale bar"]

    assert [bar.get_width() for bar in bars] == [length] * 3  # data units are nm
    assert [t.get_text() for axes in figure.axes for t in axes.texts] == [label] * 3
    assert all(bar.axes.images[0].get_extent()[1] - bar.axes.images[0].get_extent()[0] == 160 for bar in bars)


def test_errors_are_reconstruction_minus_truth_in_common_colours():
    plate = plate_of(errors=True)

    assert plate.limit == 16
    assert [line.label for line in plate.lines] == ["Truth", "Observed", "bicubic"]
    assert [bool(line.errors) for line in plate.lines] == [False, False, True]
    assert all(np.all(picture.values == 7) for picture in plate.lines[2].errors)
    grey = [axes.images[0].get_clim() for axes in draw(plate, Style()).axes if axes.images]
    assert grey == [(0, 255)] * 9 + [(-16, 16)] * 3


@pytest.mark.parametrize("columns", ["planes", "methods"])
def test_errors_and_uncertainty_have_a_key_each_below_all_pictures(columns):
    truth, made = volume(), volume(np.clip(positions().astype(int) + 7, 0, 255).astype(np.uint8), name="a")
    spread = volume(np.full(SHAPE, 1.5 / 255, np.float32))
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, side=16)
    entries = [Entry("a", made, uncertainty=spread), Entry("b", made)]
    plate = make_plate(truth, None, entries, where, errors=True)

    figure = draw(plate, Style(columns=columns))

    assert (plate.limit, plate.uncertainty_limit) == (16, 2)
    pictures = [axes for axes in figure.axes if axes.images and axes.images[0].get_array().shape == (16, 16)]
    assert [axes.images[0].get_clim() for axes in pictures].count((0, 2)) == 3
    keys = sorted((axes for axes in figure.axes if axes not in pictures), key=lambda axes: axes.get_position().y0)
    assert [axes.get_xlim() for axes in keys] == [(0, 2), (-16, 16)]
    assert keys[0].get_position().y1 < keys[1].get_position().y0
    assert keys[1].get_position().y1 < min(axes.get_position().y0 for axes in pictures)


@pytest.mark.parametrize(("columns", "rows"), [("planes", 4), ("methods", 6)])
def test_columns_are_planes_or_methods(columns, rows):
    plate = plate_of(errors=True)

    layout = lay_out(plate, Style(columns=columns))

    lefts = {round(box[0], 6) for _, box in layout.boxes}
    bottoms = {round(box[1], 6) for _, box in layout.boxes}
    assert (len(lefts), len(bottoms)) == (3, rows)
    assert all(box[0] >= 0 and box[0] + box[2] <= layout.width for _, box in layout.boxes)
    assert sorted(cell.plane for cell, _ in layout.boxes if cell.bar) == [0, 1, 2]


def test_only_what_is_shown_is_read():
    arrays = [Counting(positions()) for _ in range(2)]
    truth, made = (Volume(array, VoxelSize(10, 10, 10), "v") for array in arrays)
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None, side=8)

    make_plate(truth, None, [Entry("a", made)], where, errors=True)

    assert [array.most for array in arrays] == [64, 64]


def test_the_same_plate_gives_the_same_bytes_and_text_stays_text(tmp_path: Path):
    plate = plate_of(errors=True, scores={"xy": "24.50 dB · SSIM 0.8123"})
    for suffix in ("png", "pdf"):
        for name in ("a", "b"):
            write_figure(tmp_path / f"{name}.{suffix}", plate, Style(dpi=100))
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second
        assert b"Date" not in first
    streams = re.findall(rb"stream\n(.*?)\nendstream", (tmp_path / "a.pdf").read_bytes(), re.DOTALL)
    page = b"".join(zlib.decompress(s) for s in streams if s[:1] == b"x")
    letters = b"".join(re.findall(rb"\((.*?)\)", page)).replace(b"\0", b"")  # kerned: letters stand apart
    assert b"24.50 dB" in letters
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pdf", "a.png", "b.pdf", "b.png"]


def test_a_picture_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("old")

    def half(self, file, **_):
        file.write(b"half")
        raise MemoryError

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)

    with pytest.raises(MemoryError):
        write_figure(path, plate_of(), Style())

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch):
    real = builtins.__import__

    def without(name, *more, **others):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ConfigError, match=r"pip install 'vemrecon\[figure\]'"):
        write_figure(tmp_path / "a.png", plate_of(), Style())


def test_a_figure_of_one_plane_is_no_poster_and_a_crowded_one_is_refused():
    plate = plate_of(planes=("xy",))

    assert lay_out(plate, Style()).width < 3
    assert lay_out(plate, Style(width_mm=180)).width == pytest.approx(180 / 25.4)
    with pytest.raises(ConfigError, match="--width: 10 mm leave no room"):
        lay_out(plate_of(), Style(width_mm=10))
    with pytest.raises(ConfigError, match="too many pixels"):
        lay_out(plate, Style(dpi=100_000))


def test_volumes_of_another_shape_are_refused():
    entries = [Entry("a", volume()), Entry("b", volume(positions((24, 40, 31)), name="b"))]
    where = cut_at(SHAPE, VoxelSize(10, 10, 10), None)

    with pytest.raises(DataError, match=r"b: shape \(24, 40, 31\)"):
        make_plate(None, None, entries, where)
