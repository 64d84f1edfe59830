"""SRUNet: scales, registration of its interpolations, training."""

import pytest
import torch
from small_volumes import textured

from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import LeakError
from vemrecon.fit.callbacks import read_log
from vemrecon.fit.stages import train
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.build import initialise
from vemrecon.methods.interpolation import Interpolation
from vemrecon.methods.srunet.loss import weighted_error
from vemrecon.methods.srunet.method import SRUNet
from vemrecon.methods.srunet.network import SRUNetwork
from vemrecon.volume import SectionGrid, Volume, VoxelSize


def small(grid="aligned", scale=4.0, seed=0, **more):
    settings = {"widths": (4, 4, 8), "sections": 4, "crop": 16, "batch": 2, "budget": 4} | more
    return initialise(lambda: SRUNet(scale, SectionGrid.of_kind(grid, scale), **settings), seed)


def source(kind="subsample", regime="isotropic", scale=4):
    degradation = make_degradation(kind, scale)
    truth = [Volume(textured((40, 48, 48), seed), VoxelSize(8, 8, 8), "truth") for seed in (1, 2)]
    observed = [degrade(volume, degradation) for volume in truth]
    return Source.of(
        observed[:1], degradation, regime, truth=truth[:1], validation=observed[1:], validation_truth=truth[1:]
    )


def test_published_widths_have_the_published_number_of_parameters():
    with torch.device("meta"):
        assert sum(p.numel() for p in SRUNetwork().parameters()) == 2_408_257


@pytest.mark.parametrize("scale", [2, 4, 6, 8, 10])
def test_every_even_scale_and_any_extent_is_reconstructed(scale):
    method = small(scale=float(scale)).eval()
    assert method.supports(scale, SectionGrid.kept_every(scale)) is None
    result = reconstruct_tile(method, Tile(torch.rand(1, 1, 3, 17, 10), SectionGrid.kept_every(scale)))[0]
    assert result.shape == (1, 1, 3 * scale, 17, 10)


@pytest.mark.parametrize("scale", [3, 2.5, 5])
def test_odd_scales_are_declined(scale):
    assert "even scale" in small(scale=float(scale)).supports(scale, SectionGrid.slabs(scale))


@pytest.mark.parametrize("grid", ["aligned", "centred"])
def test_with_a_skip_training_starts_at_registered_linear_interpolation(grid):
    method = small(grid, skip=True).eval()
    tile = Tile(torch.rand(1, 1, 5, 16, 16), SectionGrid.of_kind(grid, 4))
    linear = reconstruct_tile(Interpolation("linear"), tile)[0]
    torch.testing.assert_close(reconstruct_tile(method, tile)[0], linear, atol=1e-6, rtol=0)


def test_errors_count_twice_where_interpolation_is_worst():
    target = torch.zeros(1, 1, 2, 1, 1)
    interpolated = torch.tensor([0.0, 0.5]).reshape(target.shape)
    for wrong, weight in ((0, 0.5), (1, 1.0)):
        prediction = torch.zeros(2)
        prediction[wrong] = 1
        loss = weighted_error(interpolated, prediction.reshape(target.shape), target)
        assert loss.item() == pytest.approx(weight / 2)
    assert weighted_error(target, target + 1, target).item() == pytest.approx(0.5)  # nothing to be wrong about


def test_gradients_reach_every_parameter():
    method = small(skip=False)
    batch = {"observed": torch.rand(1, 1, 3, 16, 16), "target": torch.rand(1, 1, 12, 16, 16)}
    method.training_step(batch, 0).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in method.parameters())


@pytest.mark.parametrize("kind", ["subsample", "average"])
def test_a_few_steps_lower_the_loss(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("vemrecon.methods.srunet.method.epoch_of", lambda budget: 15)  # few validations
    made = source(kind)
    method = small(made.degradation.grid, widths=(8, 8, 8), budget=60, cosine=True, learning_rate=3e-3)
    train(method, made, tmp_path, identity="x", seed=0)
    curves = read_log(tmp_path / "fit" / "loss.csv")
    losses, psnr = curves["loss"][1], curves["validation psnr"][1]
    assert losses[-1] < 0.8 * losses[0]
    assert psnr[-1] > psnr[0] + 0.3


def test_truth_is_refused_to_methods_of_other_regimes(tmp_path):
    with pytest.raises(LeakError, match="forbids"):
        train(small(), source(regime="self"), tmp_path, identity="x", seed=0)


def test_the_features_of_a_narrow_network_are_alive_when_training_starts():
    """They once faded to nothing, so that nothing was learned."""
    method = small(skip=True, widths=(8, 16, 32)).eval()
    found = []
    method.net.up1.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.inference_mode():
        method.restore(torch.rand(1, 1, 4, 16, 16))
    assert (found[0] > 0).float().mean() > 0.2
    assert found[0].std() > 1e-3
