"""vemrecon: fair benchmarks of isotropic reconstruction for volume electron microscopy."""

from vemrecon.version import __version__

__all__ = ["__version__"]
