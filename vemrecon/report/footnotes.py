"""`Footnotes`: short marks for the reasons behind blank or limited cells."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase


class Footnotes:
    """Gives every distinct reason one mark, in the order in which the reasons first appear.

    >>> notes = Footnotes()
    >>> notes.marks(["too thin"]), notes.marks(["no weights", "too thin"])
    (['a'], ['b', 'a'])
    >>> notes.lines
    [('a', 'too thin'), ('b', 'no weights')]
    """

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def marks(self, reasons: Iterable[str]) -> list[str]:
        """The marks of some reasons."""
        return [self._marks.setdefault(reason, _letters(len(self._marks))) for reason in reasons]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Every mark with its reason."""
        return [(mark, reason) for reason, mark in self._marks.items()]


def _letters(n: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    text = ""
    n += 1
    while n:
        n, rest = divmod(n - 1, 26)
        text = ascii_lowercase[rest] + text
    return text
