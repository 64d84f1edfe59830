"""Optional logs of training beside loss.csv: Weights & Biases and TensorBoard."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError, unknown

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PACKAGES = {"wandb": "wandb", "tensorboard": "tensorboard"}
PROJECT = "vemrecon"


@dataclass(frozen=True)
class Logs:
    """Where the numbers of a training go beside loss.csv.

    Attributes:
        names: wandb, tensorboard.
        folder: Of the run; logs lie below it.
        run: Identity of the run.
        title: What a reader calls it.
        group: What it belongs to, such as the name of a suite.
        facts: What tells it from others.
    """

    names: tuple[str, ...] = ()
    folder: Path = Path()
    run: str = ""
    title: str = ""
    group: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


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


def make_loggers(logs: Logs, stage: str) -> list[Logger]:
    """Lightning loggers of a stage.

    Weights & Biases gets one run for all stages, whose names begin the names of their numbers. It writes into the
    folder of the run, without a network, unless `WANDB_MODE` says otherwise. TensorBoard gets a folder for every stage.
    """
    from lightning.pytorch import loggers

    made: list[Logger] = []
    for name in logs.names:
        if name == "wandb":
            online = loggers.WandbLogger(
                name=logs.title,
                save_dir=logs.folder,
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                group=logs.group or None,
                id=logs.run,
                config=dict(logs.facts),
                mode=os.environ.get("WANDB_MODE", "offline"),
                prefix=stage,
            )
            online.LOGGER_JOIN_CHAR = "/"  # its charts are grouped by what stands before it
            made.append(online)
        else:
            board = loggers.TensorBoardLogger(
                logs.folder / "tensorboard", name=logs.title, version=stage, default_hp_metric=False
            )
            board.log_hyperparams({"group": logs.group, **logs.facts})
            made.append(board)
    return made


def close_logs() -> None:
    """End the run of Weights & Biases, if there is one, so that the next training in this process gets its own."""
    if "wandb" in sys.modules and (wandb := sys.modules["wandb"]).run is not None:
        wandb.finish()
        wandb.teardown()  # waits until its own process has written everything
