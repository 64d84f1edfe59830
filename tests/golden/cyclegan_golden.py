"""Reading the golden file of CycleGAN-IR: its networks, its cases by what their tensors are called, its tolerances."""

from golden_files import each

from vemrecon.methods.cyclegan_ir.generator import Enlarge, Reduce
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.methods.cyclegan_ir.released import generator_options, load_released
from vemrecon.volume import SectionGrid

FILES = each("cyclegan_ir")
GENERATORS = {"G_LR2HR": ("net", Enlarge, "up", "lr"), "G_HR2LR": ("degrader", Reduce, "pool", "hr")}
"""Our part of the method, its resampling, the name of that in the file, and what it is applied to."""
CRITICS = {"D_LR": "axial_critic", "D_HR": "lateral_critic"}


def named(pattern):
    """Cases by what their tensors are called: tuples of the groups of a pattern."""
    return lambda golden: sorted({match.groups() for match in golden.matching(pattern)})


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


def normalised(grey):
    """Grey levels (..., h, w) as (n, 1, h, w) in [-1, 1]."""
    return (2 * (grey.float() / 255) - 1).reshape(-1, 1, *grey.shape[-2:])


def close(golden, name, found, rule="forward_normalised_units"):
    golden.check(name, found, atol=golden.fact("tolerances", rule))
