"""A method that takes its time, for processes that are killed meanwhile; and volumes that they open."""

import time
from dataclasses import replace

from small_volumes import textured

from vemrecon.methods import Method
from vemrecon.methods.base import TileShape
from vemrecon.volume import SectionGrid, Volume

GREY = textured((26, 70, 66))


class Patient(Method):
    """Repeats sections."""

    tile = TileShape(4, 16, 16, halo=(1, 2, 2))

    def __init__(self, seconds=0.02):
        super().__init__()
        self.seconds = seconds

    def reconstruct(self, tile):
        time.sleep(self.seconds)
        made = tile.observed.repeat_interleave(int(tile.scale), dim=2)
        return 0.5 * made + 0.5 * made.mean() if self.tile.blended else made


class Blended(Patient):
    """The same, with other tiles beside."""

    tile = replace(Patient.tile, blended=True)


class Failing(Patient):
    """Has an error."""

    def reconstruct(self, tile):
        raise ValueError("no such thing")


def observed():
    return replace(Volume(GREY, None, "v"), grid=SectionGrid.slabs(3))


def smaller():
    return replace(Volume(GREY[:20], None, "v"), grid=SectionGrid.slabs(3))
