"""Computing in bfloat16: only where it is asked for and computed; what is made of it is float32."""

import pytest
import torch

from vemrecon.methods import Method, Tile, interpolated, short_floats
from vemrecon.methods.base import reconstruct_tile
from vemrecon.methods.build import build_method
from vemrecon.methods.lateral_cnn import LateralCNN
from vemrecon.methods.registry import method_entry
from vemrecon.volume import SectionGrid


def made(name, **changed):
    kind, _, presets = method_entry(name).resolved()
    method = build_method(kind, name, {**presets["smoke"], **changed}, grid=SectionGrid.kept_every(4), seed=0)
    for parameter in method.parameters():  # an untrained output is zero in any precision
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    return method


def output(method):
    frames = torch.rand(1, 1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    if hasattr(method, "predict"):
        return method.predict(frames, torch.tensor([0.4]))
    return method.restore(frames[:, :, 0] if isinstance(method, LateralCNN) else frames)


@pytest.mark.parametrize("name", ["srunet", "sup-aenet", "lateral-cnn"])
def test_networks_are_trained_in_bfloat16_and_reconstruct_in_float32(name, monkeypatch):
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: True)
    plain, short = made(name), made(name, bf16=True)
    assert torch.equal(output(plain.eval()), output(short.eval()))
    exact, rough = output(plain.train()), output(short.train())
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.05 * exact.abs().max()
    rough.mean().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in short.parameters())


@pytest.mark.parametrize("name", ["srunet", "sup-aenet", "lateral-cnn"])
def test_processors_without_bfloat16_compute_in_float32(name, monkeypatch):
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: False)
    assert torch.equal(output(made(name).train()), output(made(name, bf16=True).train()))
    assert not short_floats.short_floats(torch.device("meta"), True)._enabled


@pytest.mark.parametrize("name", ["srunet", "sup-aenet", "lateral-cnn"])
def test_a_reconstruction_in_bfloat16_is_one_whatever_they_were_trained_in(name):
    method = made(name).eval()
    exact = output(method)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(output(method).float(), exact)


def test_interpolation_keeps_its_digits_whatever_networks_compute_in():
    observed = torch.rand(1, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    wanted = interpolated(observed, SectionGrid.slabs(4))
    with torch.autocast("cpu", torch.bfloat16):
        found = interpolated(observed, SectionGrid.slabs(4))
    assert found.dtype == torch.float32 and torch.equal(found, wanted)


def test_the_engine_takes_what_was_made_in_bfloat16():
    class Short(Method):
        def reconstruct(self, tile):
            return tile.observed.repeat_interleave(4, dim=2).bfloat16()

    observed = torch.rand(1, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    (made,) = reconstruct_tile(Short(), Tile(observed, SectionGrid.slabs(4)))
    assert made.dtype == torch.float32
    assert torch.equal(made, observed.repeat_interleave(4, dim=2).bfloat16().float())
