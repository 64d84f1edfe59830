"""What `vemrecon datasets NAME` prints of a card: files, splits, and what tasks can be scored by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vemrecon.bench.scorable import Scorable
    from vemrecon.data import DatasetCard, Split
    from vemrecon.data.card import Box, RemoteFile


def dataset_lines(card: DatasetCard, root: Path) -> Iterator[str]:
    """All that is known about a dataset, for people."""
    from vemrecon.bench.scorable import scorable

    facts = {"dataset": card.name, "title": card.title, "tasks": ", ".join(card.tasks), "voxel size": card.voxel_size}
    facts |= {"grey levels": card.dtype, "grey range": _range_text(card.intensity_range)}
    facts |= {"licence": card.licence, "citation": card.citation, "source": card.source, "note": card.note}
    yield from (f"{name + ':':14} {value}" for name, value in facts.items() if value not in ("", None))
    for key, volume in card.files.items():
        yield f"file {key}:"
        yield from _file_lines(volume, root)
        for what, labels in volume.labels.items():
            if labels.path == volume.path:
                yield f"  labels {what}: {labels.dataset} of the same file"
            else:
                yield f"  labels {what}:"
                yield from ("  " + line for line in _file_lines(labels, root))
    yield from map(_split_line, card.splits.values())
    for kind in card.tasks:
        yield from _score_lines(scorable(card, kind))


def _split_line(split: Split) -> str:
    """Where it lies, what for, and what a reader has to know of it."""
    from vemrecon.bench.spec import LEARNED_FROM_SCORED
    from vemrecon.report.split_words import CHOSEN_HERE

    of = f"the splits {', '.join(split.group)}" if split.group else f"{split.file} {split.region or 'whole'}"
    marks = (split.chosen_here and CHOSEN_HERE, split.contaminated and f"methods {LEARNED_FROM_SCORED}: never ranked")
    words = "; ".join(text for text in (split.use, split.paper, *marks) if text)
    return f"split {split.name + ':':14} {of}" + (f" ({words})" if words else "")


def _score_lines(found: Scorable) -> Iterator[str]:
    """What a kind of task can be scored by, and why not by the rest."""
    yield f"scores of {found.kind} tasks ({', '.join(found.splits)}):"
    yield f"  metrics:   {' '.join(found.given) or 'none'}"
    for reason in dict.fromkeys(found.lacking.values()):
        names = " ".join(name for name, why in found.lacking.items() if why == reason)
        yield f"  without:   {names}: {reason}"


def _file_lines(file: RemoteFile, root: Path) -> Iterator[str]:
    from vemrecon.data.card import DatasetFile, LabelFile
    from vemrecon.data.remote.missing import size_text
    from vemrecon.data.remote.recognise import as_here, known_sha256

    file = as_here(file, root)
    volume = file if isinstance(file, DatasetFile) else DatasetFile()
    if volume.generator is not None:
        yield "  made on demand"
        return
    path = root / file.path
    place = "is here" if path.exists() else "not here"
    sha256 = known_sha256(file, path) or ("" if file.voxels_sha256 else "recorded at first download")
    box = file.box
    facts = {
        "path": f"{file.path} ({place}: {path})",
        "inside": file.dataset,
        "shape": volume.shape and " x ".join(map(str, volume.shape)),
        "range": _range_text(volume.intensity_range),
        "size": size_text(file.bytes) if file.bytes else None,
        "axes": volume.axes,
        "sha256": sha256,
        "of voxels": file.voxels_sha256,
        "values": ", ".join(map(str, file.values)) if isinstance(file, LabelFile) else None,
        "url": file.url or (_box_text(box) if box else "none; see source"),
        "server": None if file.verify_tls else "its certificate is not verified; the sha256 is",
        **{f"mirror {number}": url for number, url in enumerate(file.mirrors, start=1)},
    }
    yield from (f"  {name + ':':10} {value}" for name, value in facts.items() if value)


def _box_text(box: Box) -> str:
    where = f", mip {box.mip}" if box.mip else f", {box.dataset}" if box.dataset else ""
    whole = f" of {' x '.join(map(str, box.whole))} voxels" if box.whole else ", whose size is not stated"
    size = f", voxels of {box.voxel_size}" if box.voxel_size else ""
    return f"{box.url}{where} ({box.format}), box {box.region}{whole}{size}"


def _range_text(span: tuple[float, float] | None) -> str:
    return f"{span[0]:g} to {span[1]:g} become black and white" if span else ""
