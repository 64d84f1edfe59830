"""What every method promises, as questions to one of them."""

from __future__ import annotations

import gc
import math
import os
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vemrecon.check.findings import Check, FailedError, Found, left_out, noted, passed, words_of
from vemrecon.check.subject import MethodSubject
from vemrecon.check.training_checks import CHECKS as TRAINING
from vemrecon.check.watch import PICKLES
from vemrecon.methods.base import Method, at_work, reconstruct_tile
from vemrecon.methods.registry import EXTERNAL, built_in_methods, choose_preset
from vemrecon.plugins import BUILT_IN, announced, shadowed
from vemrecon.volume import Region, SectionGrid

TASKS = (
    ("kept sections x4", SectionGrid.kept_every(4), "subsample"),
    ("slab means x4", SectionGrid.slabs(4), "average"),
    ("kept sections x4 from voxel 2 on", SectionGrid.kept_every(4, 2), "subsample"),
    ("slab means x2.5", SectionGrid.slabs(2.5), "average"),
)
CLOSE = 1e-6
"""Largest difference, in [0, 1], of what should be the same."""
CUT = 1 / 255
"""Likewise, of what is cut in another way: a grey level of 8 bits."""
BEYOND = 1.0
"""How far values may lie outside [0, 1] before they are taken for another range: networks that have hardly learned go
some way."""
SHIFT = 0.25
"""How far the mean of what learns nothing here may lie from that of the observed volume."""
TILES = 9
LEAK = 16 << 10
"""Bytes for each tile that count as a leak, where Python has allocated them; smaller things may be counted."""
OUTSIDE = 1 << 20
"""Likewise, where only the operating system knows of them."""


def load(subject: MethodSubject) -> Found:
    """Import."""
    kind = subject.kind
    entry = subject.entry
    same = [one for one in announced("method") if one.name == entry.name.rpartition(":")[2]]
    if ":" in entry.name and not entry.name.startswith((BUILT_IN, EXTERNAL)):
        others = sorted({one.package for one in same} - {entry.package})
        said = f" of {' and '.join(others)}" if others else " built in"
        return noted(f"another method{said} has its name, so that it is {entry.name}; rename it")
    if lines := list(shadowed("method", [subject.name], built_in_methods())):
        return noted("; ".join(lines))
    return passed(f"{kind.__module__}.{kind.__qualname__}")


def card(subject: MethodSubject) -> Found:
    """The card is complete."""
    found = subject.card
    if not found.title.strip():
        raise FailedError("the card has no title: say in a line what it does")
    if found.at_test != subject.kind.fits_at_test:
        raise FailedError(
            f"the card says at_test: {found.at_test}, the class fits_at_test = {subject.kind.fits_at_test}; "
            "both say that it learns while it reconstructs"
        )
    empty = [name for name in ("licence", "paper", "citation") if not getattr(found, name)]
    return noted(f"empty: {', '.join(empty)}") if empty else passed(f"regime {found.regime}, version {found.version}")


def presets(subject: MethodSubject) -> Found:
    """Every preset makes a method."""
    _, _, known = subject.facts
    for name in known:
        choose_preset(subject.name, name, known)
    degradation, scale = subject.setting
    small, stages = subject.preset, subject.built(subject.grid, degradation).stages()
    said = f"checked with '{small}' at {degradation} x{scale:g}"
    if stages and "smoke" not in known and not subject.is_program:
        return noted(f"no preset 'smoke', so that nobody can see in seconds that it runs; {said}")
    return passed(f"{', '.join(known) or 'none needed'}; {said}")


def regime(subject: MethodSubject) -> Found:
    """Training stages are those of a method of its regime."""
    declared, stages = subject.card.regime, subject.method.stages()
    if declared == "none" and stages:
        raise FailedError("the regime is none, but it has training stages: say what it learns from on its card")
    if declared in ("self", "isotropic") and not stages and not subject.card.at_test:
        raise FailedError(
            f"the regime is {declared}, but stages() is empty: say none, or external if it brings weights"
        )
    if declared == "external" and not subject.card.weights and not stages:
        raise FailedError("the regime is external, but the card declares no weights: name each file and its sha256")
    return passed(declared)


def tasks(subject: MethodSubject) -> Found:
    """Both kinds of sections, an offset, whole and fractional scales: made, or declined with a reason."""
    if subject.is_program and subject.method.stages():
        return left_out("a program would have to learn for each of them")
    made, declined = [], []
    for words, grid, degradation in TASKS:
        try:
            method = subject.built(grid, degradation).eval()
            with subject.at_work():
                reason = method.supports(grid.scale, grid)
            if reason is not None:
                if not reason.strip():
                    raise FailedError("supports() declines without a reason")
                declined.append(f"{words} ({reason})")
                continue
            with subject.at_work():
                reconstruct_tile(method, subject.tile(grid))
        except FailedError as error:
            raise FailedError(f"{words}: {error}") from error
        except Exception as error:
            raise FailedError(f"{words}: {words_of(error)}") from error
        made.append(words)
    said = f"made {', '.join(made) or 'none of them'}"
    return passed(f"{said}; declined {'; '.join(declined)}" if declined else said, declined=declined)


def reach(subject: MethodSubject) -> Found:
    """Values lie in [0, 1] before they are clamped."""
    tile, method = subject.tile(), subject.method
    with subject.at_work(), at_work(method, tile) as seen:
        found = method.reconstruct(seen).detach()
    least, most = float(found.min()), float(found.max())
    facts = {"least": least, "most": most}
    mean, expected = float(found.mean()), float(tile.observed.mean())
    said = f"values from {least:.3g} to {most:.3g}, mean {mean:.2g} where the observed volume has {expected:.2g}"
    if not (math.isfinite(least) and math.isfinite(most)):
        raise FailedError(f"{said}: NaN or infinite", **facts)
    shifted = not method.stages() and abs(mean - expected) > SHIFT
    if least < -BEYOND or most > 1 + BEYOND or shifted:
        guess = " (they look like grey levels of 8 bits: divide by 255)" if most > 1 + BEYOND else ""
        guess = guess or (" (they look like [-1, 1]: add 1 and halve)" if -1 <= least < 0 and most <= 1 else "")
        raise FailedError(
            f"{said}: reconstruct() must give [0, 1], as the tile has; the rest is cut off{guess}", **facts
        )
    return passed(said, **facts) if least >= 0 and most <= 1 else noted(f"{said}: what is outside is cut off", **facts)


def repeat(subject: MethodSubject) -> Found:
    """The same tile twice, and by a copy of the method."""
    tile, method = subject.tile(), subject.method
    copy = subject.built(subject.grid, subject.setting[0]).eval()
    copy.make_room(method.state_dict())
    copy.load_state_dict(method.state_dict())
    with subject.at_work():
        torch.manual_seed(1)
        first = reconstruct_tile(method, tile)[0]
        torch.manual_seed(2)  # of the whole process, which other tiles and runs share
        again, other = reconstruct_tile(method, tile)[0], reconstruct_tile(copy, tile)[0]
    between = max(float((first - one).abs().max()) for one in (again, other))
    if between <= CLOSE:
        return passed("the same output twice", difference=between)
    if reason := subject.card.exceptions.get("repeat"):
        return noted(f"differs by {between:.2g}: {reason}", difference=between)
    raise FailedError(
        f"the same tile gives values that differ by {between:.2g}: derive randomness from self.seed and tile.origin "
        "(vemrecon.methods.derive_seed), or say on the card why that cannot be (exceptions: {repeat: ...})",
        difference=between,
    )


def tiles(subject: MethodSubject) -> Found:
    """A volume cut in three ways."""
    method, observed = subject.method, subject.observed
    z, y, x = observed.shape
    own = replace(method.tile, largest=0)
    whole = reconstructed(subject, replace(own, z=z, y=y, x=x), "whole")
    halves = reconstructed(subject, replace(own, z=-(-z // 2), y=-(-y // 2), x=-(-x // 2)), "halves")
    worst = {"in eighths": float((whole - halves).abs().max())}
    start = (3 if float(subject.grid.scale).is_integer() else 0, 15, 21)
    part = reconstructed(subject, replace(own, z=z, y=y, x=x), "part", Region(start, (z, y, x)))
    first = round(start[0] * subject.grid.scale)
    cut = whole[first : first + part.shape[0], start[1] :, start[2] :]
    worst["from another voxel on"] = float((cut - part).abs().max())
    most = max(worst.values())
    said = ", ".join(f"{words} {value:.2g}" for words, value in worst.items())
    if most <= CUT:
        return passed(f"largest difference {said}", difference=most)
    if reason := subject.card.exceptions.get("tiles"):
        return noted(f"differs ({said}): {reason}", difference=most)
    raise FailedError(
        f"voxels depend on how the volume is cut (difference {said}): widen the halo of self.tile, use the tile's "
        "origin where a position matters, or say on the card why that cannot be (exceptions: {tiles: ...})",
        difference=most,
    )


def reconstructed(subject: MethodSubject, tile: Any, name: str, region: Region | None = None) -> Tensor:
    """The observed volume, made with a tile of some size."""
    from vemrecon.infer.reconstruct import reconstruct_volume
    from vemrecon.volume import open_volume

    method, observed = subject.method, subject.observed
    place = subject.folder / f"tiles-{name}" / "made.zarr"
    place.parent.mkdir(exist_ok=True)
    before = method.tile
    method.tile = tile
    try:
        with subject.at_work():
            reconstruct_volume(method, observed, place, like=observed, region=region)
    finally:
        method.tile = before
    made = open_volume(place, intensity_range=(0.0, 1.0))
    return torch.from_numpy(made.read(made.whole))


def leaks(subject: MethodSubject) -> Found:
    """Tiles one after the other take no more memory, files or threads."""
    method, sizes = subject.method, []
    tile = subject.tile()
    tracemalloc.start()
    gc.collect()
    gc.freeze()  # only what comes from now on is looked at
    for number in range(TILES):
        with subject.at_work():
            reconstruct_tile(method, replace(tile, origin=(0, 0, 64 * number)))
        gc.collect()
        sizes.append((_tensor_bytes(), tracemalloc.get_traced_memory()[0], _memory(), _open_files()))
    gc.unfreeze()
    tracemalloc.stop()
    later = sizes[TILES // 3 :]
    steps = [[b - a for a, b in pairwise(kind)] for kind in zip(*later, strict=True)]
    always = [min(kind) for kind in steps]  # what every tile has added
    least = (1, LEAK, OUTSIDE, 1)
    grown = [step >= enough for step, enough in zip(always, least, strict=True)]
    each = max(always[:3])
    if any(grown):
        what = "open files" if grown[3] else f"memory (at least {each / 2**10:.0f} KiB a tile)"
        raise FailedError(
            f"every tile takes more {what}: a volume has thousands; keep nothing of a tile in the method", each=each
        )
    return passed(f"{TILES} tiles one after the other", each=each)


def _tensor_bytes() -> int:
    found = {}
    for one in gc.get_objects():
        if issubclass(type(one), torch.Tensor) and one.device.type == "cpu":
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def _memory() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


def files(subject: MethodSubject) -> Found:
    """What its code opened in all checks before this one, against what the card says."""
    watch, card = subject.watch, subject.card
    for one in watch.guarded_reads[:1]:
        raise FailedError(
            f"reads {_short(one.path, subject.folder)} ({one.by}), a volume of the benchmark: a method sees its tile "
            "and its source, and nothing else"
        )
    declared = {one.file for one in card.weights}
    for one in watch.weight_reads:
        if Path(one.path).name in declared:
            continue
        say = f"its regime is {card.regime}: say external, and declare the file on the card"
        if card.regime == "external":
            say = "declare it on the card (weights: file, sha256)"
        raise FailedError(f"reads {one.path} ({one.by}), which may hold what was learned elsewhere; {say}")
    for known in card.weights:
        subject.kind.weight_file(known.file)  # is it there, and the one that is declared?
    return passed("reads nothing that it should not")


def pickles(subject: MethodSubject) -> Found:
    """Nothing that runs code of its maker when it is read."""
    for one in subject.watch.weight_reads:
        if Path(one.path).suffix.lower() in PICKLES:
            raise FailedError(f"reads {one.path} ({one.by}), a pickle, which can run any code: use safetensors")
    for one in subject.watch.unpickled:
        raise FailedError(f"unpickles {one.path} ({one.by}), which can run any code: use safetensors, JSON or YAML")
    return passed("none")


def _short(path: str, folder: Path) -> str:
    try:
        return str(Path(path).relative_to(folder.absolute()))
    except ValueError:
        return path


def travels(subject: MethodSubject) -> Found:
    """A copy in another process, as `reconstruct --dask` sends it."""
    import pickle

    try:
        copy: Method = pickle.loads(pickle.dumps(subject.method))
    except Exception as error:
        return noted(f"cannot be sent to another process ({words_of(error)}): --dask will not work with it")
    tile = subject.tile()
    first, other = reconstruct_tile(subject.method, tile)[0], reconstruct_tile(copy, tile)[0]
    if subject.card.exceptions.get("repeat"):
        return passed("it can be sent to another process")
    if (between := float((first - other).abs().max())) > CLOSE:
        raise FailedError(f"a copy that was sent to another process makes other voxels (difference {between:.2g})")
    return passed("a copy makes the same voxels")


CHECKS: tuple[Check[MethodSubject], ...] = (
    Check("load", load, needed=True),
    Check("card", card),
    Check("presets", presets, needed=True),
    Check("regime", regime),
    *TRAINING,
    Check("tasks", tasks),
    Check("range", reach),
    Check("repeat", repeat),
    Check("tiles", tiles),
    Check("copy", travels),
    Check("leaks", leaks),
    Check("files", files),
    Check("pickles", pickles),
)
