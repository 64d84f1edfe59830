"""The command that says where every run stands."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.commands.options import require_runs
from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.bench.standing import Standing


@dataclass(frozen=True, kw_only=True)
class StatusOptions(Options):
    """Options of `status`."""

    runs: Path = option("folder of runs", Path("runs"))
    json: bool = option("print a JSON list for programs", False)


def status(options: StatusOptions) -> int:
    """Every run of a folder, and where it stands."""
    from vemrecon.bench.standing import standings

    require_runs(options.runs)
    found = list(standings(options.runs))
    if options.json:
        json.dump([one.as_dict() for one in found], sys.stdout, indent=1, ensure_ascii=False, allow_nan=False)
        print()
        return 0
    _print(found, options.runs)
    return 0


def _print(found: Sequence[Standing], runs: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    from vemrecon.commands.bars import MARKS

    console = Console(highlight=False, soft_wrap=True)
    if not found:
        console.print("no runs yet")
        return
    rows = [("state", "run", "age", "phase", "left")]
    for one in found:
        path = Path(one.path)
        name = path.relative_to(runs).as_posix() if path.is_relative_to(runs) else one.path
        rows.append((one.state, name, _time(one.age_seconds), _phase(one), _time(one.left_seconds)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    reasons = ["reason", *("; ".join(filter(None, [one.reason, one.note, _log(one)])) for one in found)]
    for row, reason in zip(rows, reasons, strict=True):
        state, *cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        style = "bold" if reason == "reason" else MARKS.get(row[0], "red")
        console.print(Text(state, style=style).append(Text("  ".join(["", *cells, reason]).rstrip(), style="none")))
    counts = Counter(one.state for one in found)
    console.print(f"{len(found)} runs: {', '.join(f'{count} {state}' for state, count in counts.most_common())}")


def _log(one: Standing) -> str:
    return f"see {one.log}" if one.log else ""


def _phase(one: Standing) -> str:
    return "" if one.share is None or not one.phase else f"{one.phase} {one.share:.0%}"


def _time(seconds: float | None) -> str:
    from vemrecon.report.columns import seconds_text

    return "" if seconds is None else seconds_text(seconds) if seconds < 172800 else f"{seconds / 86400:.0f} days"
