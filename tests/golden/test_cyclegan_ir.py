"""CycleGAN-IR against tensors made with the authors' modules and their released weights."""

import random
import re
from functools import cache

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.base import Tile
from vemrecon.methods.cyclegan_ir.adversarial import critic_loss, generator_losses, iterate
from vemrecon.methods.cyclegan_ir.generator import Enlarge, Generator, Reduce
from vemrecon.methods.cyclegan_ir.image_pool import CAPACITY, ImagePool
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.methods.cyclegan_ir.released import load_released, released_key, to_released
from vemrecon.volume import SectionGrid, quantise

FILES = pytest.mark.parametrize("file", golden_cases("cyclegan_ir"))
GENERATORS = {"G_LR2HR": ("net", Enlarge), "G_HR2LR": ("degrader", Reduce)}
CRITICS = {"D_LR": "axial_critic", "D_HR": "lateral_critic"}
PARTS = {name: part for name, (part, _) in GENERATORS.items()} | CRITICS
LOSSES = {
    "loss_GAN_HR2LR": "adversarial axial",
    "loss_GAN_LR2HR": "adversarial lateral",
    "loss_recover_HR": "cycle lateral",
    "loss_cycle_LR": "cycle axial",
    "loss_G_total": "loss",
    "loss_D_LR": "critic axial",
    "loss_D_HR": "critic lateral",
}


@cache
def loaded(file):
    """Facts and torch tensors."""
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def state_of(tensors, name):
    prefix = f"state.{name}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def generator(tensors, name, scale=10, grid="centred"):
    return load_released(state_of(tensors, name), GENERATORS[name][1](SectionGrid.of_kind(grid, scale)))


def method_of(tensors):
    """All four networks with the weights of the file."""
    method = CycleGANIR(10.0, SectionGrid.slabs(10.0))
    for name, part in PARTS.items():
        state = state_of(tensors, name)
        if name in GENERATORS:
            method.get_submodule(part).load_state_dict(generator(tensors, name).state_dict())
        else:
            ours = {key.replace("model.", "layers."): value for key, value in state.items()}
            method.get_submodule(part).load_state_dict(ours)
    return method


def ours(name, key):
    """Our parameter of a network and a released key."""
    if name in CRITICS:
        return f"{CRITICS[name]}.{key.replace('model.', 'layers.')}"
    part = GENERATORS[name][0]
    return next(f"{part}.{k}" for k in Generator(torch.nn.Identity()).state_dict() if released_key(k) == key)


def normalised(grey):
    """Grey levels (..., h, w) as (n, 1, h, w) in [-1, 1]."""
    return (2 * (grey.float() / 255) - 1).reshape(-1, 1, *grey.shape[-2:])


def close(found, wanted, tolerance, what):
    assert found.shape == wanted.shape, what
    error = (found.detach() - wanted).abs().max().item()
    assert error <= tolerance, f"{what}: {error:.2e} > {tolerance:.0e}"


COMPARED = r"""
    state\..* | (slice|tiny|vol|train)\.[hl]r_u8 | (factor\d+|aligned10)\.lr_u8 | slice\.[hl]r_norm
    | slice\.G_\w+\.(up|pool|residual|out|out_u8) | slice\.cycle_[HL]R | tiny\.G_\w+\..* | factor\d+\.G_\w+\.out
    | aligned10\.(up|out) | vol\.(xz|yz|fused|fused_u8) | train\.(fake_[HL]R|D_[HL]R\..*|grad1\..*|after1\..*)
"""


@FILES
def test_every_tensor_of_the_file_is_compared_below(file):
    _, tensors = loaded(file)
    assert not [name for name in tensors if not re.fullmatch(COMPARED, name, re.VERBOSE)]


@FILES
def test_inputs_are_the_grey_levels_on_minus_one_to_one_and_slabs_are_their_rounded_means(file):
    _, tensors = loaded(file)
    for kind in ("hr", "lr"):
        close(normalised(tensors[f"slice.{kind}_u8"]), tensors[f"slice.{kind}_norm"], 1e-6, kind)
    for case, scale in {"slice": 10, "tiny": 10, "vol": 10, "factor4": 4, "factor6": 6, "factor8": 8}.items():
        wanted = tensors[f"{case}.lr_u8"]
        truth = tensors[f"{case if f'{case}.hr_u8' in tensors else 'slice'}.hr_u8"].double()
        means = truth[: len(wanted) * scale].unflatten(0, (-1, scale)).mean(dim=1).round()
        assert torch.equal(means, wanted.double()), case
    assert torch.equal(tensors["aligned10.lr_u8"], tensors["slice.hr_u8"][::10])


@FILES
def test_generator_has_the_released_names_shapes_and_number_of_parameters(file):
    _, tensors = loaded(file)
    for name, (part, _) in GENERATORS.items():
        state, net = state_of(tensors, name), CycleGANIR(10.0, SectionGrid.slabs(10.0)).get_submodule(part)
        assert {key: value.shape for key, value in to_released(net).items()} == {k: v.shape for k, v in state.items()}
        assert len(state) == 40 and sum(p.numel() for p in net.parameters()) == 665_921
        again = to_released(generator(tensors, name))
        assert all(torch.equal(again[key], value) for key, value in state.items())


@FILES
@pytest.mark.parametrize("name", GENERATORS)
def test_generator_and_its_parts_equal_the_released_ones(file, name):
    facts, tensors = loaded(file)
    tolerance, source = facts["tolerances"]["forward_normalised_units"], "lr" if name == "G_LR2HR" else "hr"
    net, parts = generator(tensors, name), {"G_LR2HR": "up", "G_HR2LR": "pool"}
    x = tensors[f"slice.{source}_norm"]
    with torch.no_grad():
        resampled = net.resample(x)
        found = {parts[name]: resampled, "residual": net.layers(resampled), "out": net(x)}
    for part, value in found.items():
        close(value, tensors[f"slice.{name}.{part}"], tolerance, part)
    grey = quantise(((found["out"][0, 0] + 1) / 2).numpy(), np.dtype(np.uint8)).astype(int)
    off = np.abs(grey - tensors[f"slice.{name}.out_u8"].numpy().astype(int))
    assert off.max() <= 1 and (off > 0).mean() <= 1e-3


@FILES
@pytest.mark.parametrize("name", GENERATORS)
def test_every_intermediate_of_a_generator_equals_the_released_one(file, name):
    facts, tensors = loaded(file)
    net, x = generator(tensors, name), normalised(tensors[f"tiny.{'lr' if name == 'G_LR2HR' else 'hr'}_u8"])
    found = {}

    def keep(key):
        return lambda module, args, result: found.__setitem__(key, result.clone())

    blocks = [layer for layer in net.layers if not isinstance(layer, torch.nn.Conv2d | torch.nn.ReLU)]
    for key, module in {
        "resampled": net.resample,
        "head": net.layers[1],
        "block0_branch": blocks[0].second,
        "residual": net.layers,
        "out": net,
        **{f"block{number}": block for number, block in enumerate(blocks)},
    }.items():
        module.register_forward_hook(keep(key))
    with torch.no_grad():
        net(x)
    prefix = f"tiny.{name}."
    assert {f"{prefix}{key}" for key in found} == {key for key in tensors if key.startswith(prefix)}
    for key, value in found.items():
        close(value, tensors[f"{prefix}{key}"], facts["tolerances"]["forward_normalised_units"], key)


@FILES
def test_cycles_of_a_section_equal_the_released_ones(file):
    facts, tensors = loaded(file)
    recover, degrade = (generator(tensors, name) for name in GENERATORS)
    with torch.no_grad():
        lateral, axial = recover(degrade(tensors["slice.hr_norm"])), degrade(recover(tensors["slice.lr_norm"]))
    for kind, found, norm in (("HR", lateral, "hr"), ("LR", axial, "lr")):
        close(found, tensors[f"slice.cycle_{kind}"], facts["tolerances"]["forward_normalised_units"], kind)
        error = (found - tensors[f"slice.{norm}_norm"]).abs().mean().item()
        assert error == pytest.approx(facts["slice_cycle_l1"][kind], rel=1e-4)


@FILES
@pytest.mark.parametrize("scale", [4, 6, 8])
def test_the_same_weights_serve_other_scales(file, scale):
    facts, tensors = loaded(file)
    tolerance = facts["tolerances"]["forward_normalised_units"]
    rows = len(tensors["slice.hr_u8"]) // scale * scale
    inputs = {"G_LR2HR": tensors[f"factor{scale}.lr_u8"], "G_HR2LR": tensors["slice.hr_u8"][:rows]}
    for name, grey in inputs.items():
        with torch.no_grad():
            found = generator(tensors, name, scale)(normalised(grey))
        close(found, tensors[f"factor{scale}.{name}.out"], tolerance, name)


@FILES
def test_on_kept_sections_rows_are_registered_to_them(file):
    facts, tensors = loaded(file)
    net, x = generator(tensors, "G_LR2HR", 10, "aligned"), normalised(tensors["aligned10.lr_u8"])
    tolerance = facts["tolerances"]["forward_normalised_units"]
    close(net.resample(x), tensors["aligned10.up"], tolerance, "up")
    with torch.no_grad():
        close(net(x), tensors["aligned10.out"], tolerance, "out")


@FILES
def test_released_weights_reconstruct_the_official_volume(file, tmp_path):
    """Imported by the command line, through the weights file, on both directions and their mean."""
    from vemrecon.cli import main
    from vemrecon.fit.stages import load_weights, trained_parts, weights_facts

    facts, tensors = loaded(file)
    torch.save(state_of(tensors, "G_LR2HR"), tmp_path / "G.pth", _use_new_zipfile_serialization=False)  # as released
    weights = tmp_path / "weights.safetensors"
    assert main(["import-weights", "cyclegan-ir", str(tmp_path / "G.pth"), str(weights)]) == 0
    arguments, found = weights_facts(weights)["arguments"], {}
    tile = Tile(tensors["vol.lr_u8"].float()[None, None] / 255, SectionGrid.slabs(10.0))
    for direction in ("xz", "yz", "mean"):
        method = CycleGANIR(10.0, SectionGrid.slabs(10.0), direction=direction, **arguments).eval()
        load_weights(method, weights, trained_parts(method))
        assert method.parameter_count() == 665_921
        if direction == "mean":  # of what was reconstructed before
            method.along = lambda direction, _: found[direction]
        with torch.inference_mode():
            found[direction] = method.reconstruct(tile)[0, 0]
    found["fused"] = found.pop("mean")
    for name, volume in found.items():
        close(255 * volume, tensors[f"vol.{name}"], facts["tolerances"]["vol_grey_levels"], name)
        mse = (255 * volume.double().clamp(0, 1) - tensors["vol.hr_u8"].double()).square().mean()
        psnr = 10 * torch.log10(255**2 / mse).item()
        assert psnr == pytest.approx(facts["vol_psnr_float_clipped"][name], abs=1e-3)
    grey = quantise(found["fused"].numpy(), np.dtype(np.uint8)).astype(int)
    off = np.abs(grey - tensors["vol.fused_u8"].numpy().astype(int))
    assert off.max() <= 1 and (off > 0).mean() <= 1e-3


@FILES
def test_critics_have_the_released_shapes_and_maps(file):
    facts, tensors = loaded(file)
    tolerance, method = facts["tolerances"]["forward_normalised_units"], method_of(tensors)
    counts = {name: sum(p.numel() for p in method.get_submodule(part).parameters()) for name, part in CRITICS.items()}
    assert counts == {"D_LR": 218_625, "D_HR": 428_897}
    assert method.parameter_count() == 1_979_364
    for name, part in CRITICS.items():
        critic, x = method.get_submodule(part), normalised(tensors[f"train.{name[2:].lower()}_u8"])
        left = {key for key in tensors if key.startswith(f"train.{name}.")}
        with torch.no_grad():
            close(critic.layers(x), tensors[f"train.{name}.map_real"], tolerance, name)
            close(critic(x), tensors[f"train.{name}.score_real"], tolerance, name)
            left -= {f"train.{name}.map_real", f"train.{name}.score_real"}
            for key in sorted(left):
                index = int(re.search(r"act(\d+)_item0_ch0to3", key)[1])
                close(critic.layers[: index + 1](x)[:1, :4], tensors[key], tolerance, key)


@FILES
def test_losses_gradients_and_updates_equal_the_released_ones(file):
    facts, tensors = loaded(file)
    tolerances, method = facts["tolerances"], method_of(tensors)
    lateral, axial = (normalised(tensors[f"train.{kind}_u8"]) for kind in ("hr", "lr"))
    nets, pools = method.networks(), {"axial": ImagePool(), "lateral": ImagePool()}
    exchange = {name: lambda fakes, pool=pool: pool.exchange(fakes, None) for name, pool in pools.items()}
    first, fakes = generator_losses(nets, lateral, axial)
    close(fakes["axial"], tensors["train.fake_LR"], tolerances["forward_normalised_units"], "fake_LR")
    close(fakes["lateral"], tensors["train.fake_HR"], tolerances["forward_normalised_units"], "fake_HR")
    wanted = facts["train_step"][0]
    zeros = {"LR": (method.axial_critic, fakes["axial"]), "HR": (method.lateral_critic, fakes["lateral"])}
    for kind, (critic, fake) in zeros.items():
        real, scored = {"LR": axial, "HR": lateral}[kind], fake.detach()
        halves = {"real": (critic(real) - 1).square().mean(), "fake": critic(scored).square().mean()}
        for half, value in halves.items():
            assert value.item() == pytest.approx(wanted[f"loss_D_{kind}_{half}"], rel=1e-5)
        assert critic_loss(critic, real, scored).item() == pytest.approx(wanted[f"loss_D_{kind}"], rel=1e-5)
    assert first["loss"].item() == pytest.approx(wanted["loss_G_total"], rel=1e-5)

    optimizers = method.configure_optimizers()
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == list(method.rates(0)) == [facts["train_setup"]["lr"][key] for key in ("G_HR2LR", "G_LR2HR", "D_LR")]
    gradients = {}

    def backward(loss):
        loss.backward()
        for key, parameter in method.named_parameters():
            if parameter.grad is not None:  # critics rest while the generators learn
                gradients.setdefault(key, parameter.grad.clone())

    for step, names in enumerate(facts["train_step"]):
        losses = iterate(nets, *optimizers, exchange, lateral, axial, backward)
        relative = tolerances["second_iteration_losses_relative" if step else "first_iteration_losses_relative"]
        for theirs, mine in LOSSES.items():
            assert losses[mine].item() == pytest.approx(names[theirs], rel=relative), (step, theirs)
        if step == 0:
            check_gradients(facts, tensors, gradients)
            after = dict(method.named_parameters())
            for key in (key for key in tensors if key.startswith("train.after1.")):
                _, _, name, rest = key.split(".", 3)
                close(after[ours(name, rest)], tensors[key], tolerances["parameters_after_one_step"], key)
    assert [len(pool.images) for pool in pools.values()] == [4, 4]


def check_gradients(facts, tensors, gradients):
    """The released generators add up the gradients of two equal backward passes."""
    tolerance = facts["tolerances"]["gradient_norm_relative"]
    for key in (key for key in tensors if key.startswith("train.grad1.")):
        _, _, name, rest = key.split(".", 3)
        found = gradients[ours(name, rest)] * (2 if name in GENERATORS else 1)
        assert (found - tensors[key]).norm() <= tolerance * tensors[key].norm(), key
    followed = {"D_LR": ("model.2", "model.5"), "D_HR": ("model.2", "model.5", "model.8")}  # by an instance norm
    norms = facts["train_step"][0]["grad_norms_accumulated_over_both_backward_calls"]
    for key, norm in norms.items():
        name, rest = key.split(".", 1)
        if rest not in {f"{layer}.bias" for layer in followed.get(name, ())}:
            found = gradients[ours(name, rest)].norm().item() * (2 if name in GENERATORS else 1)
            assert found == pytest.approx(norm, rel=tolerance), key


class PythonChance:
    """Python's random numbers in the order in which the released pool draws them."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def random(self):
        return self.source.uniform(0, 1)

    def integers(self, high):
        return self.source.randint(0, high - 1)


@FILES
def test_the_image_pool_gives_the_recorded_sequence(file):
    facts, _ = loaded(file)
    wanted, pool, chance = facts["image_pool_sequence_seed0_max50_inputs_0_to_79"], ImagePool(), PythonChance(0)
    shown = [pool.exchange(torch.full((1, 1, 1, 1), float(i)), chance).item() for i in range(len(wanted))]
    assert pool.capacity == CAPACITY == 50 and shown == wanted
