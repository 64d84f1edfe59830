"""What a run was made with: versions, commit and machine, of every phase where they are not the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def told(environment: Mapping[str, Any], key: str) -> str:
    """What is told of a run: one value, or those of training, reconstruction and scoring in this order.

    >>> told({"commit": "b", "phases": {"train": {"commit": "a"}, "reconstruct": {"commit": "b"}}}, "commit")
    'a / b'
    """
    return " / ".join(values(environment, key))


def values(environment: Mapping[str, Any], key: str) -> list[str]:
    """Distinct values of all phases."""
    return _distinct(str(e.get(key) or "") for e in _phases(environment))


def hardware(environment: Mapping[str, Any]) -> str:
    """Device, or processor and threads, in words."""
    return " / ".join(_distinct(_machine(e) for e in _phases(environment))) or "not recorded"


def _phases(environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    earlier = environment.get("phases")
    known = [earlier.get(phase) for phase in ("train", "reconstruct")] if isinstance(earlier, Mapping) else []
    return [*(e for e in known if isinstance(e, Mapping)), environment]


def _machine(environment: Mapping[str, Any]) -> str:
    device, cpu = str(environment.get("device") or ""), str(environment.get("cpu") or "")
    threads = environment.get("threads")
    accelerator = "" if device.lower() == "cpu" else device
    words = [accelerator, cpu or ("" if accelerator else device), f"{threads} threads" if threads else ""]
    return ", ".join(word for word in words if word)


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))
