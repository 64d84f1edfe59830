"""D2R's losses and pseudo truth against tensors made with official code. Tolerances come from the files."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from golden_files import cases, each

from vemrecon.methods.d2r.losses import edge_repeated, section_loss
from vemrecon.methods.d2r.pseudo_truth import Tiling, joined_passes, restore_passes
from vemrecon.methods.irsde.method import IRSDE
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.continuity import gini_coefficient
from vemrecon.nets.focal_frequency import focal_frequency_loss, focal_weights, spectral_distance
from vemrecon.nets.losses import structural_similarity
from vemrecon.volume import SectionGrid

LOSSES, STAGE2 = each("d2r_losses"), each("d2r_stage2")
VARIANTS = cases("d2r_losses", lambda golden: golden.listed("config", "ffl_variants"))
OPTIONS = {"ave_spectrum": "average", "log_matrix": "log", "batch_matrix": "over_batch", "patch_factor": "patches"}


@VARIANTS
def test_focal_frequency_loss_and_its_gradient(golden, case):
    options = dict(golden.fact("config", "ffl_variants", case))
    weight = options.pop("loss_weight", 1.0)
    prediction = golden.given("input.pred").clone().requires_grad_()
    options = {OPTIONS.get(key, key): value for key, value in options.items()}
    loss = weight * focal_frequency_loss(prediction, golden.given("input.target"), **options)
    loss.backward()
    golden.check(f"output.ffl_{case}", loss.reshape(1))
    golden.check(f"output.ffl_{case}_grad_pred", prediction.grad)


@LOSSES
def test_spectral_distance_weights_and_the_other_losses(golden):
    prediction, target = golden.given("input.pred"), golden.given("input.target")
    distance = spectral_distance(prediction, target)
    golden.check("inter.freq_sqdist", distance[0])
    golden.check("inter.freq_weight", focal_weights(distance)[0])
    golden.check("output.l1", F.l1_loss(prediction, target).reshape(1))


@LOSSES
def test_the_loss_of_a_section_is_the_sum_of_its_three_parts(golden):
    first, second = (golden.given(f"input.{name}")[:, :1] for name in ("pred", "target"))  # the SSIM is of channel 0
    similarity = structural_similarity(edge_repeated(first), edge_repeated(second)).reshape(1)
    golden.check("output.ssim_replicate", similarity)
    wanted = F.l1_loss(first, second) + 1 - golden.expected("output.ssim_replicate")[0]
    wanted += 100 * focal_frequency_loss(first, second)
    assert section_loss(first, second).item() == pytest.approx(wanted.item(), abs=1e-5)


@LOSSES
def test_inequality_of_distances(golden):
    distances = golden.given("input.distances")
    golden.check("output.gini", gini_coefficient(distances).reshape(1))
    golden.check("output.mean_distance", distances.mean().reshape(1))


@LOSSES
def test_scores_on_grey_levels(golden):
    a, b = (golden.given(f"input.u8_{which}").double()[:, 0] for which in ("pred", "target"))
    golden.check("output.u8_psnr", decibels((a - b).square().mean(dim=(1, 2))))
    golden.check("output.u8_ssim_valid", structural_similarity(a / 255, b / 255, reduce=False))


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


@STAGE2
def test_both_lateral_passes_have_z_in_their_rows(golden):
    z, y, x = golden.fact("config", "tile_zyx")
    tile = golden.given("input.volume")[:z, :y, :x].float() / 255
    method = StandIn(golden.fact("config", "factor"))
    enlarged = method.interpolated(tile.movedim(1, 0)[:, None])[:, 0].movedim(0, 1)
    golden.check("output.tile0_bicubic_xz", enlarged)
    xz, yz = (method.along(direction, tile) for direction in ("xz", "yz"))
    golden.check("output.tile0_xz_pred", xz)
    golden.check("output.tile0_yz_pred", yz)
    golden.check("output.tile0_mean", 0.5 * (xz + yz))


def tiling_of(golden):
    volume, tile, overlap = (tuple(golden.fact("config", f"{key}_zyx")) for key in ("volume_shape", "tile", "overlap"))
    return Tiling(volume, golden.fact("config", "factor"), tile, overlap)


@STAGE2
def test_tiles_lie_where_the_release_puts_them(golden):
    centres = tiling_of(golden).centres
    golden.check("output.counts", torch.tensor([len(found) for found in centres]))
    golden.check("output.coords", torch.tensor(list(itertools.product(*centres))).T)


def check_blended(golden, blended):
    golden.check("output.blended_float64", blended)
    golden.check("output.blended_float16", blended)
    golden.check("output.volume_uint8", (255 * blended.clamp(0, 1)).floor())


@STAGE2
def test_pseudo_truth_is_stitched_as_released(golden):
    check_blended(golden, tiling_of(golden).whole(list(golden.given("input.tiles"))))


@STAGE2
def test_pseudo_truth_is_made_tile_by_tile_as_released(golden, tmp_path):
    tiling = tiling_of(golden)
    volume = golden.given("input.volume").float() / 255
    restore_passes(volume, StandIn(golden.fact("config", "factor")).along, tiling, tmp_path)
    check_blended(golden, joined_passes(tiling, tmp_path))
