"""From isotropic to anisotropic volumes."""

from vemrecon.degrade.average import Average, box_weights
from vemrecon.degrade.catalogue import degradations, make_degradation
from vemrecon.degrade.degradation import Degradation, check_scale, degrade, trimmed
from vemrecon.degrade.subsample import Subsample

__all__ = [
    "Average",
    "Degradation",
    "Subsample",
    "box_weights",
    "check_scale",
    "degradations",
    "degrade",
    "make_degradation",
    "trimmed",
]
