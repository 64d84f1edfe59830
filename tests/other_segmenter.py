"""Segmenters of another package, as `--segmenter other_segmenter.Dark` asks for them."""

from pathlib import Path

import numpy as np

from vemrecon.segment import PretrainedSegmenter

WEIGHTS = Path("threshold.txt")


class Dark(PretrainedSegmenter):
    """Finds membranes by a threshold that stands in its weights."""

    source = "nowhere, BSD-3-Clause"
    learned_from = "other boxes"

    @property
    def weights(self):
        return (WEIGHTS,)

    def probability(self, grey, voxel_size, device, progress):
        assert grey.dtype == np.float32 and tuple(voxel_size) == (8, 8, 8) and device == "cpu"
        progress(1.0)
        return 1 / (1 + np.exp((grey - float(WEIGHTS.read_text())) * 40))

    def instances(self, probability, voxel_size):
        z, y, x = (np.indices(probability.shape) + np.reshape((0, 8, 0), (3, 1, 1, 1))) // 16  # boxes where it looks
        return 1 + z * 100 + y * 10 + x


class Crooked(Dark):
    """Gives no probability."""

    def probability(self, grey, voxel_size, device, progress):
        return grey * 3


class Failing(Dark):
    """Fails where volumes are smooth, which reconstructions are."""

    def probability(self, grey, voxel_size, device, progress):
        if np.abs(np.diff(grey, axis=0)).mean() < 0.02:
            raise MemoryError("out of\nmemory")
        return super().probability(grey, voxel_size, device, progress)


class Mute(PretrainedSegmenter):
    """Says not what it finds."""


class Glia(Dark):
    """Finds what nobody has labelled."""

    finds = "glia"
