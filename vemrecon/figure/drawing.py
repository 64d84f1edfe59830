"""`write_figure`: a plate as PNG or PDF, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vemrecon.errors import ConfigError
from vemrecon.figure.layout import KEY, SMALL, PictureCell, Style, Text, bar_length, lay_out
from vemrecon.figure.outlines import Outline
from vemrecon.figure.plate import Plate
from vemrecon.files import atomic_write
from vemrecon.report.overlay import CLASSES
from vemrecon.report.pictures import length_text, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf")
MINUS = "\N{MINUS SIGN}"
KEYS = {"error": (f"reconstruction {MINUS} truth", "error"), "uncertainty": ("uncertainty",) * 2}
"""Kinds of pictures with a key of their colours: what it says, and what where there is little room."""
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
"""Metadata that would make two files of the same plate differ."""


def check_figure_name(path: Path) -> str:
    """The ending of the name of a figure, which decides its format.

    Raises:
        ConfigError: If it is neither .png nor .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: figures are written as {' or '.join(FORMATS)}; choose one of these names")
    return path.suffix.lower()


def require_matplotlib() -> None:
    """Refuse to go on without matplotlib, before any volume is read.

    Raises:
        ConfigError: With the line that installs it.
    """
    try:
        import matplotlib  # noqa: F401  # only asked for
    except ImportError as error:
        raise ConfigError("figures are drawn by matplotlib; install it: pip install 'vemrecon[figure]'") from error


def write_figure(path: Path, plate: Plate, style: Style) -> None:
    """Draw a plate and write it; the same plate and style give the same bytes.

    Raises:
        ConfigError: If the name ends in neither .png nor .pdf, or matplotlib is missing.
        OutputError: If the file cannot be written.
    """
    write_drawn(path, lambda: draw(plate, style), style.dpi)


def write_drawn(path: Path, drawn: Callable[[], Figure], dpi: int) -> None:
    """Write what a function draws, with the settings that matplotlib is delivered with.

    Raises:
        ConfigError: If the name ends in neither .png nor .pdf, or matplotlib is missing.
        OutputError: If the file cannot be written.
    """
    suffix = check_figure_name(path)
    require_matplotlib()
    with _defaults():
        figure = drawn()
        with atomic_write(path, "wb") as file:
            figure.savefig(file, format=suffix[1:], dpi=dpi, metadata=METADATA[suffix])


@contextmanager
def _defaults() -> Iterator[None]:
    """Matplotlib as it is delivered, whatever the user's own settings; text stays text in a PDF."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["pdf.fonttype"] = 42  # TrueType, which can be edited and searched
        yield


def draw(plate: Plate, style: Style) -> Figure:
    """The figure; the data units of all pictures are nanometres."""
    from matplotlib.figure import Figure

    layout = lay_out(plate, style)
    figure = Figure(figsize=(layout.width, layout.height))
    for cell, box in layout.boxes:
        axes = _add_axes(figure, box)
        _picture(axes, cell, plate)
        if cell.bar:
            length = bar_length(plate, style)
            _scale_bar(axes, box[3], length, f"{length:g} voxels" if plate.in_voxels else length_text(length))
    for text in layout.texts:
        _write(figure, text)
    said = [(kind, limits) for kind in KEYS if (limits := _limits(plate, kind))[1]]
    for number, (kind, limits) in enumerate(reversed(said)):
        _colour_key(figure, layout.width, KEY * number, kind, limits)
    return figure


def _add_axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes at left, bottom, width and height in inches."""
    width, height = figure.get_size_inches()
    left, bottom, wide, tall = box
    axes = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _picture(axes: Axes, cell: PictureCell, plate: Plate) -> None:
    left, right, bottom, top = plate.windows[cell.plane]
    low, high = _limits(plate, cell.kind)
    axes.imshow(
        cell.picture.values,
        cmap=_colours(cell.kind),
        vmin=low,
        vmax=high,
        extent=cell.picture.extent,
        interpolation="nearest",  # voxels are what the data are; smooth ones would flatter
        aspect="equal",
    )
    if cell.picture.outline is not None:
        _outline(axes, cell.picture.outline)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_facecolor("0.85")  # where nothing was observed
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _outline(axes: Axes, outline: Outline) -> None:
    """A line between the voxels inside and outside of a mask; none where the mask is empty or fills the plane."""
    if not outline.mask.any() or outline.mask.all() or min(outline.mask.shape) < 2:
        return
    left, right, bottom, top = outline.extent
    rows, columns = ((np.arange(n) + 0.5) / n for n in outline.mask.shape)
    axes.contour(
        left + (right - left) * columns,
        top + (bottom - top) * rows,
        outline.mask.astype(float),
        levels=[0.5],
        colors=[tuple(c / 255 for c in CLASSES["missed"])],  # yellow: the lightest of the colours of the report
        linewidths=0.6,
    )


def _limits(plate: Plate, kind: str) -> tuple[int, int]:
    """Values of the first and the last colour of a kind of picture; both 0 where the plate has none."""
    return {
        "grey": (0, 255),
        "error": (-plate.limit, plate.limit),
        "uncertainty": (0, plate.uncertainty_limit),
    }[kind]


def _colours(kind: str) -> str | ListedColormap:
    """The colours of a kind of picture; those of errors as in the report."""
    if kind != "error":
        return {"grey": "gray", "uncertainty": "magma"}[kind]
    from matplotlib.colors import ListedColormap

    colours = palette()
    return ListedColormap([tuple(c / 255 for c in colours[n : n + 3]) for n in range(0, len(colours), 3)])


def _scale_bar(axes: Axes, tall: float, length: float, said: str) -> None:
    """A white bar with its length, on a dark ground so that it reads on any picture; `tall` inches show the axes."""
    from matplotlib.patches import Rectangle

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    inch = (bottom - top) / tall  # nm
    x, y, thick = left + 0.05 * (right - left), bottom - 0.07 * inch, 0.03 * inch
    box = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.2}
    ground = Rectangle((x - 0.015 * inch, y - thick - 0.015 * inch), length + 0.03 * inch, thick + 0.03 * inch,
                       facecolor="black", alpha=0.6, linewidth=0)  # fmt: skip
    axes.add_patch(ground)
    axes.add_patch(Rectangle((x, y - thick), length, thick, facecolor="white", linewidth=0, gid="scale bar"))
    above = y - thick - 0.05 * inch
    axes.text(x, above, said, fontsize=SMALL, color="white", va="bottom", ha="left", bbox=box)


def _colour_key(figure: Figure, width: float, bottom: float, kind: str, limits: tuple[int, int]) -> None:
    """A bar of colours at the lower right, its numbers below it, `bottom` inches above the edge."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    words, short = KEYS[kind]
    label, wide = (f"{words} (grey levels)", 1.5) if width > 4 else (f"{short} (grey levels)", 0.8)
    axes = _add_axes(figure, (width - wide - 0.12, bottom + 0.19, wide, 0.09))
    mappable = ScalarMappable(Normalize(*limits), _colours(kind))
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal", ticks=sorted({*limits, 0}))
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.4, pad=1.5)
    bar.outline.set_linewidth(0.4)
    _write(figure, Text(width - wide - 0.2, bottom + 0.235, label, SMALL, "right"))


def _write(figure: Figure, text: Text) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        text.x / width,
        text.y / height,
        text.text,
        fontsize=text.size,
        ha=text.align,
        va=text.vertical,
        rotation=text.rotation,
        multialignment=text.align if text.rotation == 0 else "center",
    )
