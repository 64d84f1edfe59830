"""The command that turns raw files into checked OME-Zarr volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.errors import ConfigError, unknown
from vemrecon.file_options import ReadingOptions, RootOptions
from vemrecon.options import option
from vemrecon.quantities import byte_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vemrecon.data.inspect import Inspection
    from vemrecon.volume import Volume

PROGRAM_BYTES = 128 << 20  # what Python and the libraries take, measured; the rest of --memory is for voxels


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(ReadingOptions, RootOptions):
    """Options of `prepare`."""

    name: str = option("dataset, or the path of a file in any readable format", positional=True)
    more: tuple[str, ...] = option(
        "files of the dataset (default: all); for a path the .zarr to write", (), positional=True, whole=True
    )
    memory: str = option("most that the process may take, such as 512MB or 1GiB", "1GiB")
    dataset: str | None = option("for a path: name inside a file or folder that holds several", None)


def prepare(options: PrepareOptions) -> int:
    """All or some files of a dataset, or one of one's own."""
    from vemrecon.data import dataset_card, dataset_names, is_dataset, plugin_datasets

    memory = byte_count("--memory", options.memory) - PROGRAM_BYTES
    if memory <= 0:
        raise ConfigError(f"--memory {options.memory}: the program alone takes {PROGRAM_BYTES >> 20} MiB; allow more")
    if is_dataset(options.name):
        card = dataset_card(options.name)
        for key in options.more:
            if key not in card.files:
                raise unknown(f"file of {card.name}", key, card.files)
        for key in options.more or card.files:
            _prepare_file(options, card, key, memory)
        return 0
    if not Path(options.name).exists():
        raise unknown("dataset or file", options.name, [*dataset_names(), *plugin_datasets(), "the path of a file"])
    if len(options.more) != 1:
        raise ConfigError(f"prepare {options.name}: a file of your own needs one output, such as volume.zarr")
    _prepare_path(options, Path(options.name), Path(options.more[0]), memory)
    return 0


def _prepare_file(options: PrepareOptions, card: Any, key: str, memory: int) -> None:
    """One file of a dataset, into the folder where `bench` looks for it."""
    from vemrecon.data import Locator, default_data_root
    from vemrecon.data.inspect import check_card
    from vemrecon.data.prepared import prepared_path, prepared_volume

    file = card.files[key]
    if file.generator is not None:
        print(f"{card.name} {key}: made on demand, needs no preparing")
        return
    root = options.data_root or default_data_root()
    located = Locator(root, root, say=_say).raw(card, key)
    if prepared_volume(located.path, located.digest):
        _show(located.path, card.exclude_outliers)
        return
    volume = located.as_it_says()
    check_card(volume, card, file)
    volume = replace(volume, voxel_size=card.voxel_size or volume.require_voxel_size())
    out = prepared_path(root, card.name, key, located.digest)
    facts = {"dataset": card.name, "file": key} | ({"inside": located.dataset} if located.dataset else {})
    _prepare_volume(volume, out, located.digest, memory, facts)
    _show(out, card.exclude_outliers)


def _prepare_path(options: PrepareOptions, path: Path, out: Path, memory: int) -> None:
    """A file of one's own."""
    from vemrecon.data.prepared import prepared_volume
    from vemrecon.files import digest_of, sha256_of
    from vemrecon.volume import open_volume, require_output
    from vemrecon.volume.geometry import require_order

    if out.suffix != ".zarr":
        raise ConfigError(f"{out}: prepared volumes are written as OME-Zarr; choose a name that ends in .zarr")
    volume = open_volume(path, options.dataset, voxel_size=options.voxels, reading=options.reading)
    for note in volume.notes:
        _say(f"{volume.name}: {note}")
    volume.require_voxel_size()
    require_order(volume)
    digest, said = sha256_of(path), options.reading.said()
    digest = digest_of({"sha256": digest, **said}) if said else digest
    if not prepared_volume(out, digest):
        require_output(out)
    _prepare_volume(volume, out, digest, memory, {"inside": options.dataset} if options.dataset else {})
    _show(out, False)


def _prepare_volume(volume: Volume, out: Path, digest: str, memory: int, facts: Mapping[str, str]) -> Inspection:
    from vemrecon.commands.bars import PhaseBar
    from vemrecon.data.prepare import prepare as prepared

    with PhaseBar() as bar:
        return prepared(
            volume,
            out,
            digest=digest,
            memory_bytes=memory,
            progress=lambda share: bar.progress(f"preparing {out.name}", share),
            facts=facts,
        )


def _show(path: Path, outliers: bool) -> None:
    """What is in a prepared volume, for people; outliers count as damaged where the card says so."""
    from vemrecon.data.inspect import sections_text
    from vemrecon.data.prepared import prepared_inspection

    found = prepared_inspection(path)
    low, high = found.grey_range
    print(f"{path}: {' x '.join(map(str, found.shape))} voxels of {found.voxel_size or 'unknown size'}, {found.dtype}")
    print(f"grey levels {low:g} to {high:g}")
    defects = found.defects(outliers)
    print(f"damaged sections: {len(defects) or 'none'} of {found.shape[0]}")
    for z, reason in defects.items():
        print(f"  section {z}: {reason}")
    others = tuple(z for z in found.defects(outliers=True) if z not in defects)
    if others:
        print(f"unusual grey levels, as in damaged sections or where the tissue changes: {sections_text(others)}")


def _say(text: str) -> None:
    import sys

    print(text, file=sys.stderr)
