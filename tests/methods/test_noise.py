"""Noise that belongs to places: parts of it fit together, and it is as random as noise should be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon.methods.noise import noise_at, noise_key
from vemrecon.seeding import derive_seed

KEY = noise_key(3, "test")
WHOLE = noise_at(KEY, (-5, -40, 60), (20, 70, 50))


@settings(deadline=None)
@given(
    st.tuples(st.integers(0, 19), st.integers(0, 69), st.integers(0, 49)),
    st.tuples(st.integers(1, 20), st.integers(1, 70), st.integers(1, 50)),
)
def test_noise_of_a_part_is_that_part_of_the_noise(first, extent):
    last = [min(a + n, whole) for a, n, whole in zip(first, extent, WHOLE.shape, strict=True)]
    shape = tuple(b - a for a, b in zip(first, last, strict=True))
    start = tuple(a + b for a, b in zip(first, (-5, -40, 60), strict=True))
    part = noise_at(KEY, start, shape)
    assert torch.equal(part, WHOLE[tuple(slice(a, b) for a, b in zip(first, last, strict=True))])


def test_numbers_are_those_of_an_independent_splitmix64():
    def mixed(h):
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return h ^ (h >> np.uint64(31))

    from scipy.stats import norm

    state = np.array(derive_seed(3, "test"), dtype=np.uint64)
    for start, extent in zip((-5, -40, 60), WHOLE.shape, strict=True):
        position = np.arange(start, start + extent).astype(np.uint64)
        state = mixed(state[..., None] + position * np.uint64(0x9E3779B97F4A7C15))
    wanted = norm.ppf(((state >> np.uint64(12)) + 0.5) / 2.0**52)
    np.testing.assert_allclose(WHOLE.numpy(), wanted, atol=1e-6)


def test_noise_is_normal_and_neighbours_steps_and_seeds_have_nothing_in_common():
    noise = noise_at(KEY, (0, 0, 0), (64, 64, 64)).double()
    n = noise.numel() ** 0.5
    assert abs(noise.mean()) < 5 / n
    assert abs(noise.square().mean() - 1) < 5 * 2**0.5 / n
    assert abs(noise.pow(3).mean()) < 5 * 15**0.5 / n
    assert abs(noise.pow(4).mean() - 3) < 5 * 96**0.5 / n
    others = [noise.roll(shift, axis) for axis in range(3) for shift in (1, 2, 32)]
    others += [
        noise_at(key, (0, 0, 0), (64, 64, 64)).double() for key in (noise_key(4, "test"), noise_key(3, "test", 1))
    ]
    for other in others:
        assert abs((noise * other).mean()) < 5 / n
        assert abs((noise.square() * other.square()).mean() - 1) < 5 * 8**0.5 / n


@pytest.mark.gpu
def test_noise_is_the_same_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.testing.assert_close(noise_at(KEY, (-5, -40, 60), (20, 70, 50), "cuda").cpu(), WHOLE, atol=1e-6, rtol=0)
