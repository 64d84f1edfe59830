"""From isotropic to anisotropic volumes."""

from vemrecon.degrade.degradation import (
    Average,
    Degradation,
    Subsample,
    degrade,
    make_degradation,
    reconstructed_sections,
    trimmed,
)

__all__ = [
    "Average",
    "Degradation",
    "Subsample",
    "degrade",
    "make_degradation",
    "reconstructed_sections",
    "trimmed",
]
