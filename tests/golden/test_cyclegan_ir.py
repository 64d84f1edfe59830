"""CycleGAN-IR against tensors made with the authors' modules and their released weights."""

import random
import re

import numpy as np
import pytest
import torch
from golden_files import cases, each
from released_states import generator_state

from vemrecon.methods.base import Tile
from vemrecon.methods.cyclegan_ir.adversarial import ADVERSARIAL, CYCLE, critic_loss, generator_losses, iterate
from vemrecon.methods.cyclegan_ir.generator import Enlarge, Reduce
from vemrecon.methods.cyclegan_ir.image_pool import ImagePool
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.methods.cyclegan_ir.released import generator_options, load_released, released_key
from vemrecon.volume import SectionGrid, quantise

FILES = each("cyclegan_ir")
GENERATORS = {"G_LR2HR": ("net", Enlarge, "up", "lr"), "G_HR2LR": ("degrader", Reduce, "pool", "hr")}
CRITICS = {"D_LR": "axial_critic", "D_HR": "lateral_critic"}
NAMES = "|".join(GENERATORS)
LOSSES = {
    "loss_GAN_HR2LR": "adversarial axial",
    "loss_GAN_LR2HR": "adversarial lateral",
    "loss_recover_HR": "cycle lateral",
    "loss_cycle_LR": "cycle axial",
    "loss_G_total": "loss",
    "loss_D_LR": "critic axial",
    "loss_D_HR": "critic lateral",
}


def named(*patterns):
    """Cases by what their tensors are called, as tuples of the groups of the first pattern that one matches."""

    def found(golden):
        matches = [match for pattern in patterns for match in golden.matching(pattern)]
        return sorted({match.groups() for match in matches})

    return found


def generator(golden, name, scale=None, grid="centred"):
    factor = scale or golden.fact("conventions", "factor")
    return load_released(golden.below(f"state.{name}."), GENERATORS[name][1](SectionGrid.of_kind(grid, factor)))


def method_of(golden):
    """All four networks with the weights of the file."""
    options = generator_options(golden.below("state.G_LR2HR."))
    critic_width = len(golden.given("state.D_LR.model.0.weight"))
    rates = [golden.fact("train_setup", "lr", name) for name in ("G_HR2LR", "G_LR2HR", "D_LR")]
    scale = float(golden.fact("conventions", "factor"))
    method = CycleGANIR(scale, SectionGrid.slabs(scale), **options, critic_width=critic_width, learning_rates=rates)
    for name, (part, *_) in GENERATORS.items():
        method.get_submodule(part).load_state_dict(generator(golden, name).state_dict())
    for name, part in CRITICS.items():
        state = golden.below(f"state.{name}.")
        ours = {key.replace("model.", "layers."): value for key, value in state.items()}
        method.get_submodule(part).load_state_dict(ours)
    return method


def ours(method, name, key):
    """Our parameter of a network and a released key."""
    if name in CRITICS:
        return f"{CRITICS[name]}.{key.replace('model.', 'layers.')}"
    part = GENERATORS[name][0]
    return next(f"{part}.{k}" for k in method.get_submodule(part).state_dict() if released_key(k) == key)


def normalised(grey):
    """Grey levels (..., h, w) as (n, 1, h, w) in [-1, 1]."""
    return (2 * (grey.float() / 255) - 1).reshape(-1, 1, *grey.shape[-2:])


def close(golden, name, found, rule="forward_normalised_units"):
    golden.check(name, found, atol=golden.fact("tolerances", rule))


def close_grey(golden, name, values):
    """Values in [0, 1] against grey levels, one of which may differ at a tie."""
    if name in golden:
        grey = quantise(values.numpy(), np.dtype(np.uint8)).astype(int)
        off = np.abs(grey - golden.expected(name).numpy().astype(int))
        assert off.max() <= 1 and (off > 0).mean() <= 1e-3


@cases("cyclegan_ir", named(r"(\w+)\.([hl]r)_norm"))
def test_inputs_are_the_grey_levels_on_minus_one_to_one(golden, case):
    name, kind = case
    golden.check(f"{name}.{kind}_norm", normalised(golden.given(f"{name}.{kind}_u8")), atol=1e-6)


def source(golden, observed, scale, enough):
    """The section of a file that other scales are tried on: it is as wide as what was observed and has its rows."""
    for name in (found[0] for found in golden.matching(r"\w+\.hr_u8")):
        truth = golden.tensors[name]
        if truth.dim() == 2 and truth.shape[1] == observed.shape[1] and enough(len(truth)) == len(observed):
            return golden.given(name)
    return pytest.skip(f"{golden.path.name} has no section that was observed at {scale}")


def check_slabs(wanted, truth, scale):
    means = truth[: len(wanted) * scale].double().unflatten(0, (-1, scale)).mean(dim=1).round()
    assert torch.equal(means, wanted.double())


def observed_there(golden):
    """Names that have what was observed and its truth, of the same place."""
    names = [found[1] for found in golden.matching(r"(\w+)\.hr_u8") if f"{found[1]}.lr_u8" in golden]
    shapes = {name: [golden.tensors[f"{name}.{kind}_u8"].shape[1:] for kind in ("hr", "lr")] for name in names}
    return [name for name, (truth, observed) in shapes.items() if truth == observed]


@cases("cyclegan_ir", observed_there)
def test_slabs_are_rounded_means(golden, case):
    truth, scale = golden.given(f"{case}.hr_u8"), golden.fact("conventions", "factor")
    check_slabs(golden.expected(f"{case}.lr_u8"), truth, scale)


@cases("cyclegan_ir", named(r"(factor|aligned)(\d+)\.lr_u8"))
def test_other_scales_are_slabs_or_kept_rows_of_a_section(golden, case):
    kind, scale = case[0], int(case[1])
    wanted = golden.expected(f"{kind}{scale}.lr_u8")
    if kind == "aligned":
        truth = source(golden, wanted, scale, lambda rows: -(-rows // scale))
        assert torch.equal(wanted, truth[::scale])
    else:
        check_slabs(wanted, source(golden, wanted, scale, lambda rows: rows // scale), scale)


@FILES
@pytest.mark.parametrize("name", GENERATORS)
def test_generator_has_the_released_names_shapes_and_number_of_parameters(golden, name):
    state = golden.below(f"state.{name}.")
    net = generator(golden, name)
    assert sum(p.numel() for p in net.parameters()) == sum(value.numel() for value in state.values())
    again = generator_state(net)
    assert again.keys() == state.keys()
    for key in again:
        golden.check(f"state.{name}.{key}", again[key], atol=0)


@cases("cyclegan_ir", named(rf"(\w+)\.({NAMES})\.(?:up|pool|out_u8)"))
def test_generator_and_its_parts_equal_the_released_ones(golden, case):
    name = case[1]
    _, _, resampling, kind = GENERATORS[name]
    net, x, prefix = generator(golden, name), normalised(golden.given(f"{case[0]}.{kind}_u8")), ".".join(case)
    with torch.no_grad():
        resampled = net.resample(x)
        found = {resampling: resampled, "residual": net.layers(resampled), "out": net(x)}
    for part, value in found.items():
        close(golden, f"{prefix}.{part}", value)
    close_grey(golden, f"{prefix}.out_u8", (found["out"][0, 0] + 1) / 2)


@cases("cyclegan_ir", named(rf"(\w+)\.({NAMES})\.(?:head|block\d+)"))
def test_every_intermediate_of_a_generator_equals_the_released_one(golden, case):
    name, prefix = case[1], ".".join(case)
    net, x = generator(golden, name), normalised(golden.given(f"{case[0]}.{GENERATORS[name][3]}_u8"))
    found = {}

    def keep(key):
        return lambda module, args, result: found.__setitem__(key, result.clone())

    blocks = [layer for layer in net.layers if not isinstance(layer, torch.nn.Conv2d | torch.nn.ReLU)]
    for key, module in {
        "resampled": net.resample,
        "head": net.layers[1],
        "residual": net.layers,
        "out": net,
        **{f"block{number}": block for number, block in enumerate(blocks)},
        **{f"block{number}_branch": block.second for number, block in enumerate(blocks)},
    }.items():
        module.register_forward_hook(keep(key))
    with torch.no_grad():
        net(x)
    for key, value in found.items():
        close(golden, f"{prefix}.{key}", value)


@cases("cyclegan_ir", named(r"(\w+)\.cycle_([HL]R)"))
def test_cycles_of_a_section_equal_the_released_ones(golden, case):
    recover, degrade = (generator(golden, name) for name in GENERATORS)
    name, kind = case
    x = normalised(golden.given(f"{name}.{kind.lower()}_u8"))
    with torch.no_grad():
        found = recover(degrade(x)) if kind == "HR" else degrade(recover(x))
    close(golden, f"{name}.cycle_{kind}", found)
    golden.agree((f"{name}_cycle_l1", kind), (found - x).abs().mean().item(), rel=1e-4)


@cases("cyclegan_ir", named(rf"factor(\d+)\.({NAMES})\.out"))
def test_the_same_weights_serve_other_scales(golden, case):
    scale, name = int(case[0]), case[1]
    grey = golden.given(f"factor{scale}.lr_u8")
    if name == "G_HR2LR":
        truth = source(golden, grey, scale, lambda rows: rows // scale)
        grey = truth[: len(grey) * scale]
    with torch.no_grad():
        close(golden, f"factor{scale}.{name}.out", generator(golden, name, scale)(normalised(grey)))


@cases("cyclegan_ir", named(r"aligned(\d+)\.(?:up|out)"))
def test_on_kept_sections_rows_are_registered_to_them(golden, case):
    prefix = f"aligned{case[0]}"
    net, x = generator(golden, "G_LR2HR", int(case[0]), "aligned"), normalised(golden.given(f"{prefix}.lr_u8"))
    close(golden, f"{prefix}.up", net.resample(x))
    with torch.no_grad():
        close(golden, f"{prefix}.out", net(x))


@cases("cyclegan_ir", named(r"(\w+)\.(?:xz|yz|fused)"))
def test_released_weights_reconstruct_the_official_volume(golden, case, tmp_path):
    """Imported by the command line, through the weights file, on both directions and their mean."""
    from vemrecon.cli import main
    from vemrecon.fit.stages import load_weights, trained_parts, weights_facts

    name, state = case[0], golden.below("state.G_LR2HR.")
    torch.save(state, tmp_path / "G.pth", _use_new_zipfile_serialization=False)  # as released
    weights = tmp_path / "weights.safetensors"
    assert main(["import-weights", "cyclegan-ir", str(tmp_path / "G.pth"), str(weights)]) == 0
    arguments, found = weights_facts(weights)["arguments"], {}
    scale = float(golden.fact("conventions", "factor"))
    tile = Tile(golden.given(f"{name}.lr_u8").float()[None, None] / 255, SectionGrid.slabs(scale))
    for direction in ("xz", "yz", "mean"):
        method = CycleGANIR(scale, SectionGrid.slabs(scale), direction=direction, **arguments).eval()
        load_weights(method, weights, trained_parts(method))
        assert method.parameter_count() == sum(value.numel() for value in state.values())
        if direction == "mean":  # of what was reconstructed before
            method.along = lambda direction, _: found[direction]
        with torch.inference_mode():
            found[direction] = method.reconstruct(tile)[0, 0]
    found["fused"] = found.pop("mean")
    for direction, volume in found.items():
        close(golden, f"{name}.{direction}", 255 * volume, "vol_grey_levels")
        mse = (255 * volume.double().clamp(0, 1) - golden.given(f"{name}.hr_u8").double()).square().mean()
        psnr = 10 * torch.log10(255**2 / mse).item()
        golden.agree((f"{name}_psnr_float_clipped", direction), psnr, abs=1e-3)
    close_grey(golden, f"{name}.fused_u8", found["fused"])


@cases("cyclegan_ir", named(r"(\w+)\.(D_[HL]R)\.(?:map_real|score_real)"))
def test_critics_have_the_released_shapes_and_maps(golden, case):
    prefix = ".".join(case)
    critic = method_of(golden).get_submodule(CRITICS[case[1]])
    x = normalised(golden.given(f"{case[0]}.{case[1][2:].lower()}_u8"))
    with torch.no_grad():
        close(golden, f"{prefix}.map_real", critic.layers(x))
        close(golden, f"{prefix}.score_real", critic(x))
        for found in golden.matching(rf"{prefix}\.act(\d+)_item(\d+)_ch(\d+)to(\d+)"):
            index, item, first, last = map(int, found.groups())
            close(golden, found[0], critic.layers[: index + 1](x)[item : item + 1, first : last + 1])


@FILES
def test_rates_and_weights_of_the_losses_are_the_released_ones(golden):
    factor = float(golden.fact("conventions", "factor"))
    released = CycleGANIR(factor, SectionGrid.slabs(factor))
    assert released.parameter_count() == 1_979_364 and ImagePool().capacity == 50
    optimizers = released.configure_optimizers()
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    assert [group["lr"] for group in groups] == list(released.rates(0))
    for name, rate in zip(
        ("G_HR2LR", "G_LR2HR", "D_LR", "D_HR"), [*released.rates(0), released.rates(0)[-1]], strict=True
    ):
        golden.agree(("train_setup", "lr", name), rate)
    for group in groups:
        golden.agree(("train_setup", "adam_betas"), list(group["betas"]))
    golden.agree(("train_setup", "weights", "adversarial"), ADVERSARIAL)
    golden.agree(("train_setup", "weights", "recover_HR"), CYCLE)
    golden.agree(("train_setup", "weights", "cycle_LR"), CYCLE)


@cases("cyclegan_ir", named(r"(\w+)\.fake_[HL]R"))
def test_fakes_and_losses_before_the_first_update_equal_the_released_ones(golden, case):
    method, relative = method_of(golden), golden.fact("tolerances", "first_iteration_losses_relative")
    lateral, axial = (normalised(golden.given(f"{case[0]}.{kind}_u8")) for kind in ("hr", "lr"))
    first, fakes = generator_losses(method.networks(), lateral, axial)
    close(golden, f"{case[0]}.fake_LR", fakes["axial"])
    close(golden, f"{case[0]}.fake_HR", fakes["lateral"])
    golden.agree(("train_step", 0, "loss_G_total"), first["loss"].item(), rel=relative)
    sides = {
        "LR": (method.axial_critic, fakes["axial"], axial),
        "HR": (method.lateral_critic, fakes["lateral"], lateral),
    }
    for kind, (critic, fake, real) in sides.items():
        scored = fake.detach()
        halves = {"real": (critic(real) - 1).square().mean(), "fake": critic(scored).square().mean()}
        for half, value in halves.items():
            golden.agree(("train_step", 0, f"loss_D_{kind}_{half}"), value.item(), rel=relative)
        golden.agree(("train_step", 0, f"loss_D_{kind}"), critic_loss(critic, real, scored).item(), rel=relative)


@cases("cyclegan_ir", named(r"(\w+)\.fake_[HL]R"))
def test_losses_gradients_and_updates_equal_the_released_ones(golden, case):
    method = method_of(golden)
    lateral, axial = (normalised(golden.given(f"{case[0]}.{kind}_u8")) for kind in ("hr", "lr"))
    nets, pools = method.networks(), {"axial": ImagePool(), "lateral": ImagePool()}
    exchange = {name: lambda fakes, pool=pool: pool.exchange(fakes, None) for name, pool in pools.items()}
    optimizers, gradients = method.configure_optimizers(), {}

    def backward(loss):
        loss.backward()
        for key, parameter in method.named_parameters():
            if parameter.grad is not None:  # critics rest while the generators learn
                gradients.setdefault(key, parameter.grad.clone())

    steps = golden.listed("train_step")
    for step in range(len(steps)):
        losses = iterate(nets, *optimizers, exchange, lateral, axial, backward)
        relative = golden.fact("tolerances", f"{'second' if step else 'first'}_iteration_losses_relative")
        for theirs, mine in LOSSES.items():
            golden.agree(("train_step", step, theirs), losses[mine].item(), rel=relative)
        if step == 0:
            check_gradients(golden, case[0], method, gradients)
            after = dict(method.named_parameters())
            for found in golden.matching(rf"{case[0]}\.after1\.(\w+)\.(.+)"):
                close(golden, found[0], after[ours(method, *found.groups())], "parameters_after_one_step")
    assert [len(pool.images) for pool in pools.values()] == [len(steps) * len(lateral), len(steps) * len(axial)]


def check_gradients(golden, case, method, gradients):
    """The released generators add up the gradients of two equal backward passes."""
    tolerance = golden.fact("tolerances", "gradient_norm_relative")

    def gradient(name, key):
        return gradients[ours(method, name, key)] * (2 if name in GENERATORS else 1)

    for found in golden.matching(rf"{case}\.grad1\.(\w+)\.(.+)"):
        wanted = golden.expected(found[0])
        assert (gradient(*found.groups()) - wanted).norm() <= tolerance * wanted.norm(), found[0]
    norms = ("train_step", 0, "grad_norms_accumulated_over_both_backward_calls")
    for whole in golden.listed(*norms):
        name, key = whole.split(".", 1)
        if name in GENERATORS or key not in without_effect(method.get_submodule(CRITICS[name])):
            golden.agree((*norms, whole), gradient(name, key).norm().item(), rel=tolerance)
        else:
            golden.fact(*norms, whole)  # as the file's note says


def without_effect(critic):
    """Released keys of the biases in front of an instance norm, whose gradients are rounding errors."""
    layers = list(critic.layers)
    return {f"model.{i}.bias" for i, after in enumerate(layers[1:]) if isinstance(after, torch.nn.InstanceNorm2d)}


class PythonChance:
    """Python's random numbers in the order in which the released pool draws them."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def random(self):
        return self.source.uniform(0, 1)

    def integers(self, high):
        return self.source.randint(0, high - 1)


POOL = r"image_pool_sequence_seed(\d+)_max(\d+)_inputs_0_to_\d+"


@cases("cyclegan_ir", lambda golden: [key for key in golden.facts if re.fullmatch(POOL, key)])
def test_the_image_pool_gives_the_recorded_sequence(golden, case):
    seed, capacity = map(int, re.fullmatch(POOL, case).groups())
    wanted, pool, chance = golden.expected_fact(case), ImagePool(capacity), PythonChance(seed)
    shown = [pool.exchange(torch.full((1, 1, 1, 1), float(i)), chance).item() for i in range(len(wanted))]
    assert shown == wanted
