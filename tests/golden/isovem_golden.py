"""Reading the golden files of IsoVEM: the network with the weights of a file, and the tolerances of its units."""

import fnmatch
from functools import cache

import pytest
import torch

from vemrecon.methods.isovem.network import IsoVEMNet
from vemrecon.methods.isovem.released import from_released


def state_of(golden):
    return golden.below(golden.fact("tensor_names", "state").split("<")[0])


@cache
def network(golden, dtype=torch.float32):
    config = {key: value for key, value in golden.fact("model_config").items() if key != "img_size"}
    net = IsoVEMNet(**config)
    net.load_state_dict(from_released(state_of(golden), net))
    return net.to(dtype).eval()


def tolerance(golden, name):
    """Absolute tolerance of a unit tensor, or the words in which the file describes it."""
    for patterns, value in golden.fact("unit_tolerances_absolute").items():
        if any(fnmatch.fnmatchcase(name, pattern.strip()) for pattern in patterns.split(",")):
            return {"one grey level": 1}.get(value, value)
    return pytest.skip(f"{golden.path.name} states no tolerance of {name}")
