"""Splits of a file of your own, for which nobody has chosen regions."""

from __future__ import annotations

from collections.abc import Sequence

from vemrecon.data.card import TaskKind
from vemrecon.data.split import Split, guard_voxels
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize

FILE = "volume"
GUARD_NM = 400
TEST_PERCENT, VAL_PERCENT = 25, 12
UNIT = 120  # divides by the scales 4, 6, 8 and 10; shorter ranges are cut to the scale of each task
SHORTEST_TRAINING = 64
ANISOTROPIC = 1.2


def local_tasks(voxel_size: VoxelSize | None) -> tuple[TaskKind, ...]:
    """Kinds of task that make sense for a volume of this voxel size; the first is the default.

    >>> local_tasks(VoxelSize(40, 4, 4))
    ('lateral', 'native')
    """
    if voxel_size is None or voxel_size.anisotropy < ANISOTROPIC:
        return ("reference",)
    return ("lateral", "native")


def default_splits(shape: Sequence[int], voxel_size: VoxelSize | None) -> dict[str, Split]:
    """Test, validation and training ranges along the axis that is degraded (z, or y of an anisotropic volume).

    The test range comes first, then validation and training, with gaps of 400 nm between them.

    Args:
        shape: (z, y, x).
        voxel_size: In nm; where it is unknown no gap can be kept.

    Returns:
        `whole`, and `test`, `val` and `train` where these leave at least 64 voxels to learn from.
    """
    splits = {"whole": Split("whole", FILE, use="training-free methods, or learning from the volume itself")}
    if voxel_size is None:
        return splits
    axis = 0 if local_tasks(voxel_size)[0] == "reference" else 1
    length, gap = shape[axis], guard_voxels(voxel_size, GUARD_NM)[axis]
    test = length * TEST_PERCENT // 100
    val = test + gap, test + gap + length * VAL_PERCENT // 100
    train = val[1] + gap
    if length - train < SHORTEST_TRAINING:
        return splits

    def part(name: str, start: int, stop: int, use: str) -> Split:
        size = stop - start
        stop -= size % UNIT if size >= UNIT else 0
        ranges = [(0, n) for n in shape]
        ranges[axis] = (start, stop)
        return Split(name, FILE, Region.of(ranges), use)

    return {
        **splits,
        "test": part("test", 0, test, "reported numbers"),
        "val": part("val", *val, "model choice"),
        "train": part("train", train, length, "training"),
    }
