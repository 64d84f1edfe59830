"""Optional logs of training beside loss.csv: Weights & Biases and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.errors import ConfigError, unknown

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PACKAGES = {"wandb": "wandb", "tensorboard": "tensorboard"}


def check_loggers(names: Sequence[str]) -> tuple[str, ...]:
    """Names of loggers that can be used here.

    Raises:
        ConfigError: If a name is unknown, or its package is not installed.
    """
    for name in names:
        if name not in PACKAGES:
            raise unknown("logger", name, PACKAGES)
        if find_spec(PACKAGES[name]) is None:
            raise ConfigError(f"--log {name}: the package is not installed; pip install vemrecon[{name}]")
    return tuple(names)


def make_loggers(names: Sequence[str], folder: Path, run: str) -> list[Logger]:
    """Lightning loggers that write below the folder of a stage.

    Weights & Biases follows its own `WANDB_MODE`: `offline` needs no network and is synchronised later.
    """
    from lightning.pytorch import loggers

    made: list[Logger] = []
    for name in names:
        if name == "wandb":
            made.append(loggers.WandbLogger(name=run, save_dir=folder, project="vemrecon", resume="allow", id=run))
        else:
            made.append(loggers.TensorBoardLogger(folder, name="tensorboard", version=""))
    return made
