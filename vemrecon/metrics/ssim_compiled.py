"""Windows of the structural similarity by a kernel in C: each way over the maps of a tile does all that it can."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vemrecon.compiled import kernel_library
from vemrecon.metrics.ssim_terms import C1
from vemrecon.metrics.windows import window

SOURCE = Path(__file__).with_name("ssim_kernel.c")
RADII, LONGEST = (0, 3, 5), 512
"""What the kernel was made for: half windows, and voxels along x."""
ONE = torch.ones(1, dtype=torch.float64)
"""The window of an axis along which nothing is smoothed."""
Pointer, Count = ctypes.c_void_p, ctypes.c_int64


class _Windows(ctypes.Structure):
    """`windows` of the kernel."""

    _fields_ = (
        *((name, Count) for name in ("z", "y", "x", "map", "plane", "row", "step")),
        *((name, Pointer) for name in ("in_", "weights", "out")),
        ("raised", ctypes.c_double),
    )


class _Beginning(ctypes.Structure):
    """`beginning` of the kernel."""

    _fields_ = (
        *((name, Count) for name in ("z", "y", "x", "plane_a", "row_a", "plane_b", "row_b", "first", "count")),
        *((name, Pointer) for name in ("a", "b", "weights", "maps", "rows")),
        ("raised", ctypes.c_double),
    )


def kernel_fits(name: str, *pair: Tensor) -> bool:
    """Whether the kernel can work on two tiles (z, y, x) with a window, and there is a compiler."""
    rows = all(one.dtype == torch.uint8 and one.stride(2) == 1 and one.shape[2] <= LONGEST for one in pair)
    return rows and len(window(name)) // 2 in RADII and kernel_library(SOURCE) is not None


class CompiledWindows:
    """What `TorchWindows` does, where `kernel_fits`.

    Args:
        a: Grey levels, uint8, shape (z, y, x), neighbours along x side by side.
        b: The same.
        raised: Added to the last two maps.
        name: Of the window.
        x: Voxels of a row that are kept in what is not smoothed along it.
    """

    def __init__(self, a: Tensor, b: Tensor, raised: float, name: str, x: slice) -> None:
        self.name, self.radius = name, len(window(name)) // 2
        z, y, width = a.shape
        count, inner = x.stop - x.start, max(0, width - 2 * self.radius)
        self.maps, self.rows = (torch.empty((4, z, y, n), dtype=torch.float64) for n in (count, inner))
        strides = a.stride(0), a.stride(1), b.stride(0), b.stride(1)
        places = a.data_ptr(), b.data_ptr(), window(name).data_ptr(), self.maps.data_ptr()
        given = _Beginning(z, y, width, *strides, x.start, count, *places, self.rows.data_ptr() or None, raised)
        _call("ssim_begin", given, Count(self.radius if inner else 0))

    def smoothed(self, maps: Tensor, axis: int) -> Tensor:
        """Under the window along an axis, -3 or -2, where it lies inside."""
        given, out = _along(maps, window(self.name), axis, 4)
        _call("ssim_smooth", given, Count(self.radius))
        return out

    def similarity(self, maps: Tensor, axis: int | None, raised: float = 0.0) -> Tensor:
        """From maps that have yet to be smoothed along an axis, or along none; shape (z, y, x)."""
        weights = ONE if axis is None else window(self.name)
        given, out = _along(maps, weights, -3 if axis is None else axis, 1, raised)
        _call("ssim_compare", given, Count(len(weights) // 2), ctypes.c_double(C1))
        return out[0]


def _along(maps: Tensor, weights: Tensor, axis: int, count: int, raised: float = 0.0) -> tuple[_Windows, Tensor]:
    shape = list(maps.shape[1:])
    shape[axis] -= len(weights) - 1
    out = torch.empty((count, *shape), dtype=torch.float64)
    places = maps.data_ptr(), weights.data_ptr(), out.data_ptr()
    return _Windows(*shape, *maps.stride()[:3], maps.stride(axis), *places, raised), out


def _call(name: str, *given: Any) -> None:
    library: Any = kernel_library(SOURCE)
    if getattr(library, name)(ctypes.byref(given[0]), *given[1:]):
        raise ValueError(f"{name}: a window or a row that the kernel was not made for")
