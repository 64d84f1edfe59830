import hashlib
from typing import Any

import numpy as np
import pytest

from vemrecon.data.neuropil import Floats
from vemrecon.data.phantom import PHANTOM_VERSION, Phantom, make_phantom
from vemrecon.errors import DataError


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom((96, 96, 96), seed) for seed in range(6)]


def correlation(volume: Floats, axis: int, lag: int) -> float:
    rows = np.moveaxis(volume - volume.mean(), axis, 0)
    return float((rows[:-lag] * rows[lag:]).mean() / (rows * rows).mean())


def mean_correlation(phantoms: list[Phantom], axis: int, lag: int) -> float:
    return float(np.mean([correlation(p.grey.astype(float), axis, lag) for p in phantoms]))


def band_power(volume: Floats, axis: int, low: int, high: int) -> float:
    spectrum = np.abs(np.fft.rfft(volume - volume.mean(), axis=axis)) ** 2
    return float(np.moveaxis(spectrum, axis, 0)[low:high].mean())


def test_phantom_is_the_same_for_the_same_arguments() -> None:
    first, second = make_phantom((24, 40, 32), seed=7), make_phantom((24, 40, 32), seed=7)
    for name in ("grey", "cells", "mitochondria", "membranes"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.grey.tobytes() != make_phantom((24, 40, 32), seed=8).grey.tobytes()


def test_phantom_of_this_version_has_these_voxels() -> None:
    # Written by version 1 itself: whoever changes the voxels raises PHANTOM_VERSION and renews these facts.
    phantom = make_phantom((48, 64, 56), seed=3)
    labels = np.ascontiguousarray(phantom.cells[::3, ::3, ::3], dtype="<i4")
    assert PHANTOM_VERSION == 1
    assert (int(phantom.cells.max()), int(phantom.mitochondria.max())) == (23, 5)
    assert phantom.grey.mean() == pytest.approx(113.0148, abs=1e-3)
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == "803cf47b69c9f52d"


@pytest.mark.parametrize("shape", [(17, 33, 29), (8, 8, 8), (8, 120, 9), (31, 8, 64)])
def test_any_shape_gives_arrays_of_that_shape(shape: tuple[int, int, int]) -> None:
    phantom = make_phantom(shape, seed=2)
    dtypes = {"grey": np.uint8, "cells": np.int32, "mitochondria": np.int32, "membranes": np.bool_}
    for name, dtype in dtypes.items():
        array = getattr(phantom, name)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
    assert tuple(phantom.voxel_size) == (8, 8, 8)


@pytest.mark.parametrize("shape", [(7, 8, 8), (8, 8), (8, 8, 8, 8), (8.5, 9, 9), 64, None, "abc"])
def test_a_shape_that_is_not_three_sides_of_eight_voxels_is_refused(shape: Any) -> None:
    with pytest.raises(DataError, match="at least 8 voxels"):
        make_phantom(shape)


@pytest.mark.parametrize("voxel_size_nm", [0, 1.9, 40, float("nan")])
def test_a_voxel_size_without_visible_structure_is_refused(voxel_size_nm: float) -> None:
    with pytest.raises(DataError, match="2 to 32 nm"):
        make_phantom((8, 8, 8), voxel_size_nm=voxel_size_nm)


def test_labels_count_without_gaps_and_agree_with_each_other(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        for labels in (phantom.cells, phantom.mitochondria):
            assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
        assert np.array_equal(phantom.membranes, phantom.cells == 0)
        for label in range(1, int(phantom.mitochondria.max()) + 1):
            hosts = np.unique(phantom.cells[phantom.mitochondria == label])
            assert len(hosts) == 1 and hosts[0] > 0


def test_membranes_are_about_twenty_nanometres_thick(phantoms: list[Phantom]) -> None:
    chords: list[int] = []
    for phantom in phantoms[:2]:
        for axis in range(3):
            rows = np.moveaxis(phantom.cells, axis, -1).reshape(-1, 96)
            change = np.diff((rows == 0).astype(int), axis=1)
            for row, step in zip(rows[::7], change[::7], strict=True):
                starts, stops = np.flatnonzero(step == 1) + 1, np.flatnonzero(step == -1) + 1
                stops = stops[stops > starts[0]] if len(starts) else stops[:0]
                chords += [b - a for a, b in zip(starts, stops, strict=False) if row[a - 1] != row[b]]
    # Half of the chords through a slab in random orientation are longer than sqrt(2) times its thickness.
    assert 16 < np.mean(np.sort(chords)[len(chords) * 2 // 5 : len(chords) * 3 // 5]) * 8 / 2**0.5 < 28


def test_structures_keep_their_size_in_nanometres() -> None:
    fine, coarse = (make_phantom((64, 64, 64), 4, voxel) for voxel in (8, 16))
    assert coarse.cells.max() > 2 * fine.cells.max()
    assert coarse.membranes.mean() == pytest.approx(fine.membranes.mean(), abs=0.08)


def test_sections_look_alike_along_every_axis(phantoms: list[Phantom]) -> None:
    for lag, tolerance in ((1, 0.01), (2, 0.02), (4, 0.05), (8, 0.08), (16, 0.12)):
        along = [mean_correlation(phantoms, axis, lag) for axis in range(3)]
        assert np.ptp(along) < tolerance, f"lag {lag}: {along}"
    for low, high in ((8, 16), (16, 32), (32, 48)):  # bands of the power spectrum, in cycles per 96 voxels
        power = [np.mean([band_power(p.grey.astype(float), axis, low, high) for p in phantoms]) for axis in range(3)]
        assert max(power) / min(power) < 1.25


def test_lattice_of_the_geometry_leaves_no_trace(phantoms: list[Phantom]) -> None:
    for axis in range(3):
        bends = [np.diff(np.moveaxis(p.grey.astype(float), axis, 0), 2, axis=0)[:92] for p in phantoms]
        energy = np.mean([(b * b).mean(axis=(1, 2)) for b in bends], axis=0)
        by_phase = energy.reshape(-1, 4).mean(axis=0)
        assert by_phase.max() / by_phase.min() < 1.03


def test_grey_values_resemble_focused_ion_beam_sections(phantoms: list[Phantom]) -> None:
    # a FIB-SEM sample of fly brain at 8 nm has mean 130, deviation 33, correlation 0.95, 0.5 and 0.27 at these lags
    assert np.mean([p.grey.mean() for p in phantoms]) == pytest.approx(130, abs=12)
    assert np.mean([p.grey.std() for p in phantoms]) == pytest.approx(34, abs=5)
    for lag, expected, tolerance in ((1, 0.95, 0.02), (8, 0.5, 0.12), (16, 0.25, 0.12)):
        found = np.mean([mean_correlation(phantoms, axis, lag) for axis in range(3)])
        assert found == pytest.approx(expected, abs=tolerance)


def test_membranes_and_mitochondria_are_darker_than_cytoplasm(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        organelle = phantom.mitochondria > 0
        cytoplasm = phantom.grey[(phantom.cells > 0) & ~organelle].mean()
        assert phantom.grey[phantom.membranes].mean() < cytoplasm - 30
        assert phantom.grey[organelle].mean() < cytoplasm - 30


def test_a_phantom_without_noise_is_the_same_specimen() -> None:
    noisy, clean = make_phantom((48, 64, 56), seed=3), make_phantom((48, 64, 56), seed=3, noise=False)
    assert noisy.cells.tobytes() == clean.cells.tobytes()
    noise = noisy.grey.astype(float) - clean.grey
    inside = (clean.grey > 30) & (clean.grey < 225)  # where nothing is clipped
    expected = np.sqrt(0.18 * clean.grey[inside].mean() + 10 + 2 / 12)  # both are rounded
    assert noise[inside].std() == pytest.approx(expected, rel=0.02)
    assert abs(noise[inside].mean()) < 0.1
    assert abs(correlation(noise, 0, 1)) < 0.02
