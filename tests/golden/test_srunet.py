"""SRUNet against tensors made with the authors' code. Sizes and tolerances come from the file."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.srunet.loss import weighted_error
from vemrecon.methods.srunet.network import SRUNetwork

FILES = golden_cases("srunet")
PARTS = {  # blocks of three convolutions by their first official name
    "conv1_1": "down1", "conv2_1": "down2", "conv3_1": "down3", "conv2_4": "up2", "conv1_4": "up1",
}  # fmt: skip


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def our_name(key):
    """`conv2_5.weight` is the second convolution of `up2`, `fracconv3.bias` is `enlarge3.bias`."""
    if found := re.fullmatch(r"conv(\d)_(\d)\.(\w+)", key):
        level, number, kind = found.groups()
        first = 1 if int(number) <= 3 else 4
        return f"{PARTS[f'conv{level}_{first}']}.{2 * (int(number) - first)}.{kind}"
    return key.replace("fracconv", "enlarge").replace("final_conv", "last")


@cache
def network(file):
    facts, tensors = loaded(file)
    net = SRUNetwork(facts["config"]["widths"])
    net.load_state_dict({our_name(key): tensors[f"state.{key}"] for key in facts["state"]})
    return net.eval()


def check(file, name, ours):
    facts, tensors = loaded(file)
    rule = facts["recommended_tolerance"]
    atol = rule["atol_per_tensor"].get(name, rule["atol_default"])
    torch.testing.assert_close(ours, tensors[name], rtol=rule["rtol"], atol=atol)


@pytest.mark.parametrize("file", FILES)
def test_network_and_its_enlarged_features_at_every_scale(file):
    facts, tensors = loaded(file)
    net = network(file)
    enlarging = [net.enlarge1, net.enlarge2, net.enlarge3, net.enlarge4]
    for scale in facts["config"]["up_scales"]:
        kept = {}

        def keep(module, _input, features, kept=kept):
            kept[module] = features

        hooks = [part.register_forward_hook(keep) for part in enlarging]
        with torch.no_grad():
            check(file, f"output.y_r{scale}", net(tensors[f"input.x_r{scale}"], scale))
        for hook in hooks:
            hook.remove()
        for number, part in enumerate(enlarging, start=1):
            if f"inter.frac{number}_r{scale}" in tensors:
                check(file, f"inter.frac{number}_r{scale}", kept[part])


@pytest.mark.parametrize("file", FILES)
def test_weighted_loss_equals_the_released_one(file):
    _, tensors = loaded(file)
    loss = weighted_error(tensors["input.loss_upsampled"], tensors["output.y_r8"], tensors["input.loss_target"])
    check(file, "output.weighted_loss", loss.reshape(1))


@pytest.mark.parametrize("file", FILES)
def test_published_widths_have_the_released_names_and_shapes(file):
    facts, _ = loaded(file)
    wanted = {our_name(key): tuple(shape) for key, shape in facts["full_size_state_shapes"].items()}
    net = SRUNetwork()
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == wanted
    assert sum(p.numel() for p in net.parameters()) == facts["full_size_parameter_count"] == 2_408_257
