"""What a segmenter found, as colours over grey levels: where it agrees with labels, and which neuron is which."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.metrics.catalogue.segmentation import masks_file
from vemrecon.report.pictures import Section, indexed_png
from vemrecon.volume.planes import PLANE_AXES

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer[Any]]
Colour = tuple[int, int, int]

CLASSES: Mapping[str, Colour] = {"agree": (86, 180, 233), "missed": (240, 228, 66), "false": (213, 94, 0)}
"""Voxels in both masks, only in the labels, only found. After Okabe and Ito: told apart by those who do not see red or
green, and by their lightness."""
NEURONS: tuple[Colour, ...] = (
    (51, 34, 136), (136, 204, 238), (204, 102, 119), (17, 119, 51), (221, 204, 119), (170, 68, 153), (68, 170, 153),
    (238, 119, 51), (0, 119, 187), (136, 34, 85), (153, 153, 51), (187, 187, 187), (102, 153, 204), (153, 68, 85),
    (238, 153, 170),
)  # fmt: skip
"""Colours of neurons, again and again: after Paul Tol. Borders are left grey, because colours do repeat."""
DTYPES = {"grey": "u", "truth_grey": "u", "found": "b", "truth": "b", "labels": "b", "instances": "iu", "neurons": "iu"}
"""Names of sections in a file, and the kinds of numbers that they hold."""
STRENGTH = 0.58
"""Share of the colour in a coloured voxel; the rest is its grey level."""


@dataclass(frozen=True)
class Masks:
    """Sections through what was segmented."""

    sections: Mapping[str, Mapping[str, NDArray[Any]]]
    """By name (grey, truth_grey, found, truth, labels, and of neurons instances and neurons) and plane."""
    origin: tuple[int, int, int]
    """First voxel of the segmented region, z-y-x."""
    middle: tuple[int, int, int]
    """The voxel that all planes go through."""
    voxel_size: tuple[float, float, float] | None

    def plane(self, plane: str) -> dict[str, NDArray[Any]]:
        """Everything that is known of a plane, by name."""
        return {name: found[plane] for name, found in self.sections.items() if plane in found}


def file_of(folder: Path, what: str) -> Path | None:
    """Where a run has kept what was found, if it has."""
    path = folder / masks_file(what)
    return path if what and path.is_file() else None


def load_masks(path: Path) -> Masks:
    """Read what a run has kept of its segmentation.

    Raises:
        DataError: If the file is damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        z, y, x = (int(n) for n in data["origin"])
        c, b, a = (int(n) for n in data["position"])
        size = tuple(float(n) for n in data["voxel_size"])
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path.name}: not readable ({error})") from error
    sections: dict[str, dict[str, NDArray[Any]]] = {}
    for name, kinds in DTYPES.items():
        found = {plane: data[f"{name}_{plane}"] for plane in PLANE_AXES if f"{name}_{plane}" in data}
        wrong = [p for p, s in found.items() if s.dtype.kind not in kinds or s.shape != data[f"grey_{p}"].shape]
        complete = len(found) == len(PLANE_AXES) or (not found and kinds == "iu")  # only neurons have instances
        if wrong or not complete or any(s.ndim != 2 for s in found.values()):
            raise DataError(f"{path.name}: the {name} sections are not what a segmentation leaves")
        if found:
            sections[name] = found
    known = len(size) == 3 and min(size) > 0
    return Masks(sections, (z, y, x), (c, b, a), (size[0], size[1], size[2]) if known else None)


def overlay_png(found: Mask, labels: Mask, grey: Section) -> bytes:
    """Classes of voxels in colours over grey levels, as a picture with 256 colours: 64 levels of each class."""
    classes = np.select([found & labels, labels, found], [1, 2, 3], 0)
    return _coloured(classes, tuple(CLASSES.values()), grey)


def instances_png(instances: Labels, colours: Mapping[int, int], grey: Section) -> bytes:
    """Neurons in colours over grey levels; their borders, and 0, stay grey.

    Args:
        instances: Ids (rows, columns).
        colours: Number of a colour (from 0) for each id.
        grey: What lies below.
    """
    ids, index = np.unique(instances, return_inverse=True)
    table = np.array([0 if n == 0 else 1 + colours[int(n)] % len(NEURONS) for n in ids], dtype=np.intp)
    classes = np.where(borders(instances), 0, table[index.reshape(instances.shape)])
    return _coloured(classes, NEURONS, grey)


def borders(instances: Labels) -> Mask:
    """Voxels whose right or lower neighbour is of another instance."""
    found = np.zeros(instances.shape, dtype=bool)
    found[:, :-1] |= instances[:, 1:] != instances[:, :-1]
    found[:-1] |= instances[1:] != instances[:-1]
    return found


def neuron_colours(neurons: Mapping[str, Labels]) -> dict[int, int]:
    """A number for each labelled neuron in these sections, the same in all pictures of a task.

    >>> neuron_colours({"xy": np.array([[0, 7], [3, 7]])})
    {3: 0, 7: 1}
    """
    ids = sorted({int(n) for section in neurons.values() for n in np.unique(section)} - {0})
    return {neuron: n for n, neuron in enumerate(ids)}


def instance_colours(
    instances: Mapping[str, Labels], neurons: Mapping[str, Labels], known: Mapping[int, int]
) -> dict[int, int]:
    """A number for each instance: that of the neuron that it covers best, once per neuron; others get one of their own.

    So a neuron that is cut in parts shows a second colour, and one that has grown into another loses its own.
    """
    found = np.concatenate([section.ravel() for section in instances.values()]).astype(np.int64)
    true = np.concatenate([neurons[plane].ravel() for plane in instances]).astype(np.int64)
    pairs, counts = np.unique(np.stack([found, true], axis=1), axis=0, return_counts=True)
    colours: dict[int, int] = {}
    taken: set[int] = set()
    for (instance, neuron), _ in sorted(zip(pairs.tolist(), counts.tolist(), strict=True), key=lambda p: (-p[1], p[0])):
        if instance and neuron and instance not in colours and neuron not in taken:
            colours[instance] = known[neuron]
            taken.add(neuron)
    rest = sorted({int(n) for n in np.unique(found)} - {0} - set(colours))
    return colours | {instance: len(known) + n for n, instance in enumerate(rest)}


def _coloured(classes: NDArray[np.integer[Any]], colours: tuple[Colour, ...], grey: Section) -> bytes:
    """A picture whose palette holds every class (0: no colour) with as many grey levels as there is room for."""
    levels = 256 // (len(colours) + 1)
    level = np.rint(grey.astype(np.float32) * (levels - 1) / 255).astype(np.intp)
    ramp = np.linspace(0, 255, levels)[:, None].repeat(3, axis=1)
    tinted = [(1 - STRENGTH) * ramp + STRENGTH * np.array(colour, dtype=float) for colour in colours]
    palette = np.rint(np.concatenate([ramp, *tinted])).astype(np.uint8)
    return indexed_png((classes * levels + level).astype(np.uint8), palette.tobytes())
