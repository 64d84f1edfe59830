"""CycleGAN-IR's critics, losses, gradients and updates against tensors made with the authors' modules."""

import random
import re

import torch
from cyclegan_golden import CRITICS, FILES, GENERATORS, close, method_of, named, normalised
from golden_files import cases

from vemrecon.methods.cyclegan_ir.adversarial import ADVERSARIAL, CYCLE, critic_loss, generator_losses, iterate
from vemrecon.methods.cyclegan_ir.image_pool import ImagePool
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.methods.cyclegan_ir.released import released_key
from vemrecon.volume import SectionGrid

LOSSES = {
    "loss_GAN_HR2LR": "adversarial axial",
    "loss_GAN_LR2HR": "adversarial lateral",
    "loss_recover_HR": "cycle lateral",
    "loss_cycle_LR": "cycle axial",
    "loss_G_total": "loss",
    "loss_D_LR": "critic axial",
    "loss_D_HR": "critic lateral",
}


def ours(method, name, key):
    """Our parameter of a network and a released key."""
    if name in CRITICS:
        return f"{CRITICS[name]}.{key.replace('model.', 'layers.')}"
    part = GENERATORS[name][0]
    return next(f"{part}.{k}" for k in method.get_submodule(part).state_dict() if released_key(k) == key)


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
