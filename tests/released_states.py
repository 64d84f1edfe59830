"""Our weights under the names of the authors, as their checkpoints would hold them."""

from __future__ import annotations

from torch import Tensor

from vemrecon.methods.cyclegan_ir.generator import Generator
from vemrecon.methods.cyclegan_ir.released import released_key
from vemrecon.methods.vemamba.encoder import MomentumContrast
from vemrecon.methods.vemamba.network import VEMambaNet
from vemrecon.methods.vemamba.released import ENCODER_NAMES, NETWORK_NAMES, renamed


def export_state(module: VEMambaNet | MomentumContrast) -> dict[str, Tensor]:
    """State dict of VEMamba with the released names; `import_network` and `import_encoder` undo it."""
    names = NETWORK_NAMES if isinstance(module, VEMambaNet) else ENCODER_NAMES
    back = [(mine, theirs) for theirs, mine in names]
    return {renamed(key, back): value.detach().clone() for key, value in module.state_dict().items()}


def generator_state(net: Generator) -> dict[str, Tensor]:
    """State dict of a generator of CycleGAN-IR with the authors' names."""
    return {released_key(key): value.detach().clone() for key, value in net.state_dict().items()}
