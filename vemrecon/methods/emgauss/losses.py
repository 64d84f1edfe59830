"""What a rendered section is compared with an observed one by."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vemrecon.nets.losses import TAPS, structural_similarity

SIMILARITY = 0.2  # share of the structural term


def photometric_loss(rendered: Tensor, section: Tensor) -> Tensor:
    """Absolute error and structural dissimilarity of two sections (y, x), averaged over all pixels.

    The structural similarity is that of 3DGS: sections are continued by zeros, so that each pixel has a window.

    Source: Kerbl et al., SIGGRAPH 2023, equation 7.
    """
    margin = [TAPS // 2] * 4
    similarity = structural_similarity(F.pad(rendered, margin), F.pad(section, margin))
    return (1 - SIMILARITY) * F.l1_loss(rendered, section) + SIMILARITY * (1 - similarity)
