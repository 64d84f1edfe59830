"""Segmenters: networks that find membranes or mitochondria, and instances between membranes."""

from vemrecon.segment.pretrained import PretrainedSegmenter

__all__ = ["PretrainedSegmenter"]
