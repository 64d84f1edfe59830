"""The picture of `reconstruct --preview`: cuts through a block of what was observed, of bicubic, and of the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vemrecon.figure.cuts import CutAt, Observed
from vemrecon.figure.drawing import write_figure
from vemrecon.figure.layout import Style
from vemrecon.figure.plate import Entry, make_plate
from vemrecon.methods.interpolation import Interpolation
from vemrecon.own.preview import Block, isotropic_size, make_block, preview_block, sections_beside
from vemrecon.own.steps import Ready
from vemrecon.own.wish import Wish
from vemrecon.progress import Progress
from vemrecon.report.columns import seconds_text
from vemrecon.volume import Volume
from vemrecon.volume.region import Triple
from vemrecon.volume.volume import Span

SHOWN_PERCENT = (0.1, 99.9)  # of the observed grey levels, from black to white


@dataclass(frozen=True)
class Preview:
    """What is shown.

    Attributes:
        ready: What was wanted, and of which volume.
        at: Isotropic voxel (z, y, x) that all planes go through.
        block: What the method has made around it.
        bicubic: The same by bicubic interpolation; None where that is the method.
    """

    ready: Ready
    at: Triple
    block: Block
    bicubic: Volume | None


def preview_path(output: Path) -> Path:
    """The picture beside an output.

    >>> str(preview_path(Path("made.ome.tif")))
    'made-preview.png'
    """
    return output.with_name(f"{output.stem.removesuffix('.ome')}-preview.png")


def made_preview(ready: Ready, at: Triple, progress: Progress) -> Preview:
    """Make the block around an isotropic voxel, by the method and by bicubic interpolation."""
    block = preview_block(ready, at, progress)
    if isinstance(ready.method, Interpolation) and ready.method.kernel == Interpolation().kernel:
        return Preview(ready, at, block, None)
    plain = replace(ready, method=Interpolation().eval(), wish=replace(ready.wish, devices=("cpu",)))
    return Preview(ready, at, block, make_block(plain, block.box, progress))


def write_preview(path: Path, shown: Preview) -> None:
    """Write the picture: a row for each volume, all of them in one grey window.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the observed volume cannot be read.
        OutputError: If the file cannot be written.
    """
    observed, window = shown.ready.observed, _window(shown)
    volumes = {"bicubic": shown.bicubic, _label(shown.ready.wish): shown.block.volume}
    entries = [Entry(label, _within(volume, window)) for label, volume in volumes.items() if volume is not None]
    where = CutAt(shown.at, shown.block.box, isotropic_size(observed))
    plate = make_plate(None, Observed(_within(observed, window), 0), entries, where)
    plate = replace(plate, note=_note(shown, window), in_voxels=observed.voxel_size is None)
    write_figure(path, plate, Style())


def preview_lines(path: Path, shown: Preview) -> Iterator[str]:
    """What was made, and how long it has taken."""
    block = shown.block
    yield f"{path}: {' x '.join(map(str, block.box.shape))} voxels, {_place(shown)}"
    yield (
        f"made in {seconds_text(block.seconds)}; at this rate the whole takes {seconds_text(block.whole_seconds)} "
        f"(training, reading and compressing not counted)"
    )


def _label(wish: Wish) -> str:
    return f"{wish.method} ({wish.preset})" if wish.preset else wish.method


def _note(shown: Preview, window: Span) -> str:
    """All that decides what is seen."""
    wish, observed = shown.ready.wish, shown.ready.observed
    span, digits = shown.ready.volume.span, ".4g" if shown.ready.volume.dtype.kind == "f" else ".0f"
    low, high = (format(span[0] + share * (span[1] - span[0]), digits) for share in window)
    facts = [
        f"{observed.name}: {wish.method}",
        f"preset {wish.preset}" if wish.preset else "",
        f"{wish.train_minutes:g} minutes" if wish.train_minutes else "",
        f"weights {wish.weights.name}" if wish.weights else "",
        *(name for name in ("rotations", "blend", "bfloat16") if getattr(wish, name)),
        *(f"{name}={value}" for name, value in wish.settings.items()),
        f"scale {observed.require_grid().scale:g}",
        f"voxels of {isotropic_size(observed)}" if observed.voxel_size else "voxels of unknown size",
    ]
    said = f"{', '.join(filter(None, facts))}; {_place(shown)}; grey levels {low} to {high}"
    return said.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _place(shown: Preview) -> str:
    """Where the planes lie, in isotropic voxels, and between which sections of the input."""
    z, y, x = shown.at
    below, above = sections_beside(shown.ready.observed, z)
    said = f"z = {z} (between sections {below} and {above} of the input), y = {y}, x = {x}"
    return said if shown.ready.region is None else f"{said}, as counted in the whole volume"


def _window(shown: Preview) -> Span:
    """Shares of the grey range that become black and white: nearly those that the block of the input has."""
    low, high = np.percentile(shown.ready.observed.read(shown.block.region), SHOWN_PERCENT)
    return (float(low), float(high)) if low < high else (0.0, 1.0)


def _within(volume: Volume, window: Span) -> Volume:
    """A volume whose grey range is a part of what it was."""
    low, high = volume.span
    return volume.stating((low + window[0] * (high - low), low + window[1] * (high - low)))
