"""What a run keeps of its preset, so that a table can say how far it is from what it is named after."""

from __future__ import annotations

from vemrecon.bench.chosen_methods import situation_of
from vemrecon.bench.result import Deviating, PresetFacts
from vemrecon.bench.spec import RunSpec
from vemrecon.methods.preset import leaves
from vemrecon.methods.registry import choose_preset, has_preset


def preset_facts(spec: RunSpec) -> PresetFacts:
    """Of the preset of a run; deviations at arguments that were changed are left out, as tables name these."""
    _, _, presets = spec.method.found().resolved()
    if not has_preset(spec.preset, presets):
        return PresetFacts()
    _, preset = choose_preset(spec.method.entry, spec.preset, presets)
    situation = situation_of(spec.task, spec.training)
    own, used = (dict(leaves(one)) for one in (preset.arguments(situation), spec.method.arguments))
    changed = {name for name in {*own, *used} if own.get(name) != used.get(name)}
    deviations = (Deviating(one.at, one.words) for one in preset.deviations_for(situation) if one.at not in changed)
    return PresetFacts(tuple(deviations), preset.by_task)
