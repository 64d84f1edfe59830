"""From isotropic to anisotropic volumes."""

from vemrecon.degrade.average import Average, box_weights
from vemrecon.degrade.by_name import make_degradation
from vemrecon.degrade.degradation import Degradation, check_scale, degrade, trimmed
from vemrecon.degrade.subsample import Subsample

__all__ = [
    "Average",
    "Degradation",
    "Subsample",
    "box_weights",
    "check_scale",
    "degrade",
    "make_degradation",
    "trimmed",
]
