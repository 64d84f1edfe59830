"""Fourier ring correlation of sections: resolution within xy, for volumes whose sections cannot be compared in 3D."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft2
from scipy.signal import windows

from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.fsc import FEWEST, ShellCurve
from vemrecon.metrics.power import PowerCurve
from vemrecon.metrics.rows import FLAGS, LIMITS
from vemrecon.metrics.score import Limit, Score
from vemrecon.metrics.spectrum import CONE_DEGREES
from vemrecon.metrics.tiles import Readable, read_pair
from vemrecon.volume.region import Region

SHORTEST_SIDE = 32  # below, a ring has a handful of frequencies


def ring_correlation(
    truth: Readable, reconstruction: Readable, ranges: Mapping[str, Region], defects: Collection[int] = ()
) -> Evaluation:
    """FRC-0.5 resolution in nm in all directions, along y and along x, and their ratio (y over x).

    Sums over rings are pooled over all sections of a range, so that there is one curve per direction; Hann window,
    mean of every section subtracted, sectors of 20 degrees around the axes, rings as wide as the coarsest frequency.

    Args:
        truth: Shape (z, y, x).
        reconstruction: The same shape.
        ranges: Scored regions by name.
        defects: Sections (z) left out.

    Returns:
        Rows of metric `frc`, and curves `frc`: range -> direction -> frequency and value, `power`: see `PowerCurve`.

    Source: metrics.md, section 3, in two dimensions; datasets.md, lateral-plane evaluation.
    """
    scores: list[Score] = []
    curves: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    powers: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    size = truth.voxel_size
    for name, region in ranges.items():
        if size is None or min(region.shape[1:]) < SHORTEST_SIDE:
            reason = "no voxel size" if size is None else f"not defined: a side is shorter than {SHORTEST_SIDE}"
            scores += [_row(plane, name, None, reason) for plane in ("all", "y", "x", "ratio")]
            continue
        found, powers[name] = _curves(truth, reconstruction, region, (size.y, size.x), defects)
        resolutions = {plane: curve.resolution() for plane, curve in found.items()}
        for plane, (value, flag) in resolutions.items():
            scores.append(_row(plane, name, value, FLAGS[flag] if value is None else "", LIMITS.get(flag)))
        (y, of_y), (x, of_x) = resolutions["y"], resolutions["x"]
        limits = {LIMITS[of_y]} if of_y in LIMITS else set()
        limits |= {LIMITS[of_x].turned} if of_x in LIMITS else set()
        note = "no value along y or x" if not (y and x) else "" if len(limits) < 2 else "both resolutions are bounds"
        scores.append(_row("ratio", name, y / x if y and x else None, note, Limit.of(limits)))
        curves[name] = {plane: curve.points() for plane, curve in found.items()}
    return Evaluation(tuple(scores), {"frc": curves, "power": powers})


def _row(plane: str, name: str, value: float | None, note: str, limit: Limit | None = None) -> Score:
    return Score("frc", "hann", plane, name, "all", value, "" if plane == "ratio" else "nm", note=note, limit=limit)


def _curves(
    truth: Readable, reconstruction: Readable, region: Region, size: tuple[float, float], defects: Collection[int]
) -> tuple[dict[str, ShellCurve], dict[str, dict[str, list[float | None]]]]:
    """Correlation and power in every direction."""
    ny, nx = region.shape[1:]
    fy, fx = np.abs(np.fft.fftfreq(ny, size[0]))[:, None], np.fft.rfftfreq(nx, size[1])[None, :]
    radius = np.hypot(fy, fx)
    width = 1 / min(ny * size[0], nx * size[1])
    number = int(np.floor(0.5 / max(size) / width + 1e-9))
    ring = np.floor(radius / width + 0.5).astype(np.int64)
    ring[ring > number] = 0
    weight = np.full(radius.shape, 2.0)  # the half of the frequencies that is not computed mirrors the other half
    weight[:, 0] = 1
    if nx % 2 == 0:
        weight[:, -1] = 1
    near = np.cos(np.deg2rad(CONE_DEGREES))
    with np.errstate(invalid="ignore"):
        sectors = {"all": np.ones(radius.shape, bool), "y": fy / radius >= near, "x": fx / radius >= near}
    rings = {plane: np.where(inside, ring, 0).ravel() for plane, inside in sectors.items()}
    sums = {plane: np.zeros((3, number + 1)) for plane in sectors}
    window = windows.hann(ny, sym=True)[:, None] * windows.hann(nx, sym=True)
    compared = [z for z in range(region.start[0], region.stop[0]) if z not in defects]
    energy = len(compared) * float((window**2).sum())
    for z in compared:
        a, b = read_pair(truth, reconstruction, Region((z, *region.start[1:]), (z + 1, *region.stop[1:])))
        fa, fb = (_transform(section[0].numpy(), window) for section in (a, b))
        for k, part in enumerate(((fa * fb.conj()).real, np.abs(fa) ** 2, np.abs(fb) ** 2)):
            for plane, labels in rings.items():
                sums[plane][k] += np.bincount(labels, (part * weight).ravel(), number + 1)
    frequency = np.arange(1, number + 1, dtype=np.float64) * width
    found, powers = {}, {}
    for plane, (cross, power_a, power_b) in sums.items():
        counts = np.bincount(rings[plane], weight.ravel(), number + 1)[1:].astype(np.float64)
        power = np.sqrt(power_a * power_b)[1:]
        valid = (counts >= FEWEST) & (power > 0)
        correlation = np.divide(cross[1:], power, out=np.zeros(number), where=valid)
        found[plane] = ShellCurve(frequency, correlation, valid)
        if compared:
            powers[plane] = PowerCurve.of(frequency, sums[plane][:, 1:], counts, energy).points()
    return found, powers


def _transform(section: NDArray[np.generic], window: NDArray[np.float64]) -> NDArray[np.complex128]:
    values = section.astype(np.float64)
    return np.asarray(rfft2((values - values.mean()) * window))
