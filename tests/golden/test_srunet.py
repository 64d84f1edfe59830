"""SRUNet against tensors made with the authors' code. Sizes and tolerances come from the file."""

import re
from functools import cache

import torch
from golden_files import cases, each

from vemrecon.methods.srunet.loss import weighted_error
from vemrecon.methods.srunet.network import SRUNetwork

FILES = each("srunet")
SCALES = cases("srunet", lambda golden: golden.listed("config", "up_scales"))
PARTS = {  # blocks of three convolutions by their first official name
    "conv1_1": "down1", "conv2_1": "down2", "conv3_1": "down3", "conv2_4": "up2", "conv1_4": "up1",
}  # fmt: skip


def our_name(key):
    """`conv2_5.weight` is the second convolution of `up2`, `fracconv3.bias` is `enlarge3.bias`."""
    if found := re.fullmatch(r"conv(\d)_(\d)\.(\w+)", key):
        level, number, kind = found.groups()
        first = 1 if int(number) <= 3 else 4
        return f"{PARTS[f'conv{level}_{first}']}.{2 * (int(number) - first)}.{kind}"
    return key.replace("fracconv", "enlarge").replace("final_conv", "last")


@cache
def network(golden):
    net = SRUNetwork(golden.fact("config", "widths"))
    net.load_state_dict({our_name(key): value for key, value in golden.below("state.").items()})
    return net.eval()


@SCALES
def test_network_and_its_enlarged_features_at_every_scale(golden, case):
    net, kept = network(golden), {}

    def keep(module, _input, features):
        kept[module] = features

    enlarging = [net.enlarge1, net.enlarge2, net.enlarge3, net.enlarge4]
    hooks = [part.register_forward_hook(keep) for part in enlarging]
    with torch.no_grad():
        golden.check(f"output.y_r{case}", net(golden.given(f"input.x_r{case}"), case))
    for hook in hooks:
        hook.remove()
    for number, part in enumerate(enlarging, start=1):
        golden.check(f"inter.frac{number}_r{case}", kept[part])


@FILES
def test_weighted_loss_equals_the_released_one(golden):
    upsampled, target = golden.given("input.loss_upsampled"), golden.given("input.loss_target")
    # of the first result of the network, which has the target's shape
    results = [found[0] for found in golden.matching(r"output\.y_r\d+")]
    of_its_shape = [name for name in results if golden.tensors[name].shape == target.shape]
    loss = weighted_error(upsampled, golden.given(of_its_shape[0] if of_its_shape else "output.y_r*"), target)
    golden.check("output.weighted_loss", loss.reshape(1))


@FILES
def test_published_widths_have_the_released_names_and_shapes(golden):
    net = SRUNetwork(golden.fact("full_size_config", "widths"))
    wanted = {our_name(key): tuple(shape) for key, shape in golden.expected_fact("full_size_state_shapes").items()}
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == wanted
    golden.agree(("full_size_parameter_count",), sum(p.numel() for p in net.parameters()))
