"""IRSDE against tensors of the original code: schedules, diffusion, samplers, both noise networks. See irsde*.json."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.irsde.diffusion import (
    forward_mean,
    forward_state,
    matching_loss,
    noise_of,
    optimal_spread,
    optimal_state,
    reverse_mean,
)
from vemrecon.methods.irsde.nafnet import NAFNet
from vemrecon.methods.irsde.released import from_released, network_options, our_name
from vemrecon.methods.irsde.samplers import START, start_state, step_back
from vemrecon.methods.irsde.schedule import make_schedule
from vemrecon.methods.irsde.unet import UNet
from vemrecon.volume import SectionGrid

FILES = golden_cases("irsde")
NAFNET = [case for case in FILES if case.id == "irsde"]
EVERY = range(100, 0, -1)


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def options(config):
    """Arguments of our network for those of the original one."""
    if "nf" in config:
        return UNet, {"width": config["nf"], "depth": config["depth"]}
    names = {"encoder": "enc_blk_nums", "middle": "middle_blk_num", "decoder": "dec_blk_nums", "width": "width"}
    return NAFNet, {ours: config[theirs] for ours, theirs in names.items()}


@cache
def network(file):
    facts, tensors = loaded(file)
    kind, arguments = options(facts["config"])
    net = kind(**arguments)
    state = {name.removeprefix("state."): value for name, value in tensors.items() if name.startswith("state.")}
    net.load_state_dict(from_released(state))
    return net.eval()


@pytest.mark.parametrize("file", FILES)
def test_arguments_of_the_network_are_read_off_its_weights(file):
    facts, tensors = loaded(file)
    kind, arguments = options(facts["config"])
    state = {name.removeprefix("state."): value for name, value in tensors.items() if name.startswith("state.")}
    found = network_options(state)
    assert found.pop("network") == kind.__name__.lower()
    assert found == {key: list(value) if isinstance(value, list | tuple) else value for key, value in arguments.items()}


@cache
def schedule(file, levels=100, kind=None):
    sde = loaded(file)[0]["sde"]
    return make_schedule(kind or sde["schedule"], levels, sde["max_sigma"], sde["eps"])


def check(file, name, ours):
    facts, tensors = loaded(file)
    rule = facts["recommended_tolerance"]
    atol = rule["atol_per_tensor"].get(name, rule["atol_default"])
    wanted = tensors[name]
    ours = torch.as_tensor(ours).detach().float().reshape(wanted.shape)
    torch.testing.assert_close(ours, wanted, rtol=rule["rtol"], atol=atol, msg=lambda text: f"{name}: {text}")


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", ["cosine_T100", "linear_T100", "constant_T100", "cosine_T10"])
@pytest.mark.parametrize("file", NAFNET)
def test_schedules(file, name):
    kind, levels = name.split("_T")
    made = schedule(file, int(levels), kind)
    assert made.delta == pytest.approx(loaded(file)[0]["sde"]["max_sigma_scaled"])
    ours = {"thetas": made.thetas, "sigmas": made.sigmas, "thetas_cumsum": made.cumulative}
    for what, values in {**ours, "sigma_bars": made.sigma_bars, "dt": made.dt}.items():
        check(file, f"schedule.{name}.{what}", values)
    levels = torch.arange(made.levels + 1)
    torch.testing.assert_close(made.noise_level(levels), made.sigma_bars)


INTERMEDIATES = {
    "irsde": {
        "time_emb": "time_mlp",
        "intro": "intro",
        "enhance": "enhance",
        "first_block": "encoders.0.0",
        "encoder0": "encoders.0.1",
        "encoder1": "encoders.1.0",
        "encoder2": "encoders.2.0",
        "middle": "middle_blks.0",
        **{f"up{i}": f"ups.{i}" for i in range(3)},
        **{f"decoder{i}": f"decoders.{i}.0" for i in range(3)},
    },
    "irsde_unet": {
        "init_conv": "init_conv",
        "time_emb": "time_mlp",
        "down0_block1": "downs.0.0",
        "down0_attn": "downs.0.2",
        "mid_attn": "mid_attn",
        "mid_block2": "mid_block2",
        "up0_out": "ups.0.3",
        "final_res_block": "final_res_block",
    },
}


@pytest.mark.parametrize("file", FILES)
def test_noise_networks_and_what_is_inside(file):
    _, tensors = loaded(file)
    net, seen, handles = network(file), {}, []
    for name, module in INTERMEDIATES[file.stem].items():

        def keep(module, inputs, output, name=name):
            seen[name] = output

        handles.append(net.get_submodule(module).register_forward_hook(keep))
    state = tensors["input.x_t" if "input.x_t" in tensors else "output.forward_state"]
    found = net(state, tensors["input.mu"], tensors["input.timesteps"])
    for handle in handles:
        handle.remove()

    check(file, "output.noise_pred", found)
    for name in (n.removeprefix("inter.") for n in tensors if n.startswith("inter.")):
        check(file, f"inter.{name}", seen[name])
    (whole,) = (n for n in tensors if n.startswith("output.noise_pred_int_t"))
    check(file, whole, net(state, tensors["input.mu"], int(re.search(r"\d+$", whole)[0])))


@pytest.mark.parametrize("file", FILES)
def test_full_networks_have_the_published_names_shapes_and_number_of_parameters(file):
    facts, _ = loaded(file)
    kind, arguments = options(facts["full_size_config"])
    with torch.device("meta"):
        net = kind(**arguments)
    assert sum(p.numel() for p in net.parameters()) == facts["full_size_parameter_count"]
    wanted = {our_name(name): shape for name, shape in facts["full_size_state_shapes"].items()}
    assert {name: list(value.shape) for name, value in net.state_dict().items()} == wanted
    assert sum(p.numel() for p in network(file).parameters()) == facts["state_parameter_count"]


@pytest.mark.parametrize("file", NAFNET)
def test_interpolation_of_the_release_is_ours_on_a_centred_grid(file):
    facts, tensors = loaded(file)
    observed = tensors["input.lr"]
    weights = interpolation_matrix("cubic_a-0.75", observed.shape[2], SectionGrid.slabs(facts["row_factor_of_lr"]))
    check(file, "input.mu", torch.from_numpy(weights).float() @ observed)


@pytest.mark.parametrize("file", NAFNET)
def test_forward_states_score_and_loss(file):
    _, tensors = loaded(file)
    made, net = schedule(file), network(file)
    x0, mu, level = tensors["input.x0"], tensors["input.mu"], tensors["input.timesteps"]
    noise = tensors["input.forward_noise"]
    state = forward_state(made, x0, mu, level, noise)
    check(file, "output.forward_mean", forward_mean(made, x0, mu, level))
    check(file, "output.forward_state", state)
    check(file, "output.true_noise", noise_of(made, state, x0, mu, level))
    found = net(state, mu, level)
    check(file, "output.score", -found / made.noise_level(level).float().reshape(-1, 1, 1, 1))
    check(file, "output.reverse_mean", reverse_mean(made, state, mu, found, level, level - 1))
    check(file, "output.reverse_optimum", optimal_state(made, state, x0, mu, level, level - 1))
    check(file, "output.ml_loss", matching_loss(made, net, x0, mu, level, noise))


@pytest.mark.parametrize("file", NAFNET)
def test_single_steps_of_every_sampler(file):
    _, tensors = loaded(file)
    made, net, mu = schedule(file), network(file), tensors["input.mu"]
    start = start_state(made, mu, lambda step: {START: tensors["input.terminal_noise"]}[step])
    check(file, "output.terminal_state", start)
    for kind, first, state in (("hi", 100, start), ("lo", 3, tensors["output.forward_state"])):
        for i, level in enumerate(range(first, first - 3, -1)):
            noise = tensors[f"input.step_noise_{kind}_{i}"]
            state = step_back(made, net, state, mu, level, level - 1, "sde", lambda step, noise=noise: noise)
            check(file, f"output.sde_step_{'lo_' if kind == 'lo' else ''}t{level}", state)
    for sampler in ("ode", "posterior"):
        found = step_back(made, net, start, mu, 100, 99, sampler, lambda step: tensors["input.step_noise_hi_0"])
        check(file, f"output.{sampler}_step_t100", found)
    check(file, "output.posterior_std_T100", [optimal_spread(made, level, level - 1) for level in range(1, 101)])


@pytest.mark.parametrize("sampler", ["sde", "ode", "posterior"])
@pytest.mark.parametrize("file", NAFNET)
def test_chains_of_every_sampler(file, sampler):
    facts, tensors = loaded(file)
    first = facts["sde"]["chain_start"]
    made, state = schedule(file, facts["sde"]["T_short"]), tensors["output.forward_state"]
    for level in range(first, 0, -1):
        noise = tensors["input.chain_noise"][first - level]
        state = step_back(
            made, network(file), state, tensors["input.mu"], level, level - 1, sampler, lambda step, noise=noise: noise
        )
    check(file, f"output.{sampler}_chain_T10", state)


@pytest.mark.parametrize("sampler", ["sde", "ode", "posterior"])
@pytest.mark.parametrize("file", NAFNET)
def test_a_perfect_noise_network_leads_back_to_the_section(file, sampler):
    _, tensors = loaded(file)
    made = schedule(file)
    x0, mu = (tensors[name][:1, :, :12, :16] for name in ("input.x0", "input.mu"))

    def oracle(state, mean, level):
        return noise_of(made, state, x0, mean, level)

    state = start_state(made, mu, lambda step: tensors["input.oracle_terminal_noise"])
    check(file, "output.oracle_terminal", state)
    for level in EVERY:
        noise = tensors["input.oracle_noise"][100 - level]
        state = step_back(made, oracle, state, mu, level, level - 1, sampler, lambda step, noise=noise: noise)
    check(file, f"output.oracle_{sampler}_T100", state)


@pytest.mark.parametrize("file", NAFNET)
def test_optimal_states_end_at_the_section(file):
    _, tensors = loaded(file)
    made, state = schedule(file), tensors["output.terminal_state"]
    for level in EVERY:
        state = optimal_state(made, state, tensors["input.x0"], tensors["input.mu"], level, level - 1)
    check(file, "output.optimal_full_T100", state)
