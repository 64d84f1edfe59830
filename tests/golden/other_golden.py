"""Makes other golden files from those that there are: cases renamed, left out or added, and values left out.

The tests of this folder must check what is left, whatever it is called, and list what they do not know.
"""

import json
import re

from golden_files import FAMILIES, Golden
from safetensors.torch import save_file

# tables and lists of cases, by family, and the tensors of a case there; * stands for every key
TABLES = {
    "d2r_losses": {"config.ffl_variants": r"output\.ffl_{}(_grad_pred)?"},
    "degradation": {"noise_variance_gain": None},
    "emdiffuse": {"schedules": r"schedule\.{}\..*", "data_samples": r"output\.data\.{}\..*"},
    "fsim": {"cases": None, "degenerate": None, "volumes": None},
    "gauss2d": {"cases": r"{}/.*", "cases.*.modes": None},
    "isovem": {"cases": r"(in|out)put(_f64)?\.[xy]_{}|inter\.{}\..*", "approximate_power_of_two_scale": None},
    "metrics": dict.fromkeys(("pairs", "segmentation", "protocols", "cost", "baselines"), None),
    "srunet": {"config.up_scales": r"(input\.x|output\.y|inter\.\w+)_r{}"},
    "vemamba": {"selective_scan.cases": r"scan\.{}\..*", "inference.tile_centres": None, "lr_multiplier.samples": None},
}
# what can be called otherwise, as a pattern over tensor names and texts: not what a name tells about its values
LOSSES = "(default|alpha2|log|avg|batchmat|patch|weight100)"
SAMPLES = r"(a_)?r[456]_?[a-z_]*"
CASES = "(a_blank|a|b|c)"
NAMES = {
    "cyclegan_ir": r"(?<![\w.])(slice|tiny|vol|train)(?=\.|_cycle_l1|_psnr_float)",
    "d2r_losses": rf"(?<=ffl_){LOSSES}|^{LOSSES}$",
    "emdiffuse": rf"^(test\d+|{SAMPLES})$|(?<=schedule\.)test\d+|(?<=output\.data\.){SAMPLES}",
    "fsim": r"^(waves|cells|noise)\d+_\w+$",
    "gauss2d": r"^(single|small|border|aniso|tiny_eps|opaque|signed|rgb|order|crowd|up1p5|up2_eps)(?=/|$)",
    "isovem": rf"(?<=[xy]_){CASES}(?=$|,)|(?<=inter\.){CASES}(?=\.)|^{CASES}$",
    "metrics": r"^[SMCPLBK]\d$|L2(?= true)|^F_\w+",
    "vemamba": r"^(model_paper|model_released|moco|selective_scan|scan_orders|inference)$|^(moco|scan|infer)(?=\.)",
}
INPUT = (
    r"(.*\.)?(input|state|units?)\..*|.*/(means|scales|rotations|opacities|colors|background|weight_\w+)|.*_(u8|norm)"
)


def names_of(case):
    return case.get("name", case.get("index", case.get("id"))) if isinstance(case, dict) else case


def thinned(facts, path, keep):
    """Keep some cases of the tables at a path; gives the names of the others."""
    key, *rest = path
    if rest:
        inside = facts.values() if key == "*" else [facts[key]] if key in facts else []
        return [name for part in inside for name in thinned(part, rest, keep)]
    cases = facts.get(key, [])
    kept = [case for i, case in enumerate(cases) if keep(i)]
    facts[key] = {name: cases[name] for name in kept} if isinstance(cases, dict) else kept
    return [names_of(case) for i, case in enumerate(cases) if not keep(i)]


def renamed(value, pattern):
    """A text, or every key and text of a JSON, with other names."""
    if isinstance(value, str):
        return re.sub(pattern, r"new_\g<0>", value)
    if isinstance(value, dict):
        return {renamed(key, pattern): renamed(inside, pattern) for key, inside in value.items()}
    return [renamed(inside, pattern) for inside in value] if isinstance(value, list) else value


def other_file(path, folder, *, keep=lambda number: True, holes=False, rename=False, more=False):
    """Write another golden file.

    Args:
        path: JSON of a golden file.
        folder: Where to write.
        keep: Whether the case of a number stays.
        holes: Leave out every second tensor that is compared with, cases stay listed.
        rename: Other names for cases, for the file, and another order.
        more: Add tensors, values, cases and a section that nothing knows.
    """
    golden = Golden(path)
    facts, tensors = golden.facts, dict(golden.tensors)
    for table, pattern in TABLES.get(golden.family, {}).items():
        for name in map(str, thinned(facts, table.split("."), keep)):
            gone = pattern and pattern.replace("{}", re.escape(name))
            tensors = {key: value for key, value in tensors.items() if not (gone and re.fullmatch(gone, key))}
    if holes:
        compared = sorted(name for name in tensors if not re.fullmatch(INPUT, name))
        tensors = {name: value for name, value in tensors.items() if name not in compared[::2]}
    if isinstance(facts.get("tensors"), dict):
        facts["tensors"] = {name: value for name, value in facts["tensors"].items() if name in tensors}
    name = golden.name
    if rename:
        name = f"{golden.family}_other" if sorted(FAMILIES).index(golden.family) % 2 else f"other_{name}"
        if pattern := NAMES.get(golden.family):
            facts, tensors = renamed(facts, pattern), {renamed(key, pattern): t for key, t in tensors.items()}
        facts = dict(reversed(facts.items()))
    if more:
        facts |= {"unknown_value": 1.5, "unknown_table": {"unknown_case": {"value": 2}}}
        if tensors:
            tensors["unknown.tensor"] = next(iter(tensors.values())).clone()
    (folder / f"{name}.json").write_text(json.dumps(facts))
    if tensors:
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, folder / f"{name}.safetensors")
