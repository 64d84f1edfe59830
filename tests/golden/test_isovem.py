"""The network of IsoVEM and its gradients against tensors made with the authors' code, as the files tell."""

import re

import pytest
import torch
from golden_files import cases, each
from isovem_golden import network, state_of, tolerance

from vemrecon.methods.isovem.network import IsoVEMNet
from vemrecon.methods.isovem.released import (
    load_released,
    released_config,
    released_key,
    released_names,
    to_released,
)
from vemrecon.methods.isovem.resampling import shuffle_factor
from vemrecon.nets.losses import l1_ssim_loss
from vemrecon.nets.window_block import WindowBlock

FILES = each("isovem")


def cases_named(golden, having="output"):
    """Cases of the whole network by their names."""
    listed = {case["name"]: i for i, case in enumerate(golden.listed("cases")) if having in case}
    return {name: (name, ("cases", i)) for name, i in listed.items()}


def captured(net, key, channels_last):
    """Hook that stores the output of the module with an official name, in the layout of the file."""
    doublings = len(net.upsampler.doublings)
    for name, module in net.named_modules():
        if name and released_key(f"{name}.", doublings).removesuffix(".") == key:
            return hooked(module, channels_last)
    return [], None


def hooked(module, channels_last):
    store = []

    def keep(module, _input, y):  # convolutions give (b * frames, c, h, w), everything else (b, d, h, w, c)
        store.append(y if channels_last or isinstance(module, torch.nn.Conv2d) else y.movedim(-1, 1))

    return store, module.register_forward_hook(keep)


def official_module(name):
    """`stage1.group1.block1` of the file's intermediate names is `stage1.residual_group1.blocks.1` of the code."""
    return re.sub(r"\bblock(\d+)", r"blocks.\1", re.sub(r"\bgroup(\d)", r"residual_group\1", name))


@cases("isovem", cases_named)
def test_network_outputs_and_intermediates_in_float32(golden, case):
    name, path = case
    net, facts = network(golden), golden.fact(*path)
    video = golden.given(facts["input"])
    hooks = {}
    for inter in facts.get("intermediates", {}):
        key = inter.removeprefix(f"inter.{name}.")
        hooks[inter] = captured(net, official_module(key), bool(re.search(r"block\d+$", key)))
    with torch.no_grad():
        ours = net(video, facts["current_scale"])
    golden.check(facts["output"], ours, atol=facts["recommended_atol_float32"])
    for inter, (store, handle) in hooks.items():
        if handle is None:  # a part that we do not have
            continue
        handle.remove()
        value = store[0] if store[0].dim() == 5 else store[0].unflatten(0, video.shape[:2]).transpose(1, 2)
        golden.check(inter, value, atol=facts["intermediates"][inter]["recommended_atol_float32"])


@cases("isovem", lambda golden: cases_named(golden, having="output_float64_run"))
def test_network_outputs_in_float64(golden, case):
    facts = golden.fact(*case[1])
    (atol,) = golden.numbers(r"atol ([\d.e-]+\d)", "tensor_names", "output_f64")
    with torch.no_grad():
        ours = network(golden, torch.float64)(golden.given(facts["input"]).double(), facts["current_scale"])
    golden.check(facts["output_float64_run"], ours, atol=atol)


@FILES
def test_released_weights_tell_their_configuration_and_round_trip(golden):
    state, config = state_of(golden), golden.expected_fact("model_config")
    found = released_config(state)
    assert found["upscale"] == shuffle_factor(config["upscale"])
    assert list(found["window_size"]) == list(config["window_size"])
    for key in ("in_chans", "out_chans", "embed_dims", "depths", "num_heads", "mlp_ratio", "qkv_bias"):
        assert found[key] == config[key], key
    again = to_released(load_released(state))
    assert again.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6 if "position_bias" in key else 0)


@FILES
def test_parameter_count_equals_the_released_network(golden):
    golden.agree(("parameter_count",), sum(p.numel() for p in network(golden).parameters()))


@each("isovem", having="default_x8_state_shapes")
def test_default_network_has_the_released_names_and_shapes(golden):
    ours = {key: list(value.shape) for key, value in to_released(IsoVEMNet()).items()}
    golden.agree(("default_x8_state_shapes",), ours)


@each("isovem", having="default_stochastic_depth_per_block")
def test_stochastic_depth_rises_as_in_the_released_network(golden):
    net = IsoVEMNet()
    blocks = {
        released_key(f"{name}.norm1.bias", 3).removesuffix(".norm1.bias"): module.drop_path.rate
        for name, module in net.named_modules()
        if isinstance(module, WindowBlock)
    }
    golden.agree(("default_stochastic_depth_per_block",), blocks, abs=1e-6)


@each("isovem", having="approximate_power_of_two_scale")
def test_row_shuffle_is_the_nearest_power_of_two(golden):
    for scale in golden.listed("approximate_power_of_two_scale"):
        golden.agree(("approximate_power_of_two_scale", scale), shuffle_factor(float(scale)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@each("isovem", having=("units", "unit.grad"))
def test_loss_and_gradients_equal_the_released_network(golden, dtype):
    where = ("units", "unit.grad")
    text, net = golden.fact(*where, "case"), network(golden, dtype)
    (scale,) = golden.numbers(r"scale ([\d.]+)", *where, "case")
    video = golden.given(re.match(r"[\w.]+", text)[0]).to(dtype)
    net.zero_grad()
    loss = l1_ssim_loss(net(video, scale), golden.given("unit.grad.target").to(dtype))
    loss.backward()

    # The reference rounds its window to float32 in float64 runs too, which moves the loss by 4e-7.
    allowed = tolerance(golden, "unit.loss.total")
    golden.agree((*where, "loss_float64" if dtype == torch.float64 else "loss"), loss.item(), abs=allowed)
    golden.check("unit.grad.loss", loss.reshape(1), atol=allowed)
    words = tolerance(golden, "unit.grad.d_any")
    noise, share = (float(number) for number in re.fullmatch(r"([\d.]+) x .*, or ([\d.e-]+) x .*", words).groups())
    parameters, names = dict(net.named_parameters()), released_names(net)
    for name, entry in golden.fact(*where, "grads").items():
        gradient = parameters[names[name]].grad.reshape(golden.given(f"unit.grad.d_{name}").shape)
        atol = max(noise * entry["max_abs_diff_float32_vs_float64"], share * entry["max_abs"])
        golden.check(f"unit.grad.d_{name}", gradient, atol=atol)
