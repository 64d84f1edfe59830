"""Where the pictures and texts of a figure lie, in inches."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from vemrecon.errors import ConfigError
from vemrecon.figure.plate import Picture, Plate, PlateLine
from vemrecon.report.pictures import scale_bar

COLUMNS = ("planes", "methods")
INCH = 25.4  # mm
POINT = 1 / 72  # inches
TEXT, SMALL = 8.0, 7.0  # points, as journals ask for
LETTER = 0.58  # width of a letter of DejaVu Sans over its size, on average
LINE = 1.35 * TEXT * POINT
GAP, EDGE = 0.05, 0.02  # inches between pictures, and right of the last one
KEY = 0.34  # inches that a key of colours takes below the pictures
WIDEST_MM, LARGEST_MM = 180.0, 60.0  # figure and picture
MOST_PIXELS = 400_000_000
SMALLEST = 0.2  # inches: a picture of this width is a stamp, one below it a mistake


@dataclass(frozen=True)
class Style:
    """How a plate is drawn."""

    width_mm: float | None = None
    """Width of the figure; the height follows. By default as wide as two columns of most journals, or narrower: no
    picture gets wider than a third of that."""
    dpi: int = 300
    columns: str = "planes"
    """What the columns are: planes, or methods with planes as rows."""
    bar_nm: float | None = None
    """Length of the scale bars; by default round and at most a third of the narrowest plane."""


@dataclass(frozen=True)
class PictureCell:
    """A picture with what it is."""

    picture: Picture
    plane: int
    kind: str
    """`grey`, `error` or `uncertainty`."""
    bar: bool
    """Whether it carries the scale bar of its plane."""


@dataclass(frozen=True)
class Text:
    """A heading or caption at a place in inches from the lower left corner."""

    x: float
    y: float
    text: str
    size: float = TEXT
    align: str = "center"
    vertical: str = "center"
    rotation: int = 0


@dataclass(frozen=True)
class FigureLayout:
    """Pictures at left, bottom, width and height in inches, and texts."""

    width: float
    height: float
    boxes: tuple[tuple[PictureCell, tuple[float, float, float, float]], ...]
    texts: tuple[Text, ...]


@dataclass(frozen=True)
class _Grid:
    """Cells in rows, with headings; a place without a picture is None."""

    rows: tuple[tuple[PictureCell | None, ...], ...]
    beside: tuple[str, ...]
    above: tuple[str, ...]


def bar_length(plate: Plate, style: Style) -> float:
    """Length of the scale bars in nm."""
    return style.bar_nm or scale_bar(min(plate.size_nm(plane)[0] for plane in range(len(plate.windows))))


def lay_out(plate: Plate, style: Style) -> FigureLayout:
    """Places of everything: all pictures at one magnification, so that a nanometre is as long everywhere.

    Raises:
        ConfigError: If the figure would be too small for its columns, or too large for a file.
    """
    grid = _grid(plate, style.columns)
    sizes = [[cell and plate.size_nm(cell.plane) for cell in row] for row in grid.rows]
    widths = [max(size[0] for size in column if size) for column in zip(*sizes, strict=True)]
    heights = [max(size[1] for size in row if size) for row in sizes]
    left, inch, beside = _magnification(grid.beside, widths, heights, style)
    width = left + inch * sum(widths) + GAP * (len(widths) - 1) + EDGE
    above = [_wrapped(text, inch * wide, TEXT) for text, wide in zip(grid.above, widths, strict=True)]
    below = [[_caption(cell, inch * wide) for cell, wide in zip(row, widths, strict=True)] for row in grid.rows]
    foot = [0.03 + 1.3 * SMALL * POINT * max(map(_lines, row)) if any(row) else 0.0 for row in below]
    top = LINE * max(map(_lines, above)) + 0.03
    note = _wrapped(plate.note, width - 2 * EDGE, SMALL)
    noted = 0.06 + 1.3 * SMALL * POINT * _lines(note) if note else 0.0
    height = top + inch * sum(heights) + sum(foot) + GAP * (len(heights) - 1) + noted
    height += KEY * keys if (keys := bool(plate.limit) + bool(plate.uncertainty_limit)) else EDGE
    if width * height * style.dpi**2 > MOST_PIXELS:
        raise ConfigError(
            f"--dpi {style.dpi}: {width:.0f} x {height:.0f} inches are too many pixels; lower it, or show less"
        )
    boxes, texts = [], []
    y = height - top
    for row, cells in enumerate(grid.rows):
        x, tall = left, inch * heights[row]
        y -= tall
        texts.append(Text(left - 0.04, y + tall / 2, beside[row], align="right", rotation=90))
        for cell, wide_nm, caption in zip(cells, widths, below[row], strict=True):
            wide = inch * wide_nm
            if cell is not None:
                w, h = (inch * nm for nm in plate.size_nm(cell.plane))
                boxes.append((cell, (x + (wide - w) / 2, y + (tall - h) / 2, w, h)))
                texts.append(Text(x + wide / 2, y + (tall - h) / 2 - 0.025, caption, SMALL, vertical="top"))
            x += wide + GAP
        y -= foot[row] + GAP
    x = left
    for text, wide_nm in zip(above, widths, strict=True):
        texts.append(Text(x + inch * wide_nm / 2, height - top + 0.03, text, vertical="bottom"))
        x += inch * wide_nm + GAP
    texts.append(Text(EDGE, y + GAP - 0.04, note, SMALL, "left", "top"))
    return FigureLayout(width, height, tuple(boxes), tuple(text for text in texts if text.text))


def _magnification(
    labels: Sequence[str], widths: Sequence[float], heights: Sequence[float], style: Style
) -> tuple[float, float, tuple[str, ...]]:
    """Left margin in inches, inches per nm, and the headings beside the rows, wrapped."""
    width, gaps, beside = (style.width_mm or WIDEST_MM) / INCH, GAP * (len(widths) - 1), tuple(labels)
    left = inch = 0.0
    for _ in range(2):  # headings of several lines take room from the pictures that they are wrapped to
        left = LINE * max(map(_lines, beside)) + 0.06
        inch = (width - left - gaps - EDGE) / sum(widths)
        if style.width_mm is None:
            inch = min(inch, LARGEST_MM / INCH / max(widths))
        if inch * max(widths) < SMALLEST:
            raise ConfigError(f"--width: {width * INCH:.0f} mm leave no room for {len(widths)} columns")
        beside = tuple(_wrapped(text, inch * tall, TEXT) for text, tall in zip(labels, heights, strict=True))
    return left, inch, beside


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _grid(plate: Plate, columns: str) -> _Grid:
    """Which picture goes where."""
    kinds = [kind for kind in ("grey", "error", "uncertainty") if any(_pictures(line, kind) for line in plate.lines)]
    rows: list[tuple[PictureCell | None, ...]] = []
    beside: list[str] = []
    if columns == "planes":
        for number, line in enumerate(plate.lines):
            for kind in kinds:
                if pictures := _pictures(line, kind):
                    bar = kind == "grey" and number == 0
                    rows.append(tuple(PictureCell(picture, plane, kind, bar) for plane, picture in enumerate(pictures)))
                    beside.append(line.label if kind == "grey" else kind)
        return _Grid(tuple(rows), tuple(beside), plate.titles)
    for plane, title in enumerate(plate.titles):
        for kind in kinds:
            found = [_pictures(line, kind) for line in plate.lines]
            cells = [
                PictureCell(pictures[plane], plane, kind, kind == "grey" and number == 0) if pictures else None
                for number, pictures in enumerate(found)
            ]
            rows.append(tuple(cells))
            beside.append(title if kind == "grey" else kind)
    return _Grid(tuple(rows), tuple(beside), tuple(line.label for line in plate.lines))


def _pictures(line: PlateLine, kind: str) -> tuple[Picture, ...]:
    return {"grey": line.pictures, "error": line.errors, "uncertainty": line.uncertainty}[kind]


def _wrapped(text: str, inches: float, size: float) -> str:
    """A heading on as few lines as it needs beside or above a picture."""
    letters = max(6, int(inches / (LETTER * size * POINT)))
    return "\n".join(textwrap.wrap(text, letters)) or text


def _caption(cell: PictureCell | None, inches: float) -> str:
    """The caption of a picture; parts go below each other where they do not fit beside each other."""
    text = cell.picture.caption if cell is not None else ""
    fits = len(text) * LETTER * SMALL * POINT <= inches
    return text if fits else "\n".join(_wrapped(part, inches, SMALL) for part in text.split(" · "))
