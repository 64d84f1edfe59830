"""`Missing`: sections of the observed volume that a task removes, to be filled before the reconstruction."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vemrecon.errors import ConfigError
from vemrecon.seeding import derive

FORM = "must read 11,40 (numbers), 10% (a share, at most 50%) or random=12 (how many)"


@dataclass(frozen=True)
class Missing:
    """Which sections are removed: one of numbers, a share, and how many; the last two are drawn at random.

    Attributes:
        sections: Numbers in the observed volume, in rising order.
        share: Of all sections, above 0 and at most a half.
        random: How many.
    """

    sections: tuple[int, ...] = ()
    share: float | None = None
    random: int | None = None

    def __post_init__(self) -> None:
        if len(self.as_dict()) != 1:
            raise ValueError("missing sections are numbers, a share or how many")

    def as_dict(self) -> dict[str, Any]:
        """What is stated, for JSON."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    def __str__(self) -> str:
        if self.sections:
            return ",".join(map(str, self.sections))
        return f"random={self.random}" if self.share is None else f"{100 * self.share:g}%"

    @property
    def words(self) -> str:
        """What a reader calls it."""
        if self.sections:
            return f"section{'s' * (len(self.sections) > 1)} {', '.join(map(str, self.sections))} missing"
        return (
            f"{self.random} sections missing" if self.share is None else f"{100 * self.share:g} % of sections missing"
        )

    def numbers(self, count: int, seed: int) -> tuple[int, ...]:
        """The sections that are removed of `count`, in order.

        Random ones lie between others: neither the first nor the last section is drawn. Those of a smaller number are
        among those of a larger one.

        Raises:
            ConfigError: If one is not in the volume, or more than half of all would be removed.
        """
        if self.sections and self.sections[-1] >= count:
            raise ConfigError(f"--missing-sections {self}: the observed volume has sections 0 to {count - 1} only")
        wanted = len(self.sections) or self.random or max(1, round((self.share or 0) * count))
        most = count // 2 if self.sections else max(0, min(count // 2, count - 2))
        if wanted > most:
            raise ConfigError(
                f"--missing-sections {self}: removes {wanted} of the {count} observed sections; at most {most} can be "
                f"filled"
            )
        if self.sections:
            return self.sections
        order = np.argsort(derive(seed, "missing sections").random(count - 2), kind="stable")
        return tuple(sorted(int(k) + 1 for k in order[:wanted]))


def read_missing(given: Any) -> Missing:
    """Missing sections, from `11,40`, `10%` or `random=12`, or from a list of numbers.

    >>> read_missing("40,11"), str(read_missing("10%")), read_missing("random=12").words
    (Missing(sections=(11, 40), share=None, random=None), '10%', '12 sections missing')

    Raises:
        ConfigError: If it reads otherwise, or removes nothing.
    """
    if isinstance(given, Missing):
        return given
    text = ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given).strip()
    if (percent := re.fullmatch(r"(\d+(?:\.\d+)?)%", text)) and 0 < float(percent[1]) <= 50:
        return Missing(share=float(percent[1]) / 100)
    if (many := re.fullmatch(r"random=(\d+)", text)) and int(many[1]) > 0:
        return Missing(random=int(many[1]))
    if re.fullmatch(r"\d+(,\d+)*", text):
        return Missing(tuple(sorted({int(number) for number in text.split(",")})))
    raise ConfigError(f"--missing-sections {text}: {FORM}")
