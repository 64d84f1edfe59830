"""Gaussian noise that is a function of where a voxel lies, not of how a volume was cut into tiles.

Every voxel's number is a hash of a key and of its absolute position, turned into a normal deviate. Noise of a part of a
volume is therefore that part of the noise of the volume, whatever was asked for before, by whom, and on which device.

Source: G. Steele, D. Lea & C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the hash,
SplitMix64); the deviate is the inverse of the normal distribution function.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vemrecon.seeding import derive_seed
from vemrecon.volume.region import Triple


def noise_key(seed: int, *names: object) -> int:
    """Key of one noise volume among many, such as that of one step of a sampler."""
    return _signed(derive_seed(seed, *names))


def noise_at(key: int, start: Triple, shape: Triple, device: torch.device | str = "cpu") -> Tensor:
    """Independent standard normal numbers of the voxels of a box.

    Args:
        key: Of `noise_key`.
        start: Position of the first voxel (z, y, x); may be negative.
        shape: Extent of the box (z, y, x).
        device: Where the numbers are made; on torch's meta device there are none.

    Returns:
        Shape (z, y, x), float32.

    >>> key = noise_key(0, "example")
    >>> whole, part = noise_at(key, (0, 0, 0), (4, 5, 6)), noise_at(key, (1, 2, 3), (2, 3, 2))
    >>> torch.equal(part, whole[1:3, 2:5, 3:5])
    True
    """
    if torch.device(device).type == "meta":  # thousands of steps would each follow the shapes of forty operations
        return torch.empty(shape, device=device)
    state = torch.full((), key, dtype=torch.int64, device=device)
    for first, extent in zip(start, shape, strict=True):
        position = torch.arange(first, first + extent, dtype=torch.int64, device=device)
        state = _mixed(state[..., None] + position * GOLDEN)  # one more axis
    share = (_shifted(state, 12).to(torch.float64) + 0.5) * 2.0**-52  # above 0 and below 1
    return torch.special.ndtri(share).to(torch.float32)


def _signed(value: int) -> int:
    """The same 64 bits as a number that int64 holds."""
    return value - (1 << 64) if value >> 63 else value


GOLDEN = _signed(0x9E3779B97F4A7C15)
FIRST = _signed(0xBF58476D1CE4E5B9)
SECOND = _signed(0x94D049BB133111EB)


def _mixed(state: Tensor) -> Tensor:
    """Finaliser of SplitMix64; int64 products keep the lowest 64 bits."""
    state = (state ^ _shifted(state, 30)) * FIRST
    state = (state ^ _shifted(state, 27)) * SECOND
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, bits: int) -> Tensor:
    """Shift to the right, filling with zeros."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)
