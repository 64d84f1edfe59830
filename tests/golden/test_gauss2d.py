"""Renderers of 2D Gaussians against a dense float64 reference: sections, opacities and gradients. See gauss2d.json."""

import re
from importlib.util import find_spec

import pytest
import torch
from golden_files import cases

from vemrecon.methods.emgauss.dense import render_dense
from vemrecon.methods.emgauss.gsplat_kernel import render_gsplat
from vemrecon.methods.emgauss.splats import Splats, conics_of
from vemrecon.methods.emgauss.tiled import render_tiled

INPUTS = ("means", "scales", "rotations", "opacities", "colors", "background")
MODE = r"(alpha|additive)(_thresholded)?"
RENDERERS = {
    "dense": (render_dense, torch.float64, 0),
    "tiled": (render_tiled, torch.float32, None),
    "tiled64": (render_tiled, torch.float64, None),
}
"""Renderer, type, and cut where it is not the one that the file wants of this type."""


def rule(golden, dtype):
    """Cut, tolerance of sections and tolerance of gradients for renderers of a type, as the file says."""
    number = r"([\d.]+e-?\d+)"
    if dtype == torch.float64:
        cut, tolerance = golden.numbers(rf"float64 renderer with cut-off {number} should reach {number}", "tolerance")
        return cut, tolerance, tolerance
    pattern = rf"cut-off at {number} .*float32 .*reach {number} for image and acc and {number} for gradients"
    return tuple(golden.numbers(pattern, "tolerance"))


def thresholds(golden, mode, cut):
    if not mode.endswith("_thresholded"):
        return {"cut": cut}
    pattern = r"a_i < 1/(\d+) .*transmittance to ([\d.e-]+\d)"
    levels, stop = golden.numbers(pattern, "conventions", mode)
    return {"cut": 1 / levels, "stop": stop}


def inputs_of(golden, case, dtype, device="cpu"):
    return {name: golden.given(f"{case}/{name}").to(device, dtype).clone().requires_grad_() for name in INPUTS}


def splats_of(inputs, facts):
    parts = (inputs[name] for name in INPUTS[:-1])
    return Splats(*parts).zoomed(facts["render_scale"])


def check(golden, case, mode, inputs, section, opacity, tolerance, gradient_tolerance):
    weights = [golden.given(f"{case}/weight_{name}").to(section.device) for name in ("image", "acc")]
    loss = (weights[0] * section).sum() + (weights[1] * opacity).sum()
    loss.backward()
    terms = (weights[0] * section).abs().sum() + (weights[1] * opacity).abs().sum()
    golden.agree(("cases", case, "modes", mode, "loss"), loss.item(), abs=tolerance * terms.item())
    found = {"image": (section, tolerance), "acc": (opacity, tolerance)}
    found |= {f"grad.{name}": (inputs[name].grad, gradient_tolerance) for name in INPUTS}
    for name, (ours, allowed) in found.items():
        if (whole := f"{case}/{mode}/{name}") in golden:
            scale = max(golden.tensors[whole].abs().max().item(), 1e-3)  # the file's own rule
            golden.check(whole, ours, atol=allowed * scale)


def modes(golden):
    """Case and mode of everything rendered in a way that we know."""
    cases = ((case, mode) for case in golden.listed("cases") for mode in golden.facts["cases"][case]["modes"])
    return [(case, mode) for case, mode in cases if re.fullmatch(MODE, mode)]


CASES = cases("gauss2d", lambda golden: golden.listed("cases"))


@pytest.mark.parametrize("renderer", RENDERERS)
@cases("gauss2d", modes)
def test_sections_opacities_and_gradients(golden, case, renderer):
    case, mode = case
    facts = golden.fact("cases", case)
    render, dtype, own_cut = RENDERERS[renderer]
    cut, *tolerances = rule(golden, dtype)
    inputs = inputs_of(golden, case, dtype)
    section, opacity = render(
        splats_of(inputs, facts),
        inputs["background"],
        (facts["height"], facts["width"]),
        mode=mode.split("_")[0],
        eps2d=facts["eps2d"],
        **thresholds(golden, mode, cut if own_cut is None else own_cut),
    )
    check(golden, case, mode, inputs, section, opacity, *tolerances)


@CASES
def test_conics(golden, case):
    facts = golden.fact("cases", case)
    splats = splats_of(inputs_of(golden, case, torch.float64), facts)
    golden.check(f"{case}/conics", conics_of(splats.covariances(facts["eps2d"])), atol=1e-6, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available() or find_spec("gsplat") is None, reason="needs CUDA and gsplat")
@CASES
def test_gsplat(golden, case):
    facts = golden.fact("cases", case)
    inputs = inputs_of(golden, case, torch.float32, "cuda")
    size = facts["height"], facts["width"]
    section, opacity = render_gsplat(splats_of(inputs, facts), inputs["background"], size, eps2d=facts["eps2d"])
    check(golden, case, "alpha_thresholded", inputs, section, opacity, 1e-3, 1e-2)
