"""Methods behind one interface, and all that one of another package is made of.

What is named here stays as it is from version to version, and is imported only when it is asked for, as most of it
needs torch. `vemrecon new method NAME` begins a package; docs/plugins.md says what each thing is for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vemrecon.methods.card import MethodCard, WeightFile

if TYPE_CHECKING:
    from vemrecon.data.patches import LateralPairs, LateralSections, Patches, degrade_axis
    from vemrecon.data.source import Source
    from vemrecon.data.supervised import IsotropicBlocks, SectionWindows
    from vemrecon.data.unpaired import UnpairedSections
    from vemrecon.methods.base import Method, Tile, TileShape
    from vemrecon.methods.interpolation import interpolated
    from vemrecon.methods.rates import falling, warmed
    from vemrecon.methods.stage import Stage, epoch_of
    from vemrecon.methods.weight_choice import WeightChoice
    from vemrecon.seeding import derive, derive_seed
    from vemrecon.volume import SectionGrid

__all__ = [
    "IsotropicBlocks",
    "LateralPairs",
    "LateralSections",
    "Method",
    "MethodCard",
    "Patches",
    "SectionGrid",
    "SectionWindows",
    "Source",
    "Stage",
    "Tile",
    "TileShape",
    "UnpairedSections",
    "WeightChoice",
    "WeightFile",
    "degrade_axis",
    "derive",
    "derive_seed",
    "epoch_of",
    "falling",
    "interpolated",
    "warmed",
]
_HOMES = {
    "vemrecon.data.patches": ("LateralPairs", "LateralSections", "Patches", "degrade_axis"),
    "vemrecon.data.source": ("Source",),
    "vemrecon.data.supervised": ("IsotropicBlocks", "SectionWindows"),
    "vemrecon.data.unpaired": ("UnpairedSections",),
    "vemrecon.methods.base": ("Method", "Tile", "TileShape"),
    "vemrecon.methods.interpolation": ("interpolated",),
    "vemrecon.methods.rates": ("falling", "warmed"),
    "vemrecon.methods.stage": ("Stage", "epoch_of"),
    "vemrecon.methods.weight_choice": ("WeightChoice",),
    "vemrecon.seeding": ("derive", "derive_seed"),
    "vemrecon.volume": ("SectionGrid",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
