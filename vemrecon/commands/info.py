"""The command that says what a file holds, where each fact comes from, and what the other commands do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import VemreconError
from vemrecon.file_options import FileOptions
from vemrecon.options import option

if TYPE_CHECKING:
    from vemrecon.data.inspect import Inspection
    from vemrecon.volume import Source, Volume
    from vemrecon.volume.intensity import Levels


@dataclass(frozen=True, kw_only=True)
class InfoOptions(FileOptions):
    """Options of `info`."""

    input: Path = option("any readable file or folder", positional=True)
    dataset: str | None = option(
        "name inside a file or folder that holds several, or number of an image in a TIFF file", None
    )
    json: bool = option("all facts as JSON", False)


def info(options: InfoOptions) -> int:
    """What a file holds."""
    facts = facts_of(options)
    print(json.dumps(facts, indent=1) if options.json else "\n".join(_lines(facts)))
    return 0


def facts_of(options: InfoOptions) -> dict[str, Any]:
    """All facts, for JSON: the whole file is read, section by section.

    Raises:
        DataError: If it is no volume of grey levels, or damaged.
    """
    from vemrecon.commands.bars import PhaseBar
    from vemrecon.data.damage import examined
    from vemrecon.volume import open_source, open_volume
    from vemrecon.volume.intensity import Levels

    source = open_source(options.input, options.dataset, options.reading)
    volume = open_volume(
        options.input,
        options.dataset,
        voxel_size=options.voxels,
        intensity_range=options.grey_range,
        reading=replace(options.reading, missing="fill"),
    )
    with PhaseBar() as bar:
        found, damage = examined(volume, bar.progress)
    return {
        "schema": 1,
        "path": str(options.input),
        "made": dict(source.made) or None,
        **_stored_facts(source),
        "shape": list(volume.shape),
        **_place_facts(options, source, volume),
        "grey": _grey_facts(source, volume, Levels.of(volume)),
        "sections": {
            "count": volume.shape[0],
            "not_finite": list(damage.not_finite),
            "constant": _named(damage.constant),
            "outlying": _named(damage.outlying),
            "steps": _named(damage.steps),
            "displaced": {str(z): list(shift) for z, shift in damage.displaced.items()},
        },
        "notes": [*source.notes, *(n for n in volume.notes if n not in (*source.notes, *source.edges.unused))],
        "verdict": _verdict(options, volume, found),
    }


def _stored_facts(source: Source) -> dict[str, Any]:
    order = {">": "big-endian", "<": "little-endian"}.get(source.dtype.str[0], "")
    stored = source.stored
    return {
        "format": source.format,
        "dataset": source.dataset,
        "axes": source.axes,
        "stored_shape": list(source.shape),
        "dtype": source.dtype.name,
        "byte_order": order,
        "photometric": source.photometric or "black is the lowest grey level",
        "stored": None if stored is None else stored.as_dict(),
    }


def _place_facts(options: InfoOptions, source: Source, volume: Volume) -> dict[str, Any]:
    from vemrecon.volume.edges import UNKNOWN

    edges = (options.voxels or UNKNOWN).over(source.edges)
    return {
        "voxel_size": {"nm": list(edges), "from": edges.said} if any(edges) else None,
        "edges": {axis: edge and dict(vars(edge)) for axis, edge in zip("zyx", edges.each, strict=True)},
        "edges_unused": list(source.edges.unused),
        "voxel_size_read": volume.voxel_size and list(volume.voxel_size),
        "origin": {"nm": list(volume.origin), "from": source.origin_from} if source.origin_from else None,
        "grid": volume.grid and volume.grid.as_dict(),
    }


def _grey_facts(source: Source, volume: Volume, levels: Levels) -> dict[str, Any]:
    from vemrecon.volume.intensity import TAIL
    from vemrecon.volume.quantise import intensity_range_of

    whole, total = intensity_range_of(source.dtype), max(1, int(levels.counts.sum()))
    low, high = levels.percentile(TAIL), levels.percentile(100 - TAIL)
    return {
        "minimum": levels.low,
        "maximum": levels.high,
        f"percentile_{TAIL:g}": low,
        f"percentile_{100 - TAIL:g}": high,
        "range": list(volume.span),
        "range_stated": volume.stated,
        "share_of_dtype": (high - low) / (whole[1] - whole[0]),
        "at_minimum": int(levels.counts[levels.counts.nonzero()[0][0]]) / total if levels.counts.any() else 0.0,
        "at_maximum": int(levels.counts[levels.counts.nonzero()[0][-1]]) / total if levels.counts.any() else 0.0,
    }


def _named(sections: Mapping[int, str]) -> dict[str, str]:
    return {str(z): reason for z, reason in sections.items()}


def _verdict(options: InfoOptions, volume: Volume, found: Inspection) -> str:
    """What the other commands do with the file, in one line."""
    from vemrecon.data.local_splits import ANISOTROPIC
    from vemrecon.volume import check_range, open_volume
    from vemrecon.volume.geometry import require_square

    if found.problems:
        return f"refused: {found.problems[0]}"
    try:
        open_volume(options.input, options.dataset, voxel_size=options.voxels, reading=options.reading)
        check_range(volume)
    except VemreconError as error:
        return f"refused: {error}"
    if volume.shape[0] < 2:
        return "refused: a single section cannot be reconstructed"
    try:
        require_square(volume)
    except VemreconError as error:
        return f"refused: {error}"
    if volume.voxel_size is None:
        return f"read, but {volume.partial.lacking}"
    scale = volume.voxel_size.anisotropy
    if scale < 1 / ANISOTROPIC:
        return "z is finer than y and x, which nothing here is made for; `evaluate` takes it, or say --voxel-size Z Y X"
    if scale < ANISOTROPIC:
        return "isotropic: `bench` and `degrade` remove axial resolution, `evaluate` takes it for a truth"
    return f"anisotropic: `reconstruct` makes {scale:g} sections of one, `bench` degrades and scores y"


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The facts for people."""
    from vemrecon.data.damage import moves_text
    from vemrecon.data.inspect import sections_text
    from vemrecon.volume.made import made_text

    def row(name: str, text: str) -> str:
        return f"{name:<12}{text}"

    size, origin, stored, grey = (facts[name] for name in ("voxel_size", "origin", "stored", "grey"))
    sides = " x ".join(map(str, facts["shape"]))
    yield row("file", facts["path"])
    yield row("format", f"{facts['format']}{', dataset ' + facts['dataset'] if facts['dataset'] else ''}")
    if facts["made"]:
        yield row("made by", made_text(facts["made"]))
    yield row("axes", f"{facts['axes']} of {' x '.join(map(str, facts['stored_shape']))}, read as zyx of {sides}")
    yield row("dtype", " ".join(filter(None, (facts["dtype"], facts["byte_order"]))) + f"; {facts['photometric']}")
    unused = "; ".join(facts["edges_unused"])
    yield row("voxel size", f"{_nm(size['nm'])} nm ({size['from']})" if size else "not said")
    if unused:
        yield row("", unused)
    yield row("origin", f"{_nm(origin['nm'])} nm ({origin['from']})" if origin else "not said")
    if facts["grid"]:
        yield row("grid", ", ".join(f"{name} {value:g}" for name, value in facts["grid"].items()))
    if stored:
        missing = f", {stored['missing']} missing" if stored["missing"] else ""
        where = f" ({stored['where']})" if stored["where"] else ""
        there = stored["expected"] - stored["missing"]
        yield row("stored", f"{there} of {stored['expected']} {stored['unit']}{missing}{where}")
    tails = [name for name in grey if name.startswith("percentile")]
    within = " to ".join(f"{grey[name]:g}" for name in tails)
    share = f"{grey['share_of_dtype']:.1%} of the range of {facts['dtype']}"
    yield row("grey levels", f"{grey['minimum']:g} to {grey['maximum']:g}; 99.8 % of the voxels {within}, {share}")
    yield row("", f"{grey['at_minimum']:.2%} at the lowest, {grey['at_maximum']:.2%} at the highest level")
    said = "stated" if grey["range_stated"] else "that of the type"
    yield row("range", f"{grey['range'][0]:g} to {grey['range'][1]:g} become black and white ({said})")
    sections = facts["sections"]
    kinds = {"not_finite": "not finite", "constant": "constant", "outlying": "outlying", "steps": "grey levels step at"}
    for name, words in kinds.items():
        if sections[name]:
            yield row("sections", f"{words}: {sections_text(tuple(map(int, sections[name])))}")
    if sections["displaced"]:
        moves = moves_text(sections["displaced"])
        yield row("sections", f"displaced against the one before (pixels y x): {moves}")
    if not any(sections[name] for name in (*kinds, "displaced")):
        yield row("sections", f"{sections['count']}, none black, constant, outlying or displaced")
    for note in facts["notes"]:
        yield row("note", note)
    yield row("next", facts["verdict"])


def _nm(values: list[float | None]) -> str:
    return " x ".join("?" if value is None else f"{value:g}" for value in values)
