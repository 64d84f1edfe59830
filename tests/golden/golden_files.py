"""Golden files: a JSON with a tensor file beside it, what they hold, and what of it has been compared.

The folder is $VEMRECON_GOLDEN, or golden/ of $VEMRECON_SHARED. Which cases, names, sizes and tolerances exist is read
from the files while pytest collects, so that other files of the same keys give other tests. A test asks for what it
starts from by `given` and `fact`, and for what it compares with by `expected`, `check` and `agree`; both are noted,
and whatever nothing asked for is listed at the end as not checked.
"""

import json
import os
import re
from functools import cache, cached_property
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

UNSET = "set VEMRECON_GOLDEN or VEMRECON_SHARED to check golden files"
# a file belongs to the family whose name begins its own, or else to the one that has such a key
FAMILIES = {
    "cyclegan_ir": ("slice_cycle_l1", "train_step", "vol_psnr_float_clipped"),
    "d2r_losses": ("config.ffl_variants",),
    "d2r_stage2": ("config.tile_zyx",),
    "degradation": ("noise_variance_gain",),
    "emdiffuse": ("config.unet", "data_samples"),
    "flavr_backbone": ("config.joinType",),
    "fsim": ("degenerate", "max_float32_deviation"),
    "gauss2d": ("conventions.render_scale",),
    "irsde": ("sde", "config.enc_blk_nums", "config.nf"),
    "isovem": ("model_config", "unit_tolerances_absolute"),
    "metrics": ("pairs", "protocols", "segmentation", "baselines", "uncertainty", "cost"),
    "srunet": ("config.up_scales",),
    "vemamba": ("about.mid_names", "selective_scan", "moco"),
}
# keys of numbers that tell how a file was made, how exact it is, or what its tensors are: nothing of ours answers to
# them (tolerances are used, but nothing has to answer to all of them)
DESCRIPTION = re.compile(
    r"seeds?|schema|crop_zyx|scored_z|tensors|state|state_shapes|value_ranges?|\w+_value_range|\w+_stats|clipped_fraction|"
    r"network_term_std|discrimination|effect_of_mistakes\w*|tolerances?|\w+_tolerance|unit_tolerances_absolute|"
    r"recommended_\w+|\w*float32_(vs|and)_float64\w*|max_float32_deviation|half_precision_\w+"
)


class Golden:
    """One golden file: facts of its JSON, tensors beside it, and what tests have used and compared."""

    def __init__(self, path):
        self.path, self.name = path, path.stem
        self.facts = json.loads(path.read_text())
        self.used, self.compared, self.put_off = set(), set(), set()  # names of tensors, and paths in the JSON
        self.comparisons, self.missing = 0, []

    def __repr__(self):
        return self.name

    @cached_property
    def tensors(self):
        beside = self.path.with_suffix(".safetensors")
        return load_file(beside) if beside.exists() else {}

    @cached_property
    def family(self):
        """Name in FAMILIES, or None."""
        named = [family for family in FAMILIES if re.fullmatch(rf"{family}(_.*)?", self.name)]
        known = [family for family, keys in FAMILIES.items() if any(key in self for key in keys)]
        return next(iter([*named, *known]), None)

    def __contains__(self, name):
        """Whether there is a tensor of this name, or a fact at this path (a tuple, or keys joined by points)."""
        path = name if isinstance(name, tuple) else tuple(name.split("."))
        return name in self.tensors or self._at(path) is not None

    def _at(self, path):
        found = self.facts
        for key in path:
            inside = isinstance(found, dict) and key in found
            inside |= isinstance(found, list) and isinstance(key, int) and key < len(found)
            if not inside:
                return None
            found = found[key]
        return found

    # what a test starts from

    def fact(self, *path):
        """A parameter; the test is skipped where the JSON has none."""
        return self._fact(path, self.used)

    def listed(self, *path):
        """Names of the parts of a table, or a list of parameters; none where the JSON has no such thing."""
        found = self._at(path) or []
        if isinstance(found, list) and not any(isinstance(item, dict) for item in found):
            self._note(path, self.used)
        return list(found)

    def given(self, name):
        """A tensor to start from; the test is skipped where the file has none."""
        return self._tensor(name, self.used)

    def numbers(self, pattern, *path):
        """Numbers that a text of the JSON states; the test is skipped where it is put in other words."""
        text = self.fact(*path)
        if (found := re.search(pattern, text)) is None:
            pytest.skip(f"{self.path.name}: not understood: {text}")
        return [float(number) for number in found.groups()]

    def below(self, prefix):
        """Tensors to start from whose names begin with a prefix, without it; the test is skipped if there is none."""
        found = {name: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
        if not found:
            pytest.skip(f"{self.name}.safetensors has no '{prefix}*'")
        self.used |= found.keys()
        return {name.removeprefix(prefix): tensor for name, tensor in found.items()}

    # what a test compares with

    def expected(self, name):
        """A tensor to compare with; the test is skipped where the file has none."""
        return self._tensor(name, self.compared)

    def expected_fact(self, *path):
        """A value of the JSON to compare with; the test is skipped where it has none."""
        return self._fact(path, self.compared)

    def check(self, name, ours, atol=None, rtol=0.0):
        """Compare with a tensor, if the file has it, within a tolerance or that which the file recommends for it."""
        if name not in self.tensors:
            self.missing.append(name)
            return
        if atol is None:
            rule = self.fact("recommended_tolerance")
            rtol, atol = rule["rtol"], rule["atol_per_tensor"].get(name, rule["atol_default"])
        wanted, ours = self.expected(name).double(), torch.as_tensor(ours).detach().cpu().double()
        torch.testing.assert_close(ours, wanted, rtol=rtol, atol=atol, msg=lambda text: f"{self.name}: {name}: {text}")

    def agree(self, path, ours, rel=0.0, abs=0.0):
        """Compare with a value of the JSON, if it is there."""
        if self._at(path) is None:
            self.missing.append(".".join(map(str, path)))
            return
        wanted = self.expected_fact(*path)
        exact = rel == abs == 0
        assert ours == (wanted if exact else pytest.approx(wanted, rel=rel, abs=abs)), f"{self.name}: {path}"

    # names

    def matching(self, pattern):
        """Every match of a pattern with a whole tensor name."""
        return [found for name in self.tensors if (found := re.fullmatch(pattern, name))]

    def not_checked(self):
        """Tensors and facts that no test used or compared, as `name` and `key.key`."""
        seen = self.used | self.compared | self.put_off
        paths = {path[:length] for path in seen if isinstance(path, tuple) for length in range(1, len(path) + 1)}
        whole = {path for path in seen if isinstance(path, tuple)}
        found = [name for name in self.tensors if name not in seen]
        return found + [".".join(map(str, path)) for path in unseen(self.facts, whole, paths)]

    def _fact(self, path, noted):
        value = self._at(path)
        if value is None:
            pytest.skip(f"{self.path.name} has no '{'.'.join(map(str, path))}'")
        self._note(path, noted)
        return value

    def _tensor(self, name, noted):
        if name not in self.tensors:
            pytest.skip(f"{self.name}.safetensors has no '{name}'")
        self._note(name, noted)
        return self.tensors[name]

    def _note(self, entry, noted):
        noted.add(entry)
        self.comparisons += noted is self.compared


def unseen(facts, whole, parts, path=()):
    """Paths of a JSON that are neither in `whole`, nor below one there, nor a description; short ones if nothing below
    them is in `parts`.
    """
    items = facts.items() if isinstance(facts, dict) else enumerate(facts)
    for key, value in items:
        here = (*path, key)
        text = isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        if here in whole or value is None or text or DESCRIPTION.fullmatch(str(key)):
            continue
        nested = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
        inside = list(unseen(value, whole, parts, here)) if nested else [here]
        if inside and (here in parts or not path):
            yield from inside
        elif inside:
            yield here


def golden_folder():
    """The folder of golden files, or None."""
    if "VEMRECON_GOLDEN" in os.environ:
        return Path(os.environ["VEMRECON_GOLDEN"])
    if "VEMRECON_SHARED" in os.environ:
        return Path(os.environ["VEMRECON_SHARED"]) / "golden"
    return None


@cache
def golden_files():
    """Every golden file of the folder."""
    folder = golden_folder()
    return [Golden(path) for path in sorted(folder.glob("*.json"))] if folder else []


def of_family(family):
    return [golden for golden in golden_files() if golden.family == family]


def each(family, having=None):
    """Parametrises a test by `golden`: every file of a family, or those that have a key."""
    files = [golden for golden in of_family(family) if having is None or having in golden]
    found = [pytest.param(golden, id=golden.name) for golden in files]
    return pytest.mark.parametrize("golden", found or [none_of(family, having)])


def cases(family, expand, slow=lambda golden, case: False):
    """Parametrises a test by `golden` and `case`: whatever `expand(golden)` finds, a list, or cases by their ids."""
    found = []
    for golden in of_family(family):
        inside = expand(golden)
        inside = inside if isinstance(inside, dict) else {title(case): case for case in inside}
        for name, case in inside.items():
            marks = [pytest.mark.slow] if slow(golden, case) else []
            found.append(pytest.param(golden, case, id=f"{golden.name}-{name}", marks=marks))
    return pytest.mark.parametrize(("golden", "case"), found or [none_of(family, "such case", None)])


def title(case):
    return "-".join(map(str, case)) if isinstance(case, tuple) else str(case)


def none_of(family, what, *more):
    """Stands where a family has no file, or none of what a test is about in its files."""
    files = [golden.path.name for golden in of_family(family)]
    reason = f"no {what} in {', '.join(files)}" if files else f"no {family} golden file in {golden_folder()}"
    mark = pytest.mark.skip(reason=reason if golden_folder() else UNSET)
    return pytest.param(None, *more, marks=mark, id=f"no {family}")
