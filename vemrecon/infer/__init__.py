"""Reconstruction of volumes tile by tile."""
