"""Renderers of 2D Gaussians against a dense float64 reference: sections, opacities and gradients. See gauss2d.json."""

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.emgauss.dense import render_dense
from vemrecon.methods.emgauss.gsplat_kernel import render_gsplat
from vemrecon.methods.emgauss.splats import Splats, conics_of
from vemrecon.methods.emgauss.tiled import render_tiled

FILES = golden_cases("gauss2d")
CASES = ("single", "small", "border", "aniso", "tiny_eps", "opaque", "signed", "rgb", "order", "crowd", "up1p5")
CASES += ("up2_eps",)
INPUTS = ("means", "scales", "rotations", "opacities", "colors", "background")
THRESHOLDS = {"cut": 1 / 255, "stop": 1e-4}
# renderer, type, cut where the mode has none, tolerance of sections and of gradients
RENDERERS = {
    "dense": (render_dense, torch.float64, 0.0, 1e-6, 1e-6),
    "tiled": (render_tiled, torch.float32, 1e-7, 2e-5, 1e-4),
    "tiled64": (render_tiled, torch.float64, 1e-12, 1e-6, 1e-6),
}


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def inputs_of(file, case, dtype, device="cpu"):
    tensors = loaded(file)[1]
    return {name: tensors[f"{case}/{name}"].to(device, dtype).clone().requires_grad_() for name in INPUTS}


def splats_of(inputs, facts):
    parts = (inputs[name] for name in INPUTS[:-1])
    return Splats(*parts).zoomed(facts["render_scale"])


def check(file, case, mode, inputs, section, opacity, tolerance, gradient_tolerance):
    tensors = {name.removeprefix(f"{case}/"): value for name, value in loaded(file)[1].items()}
    device = section.device
    loss = (tensors["weight_image"].to(device) * section).sum() + (tensors["weight_acc"].to(device) * opacity).sum()
    loss.backward()
    found = {"image": (section, tolerance), "acc": (opacity, tolerance)}
    found |= {f"grad.{name}": (inputs[name].grad, gradient_tolerance) for name in INPUTS}
    for name, (ours, allowed) in found.items():
        wanted = tensors[f"{mode}/{name}"].double()
        error = (ours.detach().cpu().double() - wanted).abs().max() / max(wanted.abs().max(), 1e-3)
        assert error < allowed, (name, float(error))


@pytest.mark.parametrize("file", FILES)
def test_every_case_is_checked(file):
    facts = loaded(file)[0]["cases"]
    assert set(facts) == set(CASES)
    assert {mode for case in facts.values() for mode in case["modes"]} == {"alpha", "alpha_thresholded", "additive"}


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("mode", ["alpha", "alpha_thresholded", "additive"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("file", FILES)
def test_sections_opacities_and_gradients(file, case, mode, renderer):
    facts = loaded(file)[0]["cases"][case]
    render, dtype, cut, tolerance, gradient_tolerance = RENDERERS[renderer]
    inputs = inputs_of(file, case, dtype)
    thresholds = THRESHOLDS if mode == "alpha_thresholded" else {"cut": cut}
    section, opacity = render(
        splats_of(inputs, facts),
        inputs["background"],
        (facts["height"], facts["width"]),
        mode=mode.split("_")[0],
        eps2d=facts["eps2d"],
        **thresholds,
    )
    check(file, case, mode, inputs, section, opacity, tolerance, gradient_tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("file", FILES)
def test_conics(file, case):
    facts = loaded(file)[0]["cases"][case]
    splats = splats_of(inputs_of(file, case, torch.float64), facts)
    ours, wanted = conics_of(splats.covariances(facts["eps2d"])), loaded(file)[1][f"{case}/conics"].double()
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available() or find_spec("gsplat") is None, reason="needs CUDA and gsplat")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("file", FILES)
def test_gsplat(file, case):
    facts = loaded(file)[0]["cases"][case]
    inputs = inputs_of(file, case, torch.float32, "cuda")
    size = facts["height"], facts["width"]
    section, opacity = render_gsplat(splats_of(inputs, facts), inputs["background"], size, eps2d=facts["eps2d"])
    check(file, case, "alpha_thresholded", inputs, section, opacity, 1e-3, 1e-2)
