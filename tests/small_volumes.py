"""Volumes made in milliseconds."""

import numpy as np


def textured(shape, seed=0, dtype=np.uint8):
    """A smooth random volume with structure on several length scales."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    field = sum(gaussian_filter(rng.standard_normal(shape), s, mode="wrap") * s**1.5 for s in (1, 2.5, 5))
    field = (field - field.min()) / np.ptp(field)
    return np.rint(field * 255).astype(dtype)
