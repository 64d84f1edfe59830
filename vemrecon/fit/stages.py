"""Train a method stage by stage: load what is finished, go on where a killed training stopped, export weights."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from vemrecon.data.patches import PatchStream
from vemrecon.data.source import Source
from vemrecon.device_clock import DeviceClock
from vemrecon.errors import DataError
from vemrecon.files import (
    canonical_json,
    checksum,
    digest_of,
    from_plain,
    make_folder,
    output_error,
    reach_disk,
)
from vemrecon.fit.callbacks import StageCallback, rest_others, weights_of, write_log
from vemrecon.fit.checkpoints import CHECKPOINT, PREVIOUS, read_checkpoint, resumable
from vemrecon.fit.loggers import Logs, close_logs, make_loggers
from vemrecon.fit.sampler import StridedSampler
from vemrecon.fit.shared_stages import SharedStages
from vemrecon.kept import read_mark, set_aside, write_mark
from vemrecon.methods.base import Method
from vemrecon.methods.stage import Stage
from vemrecon.methods.weight_choice import ChosenWeights
from vemrecon.processes import launched_together, local_rank, rank, world_size
from vemrecon.progress import Progress, silent

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


WEIGHTS, LOG = "stage.safetensors", "loss.csv"


class Learned(NamedTuple):
    """What a stage has taken, over all attempts, and which weights it has kept."""

    seconds: float
    batches: int
    chosen: ChosenWeights | None
    """None where the last ones were wanted"""


def train(
    method: Method,
    source: Source,
    folder: Path,
    *,
    identity: str,
    seed: int,
    devices: Sequence[str] = ("cpu",),
    workers: int = 0,
    logs: Logs | None = None,
    shared: SharedStages | None = None,
    watch: float = 1.0,
    limits: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> None:
    """Train all stages of a method.

    Args:
        method: Freshly built; its weights are set from the seed before the first stage.
        source: What it may learn from.
        folder: One folder per stage is made in it.
        identity: Of the run; finished stages of another identity are trained anew.
        seed: Decides initial weights, patches and dropout.
        devices: Torch devices, one for each process of this machine that shares every batch: this process learns on
            the one that its local rank counts.
        workers: Processes that prepare patches.
        logs: Further logs beside loss.csv.
        shared: Where stages are kept that other runs may have in common; see `take_shared`.
        watch: Share of the held-out patches that are looked at; of what is learned it changes nothing.
        limits: Seconds of one device after which each stage ends, with the epoch at work; counted from the start of the
            first one, and kept through kills. None for no limit.
        progress: Told stage, finished share, and a `Note`.

    Raises:
        DivergedError: If the loss becomes NaN or infinite; the last good checkpoint is kept.
        DataError: If the source holds nothing to learn from.
    """
    fixed, spent = fixed_parameters(method), 0.0
    for number, stage in enumerate(method.stages()):
        place = folder / stage.name
        key, mark = stage_key(identity, number, stage), place / "stage.json"
        if finished(mark, key):
            load_weights(method, place / WEIGHTS, stage.trains)
            mend_log(place)
            spent += read_mark(mark).get("seconds", 0.0)
            continue
        make_folder(place)
        stage = replace(stage, validation=math.ceil(watch * stage.validation))
        method.stage, method.seed = stage, seed
        waited = prepared(method, stage, source, place, key, devices[local_rank()], progress)
        made = make_loggers(logs, stage.name) if logs else []
        limit = limits[stage.name] / world_size() - spent - waited if limits else None
        learned = fit_stage(method, stage, place, fixed, seed, devices, workers, made, progress, limit)
        spent += learned.seconds + waited
        if method.global_rank == 0:
            save_weights(method, place / WEIGHTS, stage.trains)
            facts = {"key": key, "seconds": learned.seconds + waited, "batches": learned.batches}
            facts |= {"devices": world_size()} | ({"chosen": asdict(learned.chosen)} if learned.chosen else {})
            sums = {"crc32": checksum(place / WEIGHTS), "log_crc32": checksum(place / LOG)}
            write_mark(mark, {**facts, **sums})
            (place / PREVIOUS).unlink(missing_ok=True)  # the last one is enough to mend a finished stage
            if shared:
                shared.put(stage, seed, place)
    close_logs()


def fixed_parameters(method: Method) -> frozenset[str]:
    """Names of parameters that never learn, of a method that no stage has touched yet."""
    return frozenset(name for name, p in method.named_parameters() if not p.requires_grad)


def take_shared(method: Method, folder: Path, shared: SharedStages, *, identity: str, seed: int) -> None:
    """Take stages that `train` would otherwise train; their seconds count as if they were trained here.

    To be called by one process, before several share a training.
    """
    for number, stage in enumerate(method.stages()):
        key, mark = stage_key(identity, number, stage), folder / stage.name / "stage.json"
        if not finished(mark, key) and (facts := shared.take(stage, seed, mark.parent)):
            write_mark(mark, {**facts, "key": key, "shared": True})


def stage_key(identity: str, number: int, stage: Stage) -> str:
    """Identity of a stage of a run."""
    return digest_of({"run": identity, "stage": number, "name": stage.name, "budget": stage.budget})


def finished(mark: Path, key: str) -> bool:
    """Whether a stage has left its mark, and its weights are still what they were; what is damaged is moved aside."""
    known, weights = read_mark(mark), mark.with_name(WEIGHTS)
    if mark.exists() and not known and rank() == 0:
        set_aside(mark, "the stage goes on from its last checkpoint")
    if known.get("key") != key:
        return False
    if "crc32" not in known or known["crc32"] == checksum(weights):  # earlier versions kept none
        return True
    if weights.exists() and rank() == 0:
        set_aside(weights, "the stage goes on from its last checkpoint")
    return False


def all_finished(method: Method, folder: Path, identity: str) -> bool:
    """Whether every stage of a run has left its mark."""
    return all(
        finished(folder / stage.name / "stage.json", stage_key(identity, number, stage))
        for number, stage in enumerate(method.stages())
    )


def chosen_weights(folder: Path) -> dict[str, ChosenWeights]:
    """Which weights finished stages have kept, by name of the stage, where these could be others than the last.

    Args:
        folder: Of the training.
    """
    found = {mark.parent.name: read_mark(mark).get("chosen") for mark in sorted(folder.glob("*/stage.json"))}
    return {name: from_plain(ChosenWeights, facts) for name, facts in found.items() if facts}


def mend_log(place: Path) -> None:
    """Write the log of a finished stage again from its last checkpoint, if it is damaged; without one it is lost."""
    log, known = place / LOG, read_mark(place / "stage.json").get("log_crc32")
    if known is None or known == checksum(log) or rank() != 0:
        return
    found = read_checkpoint(place / CHECKPOINT)
    if log.exists():
        set_aside(log, "written again from the last checkpoint" if found else "the curve of losses is lost")
    if found:
        write_log(log, list(found.rows))


def prepared(
    method: Method,
    stage: Stage,
    source: Source,
    place: Path,
    key: str,
    device: str,
    progress: Progress,
) -> float:
    """Let the method prepare what a stage learns from; gives the seconds that it has taken over all attempts."""
    mark, clock = place / "prepared.json", DeviceClock(device)
    known = read_mark(mark)
    spent = float(known["seconds"]) if known.get("key") == key else 0.0

    def told(share: float) -> None:
        nonlocal spent
        spent += clock.lap()
        progress(f"{stage.name}: prepare", share)
        if rank() == 0:
            write_mark(mark, {"key": key, "seconds": spent})

    method.to(device).eval()
    method.progress = told
    method.source = method.prepare(stage, source, place)
    method.train()  # children that rest are put back by `rest_others`
    return spent + clock.lap()


def fit_stage(
    method: Method,
    stage: Stage,
    place: Path,
    fixed: frozenset[str],
    seed: int,
    devices: Sequence[str],
    workers: int,
    loggers: list[Logger],
    progress: Progress,
    limit: float | None = None,
) -> Learned:
    """Run one stage, from its last checkpoint if there is one, and end it with the epoch that reaches the limit.

    The method has the weights that the stage keeps then.
    """
    from lightning.pytorch import Trainer

    from vemrecon.fit.launched import Launched

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its advertisements are no log of ours
    checkpoint = resumable(place)
    held_out = None
    if stage.validation and method.source.validation:
        held_out = PatchStream(method.source, stage.patches, seed, stage.name, stage.validation)
    clock = DeviceClock(devices[0], workers)
    callback = StageCallback(stage, place, seed, held_out, progress, fixed, clock, limit)
    rest_others(method, stage, fixed)
    cuda, world = devices[0].startswith("cuda"), world_size()
    trainer = Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=[torch.device(one).index or 0 for one in devices] if cuda else len(devices),
        num_nodes=world // len(devices),
        plugins=None if launched_together() else [Launched()],
        strategy=_strategy(method, world),
        max_epochs=stage.epochs,
        callbacks=[callback],
        logger=loggers or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        sync_batchnorm=cuda and world > 1,
        default_root_dir=place,
    )
    sampler = StridedSampler(stage.batches_per_epoch, stage.batch, trainer.global_rank, world)
    # processes that prepare patches begin before the trainer says it
    sampler.set_epoch(checkpoint.epochs if checkpoint else 0)
    stream = PatchStream(method.source, stage.patches, seed, stage.name, stage.epochs * len(sampler) * world)
    if workers:
        method.source.hold()
    loader: DataLoader[Any] = DataLoader(
        stream,
        batch_size=stage.batch // world,
        sampler=sampler,
        num_workers=workers,
        pin_memory=cuda,
        persistent_workers=workers > 0,
    )
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`", module="lightning")  # no concern of users
    trainer.fit(method, loader, ckpt_path=checkpoint.path if checkpoint else None, weights_only=True)
    return Learned(callback.seconds, callback.batches, callback.chooser.end(method))


def _strategy(method: Method, world: int) -> str:
    if world == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if method.unused_parameters else "ddp"


def save_weights(method: Method, path: Path, parts: tuple[str, ...], facts: Mapping[str, Any] | None = None) -> None:
    """Write the weights of some submodules as safetensors, whole or not at all.

    Args:
        method: Whose weights.
        path: The file.
        parts: Names of submodules.
        facts: Kept in the file: method, arguments and grid, so that it can be used on its own.
    """
    save_tensors(path, weights_of(method, parts), facts)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write tensors and facts as safetensors, whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    part = path.with_suffix(".part")
    try:
        save_file(state, part, metadata={"vemrecon": canonical_json(facts or {})})
        reach_disk([part], part.parent)
        part.replace(path)
    except OSError as error:
        raise output_error(path, error) from error


def weights_facts(path: Path) -> dict[str, Any]:
    """What a weights file says about itself: method, arguments, grid.

    Raises:
        DataError: If the file is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get("vemrecon", "{}"))
            return found
    except Exception as error:  # safetensors has its own exception for damaged files
        raise DataError(f"{path}: not a weights file, or damaged ({error})") from error


def load_weights(method: Method, path: Path, parts: tuple[str, ...]) -> None:
    """Read the weights of some submodules.

    Raises:
        DataError: If the file is damaged, or a tensor is missing, left over or of another shape.
    """
    weights_facts(path)
    found = load_file(path)
    method.make_room(found)
    wanted = weights_of(method, parts)
    if found.keys() != wanted.keys() or any(found[n].shape != wanted[n].shape for n in wanted):
        odd = sorted(set(found) ^ set(wanted)) or [n for n in wanted if found[n].shape != wanted[n].shape]
        raise DataError(f"{path}: weights of another network (first difference: {odd[0]})")
    method.load_state_dict({**method.state_dict(), **found})


def trained_parts(method: Method) -> tuple[str, ...]:
    """Names of all submodules that some stage trains."""
    return tuple(dict.fromkeys(part for stage in method.stages() for part in stage.trains))
