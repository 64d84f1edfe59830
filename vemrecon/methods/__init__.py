"""Methods behind one interface. `vemrecon.methods.Method` is imported only when asked for, because it needs torch."""

from typing import TYPE_CHECKING, Any

from vemrecon.methods.card import MethodCard

if TYPE_CHECKING:
    from vemrecon.methods.base import Method, Tile, TileShape

__all__ = ["Method", "MethodCard", "Tile", "TileShape"]


def __getattr__(name: str) -> Any:
    if name in ("Method", "Tile", "TileShape"):
        from vemrecon.methods import base

        return getattr(base, name)
    raise AttributeError(name)
