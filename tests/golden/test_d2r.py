"""D2R's losses and pseudo truth against tensors made with official code. Tolerances come from the files."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.d2r.losses import edge_repeated, section_loss
from vemrecon.methods.d2r.pseudo_truth import Tiling, joined_passes, restore_passes
from vemrecon.methods.irsde.method import IRSDE
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.continuity import gini_coefficient
from vemrecon.nets.focal_frequency import focal_frequency_loss, focal_weights, spectral_distance
from vemrecon.nets.losses import structural_similarity
from vemrecon.volume import SectionGrid

LOSSES, STAGE2 = golden_cases("d2r_losses"), golden_cases("d2r_stage2")
OPTIONS = {"ave_spectrum": "average", "log_matrix": "log", "batch_matrix": "over_batch", "patch_factor": "patches"}


@cache
def loaded(file):
    facts, arrays = load_golden(file)
    return facts, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def check(file, name, ours):
    facts, tensors = loaded(file)
    rule = facts["recommended_tolerance"]
    atol = rule["atol_per_tensor"].get(name, rule["atol_default"])
    torch.testing.assert_close(
        ours.float(), tensors[name].float(), rtol=rule["rtol"], atol=atol, msg=lambda text: f"{name}: {text}"
    )


def variants():
    """(file, variant) of every focal frequency loss."""
    found = []
    for case in LOSSES:
        file = case.values[0]
        if file is None:
            found.append(pytest.param(None, None, marks=case.marks, id=case.id))
        else:
            names = loaded(file)[0]["config"]["ffl_variants"]
            found += [pytest.param(file, name, id=name) for name in names]
    return found


@pytest.mark.parametrize(("file", "variant"), variants())
def test_focal_frequency_loss_and_its_gradient(file, variant):
    facts, tensors = loaded(file)
    options = dict(facts["config"]["ffl_variants"][variant])
    weight = options.pop("loss_weight", 1.0)
    prediction = tensors["input.pred"].clone().requires_grad_()
    options = {OPTIONS.get(key, key): value for key, value in options.items()}
    loss = weight * focal_frequency_loss(prediction, tensors["input.target"], **options)
    loss.backward()
    check(file, f"output.ffl_{variant}", loss.detach().reshape(1))
    check(file, f"output.ffl_{variant}_grad_pred", prediction.grad)


@pytest.mark.parametrize("file", LOSSES)
def test_spectral_distance_weights_and_the_other_losses(file):
    _, tensors = loaded(file)
    prediction, target = tensors["input.pred"], tensors["input.target"]
    distance = spectral_distance(prediction, target)
    check(file, "inter.freq_sqdist", distance[0])
    check(file, "inter.freq_weight", focal_weights(distance)[0])
    first = [edge_repeated(images[:, :1]) for images in (prediction, target)]  # the file's SSIM is that of channel 0
    check(file, "output.ssim_replicate", structural_similarity(*first).reshape(1))
    check(file, "output.l1", F.l1_loss(prediction, target).reshape(1))
    check(file, "output.gini", gini_coefficient(tensors["input.distances"]).reshape(1))
    check(file, "output.mean_distance", tensors["input.distances"].mean().reshape(1))
    total = section_loss(prediction[:, :1], target[:, :1])
    ffl = focal_frequency_loss(prediction[:, :1], target[:, :1])
    wanted = F.l1_loss(prediction[:, :1], target[:, :1]) + 1 - tensors["output.ssim_replicate"][0] + 100 * ffl
    assert total.item() == pytest.approx(wanted.item(), abs=1e-5)


@pytest.mark.parametrize("file", LOSSES)
def test_scores_on_grey_levels(file):
    _, tensors = loaded(file)
    a, b = (tensors[f"input.u8_{which}"].double()[:, 0] for which in ("pred", "target"))
    check(file, "output.u8_psnr", decibels((a - b).square().mean(dim=(1, 2))))
    check(file, "output.u8_ssim_valid", structural_similarity(a / 255, b / 255, reduce=False))


class StandIn(IRSDE):
    """The file's restorer, which depends on the position so that turned planes would show.

    Unregistered, since the released code interpolates kept rows as if they were means over slabs.
    """

    def __init__(self, factor):
        super().__init__(
            factor,
            SectionGrid.kept_every(factor),
            width=4,
            encoder=(1,),
            decoder=(1,),
            section=(2 * factor, 2),
            halo=(0, 0),
            registered=False,
        )

    def restore(self, observed, noise=None, *, sampler=None, steps=None):
        planes = self.interpolated(observed)
        row = torch.linspace(0, 1, planes.shape[2], dtype=planes.dtype)[:, None]
        column = torch.linspace(0, 1, planes.shape[3], dtype=planes.dtype)
        return planes * (0.6 + 0.3 * row) + 0.1 * column * planes**2


def stage2(file):
    facts, tensors = loaded(file)
    config = facts["config"]
    z, y, x = config["tile_zyx"]
    volume = tensors["input.volume"].float() / 255
    return config, tensors, volume, volume[:z, :y, :x]


@pytest.mark.parametrize("file", STAGE2)
def test_both_lateral_passes_have_z_in_their_rows(file):
    config, _, _, tile = stage2(file)
    method = StandIn(config["factor"])
    enlarged = method.interpolated(tile.movedim(1, 0)[:, None])[:, 0].movedim(0, 1)
    check(file, "output.tile0_bicubic_xz", enlarged)
    xz, yz = (method.along(direction, tile) for direction in ("xz", "yz"))
    check(file, "output.tile0_xz_pred", xz)
    check(file, "output.tile0_yz_pred", yz)
    check(file, "output.tile0_mean", 0.5 * (xz + yz))


@pytest.mark.parametrize("file", STAGE2)
def test_pseudo_truth_is_tiled_and_stitched_as_released(file, tmp_path):
    config, tensors, volume, _ = stage2(file)
    shape, tile, overlap = (tuple(config[key]) for key in ("volume_shape_zyx", "tile_zyx", "overlap_zyx"))
    tiling = Tiling(shape, config["factor"], tile, overlap)
    assert [len(found) for found in tiling.centres] == tensors["output.counts"].tolist()
    assert torch.equal(torch.tensor(list(itertools.product(*tiling.centres))).T, tensors["output.coords"])
    restore_passes(volume, StandIn(config["factor"]).along, tiling, tmp_path)
    for blended in (tiling.whole(list(tensors["input.tiles"])), joined_passes(tiling, tmp_path)):
        check(file, "output.blended_float64", blended)
        check(file, "output.blended_float16", blended)
        check(file, "output.volume_uint8", (255 * blended.clamp(0, 1)).floor())
