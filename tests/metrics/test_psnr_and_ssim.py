"""PSNR and SSIM against formulas, against scikit-image, and as sums over tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.metric_volumes import ODD, GreyVolume, noisy, require_independence_of_tiles, textured, tiles
from metrics.metric_volumes import shown as shown_by
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vemrecon.compiled import kernel_library, without_kernels
from vemrecon.errors import DataError
from vemrecon.metrics.psnr import PeakSignalNoiseRatio
from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.ssim import StructuralSimilarity
from vemrecon.metrics.ssim_compiled import SOURCE
from vemrecon.metrics.tiles import grey_levels
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple

SKIMAGE = {
    "gaussian11": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    "uniform7": {},
}
WHOLE = Region.whole(ODD)
HALO = 5  # half a window
METRICS: dict[str, Callable[[Sequence[Region]], SectionMetric]] = {
    "psnr": PeakSignalNoiseRatio,
    "gaussian11": lambda scopes: StructuralSimilarity(scopes, "gaussian11"),
    "uniform7": lambda scopes: StructuralSimilarity(scopes, "uniform7"),
    "torchmetrics": lambda scopes: StructuralSimilarity(scopes, "torchmetrics"),
}


def shown(metric: SectionMetric, a: np.ndarray, b: np.ndarray, size: Triple = (48, 48, 48)) -> SectionMetric:
    return shown_by(metric, a, b, HALO, size)


def sections(volume: np.ndarray, plane: str) -> np.ndarray:
    return np.moveaxis(volume, NORMALS[plane], 0)


def test_psnr_of_a_known_error_follows_the_formula() -> None:
    a = np.full(ODD, 100, np.uint8)
    found = shown(PeakSignalNoiseRatio([WHOLE]), a, a + 5).compute()[0]
    for plane in (*NORMALS, "volume"):
        assert found[plane].numpy() == pytest.approx(20 * np.log10(255 / 5), abs=1e-12)


def test_psnr_of_known_noise_follows_the_formula() -> None:
    a = np.full((40, 64, 64), 128, np.uint8)
    b = noisy(a, sigma=10)
    found = shown(PeakSignalNoiseRatio([Region.whole(a.shape)]), a, b).compute()[0]["volume"].item()
    assert found == pytest.approx(20 * np.log10(255 / np.sqrt(10**2 + 1 / 12)), abs=0.05)  # 1/12 from rounding


@pytest.mark.parametrize("plane", NORMALS)
def test_psnr_agrees_with_scikit_image(plane: str) -> None:
    a = textured(ODD)
    b = noisy(a)
    found = shown(PeakSignalNoiseRatio([WHOLE]), a, b).compute()[0]
    pairs = zip(sections(a, plane), sections(b, plane), strict=True)
    expected = [peak_signal_noise_ratio(p, q, data_range=255) for p, q in pairs]
    assert found[plane].numpy() == pytest.approx(expected, abs=1e-10)
    assert found["volume"].item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-10)


@pytest.mark.parametrize("compiled", [True, False], ids=["kernel", "torch"])
@pytest.mark.parametrize("variant", SKIMAGE)
@pytest.mark.parametrize("plane", [*NORMALS, "volume"])
def test_ssim_agrees_with_scikit_image(variant: str, plane: str, compiled: bool) -> None:
    a = textured(ODD)
    b = noisy(a)
    if compiled and kernel_library(SOURCE) is None:
        pytest.skip("no C compiler")
    with contextlib.nullcontext() if compiled else without_kernels():
        found = shown(StructuralSimilarity([WHOLE], variant), a, b, (9, 20, 16)).compute()[0][plane]
    pairs = [(a, b)] if plane == "volume" else zip(sections(a, plane), sections(b, plane), strict=True)
    expected = [structural_similarity(p, q, data_range=255, **SKIMAGE[variant]) for p, q in pairs]
    assert found.reshape(-1).numpy() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("plane", NORMALS)
def test_ssim_torchmetrics_agrees_with_torchmetrics(plane: str) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    a = textured(ODD)
    b = noisy(a)
    found = shown(StructuralSimilarity([WHOLE], "torchmetrics"), a, b, (9, 20, 7)).compute()[0]
    p, q = (torch.from_numpy(sections(v, plane) / 255.0)[:, None] for v in (a, b))
    expected = structural_similarity_index_measure(p, q, data_range=1.0, reduction="none")
    assert isinstance(expected, torch.Tensor)
    # torchmetrics builds its window in float32
    assert found[plane].numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    assert found["volume"].numel() == 0


def test_rows_longer_than_the_kernel_takes_are_smoothed_all_the_same() -> None:
    a, whole = textured((11, 12, 540)), Region.whole((11, 12, 540))
    found = shown(StructuralSimilarity([whole]), a, noisy(a), whole.shape).compute()[0]["volume"].item()
    expected = structural_similarity(a, noisy(a), data_range=255, **SKIMAGE["gaussian11"])
    assert found == pytest.approx(expected, abs=1e-10)


def test_ssim_of_identical_volumes_is_one() -> None:
    a = textured(ODD)
    for variant in SKIMAGE:
        for values in shown(StructuralSimilarity([WHOLE], variant), a, a).compute()[0].values():
            assert values.numpy() == pytest.approx(1, abs=1e-12)


def test_ssim_of_constant_volumes_is_the_luminance_term() -> None:
    a = np.full(ODD, 200, np.uint8)
    b = np.full(ODD, 100, np.uint8)
    found = shown(StructuralSimilarity([WHOLE]), a, b).compute()[0]["volume"].item()
    c1 = (0.01 * 255) ** 2
    assert found == pytest.approx((2 * 200 * 100 + c1) / (200**2 + 100**2 + c1), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 30)] * 3),
    cut=st.tuples(st.integers(11, 16), st.integers(11, 32), st.integers(11, 28)),
    name=st.sampled_from(sorted(METRICS)),
)
def test_values_do_not_depend_on_the_cut_into_tiles(size: Triple, cut: Triple, name: str) -> None:
    require_independence_of_tiles(METRICS[name], ODD, cut, HALO, size)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_scope_gives_what_its_crop_gives(name: str) -> None:
    a = textured(ODD)
    b = noisy(a)
    scope = Region((2, 5, 0), (15, 31, 27))
    inside = shown(METRICS[name]([scope]), a, b, (8, 8, 8)).compute()[0]
    crop = shown(METRICS[name]([Region.whole(scope.shape)]), a[scope.slices], b[scope.slices]).compute()[0]
    for plane in crop:
        assert inside[plane].numpy() == pytest.approx(crop[plane].numpy(), abs=1e-9)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_states_of_two_processes_add_up(name: str) -> None:
    a = textured(ODD)
    b = noisy(a)
    expected = shown(METRICS[name]([WHOLE]), a, b).compute()[0]
    workers = [METRICS[name]([WHOLE]) for _ in range(2)]
    pieces = tiles(GreyVolume(a), GreyVolume(b), WHOLE, 5, size=(8, 16, 16))
    for k, tile in enumerate(pieces):
        workers[k % 2].update(tile)
    for state in workers[0].metric_state:
        setattr(workers[0], state, getattr(workers[0], state) + getattr(workers[1], state))
    for plane, values in workers[0].compute()[0].items():
        assert values.numpy() == pytest.approx(expected[plane].numpy(), abs=1e-9)


def test_an_axis_shorter_than_the_window_leaves_only_the_other_plane() -> None:
    a = textured((5, 33, 29))
    found = shown(StructuralSimilarity([Region.whole(a.shape)]), a, noisy(a)).compute()[0]
    assert {plane: values.numel() for plane, values in found.items()} == {"xy": 5, "xz": 0, "yz": 0, "volume": 0}


def test_missing_tiles_are_noticed() -> None:
    a = textured(ODD)
    metric = PeakSignalNoiseRatio([WHOLE])
    metric.update(next(tiles(GreyVolume(a), GreyVolume(a), WHOLE, 5, size=(8, 8, 8))))
    with pytest.raises(DataError, match="exactly once"):
        metric.compute()


def test_grey_levels_round_half_to_even_and_clip() -> None:
    halves = np.array([0.5, 1.5, 2.5, 300, -4], np.float32) / np.float32(255)
    exact = halves[(halves * np.float32(255)) % 1 == 0.5]
    levels = grey_levels(exact).tolist()
    assert all(level % 2 == 0 for level in levels)
    assert grey_levels(halves[-2:]).tolist() == [255, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="reconstruction holds NaN or infinite"):
        grey_levels(np.array([0.2, bad], np.float32), "reconstruction")
