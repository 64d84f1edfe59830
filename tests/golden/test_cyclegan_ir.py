"""CycleGAN-IR's generators against tensors made with the authors' modules and their released weights."""

import numpy as np
import pytest
import torch
from cyclegan_golden import FILES, GENERATORS, close, generator, named, normalised
from golden_files import cases
from released_states import generator_state

from vemrecon.methods.base import Tile
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.volume import SectionGrid, quantise

NAMES = "|".join(GENERATORS)


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
