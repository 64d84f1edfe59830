"""Convolutions to one channel against those of torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vemrecon.nets import one_channel
from vemrecon.nets.one_channel import ToOneChannel2d, ToOneChannel3d

KINDS = {2: (ToOneChannel2d, nn.Conv2d), 3: (ToOneChannel3d, nn.Conv3d)}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([2, 3]), st.integers(1, 3), st.integers(1, 9), st.tuples(*[st.integers(1, 7)] * 3), st.booleans()
)
def test_result_is_that_of_a_convolution(axes, batch, channels, sizes, neighbours):
    ours, plain = KINDS[axes]
    layer = ours(channels).double()
    x = torch.randn(batch, *sizes[:axes], channels, dtype=torch.float64).movedim(-1, 1)

    with torch.inference_mode():
        found = layer(x if neighbours else x.contiguous())
        wanted = plain.forward(layer, x)

    assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
def test_parts_make_no_difference(axes, monkeypatch):
    layer, x = KINDS[axes][0](4), torch.randn(2, 4, *(5, 6, 7)[:axes])
    with torch.inference_mode():
        whole = layer(x)
        monkeypatch.setattr(one_channel, "SHARES", 9 * 30)

        assert torch.allclose(layer(x), whole, atol=1e-6)


@pytest.mark.parametrize("axes", [2, 3])
def test_gradients_are_those_of_a_convolution(axes):
    ours, plain = KINDS[axes]
    layer, x = ours(3).double(), torch.randn(2, 3, *(4, 5, 6)[:axes], dtype=torch.float64, requires_grad=True)
    wanted = torch.autograd.grad(plain.forward(layer, x).sin().sum(), [x, *layer.parameters()])

    found = torch.autograd.grad(layer(x).sin().sum(), [x, *layer.parameters()])

    assert all(torch.allclose(p, q, atol=1e-12) for p, q in zip(found, wanted, strict=True))


def test_weights_are_those_of_a_convolution():
    torch.manual_seed(0)
    ours = ToOneChannel2d(5).state_dict()
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 1, 3, padding=1).state_dict()

    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], value) for name, value in plain.items())
