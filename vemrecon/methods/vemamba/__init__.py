"""VEMamba: axial enlargement by a small state-space network with a degradation embedding (arXiv:2603.00887, 2026)."""
