"""`Column`: what a table shows, how it is printed and which value is the better one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

HIGH, LOW, ONE, ZERO = "high", "low", "one", "zero"
BETTER = {
    **dict.fromkeys(("psnr", "ssim", "ms_ssim", "fsim", "iou", "dice", "ap", "sam2_iou"), HIGH),
    **dict.fromkeys(("fsc", "frc", "lpips", "are", "voi"), LOW),
}
ARROWS = {HIGH: "↑", LOW: "↓", ONE: "→ 1", ZERO: "→ 0", "": ""}
PLANES = ("volume", "xy", "xz", "yz", "mean", "all", "z", "y", "x", "lateral", "ratio")
PRIMARY_SSIM = "gaussian11"
PRIMARY_FSC = "hann"
MORE, APART = "More", "Apart"
"""Groups of columns that are folded away, and of columns that only a table of their own shows."""


@dataclass(frozen=True)
class Column:
    """One column; either a score (metric, variant, plane) or a cost."""

    key: str
    group: str
    label: str
    unit: str = ""
    better: str = ""
    """high, low, one or zero (closest to 1 or 0 is best) or empty (nothing to win)."""
    style: str = "2"
    """Number of decimals, or seconds, bytes, count, tally."""
    metric: str = ""
    variant: str = ""
    plane: str = ""
    cost: str = ""
    help: str = ""

    @property
    def heading(self) -> str:
        """Label with its unit, for tables without a row of groups."""
        unit = f" ({self.unit})" if self.unit else ""
        group = "" if self.group in ("Cost", MORE, APART) else f"{self.group} "
        return f"{group}{self.label}{unit}"

    def text(self, value: float) -> str:
        """The value as it is printed, without its unit unless the unit depends on the value."""
        return FORMATS[self.style](value) if self.style in FORMATS else f"{value:z.{self.style}f}"


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


def tally_text(value: float) -> str:
    """A small number of things, or a mean of such numbers.

    >>> tally_text(3), tally_text(-4 / 3)
    ('3', '-1.33')
    """
    return f"{round(value, 2):zg}"


FORMATS = {"seconds": seconds_text, "bytes": bytes_text, "count": count_text, "tally": tally_text}


def main_columns(kind: str, axis: str) -> tuple[Column, ...]:
    """The columns of every main table, for a kind of task along `axis`."""
    scores = {"lateral": _lateral_columns, "native": _native_columns}.get(kind, lambda: _reference_columns(axis))()
    return (*scores, *_cost_columns())


def primary_key(kind: str) -> str:
    """Key of the column that rows are sorted by and costs are compared with."""
    return {"lateral": "psnr/xy", "native": "holdout/psnr"}.get(kind, "psnr/volume")


def _score(
    metric: str, plane: str, words: str, *, group: str = "", label: str = "", unit: str = "", variant: str = "",
    better: str = "", style: str = "2",
) -> Column:  # fmt: skip
    known = (metric.upper().replace("_", "-"), BETTER.get(metric, ""))
    key = "/".join(part for part in (metric, "" if metric in BETTER else variant, plane) if part)
    return Column(
        key=key, group=group or known[0], label=label or plane, unit=unit, better=better or known[1], style=style,
        metric=metric, variant=variant, plane=plane, help=words,
    )  # fmt: skip


def _reference_columns(axis: str) -> list[Column]:
    psnr = [
        _score("psnr", plane, f"peak signal-to-noise, {word}", unit="dB")
        for plane, word in (("volume", "all voxels"), *((p, f"mean over the {p} sections") for p in ("xy", "xz", "yz")))
    ]
    words = {"mean": "mean of the three planes", "volume": "three-dimensional window"}
    ssim = [
        _score(
            "ssim", plane, variant=PRIMARY_SSIM, style="4",
            words="structural similarity, Gaussian window of 11, "
            + words.get(plane, f"mean over the {plane} sections"),
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
    return [*psnr, *ssim, *fsc]


def _lateral_columns() -> list[Column]:
    words = {"y": "along y, the degraded axis", "x": "along x, which is intact", "ratio": "along y over along x"}
    return [
        _score("psnr", "xy", "peak signal-to-noise, mean over the xy sections", unit="dB"),
        _score("psnr", "volume", "peak signal-to-noise, all voxels", unit="dB"),
        _score("ssim", "xy", "structural similarity, mean over the xy sections", variant=PRIMARY_SSIM, style="4"),
        _score("ms_ssim", "xy", "multi-scale structural similarity, mean over the xy sections", style="4"),
        *(
            Column(f"frc/{plane}", "FRC", plane, unit, better, style, "frc", PRIMARY_FSC, plane,
                   help=f"resolution {words[plane]}, at a ring correlation of 0.5")
            for plane, unit, better, style in (("y", "nm", LOW, "1"), ("x", "nm", LOW, "1"), ("ratio", "", ONE, "2"))
        ),
    ]  # fmt: skip


def _native_columns() -> list[Column]:
    def column(
        key: str, group: str, label: str, unit: str, better: str, style: str, metric: str, variant: str, plane: str,
        words: str,
    ) -> Column:  # fmt: skip
        return Column(key, group, label, unit, better, style, metric, variant, plane, help=words)

    held = "every second section dropped and predicted"
    return [
        column("holdout/psnr", "Held-out sections", "PSNR", "dB", HIGH, "2", "holdout", "psnr", "xy", held),
        column("holdout/gain", "Held-out sections", "over neighbours", "dB", HIGH, "2", "holdout", "psnr_gain", "xy",
               f"{held}: PSNR above that of the mean of both neighbours"),
        column("holdout/ssim", "Held-out sections", "SSIM", "", HIGH, "4", "holdout", "ssim", "xy", held),
        column("isotropy/continuity", "Isotropy", "continuity", "", ONE, "2", "isotropy", "continuity", "ratio",
               "mean step between voxels along z over that along y and x"),
        column("isotropy/power", "Isotropy", "power", "log10", ZERO, "2", "isotropy", "power", "ratio",
               "axial over lateral power in the middle band; negative: axial detail is missing"),
        column("isotropy/layers", "Isotropy", "layers", "", ZERO, "3", "isotropy", "layer_contrast", "z",
               "steps at the borders of observed sections against those inside"),
        column("uncertainty/mean", "Rotations", "mean", "grey", "", "2", "uncertainty", "mean", "volume",
               "standard deviation over rotations"),
        column("uncertainty/p99", "Rotations", "99 %", "grey", "", "2", "uncertainty", "p99", "volume",
               "99th percentile of the standard deviation over rotations"),
        column("inpainting/gain", "Filled sections", "over neighbours", "dB", HIGH, "2", "inpainting", "psnr_gain",
               "xy", "three sections removed and filled: PSNR above that of the mean of both neighbours"),
    ]  # fmt: skip


def _cost_columns() -> list[Column]:
    return [
        Column("cost/train", "Cost", "train", "", "", "seconds", cost="train_seconds", help="training time"),
        Column("cost/reconstruct", "Cost", "reconstruct", "", LOW, "seconds", cost="reconstruct_seconds",
               help="time for the reconstruction of the scored volume"),
        Column("cost/memory", "Cost", "memory", "", LOW, "bytes", cost="peak_memory_bytes", help="peak memory"),
        Column("cost/parameters", "Cost", "parameters", "", "", "count", cost="parameters", help="all parameters"),
    ]  # fmt: skip


def other_columns(found: Iterable[tuple[str, str, str]], main: Iterable[Column]) -> tuple[Column, ...]:
    """Columns for every (metric, variant, plane) that the main columns leave out, in a fixed order."""
    shown = {(c.metric, c.variant, c.plane) for c in main}
    rest = {key for key in found if key not in shown}
    return tuple(
        Column(
            key="/".join((metric, variant, plane)), group=MORE, metric=metric, variant=variant, plane=plane,
            label=" ".join(part for part in (metric.replace("_", "-"), variant, plane) if part),
            better=ONE if plane == "ratio" else BETTER.get(metric, ""),
            style="2" if metric in ("psnr", "fsc", "frc") else "4",
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
    if column.better == ZERO:
        return abs(value)
    return -value if column.better == HIGH else value
