"""FSIM and phase congruency: the definition term by term, properties, and rows of `evaluate`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.metric_volumes import GreyVolume, noisy, textured
from scipy import ndimage
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.metrics import fsim
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.fsim import FeatureSimilarity, feature_similarity, gradient_magnitude
from vemrecon.metrics.phase_congruency import filters, phase_congruency
from vemrecon.seeding import derive
from vemrecon.volume.region import Region

sides = st.integers(24, 60)


def batch(rows: int, columns: int, seed: int = 0, number: int = 1) -> Tensor:
    """Waves and noise, shape (number, rows, columns), float64 grey levels."""
    return torch.from_numpy(textured((number, rows, columns), seed).astype(np.float64))


def blobs(seed: int = 0, side: int = 96) -> Tensor:
    """Bright cells with dark borders, shape (1, side, side)."""
    points = derive(seed, "blobs").random((side * side // 400, 2)) * side
    pixels = np.indices((side, side)).reshape(2, -1).T
    near = np.sort(np.linalg.norm(pixels[:, None] - points, axis=2), axis=1)
    return torch.from_numpy(np.rint(64 + 140 / (1 + np.exp(-2 * (near[:, 1] - near[:, 0] - 1.5))))).reshape(
        1, side, side
    )


def exactly(a: Tensor, b: Tensor) -> float:
    return feature_similarity(a, b, torch.float64).item()


def defined_congruency(image: np.ndarray) -> np.ndarray:
    """Phase congruency word by word, with loops over orientations and scales."""

    def grid(n: int) -> np.ndarray:
        return np.arange(-(n // 2), n // 2) / n if n % 2 == 0 else np.arange(-(n // 2), n // 2 + 1) / (n - 1)

    rows, columns = image.shape
    u, v = np.meshgrid(grid(rows), grid(columns), indexing="ij")
    radius, theta = np.sqrt(u**2 + v**2), np.arctan2(-v, u)
    low = 1 / (1 + (radius / 0.45) ** 30)
    radius, theta, low = (np.fft.ifftshift(values) for values in (radius, theta, low))
    radius[0, 0] = 1
    total_energy, total_amplitude, tiny = 0.0, 0.0, np.finfo(float).eps
    for o in range(4):
        angle = o * np.pi / 4
        ds = np.sin(theta) * np.cos(angle) - np.cos(theta) * np.sin(angle)
        dc = np.cos(theta) * np.cos(angle) + np.sin(theta) * np.sin(angle)
        angular = np.exp(-(np.abs(np.arctan2(ds, dc)) ** 2) / (2 * (np.pi / 4.8) ** 2))
        bank = []
        for s in range(4):
            radial = np.exp(-(np.log(radius * 6 * 2**s) ** 2) / (2 * np.log(0.55) ** 2)) * low
            radial[0, 0] = 0
            bank.append(angular * radial)
        responses = [np.fft.ifft2(np.fft.fft2(image) * gain) for gain in bank]
        total = sum(responses)
        length = np.abs(total) + tiny
        e_mean, o_mean = total.real / length, total.imag / length
        energy = sum(r.real * e_mean + r.imag * o_mean - np.abs(r.real * o_mean - r.imag * e_mean) for r in responses)
        amplitudes = [np.abs(r) for r in responses]
        median = np.sort(amplitudes[0].ravel() ** 2)[(image.size - 1) // 2]
        power = -median / np.log(0.5) / (bank[0] ** 2).sum()
        kernels = [np.fft.ifft2(gain).real * np.sqrt(image.size) for gain in bank]
        squares = sum((k**2).sum() for k in kernels)
        products = sum((kernels[s] * kernels[t]).sum() for t in range(4) for s in range(t))
        tau = np.sqrt((2 * power * squares + 4 * power * products) / 2)
        threshold = (tau * np.sqrt(np.pi / 2) + 2 * np.sqrt((2 - np.pi / 2) * tau**2)) / 1.7
        total_energy = total_energy + np.maximum(energy - threshold, 0)
        total_amplitude = total_amplitude + sum(amplitudes)
    return (total_energy + tiny) / (total_amplitude + tiny)


@settings(max_examples=15, deadline=None)
@given(sides, sides, st.integers(0, 9))
def test_phase_congruency_equals_the_definition(rows: int, columns: int, seed: int) -> None:
    image = batch(rows, columns, seed)
    found = phase_congruency(image)[0].numpy()
    assert found == pytest.approx(defined_congruency(image[0].numpy()), abs=1e-10)
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("shape", [(41, 50), (64, 39)])
def test_fsim_equals_the_definition(shape: tuple[int, int]) -> None:
    a = batch(*shape)
    pair = [image[0].numpy().astype(np.float64) for image in (a, torch.from_numpy(noisy(a.numpy())))]
    scharr = np.array([[3, 10, 3], [0, 0, 0], [-3, -10, -3]]) / 16
    slopes = [np.hypot(*(ndimage.correlate(v, k, mode="constant") for k in (scharr, scharr.T))) for v in pair]
    phases = [defined_congruency(v) for v in pair]
    similarity, weight = 1.0, np.maximum(*phases)
    for (p, q), constant in ((phases, 0.85), (slopes, 160)):
        similarity = similarity * (2 * p * q + constant) / (p**2 + q**2 + constant)
    found = exactly(*(torch.from_numpy(v)[None] for v in pair))
    assert found == pytest.approx((similarity * weight).sum() / weight.sum(), abs=1e-9)


def test_phase_congruency_ignores_brightness_and_contrast() -> None:
    image = batch(40, 51)
    assert phase_congruency(3 * image + 7).numpy() == pytest.approx(phase_congruency(image).numpy(), abs=1e-10)


@pytest.mark.parametrize("shape", [(250, 250), (97, 131), (64, 47)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_image_is_congruent_everywhere(shape: tuple[int, int], dtype: torch.dtype) -> None:
    assert torch.equal(phase_congruency(torch.full((2, *shape), 77.3, dtype=dtype)), torch.ones(2, *shape, dtype=dtype))


def test_filters_are_one_sided_pass_no_constant_and_are_made_once_per_shape() -> None:
    bank = filters(32, 41, torch.float64, torch.device("cpu"))
    assert bank.gains.shape == (4, 4, 32, 41)
    assert not bank.gains[:, :, 0, 0].any()
    along_rows = bank.gains[0, 1, :, 0]  # the first orientation points along the rows
    assert along_rows[1:16].sum() > 1e4 * along_rows[17:].sum()
    assert filters(32, 41, torch.float64, torch.device("cpu")) is bank


def test_gradient_of_a_slope_is_its_steepness_and_borders_see_zeros() -> None:
    row, column = np.indices((30, 30))
    slope = torch.from_numpy(3.0 * row + 4.0 * column)[None]
    inner = gradient_magnitude(slope)[0, 1:-1, 1:-1]
    assert inner.numpy() == pytest.approx(10)  # the kernel spans two pixels and its weights sum to one
    border = gradient_magnitude(torch.full((1, 30, 30), 50.0))[0]
    assert border[0, 5].item() == pytest.approx(50)
    assert not border[1:-1, 1:-1].any()


@settings(max_examples=15, deadline=None)
@given(sides, sides, st.integers(0, 9))
def test_fsim_is_one_for_identical_images_and_symmetric_to_the_last_bit(rows: int, columns: int, seed: int) -> None:
    a, b = batch(rows, columns, seed), batch(rows, columns, seed + 10)
    assert exactly(a, a) == 1
    assert exactly(a, b) == exactly(b, a)
    assert 0 < exactly(a, b) < 1


def test_fsim_of_a_transposed_pair_is_nearly_the_same() -> None:
    a = batch(64, 47)
    b = torch.from_numpy(noisy(a.numpy()).astype(np.float64))
    gap = abs(exactly(a, b) - exactly(a.mT, b.mT))
    assert 0 < gap < 5e-3


def test_fsim_falls_with_noise() -> None:
    a = blobs()
    grey = a.numpy().astype(np.uint8)
    values = [exactly(a, torch.from_numpy(noisy(grey, sigma).astype(np.float64))) for sigma in (5, 20, 60)]
    assert 1 > values[0] > values[1] > values[2] > 0


def test_fsim_hardly_sees_brightness_and_inverted_contrast_but_sees_a_shift() -> None:
    a = blobs()
    padded = torch.nn.functional.pad(a, (1, 1, 1, 1), mode="replicate")
    smooth = torch.nn.functional.avg_pool2d(padded, 3, stride=1)
    assert exactly(a, a + 25) > 0.99
    assert exactly(a, 255 - a) > 0.97
    assert exactly(a, a.roll(1, dims=2)) < exactly(a, smooth) < 0.95


def test_fsim_of_a_large_image_is_that_of_its_block_means() -> None:
    a, b = batch(384, 401, 1), batch(384, 401, 2)
    halves = [image[:, :, :400].reshape(1, 192, 2, 200, 2).mean(dim=(2, 4)) for image in (a, b)]
    assert exactly(a, b) == pytest.approx(exactly(halves[0], halves[1]), abs=1e-12)


def test_fsim_does_not_depend_on_the_batch_or_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = batch(33, 40, 1, number=7), batch(33, 40, 2, number=7)
    together = feature_similarity(a, b)
    assert (together.shape, together.dtype) == ((7,), torch.float64)
    alone = [feature_similarity(p[None], q[None]).item() for p, q in zip(a, b, strict=True)]
    monkeypatch.setattr(fsim, "CHUNK_PIXELS", 3 * 33 * 40)
    assert feature_similarity(a, b).tolist() == pytest.approx(together.tolist(), abs=1e-7)
    assert together.tolist() == pytest.approx(alone, abs=1e-7)


def test_single_precision_and_whole_grey_levels_are_enough() -> None:
    a, b = batch(50, 61, 1), batch(50, 61, 2)
    single = feature_similarity(a.to(torch.uint8), b.to(torch.uint8)).item()
    assert single == pytest.approx(exactly(a, b), abs=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (torch.zeros(1, 30, 30), torch.zeros(1, 30, 31), r"\(1, 30, 30\) and \(1, 30, 31\)"),
        (torch.zeros(30, 30), torch.zeros(30, 30), r"batches \(n, y, x\)"),
        (torch.zeros(1, 23, 90), torch.zeros(1, 23, 90), r"24 pixels or more, got \(23, 90\)"),
        (torch.zeros(1, 30, 30), torch.full((1, 30, 30), 256.0), "from 256 to 256"),
        (torch.full((1, 30, 30), -0.5), torch.zeros(1, 30, 30), "from -0.5 to -0.5"),
        (torch.zeros(1, 30, 30), torch.full((1, 30, 30), math.nan), "from nan to nan"),
    ],
)
def test_bad_input_gets_one_clear_line(a: Tensor, b: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        feature_similarity(a, b)
    assert "\n" not in str(caught.value)


def test_rows_are_means_over_the_sections_of_each_plane() -> None:
    a = textured((26, 40, 33))
    b = noisy(a)
    kept = [0, 8, 16, 24]
    b[kept] = a[kept]
    whole, span = Region.whole(a.shape), Region((0, 0, 0), (25, 40, 33))
    found = evaluate(
        GreyVolume(a), GreyVolume(b), metrics=("fsim",), ranges={"all": whole, "span": span}, kept_sections=kept,
        blocks={"0-0-0": Region((0, 0, 0), (26, 40, 30))},
    )  # fmt: skip
    rows = {(row.range, row.plane): row for row in found.scores}
    assert {row.block for row in found.scores} == {"all"}, "blocks are left out"
    assert {plane for _, plane in rows} == {"xy", "xz", "yz", "mean"}
    for name, sections in (("all", 26), ("span", 25)):
        p, q = torch.from_numpy(a[:sections]), torch.from_numpy(b[:sections])
        for plane, normal in (("xy", 0), ("xz", 1), ("yz", 2)):
            values = feature_similarity(p.movedim(normal, 0), q.movedim(normal, 0))
            counted = [k for k in range(len(values)) if normal or k not in kept]
            row = rows[name, plane]
            assert row.value == pytest.approx(values[counted].mean().item(), abs=1e-6)
            assert row.std == pytest.approx(values[counted].std(correction=0).item(), abs=1e-6)
            assert row.count == len(counted)
    assert rows["all", "xy"].note == "4 kept sections left out"


def test_sections_must_be_added_once() -> None:
    metric = FeatureSimilarity([Region((0, 0, 0), (2, 24, 24))])
    value = torch.ones(1, dtype=torch.float64)
    metric.update(0, "xy", 0, value)
    with pytest.raises(DataError, match="exactly once"):
        metric.means(0, "xy")
    metric.update(0, "xy", 1, value)
    assert metric.means(0, "xy").tolist() == [1, 1]
