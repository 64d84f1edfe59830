"""`Column`: what a table shows, how it is printed and which value is the better one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

HIGH, LOW, ONE = "high", "low", "one"
BETTER = {
    **dict.fromkeys(("psnr", "ssim", "ms_ssim", "fsim", "iou", "dice"), HIGH),
    **dict.fromkeys(("fsc", "lpips", "are", "voi"), LOW),
}
ARROWS = {HIGH: "↑", LOW: "↓", ONE: "→ 1", "": ""}
PLANES = ("volume", "xy", "xz", "yz", "mean", "all", "z", "y", "x", "lateral", "ratio")
PRIMARY_SSIM = "gaussian11"
PRIMARY_FSC = "hann"


@dataclass(frozen=True)
class Column:
    """One column; either a score (metric, variant, plane) or a cost."""

    key: str
    group: str
    label: str
    unit: str = ""
    better: str = ""
    """high, low, one (closest to 1 is best) or empty (nothing to win)."""
    style: str = "2"
    """Number of decimals, or seconds, bytes, count."""
    metric: str = ""
    variant: str = ""
    plane: str = ""
    cost: str = ""
    help: str = ""

    @property
    def heading(self) -> str:
        """Label with its unit, for tables without a row of groups."""
        unit = f" ({self.unit})" if self.unit else ""
        group = "" if self.group in ("Cost", "More") else f"{self.group} "
        return f"{group}{self.label}{unit}"

    def text(self, value: float) -> str:
        """The value as it is printed, without its unit unless the unit depends on the value."""
        return FORMATS[self.style](value) if self.style in FORMATS else f"{value:.{self.style}f}"


def seconds_text(value: float) -> str:
    """A time with two or three significant digits, in the unit that reads best.

    >>> [seconds_text(v) for v in (0, 0.0312, 4.56, 75.2, 300, 41900)]
    ['0 s', '0.031 s', '4.6 s', '75 s', '5.0 min', '11.6 h']
    """
    if value < 1:
        return f"{value:.2g} s"
    if value < 120:
        return f"{value:.{1 if value < 9.95 else 0}f} s"
    minutes = value / 60
    return f"{minutes:.{1 if minutes < 9.95 else 0}f} min" if minutes < 119.5 else f"{minutes / 60:.1f} h"


def bytes_text(value: float) -> str:
    """Memory in binary units.

    >>> bytes_text(3 * 2**30), bytes_text(300 * 2**20)
    ('3.0 GiB', '300 MiB')
    """
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def count_text(value: float) -> str:
    """A count with thousands or millions.

    >>> count_text(0), count_text(665921), count_text(12_345_678)
    ('0', '666 k', '12.3 M')
    """
    if value >= 999_500:
        return f"{value / 1e6:.1f} M" if value < 99.95e6 else f"{value / 1e6:.0f} M"
    return f"{value / 1e3:.0f} k" if value >= 1000 else f"{value:.0f}"


FORMATS = {"seconds": seconds_text, "bytes": bytes_text, "count": count_text}


def main_columns(axis: str) -> tuple[Column, ...]:
    """The columns of every main table, for a task that is degraded along `axis`."""
    psnr = [
        Column(f"psnr/{plane}", "PSNR", plane, "dB", HIGH, "2", "psnr", "", plane, help=f"peak signal-to-noise, {word}")
        for plane, word in (("volume", "all voxels"), *((p, f"mean over the {p} sections") for p in ("xy", "xz", "yz")))
    ]
    words = {"mean": "mean of the three planes", "volume": "three-dimensional window"}
    ssim = [
        Column(
            f"ssim/{plane}", "SSIM", plane, "", HIGH, "4", "ssim", PRIMARY_SSIM, plane,
            help=f"structural similarity, Gaussian window of 11, {words.get(plane, f'mean over the {plane} sections')}",
        )
        for plane in ("xy", "xz", "yz", "mean", "volume")
    ]  # fmt: skip
    fsc = [
        Column(key, "FSC", plane, unit, better, digits, "fsc", PRIMARY_FSC, plane, help=words)
        for key, plane, unit, better, digits, words in (
            ("fsc/axial", axis, "nm", LOW, "1", f"resolution along {axis} at a correlation of 0.5"),
            ("fsc/lateral", "lateral", "nm", LOW, "1", "lateral resolution at a correlation of 0.5"),
            ("fsc/ratio", "ratio", "", ONE, "2", "axial over lateral resolution"),
        )
    ]
    cost = [
        Column("cost/train", "Cost", "train", "", "", "seconds", cost="train_seconds", help="training time"),
        Column("cost/reconstruct", "Cost", "reconstruct", "", LOW, "seconds", cost="reconstruct_seconds",
               help="time for the reconstruction of the scored volume"),
        Column("cost/memory", "Cost", "memory", "", LOW, "bytes", cost="peak_memory_bytes", help="peak memory"),
        Column("cost/parameters", "Cost", "parameters", "", "", "count", cost="parameters", help="all parameters"),
    ]  # fmt: skip
    return (*psnr, *ssim, *fsc, *cost)


def other_columns(found: Iterable[tuple[str, str, str]], main: Iterable[Column]) -> tuple[Column, ...]:
    """Columns for every (metric, variant, plane) that the main columns leave out, in a fixed order."""
    shown = {(c.metric, c.variant, c.plane) for c in main}
    rest = {key for key in found if key not in shown}
    return tuple(
        Column(
            key="/".join((metric, variant, plane)), group="More", metric=metric, variant=variant, plane=plane,
            label=" ".join(part for part in (metric.replace("_", "-"), variant, plane) if part),
            better=ONE if plane == "ratio" else BETTER.get(metric, ""),
            style="2" if metric in ("psnr", "fsc") else "4",
        )
        for metric, variant, plane in sorted(rest, key=lambda k: (k[0], k[1], plane_order(k[2])))
    )  # fmt: skip


def plane_order(plane: str) -> tuple[int, str]:
    """Sort key that keeps the planes in the usual order."""
    return (PLANES.index(plane) if plane in PLANES else len(PLANES), plane)


def badness(column: Column, value: float) -> float:
    """Smaller is better, whatever the column measures."""
    if column.better == ONE:
        return abs(math.log(value)) if value > 0 else math.inf
    return -value if column.better == HIGH else value
