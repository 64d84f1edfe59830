"""vEMDiffuse and DiffuseIR against tensors of the original code: network, schedules, losses, steps, data. See
emdiffuse.json.
"""

from functools import cache

import numpy as np
import pytest
import torch
from golden_files import cases, each

from vemrecon.methods.emdiffuse.blur import blurred
from vemrecon.methods.emdiffuse.diffusion import clean, difficulty_loss, noisy, ranking_loss, signed
from vemrecon.methods.emdiffuse.gaps import SIGMA, turned
from vemrecon.methods.emdiffuse.layers import waves
from vemrecon.methods.emdiffuse.method import TRAINING
from vemrecon.methods.emdiffuse.released import load_released, network_state
from vemrecon.methods.emdiffuse.samplers import ancestral, ancestral_step, posterior_mean
from vemrecon.methods.emdiffuse.schedule import linear_schedule
from vemrecon.methods.emdiffuse.unet import NoiseUNet
from vemrecon.methods.lateral_diffusion.replacement import inverted, replaced, respaced, step_back, undone, visits

FILES, DIFFUSEIR = each("emdiffuse"), each("emdiffuse", having="diffuseir")
PUBLISHED = {"n_timestep": 2000, "linear_start": 1e-6, "linear_end": 0.01}  # schedule of vEMDiffuse's training
NUMBER = r"([\d.e-]*\d)"


def rule(golden, kind):
    return float(golden.fact("tolerance", "recommended", f"atol_{kind}"))


def check(golden, name, ours, atol, rtol=1e-4):
    """Compare, in the shape of the file."""
    wanted = golden.tensors.get(name)
    golden.check(name, torch.as_tensor(ours).reshape(-1 if wanted is None else wanted.shape), atol, rtol)


def unet(config, **more):
    names = ("in_channel", "inner_channel", "channel_mults", "res_blocks", "attn_res", "num_head_channels")
    return NoiseUNet(*(config[name] for name in names), **more)


@cache
def network(golden):
    config = golden.fact("config")  # what else it says are the sizes of the inputs
    net = unet(config["unet"], variance=True)
    net.load_state_dict(golden.below("state."))
    return net.eval()


def denoiser(golden, condition, layer):
    """Noise in states of one batch of sections."""

    def denoise(state, gamma):
        level = state.new_full((len(state),), gamma)
        return network(golden)(torch.cat([condition, state], dim=1), level, layer)

    return denoise


def schedule_of(facts):
    return linear_schedule(facts["n_timestep"], facts["linear_start"], facts["linear_end"])


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


# network


@FILES
def test_codes_of_noise_levels_and_layers(golden):
    gamma, layer = golden.given("input.gamma").flatten(), golden.given("input.channel_index").flatten()
    width = golden.fact("config", "unet", "inner_channel")
    check(golden, "output.gamma_embedding", waves(gamma, width), atol=1e-6)
    check(golden, "output.channel_embedding", waves(layer, width), atol=1e-6)
    check(golden, "output.emb", network(golden).code(gamma, layer), atol=1e-5)


@FILES
def test_the_network_and_every_block_in_it(golden):
    net, seen, handles = network(golden), {}, []
    modules = dict(net.named_modules())
    for name in (found[1] for found in golden.matching(r"output\.act\.(.+)") if found[1] in modules):

        def keep(module, inputs, output, name=name):
            seen[name] = output

        handles.append(modules[name].register_forward_hook(keep))
    images = torch.cat([golden.given("input.cond"), golden.given("input.y_t")], dim=1)
    gamma, layer = golden.given("input.gamma").flatten(), golden.given("input.channel_index").flatten()
    found = net.with_variance(images, gamma, layer)
    for handle in handles:
        handle.remove()

    for name, value in seen.items():
        check(golden, f"output.act.{name}", value, rule(golden, "activations"))
    check(golden, "output.eps", found[0], rule(golden, "network"))
    check(golden, "output.variance", found[1], rule(golden, "network"))


@each("emdiffuse", having="full_size")
def test_the_full_network_has_the_released_names_shapes_and_number_of_parameters(golden):
    with torch.device("meta"):
        net = unet(golden.fact("full_size", "config"))
    golden.agree(("full_size", "n_parameters"), sum(p.numel() for p in net.parameters()))
    shapes = golden.expected_fact("full_size", "state_shapes")
    assert {name: list(value.shape) for name, value in net.state_dict().items()} == shapes


@each("emdiffuse", having="full_size.key_prefix_in_checkpoint")
def test_a_released_checkpoint_is_read(golden):
    shapes, prefix = (
        golden.expected_fact("full_size", "state_shapes"),
        golden.fact("full_size", "key_prefix_in_checkpoint"),
    )
    state = {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}
    assert load_released(state | {"gammas": torch.zeros(2000)}).state_dict().keys() == shapes.keys()


@FILES
def test_networks_with_and_without_the_variance_head_have_the_released_number_of_parameters(golden):
    golden.agree(("n_parameters", "with_variance_head"), sum(p.numel() for p in network(golden).parameters()))
    weights = golden.below("state.")
    state = network_state(weights)
    golden.agree(("n_parameters", "without"), sum(value.numel() for value in state.values()))
    assert sorted(set(weights) - set(state)) == [
        f"out_variance.{layer}.{kind}" for layer in (0, 2) for kind in ("bias", "weight")
    ]


# diffusion


@cases("emdiffuse", lambda golden: golden.listed("schedules"))
def test_schedules(golden, case):
    facts = golden.fact("schedules", case)
    made = schedule_of(facts)
    check(golden, f"schedule.{case}.betas_f64", made.betas, atol=1e-15, rtol=1e-12)
    ours = {
        "gammas": made.gammas,
        "sqrt_recip_gammas": made.gammas.reciprocal().sqrt(),
        "sqrt_recipm1_gammas": (made.gammas.reciprocal() - 1).sqrt(),
        "posterior_log_variance_clipped": made.log_variance,
        "posterior_mean_coef1": made.of_clean,
        "posterior_mean_coef2": made.of_state,
    }
    relative = golden.fact("tolerance", "recommended", "rtol_schedule")
    for what, values in ours.items():
        check(golden, f"schedule.{case}.{what}", values, rule(golden, "schedule"), rtol=relative)
    assert (facts == PUBLISHED) == torch.equal(made.betas, TRAINING.betas)


@FILES
def test_a_training_step(golden):
    given = {
        name: golden.given(f"input.train.{name}") for name in ("t", "u", "y0_all", "noise", "cond", "channel_index")
    }
    layer = given["channel_index"].flatten()
    training = [name for name in golden.listed("schedules") if name.startswith("train")]
    schedule = schedule_of(golden.fact("schedules", training[0])) if training else TRAINING
    gamma = schedule.between(given["t"], given["u"].flatten())
    target = given["y0_all"][torch.arange(len(layer)), layer][:, None]
    state = noisy(target, given["noise"], gamma)
    found = network(golden)(torch.cat([given["cond"], state], dim=1), gamma, layer)
    check(golden, "output.train.gamma", gamma, atol=1e-6)
    check(golden, "output.train.y_noisy", state, atol=1e-5)
    check(golden, "output.train.eps_hat", found, rule(golden, "network"))
    check(golden, "output.train.loss", (found - given["noise"]).square().mean(), atol=1e-5)


@FILES
def test_losses_with_a_difficulty(golden):
    error, s = golden.given("input.loss.eps_hat") - golden.given("input.loss.noise"), golden.given("input.loss.s")
    plain = difficulty_loss(error, s)
    check(golden, "output.loss.mse_var", plain, atol=1e-6)
    check(
        golden, "output.loss.mse_var2", difficulty_loss(error, s, shares=golden.given("input.loss.weight")), atol=1e-6
    )
    check(golden, "output.loss.mse_var_sample", plain + ranking_loss(error, s), atol=1e-6)
    for found in golden.matching(r"output\.loss\.mse_var_w(\d)(\d*)"):  # w05 is a weight of 0.5
        weight = float(f"{found[1]}.{found[2]}")
        check(golden, found[0], difficulty_loss(error, s, weight=weight), atol=1e-6)


def steps(golden):
    return [found[1] for found in golden.matching(r"output\.step\.t(\d+(?:_adjust)?)\.y_prev")]


@cases("emdiffuse", steps)
def test_single_steps_back(golden, case):
    levels, start, end = golden.numbers(rf"the (\d+)-step schedule {NUMBER}\.\.{NUMBER}", "conventions", "step_noise")
    schedule = linear_schedule(int(levels), start, end)
    state, noise = golden.given(f"input.step.t{case}.y_t"), golden.given(f"input.step.t{case}.z")
    number, condition = int(case.split("_")[0]), golden.given("input.cond")
    denoise = denoiser(golden, condition, golden.given("input.channel_index").flatten())
    gamma = float(schedule.gammas[number])
    image = clean(state, denoise(state, gamma), gamma)
    brightness = condition.mean((1, 2, 3)) if case.endswith("adjust") else None
    (tolerance,) = golden.numbers(rf"{NUMBER}\*max\(1,sqrt", "tolerance", "recommended", "atol_x0_hat")
    check(golden, f"output.step.t{case}.x0_hat", image, tolerance * max(1, (1 / gamma - 1) ** 0.5))
    found = ancestral_step(schedule, denoise, state, number, lambda t: noise, brightness)
    check(golden, f"output.step.t{case}.y_prev", found, rule(golden, "y_prev"))
    if brightness is None:
        mean = posterior_mean(schedule, state, image, number)
        check(golden, f"output.step.t{case}.mean", mean, rule(golden, "y_prev"))


@each("emdiffuse", having="config.chain")
def test_a_chain_of_all_layers_of_a_gap(golden):
    chain, layers = golden.fact("config", "chain"), golden.fact("config", "layers")
    schedule = schedule_of(chain)
    condition = golden.given("input.chain.cond").repeat(layers, 1, 1, 1)
    layer = torch.arange(layers).repeat_interleave(chain["batch"])

    def noise(step):
        name, at = ("init", ...) if step == "start" else ("z", schedule.steps - 1 - step)
        return golden.given(f"input.chain.{name}")[at]

    found = ancestral(schedule, denoiser(golden, condition, layer), noise)
    found = found.reshape(layers, chain["batch"], *found.shape[-2:]).transpose(0, 1)
    check(golden, "output.chain.layers", found, rule(golden, "chain"))


# data


def cut_from(golden, given):
    """The volume whose sides leave the range that the sample's corner was drawn from."""
    ranges = given["allowed_ranges_inclusive"]
    sides = [ranges["y0"][1] + given["patch_height"], ranges["x0"][1] + given["patch_width"]]
    for name in ("input.data.volume", "output.data.transposed"):
        if name in golden and list(golden.given(name).shape[1:]) == sides:
            return golden.given(name)
    return pytest.skip(f"{golden.path.name} has no volume with sections of {sides}")


@cases("emdiffuse", lambda golden: golden.listed("data_samples"))
def test_training_samples(golden, case):
    """Crops, blur, mirror and turn of a window whose middle and corner are given."""
    given = golden.fact("data_samples", case)
    y, x, first = given["y0"], given["x0"], given["z_centre"] - given["r"] // 2
    window = cut_from(golden, given)[
        first : first + given["r"] + 1, y : y + given["patch_height"], x : x + given["patch_width"]
    ]
    window = window.numpy().astype(np.float32) / 255
    ends = [
        blurred(section, SIGMA) if given[f"blur_{which}"] else section
        for section, which in ((window[-1], "below"), (window[0], "up"))
    ]
    images = {"cond": torch.from_numpy(np.stack(ends)), "gt": torch.from_numpy(window[1:-1])}
    for what, found in images.items():
        found = found.flip(-2) if given["flip_vertical"] else found
        found = turned(found) if given["rotate90_ccw"] else found
        blur = what == "cond" and (given["blur_up"] or given["blur_below"])
        tolerance = rule(golden, "data_blur" if blur else "data")
        check(golden, f"output.data.{case}.{what}", signed(found), tolerance, rtol=0)


@FILES
def test_planes_across_sections_follow_each_other_along_y(golden):
    """The release leaves the last section out; we do not."""
    planes = np.moveaxis(golden.given("input.data.volume").numpy(), 1, 0)
    np.testing.assert_array_equal(planes[:, :-1], golden.expected("output.data.transposed").numpy())


# DiffuseIR


def prior(golden):
    """The schedule of the prior, and its part that is sampled with."""
    pattern = rf"linear betas (\d+) steps {NUMBER}\.\.{NUMBER} respaced to (\d+)"
    levels, start, end, steps = golden.numbers(pattern, "diffuseir", "note")
    whole = linear_schedule(int(levels), start, end)
    return whole, respaced(whole, int(steps))


def fake(golden, short):
    """The denoiser of the golden file: a formula of the state and of the step of the long schedule."""
    pattern = rf"eps\(x,t\)={NUMBER}\*x\+{NUMBER}\*roll\(x,\+(\d+),last axis\)-{NUMBER}\*t_original"
    own, beside, shift, fall = golden.numbers(pattern, "diffuseir", "note")
    steps = dict(zip(short.gammas.tolist(), golden.given("diffuseir.timestep_map").tolist(), strict=True))
    return lambda x, gamma: own * x + beside * x.roll(int(shift), -1) - fall * steps[gamma]


@DIFFUSEIR
def test_steps_of_the_prior(golden):
    whole, short = prior(golden)
    check(golden, "diffuseir.alphas_cumprod", short.gammas, atol=1e-12, rtol=1e-10)
    check(golden, "diffuseir.betas", short.betas, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(
        whole.gammas[golden.expected("diffuseir.timestep_map")], short.gammas, rtol=1e-12, atol=0
    )


@cases(
    "emdiffuse",
    lambda golden: [found.groups() for found in golden.matching(r"diffuseir\.jump_times_(\d+)_(\d+)_(\d+)")],
)
def test_order_of_jumps(golden, case):
    assert visits(*map(int, case)) == golden.expected("diffuseir.jump_times_" + "_".join(case)).tolist()


@cases("emdiffuse", lambda golden: sorted({int(found[1]) for found in golden.matching(r"diffuseir\.step\.t(\d+)\..+")}))
def test_steps_with_and_without_known_rows(golden, case):
    _, short = prior(golden)
    x, gt, mask, noise = (golden.given(f"diffuseir.step.{name}") for name in ("x", "gt", "mask", "noise"))
    denoise, name = fake(golden, short), f"diffuseir.step.t{case}"
    check(golden, f"{name}.no_replace.sample", step_back(short, denoise, x, case)[1], 1e-5)
    state = replaced(x, gt, mask, float(short.gammas[case]), noise)
    image, before = step_back(short, denoise, state, case)
    check(golden, f"{name}.replace.pred_x0", image, 1e-5)
    check(golden, f"{name}.replace.sample", before, 1e-5)


@DIFFUSEIR
def test_inversion(golden):
    _, short = prior(golden)
    found = inverted(short, fake(golden, short), golden.given("diffuseir.step.gt"))
    check(golden, "diffuseir.ddim_inversion", found, 1e-4)


@cases("emdiffuse", lambda golden: [int(found[1]) for found in golden.matching(r"diffuseir\.undo\.t(\d+)")])
def test_undoing(golden, case):
    found = undone(prior(golden)[1], golden.given("diffuseir.step.x"), case, golden.given("diffuseir.step.noise"))
    check(golden, f"diffuseir.undo.t{case}", found, 1e-6)
