"""Volumes of one's own: reconstruct an anisotropic one, outside any benchmark."""
