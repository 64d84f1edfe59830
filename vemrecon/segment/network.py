"""The network of the segmenters: a 3D U-Net of MONAI."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vemrecon.errors import DataError
from vemrecon.progress import Share
from vemrecon.segment.recipe import Recipe, level_kernels, level_strides
from vemrecon.volume import Region, VoxelSize
from vemrecon.volume.region import Triple, triple

MISSING = "unavailable: the package monai is missing; pip install 'vemrecon[segmentation]'"
TILE_VOXELS = 96**3
"""Of a tile that is predicted at once, without its surroundings."""


def obstacle() -> str:
    """Why no segmenter can be had here; empty if one can."""
    return "" if find_spec("monai") else MISSING


def make_network(recipe: Recipe, voxel_size: VoxelSize, share: float = 0.5) -> nn.Module:
    """A U-Net before training: (batch, 1, z, y, x) grey in, logits of the same shape out.

    Its normalisation is over batches, so that a trained one gives a voxel the same value in every tile.

    Args:
        recipe: Levels and widths.
        voxel_size: Of the volumes.
        share: Of voxels that belong to the target, where training starts. From one half, a network first learns to tell
            everything that a rare target is not, and is left with the target as what has no features at all.

    Source of the start: Focal loss for dense object detection (Lin et al., 2017), section 3.3.
    """
    from monai.networks.nets.dynunet import DynUNet

    channels = recipe.channels(voxel_size)
    strides = level_strides(len(channels), voxel_size)
    net: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        kernel_size=level_kernels(len(channels), voxel_size),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=channels,
        norm_name="batch",
    )
    nn.init.constant_(net.get_parameter("output_block.conv.conv.bias"), math.log(share / (1 - share)))
    return net


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and running statistics, each once: DynUNet holds some of its parts under two names."""
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def set_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `weights_of` gave.

    Raises:
        DataError: If they are those of another network.
    """
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in weights.items()}:
        raise DataError("the weights of a segmenter are those of another network")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(weights[name])


def multiple(recipe: Recipe, voxel_size: VoxelSize) -> Triple:
    """What the sides of an input must divide by."""
    return triple(np.prod(level_strides(len(recipe.channels(voxel_size)), voxel_size), axis=0).tolist())


def reach(recipe: Recipe, voxel_size: VoxelSize) -> Triple:
    """How far an output voxel sees, rounded up to whole voxels of the coarsest level.

    Two convolutions a level on the way down, and two on the way up but on the coarsest; upsampling sees its own cell.
    """
    strides = level_strides(len(recipe.channels(voxel_size)), voxel_size)
    kernels = level_kernels(len(recipe.channels(voxel_size)), voxel_size)
    step, seen = np.ones(3, dtype=int), np.zeros(3, dtype=int)
    for level, (stride, kernel) in enumerate(zip(strides, kernels, strict=True)):
        step = step * stride
        seen += (2 if level == len(strides) - 1 else 4) * (np.array(kernel) // 2) * step + step
    whole = np.array(multiple(recipe, voxel_size))
    return triple((-(-seen // whole) * whole).tolist())


def standardised(grey: Tensor) -> Tensor:
    """Grey in [0, 1] as the network takes it; the same for every volume, so that contrast counts."""
    return (grey - 0.5) * 4


def predict(
    net: nn.Module,
    recipe: Recipe,
    voxel_size: VoxelSize,
    read: Callable[[Region], NDArray[np.float32]],
    shape: Triple,
    *,
    device: str = "cpu",
    progress: Share = lambda share: None,
) -> NDArray[np.float16]:
    """Probability of the target in every voxel of a volume, independent of the tiles in which it is predicted.

    Args:
        net: Trained.
        recipe: Of the network.
        voxel_size: Of the volume.
        read: Gives grey (z, y, x) in [0, 1] of a region.
        shape: Of the volume.
        device: Where to predict.
        progress: Told the finished share.
    """
    found = np.zeros(shape, dtype=np.float16)
    halo, whole = reach(recipe, voxel_size), multiple(recipe, voxel_size)
    net.to(device).eval()
    parts = list(_tiles(shape, whole))
    for number, part in enumerate(parts):
        with torch.inference_mode():
            grey, inside = _padded(read, part, halo, whole, shape)
            logits = net(standardised(torch.from_numpy(grey).to(device))[None, None])
            found[part.slices] = logits.sigmoid()[0, 0][inside].cpu().numpy()
        progress((number + 1) / len(parts))
    return found


def _tiles(shape: Triple, whole: Triple) -> Iterator[Region]:
    edge = round(TILE_VOXELS ** (1 / 3))
    return Region.whole(shape).blocks([max(1, edge // m) * m for m in whole])


def _padded(
    read: Callable[[Region], NDArray[np.float32]], part: Region, halo: Triple, whole: Triple, shape: Triple
) -> tuple[NDArray[np.float32], tuple[slice, slice, slice]]:
    """Grey of a tile and its surroundings, mirrored where the volume ends, and where the tile lies in it.

    Tiles and surroundings begin at multiples of the coarsest voxel, so that pooling groups the same voxels in all.
    """
    start = [a - h for a, h in zip(part.start, halo, strict=True)]
    stop = [-(-(b + h) // m) * m for b, h, m in zip(part.stop, halo, whole, strict=True)]
    index = [_mirrored(a, b, n) for a, b, n in zip(start, stop, shape, strict=True)]
    box = Region(triple([int(i.min()) for i in index]), triple([int(i.max()) + 1 for i in index]))
    grey = read(box)[np.ix_(*[i - first for i, first in zip(index, box.start, strict=True)])]
    z, y, x = (slice(h, h + n) for h, n in zip(halo, part.shape, strict=True))
    return np.ascontiguousarray(grey), (z, y, x)


def _mirrored(start: int, stop: int, n: int) -> NDArray[np.intp]:
    """Positions start..stop of an axis of n voxels that is mirrored at its ends, as often as needed."""
    if n == 1:
        return np.zeros(stop - start, dtype=np.intp)
    place = np.abs(np.arange(start, stop)) % (2 * n - 2)
    return np.where(place < n, place, 2 * n - 2 - place).astype(np.intp)
