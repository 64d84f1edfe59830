"""The command that lists the formats of volumes."""

from __future__ import annotations

from dataclasses import dataclass

from vemrecon.options import Options


@dataclass(frozen=True, kw_only=True)
class FormatsOptions(Options):
    """Options of `formats`."""


def formats(options: FormatsOptions) -> int:
    """Formats of volumes: how they are recognised, what is read from them, and what they need."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.volume.catalogue import FACTS, FORMATS, SECTIONS
    from vemrecon.volume.sections import SECTION_SUFFIXES

    heads = ("format", "name", "written", *FACTS, "may lack", "extra")
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for one in (*FORMATS, SECTIONS):
        name = " ".join(one.endings) or f"folder with {one.inside[0] if one.inside else ' '.join(SECTION_SUFFIXES)}"
        facts = ["yes" if fact in one.says else "" for fact in FACTS]
        table.add_row(one.name, name, "yes" if one.writer else "", *facts, one.can_lack, one.extra)
    console = Console(highlight=False)
    console.print(table)
    console.print("What vemrecon writes also says its grey range, where its sections lie, and how it was made.")
    console.print("An extra is installed by pip install 'vemrecon\\[EXTRA]', all of them by 'vemrecon\\[formats]'.")
    return 0
