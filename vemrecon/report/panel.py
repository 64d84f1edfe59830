"""`Panel`: a part of the page of a task. One function makes it from the table; no panel knows of another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.report.chosen_rows import CURVES, best_rows
from vemrecon.report.frame import swatch
from vemrecon.report.leaderboard import REGIMES, Leaderboard, Table, regime_order
from vemrecon.report.row import Row

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
REGIME_WORDS = {
    "none": "no training",
    "self": "trained on anisotropic volumes only",
    "isotropic": "trained on isotropic truth of the training region",
    "external": "trained on other data",
}


@dataclass(frozen=True)
class Fragment:
    """HTML of a panel."""

    html: str
    section: str = ""
    """Heading of the section that it shares with the panels before and after it that name the same one; empty for a
    panel that is a section by itself."""
    small: bool = False
    """Whether it may stand beside others of its section."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What panels share so that they look alike."""

    indices: Mapping[str, int]
    """One number per row label, the same in every table; it decides colour, dash and marker."""
    pictures: int
    """Rows of a table whose sections are shown."""

    @classmethod
    def of(cls, board: Leaderboard, pictures: int) -> Look:
        """The look of a page."""
        found = {(regime_order(row.regime), row.label) for table in board.tables for row in table.done}
        labels = dict.fromkeys(label for _, label in sorted(found))
        return cls({label: n for n, label in enumerate(labels)}, pictures)

    def pictured(self, table: Table) -> tuple[Row, ...]:
        """Rows whose sections are shown."""
        return best_rows(table, self.pictures)

    def drawn(self, table: Table) -> tuple[Row, ...]:
        """Rows whose curves are drawn."""
        return best_rows(table, CURVES)

    def swatch(self, label: str) -> Markup:
        """Colour, dash and marker of a method."""
        import markupsafe

        return markupsafe.Markup(swatch(self.indices[label]))

    @cached_property
    def _environment(self) -> Environment:
        import jinja2

        return jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        )  # fmt: skip

    def render(self, template: str, **values: Any) -> str:
        """A template of `templates/` with values; texts are escaped, SVG must be marked as markup."""
        return self._environment.get_template(f"{template}.html.jinja").render(**values, regimes=REGIME_WORDS)

    def figure(self, title: str, svg: str, note: str = "", data: Any = None, *, wide: bool = False) -> str:
        """A chart with its title; the pointer reads it where there are data."""
        import markupsafe

        return self.render(
            "figure", title=title, note=note, svg=markupsafe.Markup(svg), wide=wide,
            data=markupsafe.Markup(script_json(data)) if data is not None else None,
        )  # fmt: skip


Panel = Callable[[Table, Look], Fragment | None]
"""Gives nothing where there is nothing to show."""


def regimes_of(table: Table) -> list[str]:
    """Regimes of the rows of a table, in their usual order."""
    return [regime for regime in (*REGIMES, "") if any(row.regime == regime for row in table.rows)]


def script_json(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
