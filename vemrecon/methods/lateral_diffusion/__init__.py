"""Lateral diffusion: what sections look like, learned without pairs, and applied to planes across them."""
