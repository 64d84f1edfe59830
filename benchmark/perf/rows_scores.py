"""Rows about scores: against a loop with scikit-image, other packages, and a full Fourier transform."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from ratios import Ratio, in_turns, row

from vemrecon.metrics.evaluate import evaluate
from vemrecon.seeding import derive
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

VOXEL_SIZE = VoxelSize(10, 10, 10)
if TYPE_CHECKING:
    from torch import Tensor

Values = dict[tuple[str, str], float]


class GreyVolume:
    """A volume in memory."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self.grey = grey
        self.voxel_size = VOXEL_SIZE
        self.shape: Triple = Region.whole(grey.shape).shape

    def read(self, region: Region) -> NDArray[np.float32]:
        """Intensities in [0, 1]."""
        return self.grey[region.slices].astype(np.float32) / np.float32(255)


def em_like(size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Smoothed noise in 8 bit, and the same with its sections averaged by four and interpolated."""
    from scipy import ndimage

    rng = derive(0, "score", size)
    truth = ndimage.gaussian_filter(rng.standard_normal((size, size, size)), 2) * 160
    truth = np.clip(np.rint(truth + 128 + rng.normal(0, 8, truth.shape)), 0, 255).astype(np.uint8)
    return truth, degraded(truth)


def degraded(truth: NDArray[np.uint8], s: int = 4) -> NDArray[np.uint8]:
    """Block means along z, linearly interpolated back."""
    n = len(truth) // s
    means = truth[: n * s].reshape(n, s, *truth.shape[1:]).mean(axis=1, dtype=np.float32)
    at = np.clip((np.arange(len(truth)) + 0.5) / s - 0.5, 0, n - 1)
    below = np.minimum(at.astype(int), n - 2)
    share = (at - below).astype(np.float32)[:, None, None]
    return np.rint(means[below] * (1 - share) + means[below + 1] * share).astype(np.uint8)


def score_plainly(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Values:
    """Section by section with scikit-image, and the FSC from full transforms."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    values: Values = {}
    for axis, plane in enumerate(("xy", "xz", "yz")):
        psnr, ssim = [], []
        for k in range(a.shape[axis]):
            p, q = a.take(k, axis), b.take(k, axis)
            psnr.append(peak_signal_noise_ratio(p, q, data_range=255))
            ssim.append(
                structural_similarity(
                    p, q, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
                )
            )
        values["psnr", plane], values["ssim", plane] = float(np.mean(psnr)), float(np.mean(ssim))
    return values | fsc_plainly(a, b)


def fsc_plainly(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Values:
    """The definition of metrics.md, word by word."""
    from scipy.signal import windows

    taper = np.ones(a.shape)
    for axis, n in enumerate(a.shape):
        taper *= windows.hann(n, sym=True).reshape([-1 if k == axis else 1 for k in range(3)])
    fa, fb = (np.fft.fftn((v - v.mean()) * taper) for v in (a.astype(np.float64), b.astype(np.float64)))
    axes = np.ix_(*(np.fft.fftfreq(n, edge) for n, edge in zip(a.shape, VOXEL_SIZE, strict=True)))
    radius = np.sqrt(sum(f**2 for f in axes))
    width = 1 / min(n * edge for n, edge in zip(a.shape, VOXEL_SIZE, strict=True))
    number = int(np.floor(0.5 / max(VOXEL_SIZE) / width + 1e-9))
    shell = np.floor(radius / width + 0.5).astype(int)
    cross, power_a, power_b = (fa * fb.conj()).real, np.abs(fa) ** 2, np.abs(fb) ** 2
    values: Values = {}
    for name, along in zip(("all", "z", "y", "x"), (None, *axes), strict=True):
        keep = shell <= number
        if along is not None:
            with np.errstate(invalid="ignore"):
                keep &= np.abs(along) / radius >= np.cos(np.deg2rad(20))
        sums = [np.bincount(shell[keep], q[keep], number + 1)[1:] for q in (cross, power_a, power_b)]
        valid = np.bincount(shell[keep], minlength=number + 1)[1:] >= 10
        frequency = (np.arange(1, number + 1) * width)[valid]
        curve = sums[0][valid] / np.sqrt(sums[1][valid] * sums[2][valid])
        below = np.flatnonzero(curve < 0.5)
        if not len(below):
            values["fsc", name] = float(1 / frequency[-1])
        elif below[0] == 0:
            values["fsc", name] = float(1 / frequency[0])
        else:
            i = below[0]
            share = (curve[i - 1] - 0.5) / (curve[i - 1] - curve[i])
            values["fsc", name] = float(1 / (frequency[i - 1] + share * (frequency[i] - frequency[i - 1])))
    return values


def score_ours(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    metrics: Collection[str] = ("psnr", "ssim", "fsc"),
    planes: Collection[str] = ("xy", "xz", "yz"),
) -> Values:
    """The same values, and more, from `evaluate`."""
    whole = {"all": Region.whole(a.shape)}
    found = evaluate(GreyVolume(a), GreyVolume(b), metrics=tuple(metrics), planes=planes, ranges=whole)
    return {(s.metric, s.plane): s.value for s in found.scores if s.value is not None}


SIZE, LARGE = 128, 250


def gaps(ours: Values, others: Values) -> str:
    """Largest difference of each metric."""
    names = sorted({metric for metric, _ in others})
    found = {n: max(abs(ours[key] - value) for key, value in others.items() if key[0] == n) for n in names}
    return ", ".join(f"{name} {gap:.0e}" for name, gap in found.items())


@row(
    "score",
    f"PSNR, SSIM in three planes and FSC of {LARGE}^3",
    "scikit-image section by section, numpy's FFT",
    "scikit-image",
)
def score_all() -> Ratio:
    """What most runs score."""
    return score_on_threads(1)


@row(
    "score-two-threads",
    f"the same of {LARGE}^3 on two threads",
    "scikit-image section by section, numpy's FFT, on one",
    "scikit-image",
)
def score_all_on_two() -> Ratio:
    """The loop has no threads of its own."""
    return score_on_threads(2)


def score_on_threads(threads: int) -> Ratio:
    """Ours on some threads, the loop on one."""
    import torch

    a, b = em_like(LARGE)

    def ours() -> Values:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return score_ours(a, b)
        finally:
            torch.set_num_threads(before)

    pair = in_turns(ours, lambda: score_plainly(a, b), 1)
    return Ratio(*pair, gaps(ours(), score_plainly(a, b)))


@row("fsc", f"FSC of {SIZE}^3 with cones", "numpy's full transform and masks")
def score_fsc() -> Ratio:
    """Shells and cones."""
    a, b = em_like(SIZE)
    pair = in_turns(lambda: score_ours(a, b, ["fsc"]), lambda: fsc_plainly(a, b), 3)
    return Ratio(*pair, gaps(score_ours(a, b, ["fsc"]), fsc_plainly(a, b)))


@row("fft", "float64 transform of 250^3 by scipy, as FSC takes it", "torch.fft.rfftn")
def transform() -> Ratio:
    """Both on the same voxels."""
    import torch
    from scipy.fft import rfftn

    voxels = torch.rand(250, 250, 250, dtype=torch.float64)
    ours, torchs = rfftn(voxels.numpy()), torch.fft.rfftn(voxels).numpy()
    gap = float(np.abs(ours - torchs).max() / np.abs(torchs).max())
    return Ratio(*in_turns(lambda: rfftn(voxels.numpy(), workers=1), lambda: torch.fft.rfftn(voxels)), f"{gap:.0e}")


def ssim_against(compute: Callable[[Tensor, Tensor], Tensor]) -> Ratio:
    """SSIM of the xy sections, which another package gets as one batch of float32."""
    import torch

    a, b = em_like(SIZE)
    batches = [torch.from_numpy(v[:, None].astype(np.float32)) for v in (a, b)]
    pair = in_turns(lambda: score_ours(a, b, ["ssim"], ["xy"]), lambda: compute(*batches), 3)
    gap = abs(score_ours(a, b, ["ssim"], ["xy"])["ssim", "xy"] - float(compute(*batches)))
    return Ratio(*pair, f"{gap:.0e} (other borders)")


@row("ssim-torchmetrics", f"SSIM of {SIZE} sections, read and rounded", "torchmetrics", "torchmetrics")
def ssim_torchmetrics() -> Ratio:
    """Its Gaussian window of 11."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    def compute(a: Tensor, b: Tensor) -> Tensor:
        made = structural_similarity_index_measure(a, b, data_range=255.0)
        assert not isinstance(made, tuple)
        return made

    return ssim_against(compute)


@row("ssim-msssim", f"SSIM of {SIZE} sections, read and rounded", "pytorch-msssim", "pytorch-msssim")
def ssim_pytorch_msssim() -> Ratio:
    """Its window of 11."""
    from pytorch_msssim import ssim

    return ssim_against(lambda a, b: ssim(a, b, data_range=255))


@row("ssim-piq", f"SSIM of {SIZE} sections, read and rounded", "piq", "piq")
def ssim_piq() -> Ratio:
    """Without its downsampling."""
    from piq import ssim

    return ssim_against(lambda a, b: ssim(a, b, data_range=255.0, downsample=False))


@row("ms-ssim", "MS-SSIM of 24 sections of 256 x 256", "torchmetrics", "torchmetrics")
def ms_ssim_torchmetrics() -> Ratio:
    """Five scales."""
    import torch
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    a, b = (np.ascontiguousarray(v[:24]) for v in em_like(256))
    batches = [torch.from_numpy(v[:, None].astype(np.float32)) for v in (a, b)]
    return Ratio(
        *in_turns(
            lambda: score_ours(a, b, ["ms_ssim"], ["xy"]),
            lambda: multiscale_structural_similarity_index_measure(*batches, data_range=255.0),
            3,
        )
    )
