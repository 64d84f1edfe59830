"""What ImageJ keeps in the description of a TIFF: voxel size, origin and display range.

ImageJ takes the last ImageDescription of the first page, readers of OME-TIFF the first; a file has both.
"""

from __future__ import annotations

from vemrecon.volume.volume import Span, Volume


def imagej_description(volume: Volume, span: Span) -> str:
    """The description that makes a plain *Open* scale a stack rightly.

    The number of images is left out: ImageJ would then take the voxels for one uncompressed piece.
    """
    lines: dict[str, str | float] = {"ImageJ": "1.54f", "slices": volume.shape[0], "loop": "false"}
    if span[0] >= 0:  # ImageJ counts signed levels from another zero
        lines |= {"min": span[0], "max": span[1]}
    if volume.voxel_size is not None:
        size = volume.voxel_size
        lines |= {"unit": "nm", "spacing": size.z}
        if any(volume.origin):
            places = [-at / edge for at, edge in zip(volume.origin, size, strict=True)]
            lines |= {f"{axis}origin": place for axis, place in zip("zyx", places, strict=True)}
    return "".join(f"{name}={value}\n" for name, value in lines.items())
