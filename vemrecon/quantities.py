"""Sizes and times as users write them."""

from __future__ import annotations

from vemrecon.errors import ConfigError

BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}


def byte_count(option: str, text: str) -> int:
    """Bytes of a size such as 512MB or 1GiB.

    >>> byte_count("--memory", "1GiB"), byte_count("--memory", "512MB"), byte_count("--memory", "1.5 G")
    (1073741824, 512000000, 1500000000)

    Raises:
        ConfigError: If it is no size.
    """
    word = text.strip().lower().removesuffix("b")
    number = word.rstrip("kmgi")
    try:
        size = float(number) * BYTES[word[len(number) :].strip()]
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{option} {text}: must be a size such as 512MB or 1GiB") from error
    if not 1 <= size < 2**60:
        raise ConfigError(f"{option} {text}: must be a size such as 512MB or 1GiB")
    return int(size)


def second_count(option: str, text: str) -> float:
    """Seconds of a time such as 90s, 30min, 2h or 1d; a number alone is seconds.

    >>> second_count("--timeout", "1.5h"), second_count("--timeout", "20")
    (5400.0, 20.0)

    Raises:
        ConfigError: If it is no time.
    """
    word = text.strip().lower()
    unit = word.lstrip("0123456789.")
    try:
        seconds = float(word.removesuffix(unit)) * SECONDS[unit.strip()]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{option} {text}: must be a time such as 90s, 30min, 2h or 1d")
    return seconds
