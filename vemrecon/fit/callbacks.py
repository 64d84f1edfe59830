"""What happens between batches: randomness by position, the loss log, validation, checkpoints, the end on NaN."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vemrecon.data.patches import PatchStream
from vemrecon.device_clock import DeviceClock
from vemrecon.errors import VemreconError
from vemrecon.files import atomic_write, csv_cell
from vemrecon.fit.checkpoints import CHECKPOINT, keep
from vemrecon.fit.chooser import Chooser
from vemrecon.fit.note import Note
from vemrecon.methods.base import Method
from vemrecon.methods.stage import Stage
from vemrecon.progress import Progress
from vemrecon.seeding import derive, derive_seed

FIELDS = ("batch", "name", "value")


class DivergedError(VemreconError):
    """A loss that is no number any more."""


class StageCallback(Callback):
    """Serves one stage of one method.

    Args:
        stage: The stage.
        folder: Its folder.
        seed: Of the run.
        held_out: Patches that watch it.
        progress: Told how it goes.
        fixed: Names of parameters that never learn.
        clock: Of the device that it learns on.
        limit: Seconds after which it ends, with the epoch at work; None for no limit.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        seed: int,
        held_out: PatchStream | None,
        progress: Progress,
        fixed: frozenset[str],
        clock: DeviceClock,
        limit: float | None = None,
    ) -> None:
        self.stage, self.folder, self.seed, self.held_out, self.progress = stage, folder, seed, held_out, progress
        self.fixed, self.limit = fixed, limit
        self.note, self.chooser = Note(stage.patches.held_out), Chooser(stage, held_out is not None)
        self.rows: list[tuple[int, str, float]] = []
        self.totals: dict[str, float] = {}
        self.count = self.batches = 0
        self.seconds, self.clock = 0.0, clock

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Learn nothing more where an attempt that was killed had come to the end."""
        trainer.should_stop = self.batches > 0 and self._is_over(trainer)

    def _is_over(self, trainer: Trainer) -> bool:
        """Whether the limit is reached, or nothing becomes better; the same on all devices."""
        if self.limit is None or self.chooser.over:
            return self.chooser.over
        return trainer.strategy.reduce_boolean_decision(self.seconds >= self.limit, all=False)

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Put resting submodules into evaluation mode."""
        rest_others(module, self.stage, self.fixed)

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        """Dropout and the like depend on the position in the training, not on what ran before."""
        number = trainer.current_epoch * self.stage.batches_per_epoch + index
        torch.manual_seed(derive_seed(self.seed, "batch", self.stage.name, number, trainer.global_rank))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Collect the loss, or all numbers that the step gives by name; stop when one is no number."""
        named = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
        values = torch.stack([torch.as_tensor(value).detach().float() for value in named.values()]).tolist()
        losses = dict(zip(named, values, strict=True))
        for name, value in losses.items():
            if not math.isfinite(value):
                done = trainer.current_epoch * self.stage.batches_per_epoch
                what = name if name == "loss" else f"loss '{name}'"
                raise DivergedError(
                    f"stage '{self.stage.name}': the {what} became {value} at batch {done + index}; the weights after "
                    f"batch {done} are kept in {self.folder / CHECKPOINT}; try a smaller learning rate"
                )
            self.totals[name] = self.totals.get(name, 0.0) + value
        self.count += 1
        self.note.add(losses)
        if trainer.is_global_zero:
            share = (trainer.current_epoch + (index + 1) / self.stage.batches_per_epoch) / self.stage.epochs
            self.progress(self.stage.name, share, str(self.note))

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log, validate, choose, and save a checkpoint that appears whole or not at all."""
        batch = (trainer.current_epoch + 1) * self.stage.batches_per_epoch
        self.rows += [(batch, name, total / max(1, self.count)) for name, total in self.totals.items()]
        self.totals, self.count = {}, 0
        self.batches = batch
        self.seconds += self.clock.lap()
        numbers: dict[str, float] = trainer.strategy.broadcast(self._validate(module))  # last bits may differ
        self.rows += [(batch, f"validation {name}", value) for name, value in numbers.items()]
        self.chooser.after_epoch(batch, numbers, lambda: weights_of(module, self.stage.trains))
        self.note.psnr = self._latest_psnr()
        for logger in trainer.loggers:
            logger.log_metrics({name: value for at, name, value in self.rows if at == batch}, step=batch)
        part = self.folder / f"{CHECKPOINT}.part"
        trainer.save_checkpoint(part, weights_only=False)  # every rank takes part; rank 0 writes
        if trainer.is_global_zero:
            write_log(self.folder / "loss.csv", self.rows)
            keep(part)
        trainer.strategy.barrier()
        trainer.should_stop = self._is_over(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Log, seconds and chosen weights travel with the checkpoint, so that they always agree with it."""
        rows = [list(row) for row in self.rows]
        return {"rows": rows, "seconds": self.seconds, "choice": self.chooser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the log of the checkpoint."""
        self.rows = [(int(batch), str(name), float(value)) for batch, name, value in state["rows"]]
        self.batches = max((batch for batch, _, _ in self.rows), default=0)
        self.seconds = float(state["seconds"])
        self.chooser.load_state_dict(state.get("choice", {}))  # earlier versions chose nothing
        self.note.psnr = self._latest_psnr()

    def _latest_psnr(self) -> float | None:
        return next((value for _, name, value in reversed(self.rows) if name == "validation psnr"), None)

    def _validate(self, module: LightningModule) -> dict[str, float]:
        if self.held_out is None or not isinstance(module, Method):
            return {}
        modes = {name: m.training for name, m in module.named_modules()}
        module.eval()
        found: dict[str, list[float]] = {}
        with torch.no_grad():
            for index in range(len(self.held_out)):
                example = self.held_out.patches.draw(
                    self.held_out.source, derive(self.seed, "validation", self.stage.name, index), validation=True
                )
                batch = {key: value[None].to(module.device) for key, value in example.items()}
                for name, value in module.validate(batch).items():
                    found.setdefault(name, []).append(float(value))
        for name, m in module.named_modules():
            m.training = modes[name]
        return {name: sum(values) / len(values) for name, values in found.items()}


def weights_of(module: LightningModule, parts: tuple[str, ...]) -> dict[str, Tensor]:
    """Weights and buffers of some submodules, by name; not copied."""
    return {name: value for name, value in module.state_dict().items() if name.partition(".")[0] in parts}


def rest_others(module: LightningModule, stage: Stage, fixed: frozenset[str]) -> None:
    """Freeze what does not learn in this stage, and put it into evaluation mode.

    Args:
        module: The method.
        stage: Names what learns.
        fixed: Names of parameters that never learn, such as a momentum encoder's.
    """
    for name, child in module.named_children():
        child.train(name in stage.trains)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.partition(".")[0] in stage.trains and name not in fixed)


def write_log(path: Path, rows: list[tuple[int, str, float]]) -> None:
    """Write loss.csv: one row per epoch and number."""
    with atomic_write(path) as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows((batch, csv_cell(name), value) for batch, name, value in rows)


def read_log(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Batches and values of every number in a loss.csv."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            batches, values = curves.setdefault(row["name"], ([], []))
            batches.append(int(row["batch"]))
            values.append(float(row["value"]))
    return curves
