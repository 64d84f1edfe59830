"""The blur in blocks of rows is scipy's, bit for bit."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from vemrecon.degradations import gaussian


def by_scipy(volume, sigmas, radii):
    found = volume.astype(np.float64)
    for axis, (sigma, radius) in enumerate(zip(sigmas, radii, strict=True)):
        if radius:
            found = gaussian_filter1d(found, sigma, axis=axis, mode="mirror", radius=radius)
    return found.astype(np.float32)


@pytest.mark.parametrize("shape", [(17, 33, 29), (3, 5, 2), (1, 4, 4), (40, 7, 3)])
@pytest.mark.parametrize(
    ("sigmas", "radii"), [((2, 0.5, 0.5), (6, 2, 2)), ((2, 0, 0), (6, 0, 0)), ((0, 0.8, 0.8), (0, 3, 3))]
)
def test_every_bit_is_that_of_scipy(monkeypatch, shape, sigmas, radii):
    monkeypatch.setattr(gaussian, "VOXELS", 300)
    volume = np.random.default_rng(0).random(shape, np.float32)
    assert np.array_equal(gaussian.blurred(volume, sigmas, radii), by_scipy(volume, sigmas, radii))
