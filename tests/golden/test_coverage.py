"""Every golden file of the folder is checked, and what is not is listed by name.

The counts are of this run: they mean something only after all other tests of the folder, so this module runs last.
"""

import fnmatch
import os

import pytest
from golden_files import UNSET, golden_files

FILES = pytest.mark.parametrize(
    "golden", golden_files() or [pytest.param(None, marks=pytest.mark.skip(reason=UNSET))], ids=str
)
# entries of the files that came with the project, by family and name
NOT_CHECKED = {
    "cyclegan_ir:train_step.1.loss_D_?R_*": "their sum is compared",
    "d2r_stage2:config.batch": "tiles are restored one by one",
    "flavr_backbone:full_size_parameter_counts.*": "our backbone is grey and has no bias in its encoder",
}


@FILES
def test_the_json_tells_what_is_in_the_tensor_file(golden):
    listed = golden.facts.get("tensors", {})
    if not listed and "state_parameter_count" not in golden:
        pytest.skip(f"{golden.path.name} lists no tensors")
    for name, facts in listed.items():
        shape = facts["shape"] if isinstance(facts, dict) else facts[1]
        assert name in golden.tensors
        assert list(golden.tensors[name].shape) == list(shape), name
    golden.comparisons += bool(listed)
    state = golden.tensors.keys() & {name for name in golden.tensors if name.startswith("state.")}
    golden.agree(("state_parameter_count",), sum(golden.tensors[name].numel() for name in state))


@FILES
def test_everything_in_the_file_is_compared_by_some_test(golden, whole_family):
    if golden.family is None:
        pytest.skip(f"not checked: {golden.path.name}, which no test knows")
    golden.comparisons += 1  # what is counted here are the comparisons of the others
    left = [name for name in golden.not_checked() if not known(golden, name)]
    if left and "VEMRECON_GOLDEN" in os.environ:
        pytest.skip(f"not checked in {golden.path.name}: {', '.join(left)}")
    assert not left


def known(golden, name):
    return any(fnmatch.fnmatchcase(f"{golden.family}:{name}", pattern) for pattern in NOT_CHECKED)
