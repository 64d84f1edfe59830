"""What a volume is: voxels, regions, and lazy reading of every usual format."""

from vemrecon.volume.edges import Edges
from vemrecon.volume.formats import open_source, open_volume
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.intensity import RangeRule, check_range
from vemrecon.volume.made import Made
from vemrecon.volume.quantise import quantise
from vemrecon.volume.reading import Reading
from vemrecon.volume.region import Region
from vemrecon.volume.source import Source
from vemrecon.volume.volume import Volume, require_content
from vemrecon.volume.voxels import VoxelSize
from vemrecon.volume.write import require_output, write_volume

__all__ = [
    "Edges",
    "Made",
    "RangeRule",
    "Reading",
    "Region",
    "SectionGrid",
    "Source",
    "Volume",
    "VoxelSize",
    "check_range",
    "open_source",
    "open_volume",
    "quantise",
    "require_content",
    "require_output",
    "write_volume",
]
