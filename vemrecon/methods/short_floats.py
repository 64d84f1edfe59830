"""Computing in bfloat16, where a processor does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from vemrecon.errors import ConfigError


def short_floats(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """Where convolutions and matrix products compute in bfloat16; weights, losses and the rest stay float32.

    Args:
        device: Of the inputs.
        wanted: Whether this is asked for; if not, whoever is around it decides. Processors that would only imitate it
            compute in float32 all the same.
    """
    return _autocast(device, computes_in_bfloat16(device)) if wanted else nullcontext()


def require_bfloat16(device: torch.device) -> None:
    """Refuse a device that would only imitate bfloat16.

    Raises:
        ConfigError: If it has no such arithmetic.
    """
    if not computes_in_bfloat16(device):
        raise ConfigError(f"--bfloat16: this {device.type} does not compute in bfloat16; leave it out")


def whole_floats(device: torch.device) -> torch.autocast:
    """Where nothing computes in bfloat16, whatever is around it: grey levels need more than its eight digits."""
    return _autocast(device, False)


def _autocast(device: torch.device, enabled: bool) -> torch.autocast:
    kind = "cpu" if device.type == "meta" else device.type  # torch refuses meta, where only shapes are followed
    return torch.autocast(kind, torch.bfloat16, enabled=enabled)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has bfloat16 arithmetic of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch tells nothing of other processors
    return device.type == "cpu" and any(getattr(torch.cpu, test, bool)() for test in tests)
