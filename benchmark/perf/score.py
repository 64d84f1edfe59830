"""Time and memory of scoring, against a straightforward loop with scikit-image and a full Fourier transform.

    python benchmark/perf/score.py [--size 250] [--hdf5 FILE [--dataset raw]]
    python benchmark/perf/score.py --memory

The first form scores PSNR and primary SSIM of every section in three planes and the FSC with Hann taper and cones, both
ways, and prints times, their ratio and the largest difference of the values. The second form scores volumes of two
lengths in fresh processes and prints their peak memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vemrecon.metrics.evaluate import evaluate
from vemrecon.seeding import derive
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

VOXEL_SIZE = VoxelSize(10, 10, 10)
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


class GeneratedVolume:
    """A volume of any size that exists only where it is read."""

    def __init__(self, shape: Triple, noise: float) -> None:
        self.shape, self.noise = shape, noise
        self.voxel_size = VOXEL_SIZE

    def read(self, region: Region) -> NDArray[np.float32]:
        """Waves, and noise that depends on the position alone."""
        z, y, x = (np.arange(a, b, dtype=np.float32) for a, b in zip(region.start, region.stop, strict=True))
        values = 0.5 + 0.2 * np.sin(0.2 * z)[:, None, None] * np.cos(0.15 * y)[:, None] * np.sin(0.11 * x)
        values += self.noise * np.sin(12.9898 * z + 3)[:, None, None] * np.sin(78.233 * y)[:, None] * np.sin(37.719 * x)
        return values


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


def score_ours(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Values:
    """The same values, and more, from `evaluate`."""
    found = evaluate(GreyVolume(a), GreyVolume(b), ranges={"all": Region.whole(a.shape)})
    return {(s.metric, s.plane): s.value for s in found.scores if s.value is not None}


def compare_times(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    """Print both times, the ratio and the largest difference per metric."""
    score_ours(a[:64, :64, :64], b[:64, :64, :64])  # loads libraries
    score_plainly(a[:16, :16, :16], b[:16, :16, :16])
    started = time.perf_counter()
    ours = score_ours(a, b)
    ours_seconds = time.perf_counter() - started
    started = time.perf_counter()
    plain = score_plainly(a, b)
    plain_seconds = time.perf_counter() - started
    ratio = ours_seconds / plain_seconds
    print(f"volume {a.shape}: plain {plain_seconds:.2f} s, ours {ours_seconds:.2f} s, ratio {ratio:.3f}")
    for metric in ("psnr", "ssim", "fsc"):
        gap = max(abs(ours[key] - value) for key, value in plain.items() if key[0] == metric)
        print(f"largest difference of {metric}: {gap:.1e}")


def score_generated(shape: Triple) -> None:
    """Score a generated volume and print time and peak memory of this process."""
    small: Triple = (64, 64, 64)
    evaluate(GeneratedVolume(small, 0.0), GeneratedVolume(small, 0.05), ranges={"all": Region.whole(small)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    evaluate(GeneratedVolume(shape, 0.0), GeneratedVolume(shape, 0.05), ranges={"all": Region.whole(shape)})
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{shape}: {seconds:.1f} s, peak {peak:.0f} MiB, {peak - before:.0f} MiB of it for this size", flush=True)


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=250, help="edge of the generated volume, in voxels")
    parser.add_argument("--hdf5", type=Path, help="score this volume (uint8) instead of a generated one")
    parser.add_argument("--dataset", default="raw", help="dataset inside the HDF5 file")
    parser.add_argument("--memory", action="store_true", help="measure peak memory for two lengths")
    parser.add_argument("--shape", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shape:
        z, y, x = options.shape
        score_generated((z, y, x))
    elif options.memory:
        for length in ("512", "1024"):
            subprocess.run([sys.executable, __file__, "--shape", length, "512", "512"], check=True)
    elif options.hdf5:
        import h5py

        with h5py.File(options.hdf5) as file:
            truth = file[options.dataset][()]
        compare_times(truth, degraded(truth))
    else:
        compare_times(*em_like(options.size))


if __name__ == "__main__":
    main()
