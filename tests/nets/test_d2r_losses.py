"""Focal frequency loss and continuity: what must hold for any images."""

import math
import sys

import lpips_stand_in as stand_in
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon.errors import ConfigError, DataError
from vemrecon.nets.continuity import continuity_loss, gini_coefficient, perceptual_distance
from vemrecon.nets.focal_frequency import focal_frequency_loss, focal_weights, spectral_distance


def images(seed=0, shape=(2, 1, 12, 16)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def test_without_weights_the_spectral_distance_is_the_squared_error():
    a, b = images()
    for options in ({}, {"patches": 2}, {"patches": 4}):  # Parseval
        assert spectral_distance(a, b, **options).mean().item() == pytest.approx((a - b).square().mean().item())
    assert focal_frequency_loss(a, b, alpha=0).item() == pytest.approx((a - b).square().mean().item())


def test_the_loss_of_equal_images_and_its_gradient_are_zero():
    a, _ = images()
    prediction = a.clone().requires_grad_()
    loss = focal_frequency_loss(prediction, a)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(a))


def test_weights_are_one_at_the_worst_frequency_and_carry_no_gradient():
    a, b = images()
    distance = spectral_distance(a.requires_grad_(), b)
    weights = focal_weights(distance)
    assert not weights.requires_grad
    assert torch.equal(weights.amax(dim=(-2, -1)), torch.ones(1, 2, 1))
    assert torch.equal(weights.flatten(2).argmax(-1), distance.flatten(2).argmax(-1))
    assert 0 <= focal_weights(distance, log=True, over_batch=True).min() < 1


def test_turning_both_images_does_not_change_the_loss():
    a, b = images(1)
    wanted = focal_frequency_loss(a, b).item()
    for turn in (lambda x: x.flip(-1), lambda x: x.transpose(-1, -2), lambda x: x.roll(3, -2)):
        assert focal_frequency_loss(turn(a), turn(b)).item() == pytest.approx(wanted, rel=1e-5)


def test_images_that_cannot_be_compared_are_refused():
    a, b = images()
    with pytest.raises(DataError, match="compares two images"):
        focal_frequency_loss(a, b[..., :8])
    with pytest.raises(DataError, match="12 x 16 cannot be cut into 5 x 5"):
        focal_frequency_loss(a, b, patches=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=9), st.floats(0.1, 100), st.randoms())
def test_gini_lies_between_zero_and_one_and_ignores_order_and_unit(values, unit, random):
    gini = gini_coefficient(torch.tensor(values)).item()
    shuffled = random.sample(values, len(values))
    assert -1e-6 <= gini < 1
    assert gini_coefficient(unit * torch.tensor(shuffled)).item() == pytest.approx(gini, abs=1e-5)
    n, ordered = len(values), sorted(values)  # the textbook formula over ranks
    ranks = sum((2 * (i + 1) - n - 1) * x for i, x in enumerate(ordered)) / (n * sum(ordered))
    assert gini == pytest.approx(ranks, abs=1e-5)


def test_gini_of_equal_and_of_no_distances_is_zero_with_a_gradient():
    assert gini_coefficient(torch.full((5,), 0.3)).item() == 0
    nothing = torch.zeros(5, requires_grad=True)
    gini = gini_coefficient(nothing)
    gini.backward()
    assert gini.item() == 0 and torch.isfinite(nothing.grad).all()


def mean_difference(a, b):
    return (a - b).abs().mean(dim=(1, 2, 3))


def ramp(levels):
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 4, 4)


def test_even_steps_have_the_lower_continuity_loss():
    even, jump = ramp([0.0, 0.2, 0.4, 0.6]), ramp([0.0, 0.0, 0.0, 0.6])
    assert continuity_loss(even, mean_difference).item() == pytest.approx(0.2)
    assert continuity_loss(jump, mean_difference).item() == pytest.approx(0.2 + 2 / 3)
    assert continuity_loss(jump, mean_difference, "paper").item() == pytest.approx(0.2 + 1 / 3)  # rewards the jump
    with pytest.raises(ConfigError, match="smooth_sign"):
        continuity_loss(even, mean_difference, "score")


def test_without_lpips_there_is_no_distance_and_one_clear_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.warns(UserWarning, match="continuity loss is off.*vemrecon fetch lpips"):
        assert perceptual_distance() is None


def test_lpips_without_the_weights_of_its_network_is_never_used(monkeypatch, tmp_path):
    stand_in.with_stand_in(monkeypatch)
    stand_in.empty_cache(monkeypatch, tmp_path)
    with pytest.warns(UserWarning, match="alexnet-owt-7be5be79.pth are not in torch's cache"):
        assert perceptual_distance() is None


def test_the_gradient_of_the_continuity_loss_passes_through_lpips(monkeypatch, tmp_path):
    stand_in.with_stand_in(monkeypatch)
    stand_in.put_weights(monkeypatch, tmp_path, "alex")
    distance = perceptual_distance()
    slices = torch.cat(images(2, (3, 1, 64, 64))).requires_grad_()
    steps = distance(slices[:-1], slices[1:])
    assert steps.shape == (5,) and (steps > 0).all()
    assert torch.equal(distance(slices, slices), torch.zeros(6))
    loss = continuity_loss(slices, distance)
    assert loss.item() == pytest.approx((steps.mean() + gini_coefficient(steps)).item())
    loss.backward()
    assert 0 < slices.grad.abs().max().item() < math.inf
