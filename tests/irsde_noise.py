"""What a perfect noise network of IRSDE would say."""

from torch import Tensor

from vemrecon.methods.irsde.diffusion import Level, forward_mean, like
from vemrecon.methods.irsde.schedule import Schedule


def noise_of(schedule: Schedule, state: Tensor, section: Tensor, mean: Tensor, level: Level) -> Tensor:
    """The noise that `forward_state` was given."""
    return (state - forward_mean(schedule, section, mean, level)) / like(state, schedule.noise_level(level))
