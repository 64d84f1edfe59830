"""vEMDiffuse and DiffuseIR against tensors of the original code: network, schedules, losses, steps, data. See
emdiffuse.json.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

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

FILES = golden_cases("emdiffuse")
TEST200 = linear_schedule(200, 1e-4, 0.09)


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def rule(file, kind):
    return float(loaded(file)[0]["tolerance"]["recommended"][f"atol_{kind}"])


def check(file, name, ours, atol, rtol=1e-4):
    wanted = loaded(file)[1][name]
    ours = torch.as_tensor(ours).detach().to(wanted.dtype).reshape(wanted.shape)
    torch.testing.assert_close(ours, wanted, rtol=rtol, atol=atol, msg=lambda text: f"{name}: {text}")


@cache
def network(file):
    facts, tensors = loaded(file)
    config = facts["config"]["unet"]
    net = NoiseUNet(
        config["in_channel"],
        config["inner_channel"],
        config["channel_mults"],
        config["res_blocks"],
        config["attn_res"],
        config["num_head_channels"],
        variance=True,
    )
    net.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("state.")})
    return net.eval()


def denoiser(file, condition, layer):
    """Noise in states of one batch of sections."""

    def denoise(state, gamma):
        level = state.new_full((len(state),), gamma)
        return network(file)(torch.cat([condition, state], dim=1), level, layer)

    return denoise


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


# network


@pytest.mark.parametrize("file", FILES)
def test_codes_of_noise_levels_and_layers(file):
    tensors = loaded(file)[1]
    gamma, layer = tensors["input.gamma"].flatten(), tensors["input.channel_index"].flatten()
    check(file, "output.gamma_embedding", waves(gamma, 32), atol=1e-6)
    check(file, "output.channel_embedding", waves(layer, 32), atol=1e-6)
    check(file, "output.emb", network(file).code(gamma, layer), atol=1e-5)


@pytest.mark.parametrize("file", FILES)
def test_the_network_and_every_block_in_it(file):
    tensors = loaded(file)[1]
    net, seen, handles = network(file), {}, []
    places = [name.removeprefix("output.act.") for name in tensors if name.startswith("output.act.")]
    for name in places:

        def keep(module, inputs, output, name=name):
            seen[name] = output

        handles.append(net.get_submodule(name).register_forward_hook(keep))
    images = torch.cat([tensors["input.cond"], tensors["input.y_t"]], dim=1)
    found = net.with_variance(images, tensors["input.gamma"].flatten(), tensors["input.channel_index"].flatten())
    for handle in handles:
        handle.remove()

    assert len(places) == 13
    for name in places:
        check(file, f"output.act.{name}", seen[name], rule(file, "activations"))
    check(file, "output.eps", found[0], rule(file, "network"))
    check(file, "output.variance", found[1], rule(file, "network"))


@pytest.mark.parametrize("file", FILES)
def test_the_full_network_has_the_released_names_shapes_and_number_of_parameters(file):
    facts, _ = loaded(file)
    full = facts["full_size"]
    config = full["config"]
    with torch.device("meta"):
        net = NoiseUNet(width=config["inner_channel"], multiples=config["channel_mults"], blocks=config["res_blocks"])
    assert sum(p.numel() for p in net.parameters()) == full["n_parameters"]
    assert {name: list(value.shape) for name, value in net.state_dict().items()} == full["state_shapes"]
    assert sum(p.numel() for p in network(file).parameters()) == facts["n_parameters"]["with_variance_head"]
    state = {
        full["key_prefix_in_checkpoint"] + name: torch.zeros(shape) for name, shape in full["state_shapes"].items()
    }
    assert load_released(state | {"gammas": torch.zeros(2000)}).state_dict().keys() == full["state_shapes"].keys()


@pytest.mark.parametrize("file", FILES)
def test_the_plain_network_takes_the_weights_without_the_variance_head(file):
    facts, tensors = loaded(file)
    state = network_state({name[6:]: value for name, value in tensors.items() if name.startswith("state.")})
    assert sum(value.numel() for value in state.values()) == facts["n_parameters"]["without"]
    assert sorted(set(facts["state_shapes"]) - set(state)) == [
        f"out_variance.{layer}.{kind}" for layer in (0, 2) for kind in ("bias", "weight")
    ]


# diffusion


@pytest.mark.parametrize("name", ["train2000", "test1000", "test200"])
@pytest.mark.parametrize("file", FILES)
def test_schedules(file, name):
    facts = loaded(file)[0]["schedules"][name]
    made = linear_schedule(facts["n_timestep"], facts["linear_start"], facts["linear_end"])
    check(file, f"schedule.{name}.betas_f64", made.betas, atol=1e-15, rtol=1e-12)
    ours = {
        "gammas": made.gammas,
        "sqrt_recip_gammas": made.gammas.reciprocal().sqrt(),
        "sqrt_recipm1_gammas": (made.gammas.reciprocal() - 1).sqrt(),
        "posterior_log_variance_clipped": made.log_variance,
        "posterior_mean_coef1": made.of_clean,
        "posterior_mean_coef2": made.of_state,
    }
    for what, values in ours.items():
        check(file, f"schedule.{name}.{what}", values, rule(file, "schedule"), rtol=1e-5)
    assert (name == "train2000") == torch.equal(made.betas, TRAINING.betas)


@pytest.mark.parametrize("file", FILES)
def test_a_training_step(file):
    tensors = loaded(file)[1]
    given = {name.removeprefix("input.train."): t for name, t in tensors.items() if name.startswith("input.train.")}
    layer = given["channel_index"].flatten()
    gamma = TRAINING.between(given["t"], given["u"].flatten())
    target = given["y0_all"][torch.arange(len(layer)), layer][:, None]
    state = noisy(target, given["noise"], gamma)
    found = network(file)(torch.cat([given["cond"], state], dim=1), gamma, layer)
    check(file, "output.train.gamma", gamma, atol=1e-6)
    check(file, "output.train.y_noisy", state, atol=1e-5)
    check(file, "output.train.eps_hat", found, rule(file, "network"))
    check(file, "output.train.loss", (found - given["noise"]).square().mean(), atol=1e-5)


@pytest.mark.parametrize("file", FILES)
def test_losses_with_a_difficulty(file):
    tensors = loaded(file)[1]
    error, s = tensors["input.loss.eps_hat"] - tensors["input.loss.noise"], tensors["input.loss.s"]
    plain = difficulty_loss(error, s)
    check(file, "output.loss.mse_var", plain, atol=1e-6)
    check(file, "output.loss.mse_var_w05", difficulty_loss(error, s, weight=0.5), atol=1e-6)
    check(file, "output.loss.mse_var2", difficulty_loss(error, s, shares=tensors["input.loss.weight"]), atol=1e-6)
    check(file, "output.loss.mse_var_sample", plain + ranking_loss(error, s), atol=1e-6)


@pytest.mark.parametrize("step", ["199", "120", "60", "20", "20_adjust", "1", "1_adjust", "0", "0_adjust"])
@pytest.mark.parametrize("file", FILES)
def test_single_steps_back(file, step):
    tensors = loaded(file)[1]
    state, noise = tensors[f"input.step.t{step}.y_t"], tensors[f"input.step.t{step}.z"]
    number, condition = int(step.split("_")[0]), tensors["input.cond"]
    denoise = denoiser(file, condition, tensors["input.channel_index"].flatten())
    gamma = float(TEST200.gammas[number])
    image = clean(state, denoise(state, gamma), gamma)
    brightness = condition.mean((1, 2, 3)) if step.endswith("adjust") else None
    check(file, f"output.step.t{step}.x0_hat", image, 2e-5 * max(1, (1 / gamma - 1) ** 0.5))
    found = ancestral_step(TEST200, denoise, state, number, lambda t: noise, brightness)
    check(file, f"output.step.t{step}.y_prev", found, rule(file, "y_prev"))
    if brightness is None:
        check(file, f"output.step.t{step}.mean", posterior_mean(TEST200, state, image, number), rule(file, "y_prev"))


@pytest.mark.parametrize("file", FILES)
def test_a_chain_of_all_layers_of_a_gap(file):
    facts, tensors = loaded(file)
    chain, layers = facts["config"]["chain"], facts["config"]["layers"]
    schedule = linear_schedule(chain["n_timestep"], chain["linear_start"], chain["linear_end"])
    condition = tensors["input.chain.cond"].repeat(layers, 1, 1, 1)
    layer = torch.arange(layers).repeat_interleave(chain["batch"])

    def noise(step):
        return tensors["input.chain.init"] if step == "start" else tensors["input.chain.z"][schedule.steps - 1 - step]

    found = ancestral(schedule, denoiser(file, condition, layer), noise)
    found = found.reshape(layers, chain["batch"], *found.shape[-2:]).transpose(0, 1)
    check(file, "output.chain.layers", found, rule(file, "chain"))


# data


SAMPLES = ["r6_plain", "r5_flip", "r4_flip_rot", "r6_blur_up", "r6_blur_below", "a_r6", "a_r5_rot"]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("file", FILES)
def test_training_samples(file, name):
    """Crops, blur, mirror and turn of a window whose middle and corner are given."""
    facts, tensors = loaded(file)
    given = facts["data_samples"][name]
    volume = tensors["output.data.transposed"] if name.startswith("a_") else tensors["input.data.volume"]
    assert set(facts["data_samples"]) == set(SAMPLES)
    y, x, first = given["y0"], given["x0"], given["z_centre"] - given["r"] // 2
    window = volume[first : first + given["r"] + 1, y : y + given["patch_height"], x : x + given["patch_width"]]
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
        check(file, f"output.data.{name}.{what}", signed(found), rule(file, "data_blur" if blur else "data"), rtol=0)


@pytest.mark.parametrize("file", FILES)
def test_planes_across_sections_follow_each_other_along_y(file):
    """The release leaves the last section out; we do not."""
    tensors = loaded(file)[1]
    planes = np.moveaxis(tensors["input.data.volume"].numpy(), 1, 0)
    np.testing.assert_array_equal(planes[:, :-1], tensors["output.data.transposed"].numpy())


# DiffuseIR


PRIOR = linear_schedule(1000, 1e-4, 0.02)
SHORT = respaced(PRIOR, 50)


def fake(file):
    """The denoiser of the golden file: a formula of the state and of the step of the long schedule."""
    steps = dict(zip(SHORT.gammas.tolist(), loaded(file)[1]["diffuseir.timestep_map"].tolist(), strict=True))
    return lambda x, gamma: 0.6 * x + 0.1 * x.roll(1, -1) - 0.0002 * steps[gamma]


@pytest.mark.parametrize("file", FILES)
def test_steps_of_the_prior_and_their_order(file):
    tensors = loaded(file)[1]
    check(file, "diffuseir.alphas_cumprod", SHORT.gammas, atol=1e-12, rtol=1e-10)
    check(file, "diffuseir.betas", SHORT.betas, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(PRIOR.gammas[tensors["diffuseir.timestep_map"]], SHORT.gammas, rtol=1e-12, atol=0)
    for steps, length, times in ((50, 1, 20), (200, 10, 10)):
        found = visits(steps, length, times)
        assert found == tensors[f"diffuseir.jump_times_{steps}_{length}_{times}"].tolist()
        assert sum(b < a for a, b in pairwise(found)) == {50: 981, 200: 1910}[steps]


@pytest.mark.parametrize("step", [30, 1, 0])
@pytest.mark.parametrize("file", FILES)
def test_steps_with_and_without_known_rows(file, step):
    given = {name.removeprefix("diffuseir.step."): t for name, t in loaded(file)[1].items() if "diffuseir.step" in name}
    check(file, f"diffuseir.step.t{step}.no_replace.sample", step_back(SHORT, fake(file), given["x"], step)[1], 1e-5)
    state = replaced(given["x"], given["gt"], given["mask"], float(SHORT.gammas[step]), given["noise"])
    image, before = step_back(SHORT, fake(file), state, step)
    check(file, f"diffuseir.step.t{step}.replace.pred_x0", image, 1e-5)
    check(file, f"diffuseir.step.t{step}.replace.sample", before, 1e-5)


@pytest.mark.parametrize("file", FILES)
def test_inversion_and_undoing(file):
    tensors = loaded(file)[1]
    check(file, "diffuseir.ddim_inversion", inverted(SHORT, fake(file), tensors["diffuseir.step.gt"]), 1e-4)
    found = undone(SHORT, tensors["diffuseir.step.x"], 30, tensors["diffuseir.step.noise"])
    check(file, "diffuseir.undo.t30", found, 1e-6)


# coverage


@pytest.mark.parametrize("file", FILES)
def test_every_tensor_is_checked_above(file):
    text = Path(__file__).read_text()
    parts = ("state.", "input.", "schedule.", "output.act.", "output.data.", "output.step.t", "diffuseir.step.")
    for name in loaded(file)[1]:
        assert name.startswith(parts) or name in text or name.startswith("diffuseir.jump_times"), name
