"""vemrecon: fair benchmarks of isotropic reconstruction for volume electron microscopy."""

from typing import TYPE_CHECKING, Any

from vemrecon.version import __version__

if TYPE_CHECKING:
    from vemrecon.api import degrade, evaluate, open, reconstruct
    from vemrecon.results import compare, load_results

__all__ = ["__version__", "compare", "degrade", "evaluate", "load_results", "open", "reconstruct"]


def __getattr__(name: str) -> Any:
    """Functions of `api` and `results`, imported when they are asked for: the command line starts without them."""
    if name not in __all__:
        raise AttributeError(f"module 'vemrecon' has no attribute '{name}'")
    from vemrecon import api, results

    return getattr(results if name in ("compare", "load_results") else api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
