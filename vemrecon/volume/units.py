"""Words for units of length, as files have them, in nanometres."""

from __future__ import annotations

_NM = {
    1e-3: ("pm", "picometer", "picometre"),
    0.1: ("å", "a", "angstrom", "angström", "ångström", "ångstrom"),
    1.0: ("nm", "nanometer", "nanometre"),
    1e3: ("um", "micrometer", "micrometre", "micron", "mikron"),
    1e6: ("mm", "millimeter", "millimetre"),
    1e7: ("cm", "centimeter", "centimetre"),
    1e9: ("m", "meter", "metre"),
    25.4e6: ("in", "inch", "inche", '"'),
}
NM_PER_WORD = {word: nm for nm, words in _NM.items() for word in words}
NO_LENGTH = ("", "pixel", "px", "voxel", "none", "null", "unknown", "arbitrary", "reference frame", "reference_frame")
"""What files write where nobody has calibrated them; they mean that no length is known."""
MICRO = ("\\u00b5", "Âµ", "âµ", "µ", "μ", "&#181;", "&micro;", "Î¼", "î¼")
"""Ways to write the sign of micro: escaped, in another encoding, both characters of Unicode."""


def nm_per(unit: object) -> float | None:
    """Nanometres in a unit of length; None for words that are none, and where there is none.

    >>> nm_per("µm"), nm_per("Nanometers"), nm_per("pixel"), nm_per("furlong")
    (1000.0, 1.0, None, None)
    """
    word = unit.strip().lower() if isinstance(unit, str) else ""
    for micro in MICRO:
        word = word.replace(micro.lower(), "u")
    return NM_PER_WORD.get(word) or NM_PER_WORD.get(word.removesuffix("s"))


def is_unknown_word(unit: object) -> bool:
    """Whether a word stands for a unit that is not known here, so that somebody should look at it."""
    word = unit.strip().lower() if isinstance(unit, str) else ""
    return nm_per(unit) is None and word.removesuffix("s") not in NO_LENGTH
