"""IRSDE against tensors of the original code: schedules, diffusion, samplers, both noise networks. See irsde*.json."""

import re
from functools import cache

import pytest
import torch
from golden_files import cases, each
from irsde_noise import noise_of

from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.irsde.diffusion import (
    forward_mean,
    forward_state,
    matching_loss,
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

FILES, SDE = each("irsde"), each("irsde", having="sde")
# modules of the intermediate values, by their names in the files; numbered parts in the order of the network
PLACES = {
    r"time_emb": "time_mlp",
    r"(intro|enhance|init_conv|final_res_block|mid_\w+)": r"\1",
    r"first_block": "encoders.0.0",
    r"encoder(\d+)": r"encoders.\1",
    r"middle": "middle_blks",
    r"up(\d+)": r"ups.\1",
    r"decoder(\d+)": r"decoders.\1",
    r"(down|up)(\d+)_block1": r"\1s.\2.0",
    r"(down|up)(\d+)_block2": r"\1s.\2.1",
    r"(down|up)(\d+)_attn": r"\1s.\2.2",
    r"(down|up)(\d+)_out": r"\1s.\2.3",
}


def options(config):
    """Arguments of our network for those of the original one."""
    if "nf" in config:
        return UNet, {"width": config["nf"], "depth": config["depth"]}
    names = {"encoder": "enc_blk_nums", "middle": "middle_blk_num", "decoder": "dec_blk_nums", "width": "width"}
    return NAFNet, {ours: config[theirs] for ours, theirs in names.items()}


@cache
def network(golden):
    kind, arguments = options(golden.fact("config"))
    net = kind(**arguments)
    net.load_state_dict(from_released(golden.below("state.")))
    return net.eval()


def check(golden, name, ours):
    """Compare, in the shape of the file."""
    wanted = golden.tensors.get(name)
    golden.check(name, torch.as_tensor(ours).reshape(-1 if wanted is None else wanted.shape))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@FILES
def test_arguments_of_the_network_are_read_off_its_weights(golden):
    kind, arguments = options(golden.expected_fact("config"))
    found = network_options(golden.below("state."))
    assert found.pop("network") == kind.__name__.lower()
    assert found == {key: list(value) if isinstance(value, list | tuple) else value for key, value in arguments.items()}


def schedule(golden, levels=None, kind=None):
    sde = golden.fact("sde")
    return make_schedule(kind or sde["schedule"], levels or sde["T"], sde["max_sigma"], sde["eps"])


@cases("irsde", lambda golden: sorted({found[1] for found in golden.matching(r"schedule\.(\w+_T\d+)\.\w+")}))
def test_schedules(golden, case):
    kind, levels = case.split("_T")
    made = schedule(golden, int(levels), kind)
    golden.agree(("sde", "max_sigma_scaled"), made.delta, rel=1e-6)
    ours = {"thetas": made.thetas, "sigmas": made.delta * (2 * made.thetas).sqrt(), "thetas_cumsum": made.cumulative}
    ours |= {"sigma_bars": made.noise_level(torch.arange(made.levels + 1)), "dt": made.dt}
    for what, values in ours.items():
        check(golden, f"schedule.{case}.{what}", values)


def place(net, name):
    """The module of an intermediate value; of a list of modules the last."""
    for pattern, path in PLACES.items():
        if found := re.fullmatch(pattern, name):
            module = net.get_submodule(found.expand(path))
            return module[-1] if isinstance(module, torch.nn.ModuleList) else module
    return None


@FILES
def test_noise_networks_and_what_is_inside(golden):
    net, seen, handles = network(golden), {}, []
    names = [found[1] for found in golden.matching(r"inter\.(\w+)")]
    for name, module in ((name, place(net, name)) for name in names):

        def keep(module, inputs, output, name=name):
            seen[name] = output

        if module is not None:
            handles.append(module.register_forward_hook(keep))
    state = golden.given("input.x_t" if "input.x_t" in golden else "output.forward_state")
    mean = golden.given("input.mu")
    found = net(state, mean, golden.given("input.timesteps"))
    for handle in handles:
        handle.remove()

    check(golden, "output.noise_pred", found)
    for name, value in seen.items():
        check(golden, f"inter.{name}", value)
    for whole in golden.matching(r"output\.noise_pred_int_t(\d+)"):
        check(golden, whole[0], net(state, mean, int(whole[1])))


@FILES
def test_full_networks_have_the_published_names_shapes_and_number_of_parameters(golden):
    kind, arguments = options(golden.fact("full_size_config"))
    with torch.device("meta"):
        net = kind(**arguments)
    golden.agree(("full_size_parameter_count",), sum(p.numel() for p in net.parameters()))
    golden.agree(("state_parameter_count",), sum(p.numel() for p in network(golden).parameters()))
    wanted = {our_name(name): shape for name, shape in golden.expected_fact("full_size_state_shapes").items()}
    assert {name: list(value.shape) for name, value in net.state_dict().items()} == wanted


@each("irsde", having="row_factor_of_lr")
def test_interpolation_of_the_release_is_ours_on_a_centred_grid(golden):
    observed = golden.given("input.lr")
    weights = interpolation_matrix(
        "cubic_a-0.75", observed.shape[2], SectionGrid.slabs(golden.fact("row_factor_of_lr"))
    )
    check(golden, "input.mu", torch.from_numpy(weights).float() @ observed)


@SDE
def test_forward_states_score_and_loss(golden):
    made, net = schedule(golden), network(golden)
    x0, mu, level = (golden.given(f"input.{name}") for name in ("x0", "mu", "timesteps"))
    noise = golden.given("input.forward_noise")
    state = forward_state(made, x0, mu, level, noise)
    check(golden, "output.forward_mean", forward_mean(made, x0, mu, level))
    check(golden, "output.forward_state", state)
    check(golden, "output.true_noise", noise_of(made, state, x0, mu, level))
    found = net(state, mu, level)
    check(golden, "output.score", -found / made.noise_level(level).float().reshape(-1, 1, 1, 1))
    check(golden, "output.reverse_mean", reverse_mean(made, state, mu, found, level, level - 1))
    check(golden, "output.reverse_optimum", optimal_state(made, state, x0, mu, level, level - 1))
    check(golden, "output.ml_loss", matching_loss(made, net, x0, mu, level, noise))


def terminal(golden, made):
    return start_state(made, golden.given("input.mu"), lambda step: {START: golden.given("input.terminal_noise")}[step])


@SDE
def test_the_state_that_sampling_starts_from(golden):
    check(golden, "output.terminal_state", terminal(golden, schedule(golden)))


@cases("irsde", lambda golden: sorted({found[1] for found in golden.matching(r"input\.step_noise_(\w+)_\d+")}))
def test_single_steps_follow_each_other(golden, case):
    """High ones from the start, low ones from the state of a training step; both of the default sampler."""
    made, net, mu = schedule(golden), network(golden), golden.given("input.mu")
    infix = "lo_" if case == "lo" else ""
    noises = golden.matching(rf"input\.step_noise_{case}_\d+")
    known = [int(found[1]) for found in golden.matching(rf"output\.sde_step_{infix}t(\d+)")]
    first = made.levels if case == "hi" else max(known, default=0)
    if case != "hi" and first - min(known, default=0) + 1 != len(noises):
        pytest.skip(f"{golden.path.name} does not tell where the steps of '{case}' begin")
    state = golden.given("output.forward_state") if case == "lo" else terminal(golden, made)
    for i, level in enumerate(range(first, first - len(noises), -1)):
        noise = golden.given(f"input.step_noise_{case}_{i}")
        state = step_back(made, net, state, mu, level, level - 1, "sde", lambda step, noise=noise: noise)
        check(golden, f"output.sde_step_{infix}t{level}", state)


@cases("irsde", lambda golden: [found.groups() for found in golden.matching(r"output\.(ode|posterior)_step_t(\d+)")])
def test_single_steps_of_the_other_samplers(golden, case):
    sampler, level = case[0], int(case[1])
    made, mu = schedule(golden), golden.given("input.mu")
    noise = golden.given("input.step_noise_hi_0") if sampler == "posterior" else None
    start = terminal(golden, made)
    found = step_back(made, network(golden), start, mu, level, level - 1, sampler, lambda step: noise)
    check(golden, f"output.{sampler}_step_t{level}", found)


@cases("irsde", lambda golden: [int(found[1]) for found in golden.matching(r"output\.posterior_std_T(\d+)")])
def test_spread_of_posterior_steps(golden, case):
    made = schedule(golden, case)
    found = [optimal_spread(made, level, level - 1) for level in range(1, case + 1)]
    check(golden, f"output.posterior_std_T{case}", found)


def sampled(golden, made, denoiser, state, mean, sampler, first, noises):
    """All steps from a level down to 0."""
    for level in range(first, 0, -1):
        noise = noises[first - level]
        state = step_back(made, denoiser, state, mean, level, level - 1, sampler, lambda step, noise=noise: noise)
    return state


@cases("irsde", lambda golden: [found.groups() for found in golden.matching(r"output\.([a-z]+)_chain_T(\d+)")])
def test_chains_of_every_sampler(golden, case):
    sampler, levels = case[0], int(case[1])
    made, state = schedule(golden, levels), golden.given("output.forward_state")
    first, noises = golden.fact("sde", "chain_start"), golden.given("input.chain_noise")
    state = sampled(golden, made, network(golden), state, golden.given("input.mu"), sampler, first, noises)
    check(golden, f"output.{sampler}_chain_T{levels}", state)


@cases("irsde", lambda golden: [found.groups() for found in golden.matching(r"output\.oracle_([a-z]+)_T(\d+)")])
def test_a_perfect_noise_network_leads_back_to_the_section(golden, case):
    sampler, levels = case[0], int(case[1])
    made, start = schedule(golden, levels), golden.given("input.oracle_terminal_noise")
    inside = tuple(slice(n) for n in start.shape)
    x0, mu = (golden.given(name)[inside] for name in ("input.x0", "input.mu"))

    def oracle(state, mean, level):
        return noise_of(made, state, x0, mean, level)

    state = start_state(made, mu, lambda step: start)
    check(golden, "output.oracle_terminal", state)
    state = sampled(golden, made, oracle, state, mu, sampler, levels, golden.given("input.oracle_noise"))
    check(golden, f"output.oracle_{sampler}_T{levels}", state)


@cases("irsde", lambda golden: [int(found[1]) for found in golden.matching(r"output\.optimal_full_T(\d+)")])
def test_optimal_states_end_at_the_section(golden, case):
    made, state = schedule(golden, case), golden.given("output.terminal_state")
    for level in range(case, 0, -1):
        state = optimal_state(made, state, golden.given("input.x0"), golden.given("input.mu"), level, level - 1)
    check(golden, f"output.optimal_full_T{case}", state)
