"""Names of the released weights of both noise networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def our_name(name: str) -> str:
    """The name here of a released tensor: attention is one module here, and two wrappers around it there.

    >>> our_name("downs.0.2.fn.fn.to_qkv.weight"), our_name("downs.0.2.fn.norm.g"), our_name("intro.bias")
    ('downs.0.2.to_qkv.weight', 'downs.0.2.norm.g', 'intro.bias')
    """
    return name.replace(".fn.fn.", ".").replace(".fn.norm.", ".norm.")


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released weights under the names here."""
    return {our_name(name): value for name, value in state.items()}
