"""Segmenters: networks that find membranes or mitochondria, and instances between membranes."""
