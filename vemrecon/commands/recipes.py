"""`vemrecon methods NAME --preset PRESET`: what a method does, and who says so; `--recipes`: that of all, as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vemrecon.commands.cost import MethodsOptions
from vemrecon.errors import ConfigError

if TYPE_CHECKING:
    from vemrecon.methods.preset import Stated
    from vemrecon.methods.registry import MethodEntry

COMMAND = "vemrecon methods --recipes"
AFTER = {"paper": "paper", "released": "released code"}
"""What presets are named after."""
HEAD = f"""# Recipes

What the presets `paper` and `released` of every learned method do. `{COMMAND}` writes this page from
`benchmark/methods/`; `vemrecon methods NAME --preset paper --scale 10` shows one of them as it is for a task. The
columns *paper* and *released code* are empty where it says nothing, or something else, as the last column tells.
`released` is there where released code differs from its paper."""


def show_preset(options: MethodsOptions) -> int:
    """Print arguments, sources, reasons and deviations of a preset for a task.

    Raises:
        ConfigError: If no method is named, or it does not have the preset.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vemrecon.methods.condition import Situation
    from vemrecon.methods.registry import choose_preset, method_entry

    if options.name is None:
        raise ConfigError("--preset: name a method, or give --cost, or --recipes for a page of all of them")
    entry = method_entry(options.name)
    presets = entry.presets if entry.card is not None else entry.resolved()[2]
    name, preset = choose_preset(entry.name, options.preset or "paper", presets)
    situation = Situation(options.scale, options.degradation or "", options.dataset or "")
    words = [f"scale {options.scale:g}", *(word for word in (options.degradation, options.dataset) if word)]
    console = Console(highlight=False)
    console.print(f"{entry.name}, preset {name}: {', '.join(words)}")
    table = Table("argument", "value", "source", "why", box=None, pad_edge=False, padding=(0, 2))
    for one in preset.stated(situation):
        because = "; ".join(text for text in (f"for {one.when}" if str(one.when) else "", one.reason) if text)
        table.add_row(*map(Text, (one.name, value_text(one.value), one.source or "not stated", because)))
    console.print(table if table.row_count else "all arguments have their defaults")
    if found := preset.deviations_for(situation):
        console.print(f"deviations from the {AFTER.get(name, 'original')}:")
        for one_of in found:
            console.print(Text(f"  {one_of.at}: {one_of.words}"))
    return 0


def recipes_page() -> str:
    """All presets `paper` and `released` of built-in methods, as Markdown."""
    from vemrecon.methods.registry import built_in_methods

    entries = [entry for entry in built_in_methods().values() if "paper" in entry.presets]
    return "\n\n".join((HEAD, *(part for entry in entries for part in _section(entry)))) + "\n"


def value_text(value: Any) -> str:
    """A value as YAML would have it.

    >>> value_text([1, 2]), value_text(True), value_text(None), value_text("mean"), value_text(5e-05)
    ('[1, 2]', 'true', 'null', 'mean', '5e-05')
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return (
        {True: "true", False: "false", None: "null"}[value]
        if value is None or value is True or value is False
        else str(value)
    )


def _section(entry: MethodEntry) -> Iterator[str]:
    from vemrecon.methods.registry import choose_preset

    assert entry.card is not None
    presets = {name: choose_preset(entry.name, name, entry.presets)[1] for name in AFTER if name in entry.presets}
    paper = presets["paper"]
    code = presets.get("released", paper)
    yield f"## {entry.name}"
    yield entry.card.paper
    heads = ["argument", "paper", "released code", *(f"preset `{name}`" for name in presets), "why"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for name in sorted({*paper.names, *code.names}):
        cases = [preset.cases(name) for preset in presets.values()]
        reason = "; ".join(dict.fromkeys(one.reason for found in cases for one in found if one.reason))
        says = [_says(paper.cases(name), "paper"), _says(code.cases(name), "released code")]
        lines.append(_line([name, *says, *map(_all, cases), reason]))
    yield "\n".join(lines)
    for name, preset in presets.items():
        if preset.deviations:
            yield f"Deviations of `{name}` from the {AFTER[name]}:"
            yield "\n".join(
                f"- {one.at}{f' ({one.when})' if str(one.when) else ''}: {one.words}" for one in preset.deviations
            )


def _says(cases: Sequence[Stated], source: str) -> str:
    return _all([one for one in cases if source in one.source])


def _all(cases: Sequence[Stated]) -> str:
    texts = (f"{f'{one.when}: ' if str(one.when) else ''}{value_text(one.value)}" for one in cases)
    return "; ".join(dict.fromkeys(texts))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
