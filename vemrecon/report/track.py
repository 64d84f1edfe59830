"""What is to be known of a table whose methods all had the same time for their training."""

from __future__ import annotations

from html import escape

from vemrecon.report.columns import seconds_text
from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look

TOLERANCE = 0.15  # of the time; what is farther from it is named


def track_lines(table: Table) -> list[str]:
    """The time, and what each training has taken of it; nothing where presets say how long methods learn."""
    if table.track is None:
        return []
    wanted = table.track.seconds
    lines = [
        f"Track: every training had {seconds_text(wanted)} of one device, all stages, preparation and validation "
        f"included. Rows without training are a reference. Not to be compared with tables of presets."
    ]
    taken = {row.label: [result.costs.train_device_seconds for _, result in row.runs] for row in table.done}
    measured = {label: [s for s in seconds if s] for label, seconds in taken.items()}
    if any(measured.values()):
        words = [f"{label} {_span(seconds)}" for label, seconds in sorted(measured.items()) if seconds]
        lines.append(f"Measured: {', '.join(words)}.")
    off = [label for label, found in sorted(measured.items()) if any(abs(s / wanted - 1) > TOLERANCE for s in found)]
    if off:
        lines.append(f"More than {TOLERANCE:.0%} from the time, so not quite a fair row: {', '.join(off)}.")
    return lines


def track_panel(table: Table, look: Look) -> Fragment | None:
    """The same above the scores of the page."""
    lines = track_lines(table)
    return Fragment("".join(f'<p class="notes"><span>{escape(line)}</span></p>' for line in lines)) if lines else None


def _span(seconds: list[float]) -> str:
    ends = list(dict.fromkeys((seconds_text(min(seconds)), seconds_text(max(seconds)))))
    return " to ".join(ends)
