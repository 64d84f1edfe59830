"""Learning rates of CycleGAN-IR, in epochs of a fixed number of batches.

The degradation network is frozen within three epochs in all but name: it is fitted fast and then is a learned
down-sampler. In the released code an epoch is one pass over the sections, 500 batches for a volume of 500^3.
"""

from __future__ import annotations

CONSTANT = 0.6  # of the epochs; the linear schedule falls over the rest: 30 and 20 of 50


def degrader_factor(epoch: int) -> float:
    """A tenth after every epoch.

    >>> [degrader_factor(epoch) for epoch in (0, 1, 2)]
    [1.0, 0.1, 0.01]
    """
    return float(f"1e-{epoch}")


def linear_factor(epoch: int, epochs: float) -> float:
    """Constant, then linear towards zero, which it would reach after the last epoch.

    >>> [round(linear_factor(epoch, 50), 2) for epoch in (0, 30, 31, 49)]
    [1.0, 1.0, 0.95, 0.05]
    """
    start = CONSTANT * epochs
    return 1 - max(0.0, epoch - start) / (epochs - start)
