"""From isotropic to anisotropic volumes."""

from vemrecon.degradations.average import Average, box_weights
from vemrecon.degradations.catalogue import degradations, make_degradation
from vemrecon.degradations.degradation import Degradation, check_scale, degrade, trimmed
from vemrecon.degradations.subsample import Subsample

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
