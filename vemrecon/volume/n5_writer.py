"""Volumes as N5 containers: one dataset `raw`, with the attributes that viewers and other programs look for.

Source: N5 specification, version 2.0.0, for which readers of all ages have been made.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.files import write_json
from vemrecon.volume.made import KEY, Made
from vemrecon.volume.n5 import ATTRIBUTES
from vemrecon.volume.region import triple
from vemrecon.volume.tensorstore_writing import CONTEXT, whole_files, written
from vemrecon.volume.tensorstores import upright
from vemrecon.volume.unfinished import unfinished_folder
from vemrecon.volume.volume import Span, Volume

DATASET = "raw"
BLOCK = 128  # the format has a file for every block


def write_n5(
    path: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None = None, made: Made | None = None
) -> None:
    """Write a volume as dataset `raw`, block by block, under a temporary name until it is complete.

    Lists of its attributes are in the order x, y, z, but for those of `transform`, which names its axes.

    Raises:
        OutputError: If it cannot be written.
    """
    attributes = {
        "dimensions": volume.shape[::-1],
        "blockSize": [min(BLOCK, n) for n in volume.shape[::-1]],
        "dataType": dtype.name,
        "compression": {"type": "gzip", "level": 1},  # on floats three times as fast as 4, and files 6 % larger
        "axes": ["x", "y", "z"],
        KEY: (made or Made()).facts(volume, dtype, span),
        **_place(volume),
    }
    with unfinished_folder(path) as folder:
        write_json(folder / ATTRIBUTES, {"n5": "2.0.0"})
        write_json(folder / DATASET / ATTRIBUTES, attributes)
        _fill(folder / DATASET, volume, dtype, span)


def _fill(folder: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None) -> None:
    """Write all blocks; those that are black too, so that a block that is not there has been lost."""
    import tensorstore

    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"},
        "store_data_equal_to_fill_value": True,
        "context": CONTEXT,
    }
    store = upright(written([partial(tensorstore.open, spec, open=True)])[0])
    edges = triple([min(BLOCK, n) for n in volume.shape])
    for block, voxels in whole_files(volume, edges, dtype, span):
        files = block.blocks(edges)
        written(partial(store[file.slices].write, voxels[file.relative_to(block.start).slices]) for file in files)


def _place(volume: Volume) -> dict[str, Any]:
    """Voxel size and origin in nm, as funlib and tensorstore, n5-viewer, and COSEM's programs write them."""
    if volume.voxel_size is None:
        return {}
    size, origin, unit = list(volume.voxel_size), list(volume.origin), "nm"
    places = {"offset": origin[::-1]} if any(origin) else {}
    return {
        "resolution": size[::-1],
        "units": [unit] * 3,
        **places,
        "pixelResolution": {"dimensions": size[::-1], "unit": unit},
        "transform": {"axes": ["z", "y", "x"], "scale": size, "translate": origin, "units": [unit] * 3},
    }
