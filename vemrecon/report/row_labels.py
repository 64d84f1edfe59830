"""Names of the rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vemrecon.bench.spec import CONTAMINATED, FLOAT32, RunSpec
from vemrecon.files import canonical_json


def label_variants(specs: Mapping[str, RunSpec]) -> dict[str, str]:
    """The shortest names that tell the variants of a table apart: method, then preset, then what else differs."""
    facts = {key: _facts(spec) for key, spec in specs.items()}
    alike: dict[tuple[str, str], list[str]] = {}
    for key, spec in specs.items():
        alike.setdefault((spec.method.name, spec.preset), []).append(key)
    presets = Counter(name for name, _ in alike)
    values = {
        of: {fact: {facts[key].get(fact) for key in keys} for fact in {fact for key in keys for fact in facts[key]}}
        for of, keys in alike.items()
    }
    for known in values.values():
        known["mode"].discard("")  # is said otherwise
    labels: dict[str, str] = {}
    for key, spec in specs.items():
        name, differs = spec.method.name, values[spec.method.name, spec.preset]
        parts = ([] if presets[name] == 1 else [spec.preset]) + ([CONTAMINATED] if spec.contaminated else [])
        parts += [] if spec.precision == FLOAT32 else [f"precision={spec.precision}"]
        parts += [f"learned from {spec.learned_from}"] if spec.learned_from else []
        parts += [f"{fact}={value}" for fact, value in sorted(facts[key].items()) if value and len(differs[fact]) > 1]
        labels[key] = name + (f" ({', '.join(parts)})" if parts else "")
    counts = Counter(labels.values())
    doubles = {label for label, count in counts.items() if count > 1}
    number = {key: n for n, key in enumerate(sorted(specs), start=1)}
    return {key: f"{label} #{number[key]}" if label in doubles else label for key, label in labels.items()}


def _facts(spec: RunSpec) -> dict[str, str]:
    facts = {k: v if isinstance(v, str) else canonical_json(v) for k, v in spec.method.arguments.items()}
    mode = "" if spec.contaminated or spec.learned_from else spec.mode  # what is always said
    return {**facts, "version": spec.method.version, "mode": mode}
