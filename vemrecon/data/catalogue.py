"""Datasets by name, and the volumes behind them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vemrecon import protocol
from vemrecon.data.card import DatasetCard, DatasetFile, card_from
from vemrecon.data.split import Split
from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.files import digest_of, make_folder, read_json, sha256_of, write_json
from vemrecon.volume import Volume, VoxelSize, open_volume

LOCAL = "local:"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Located:
    """A volume that is on this machine, with the identity of its content."""

    path: Path
    dataset: str | None
    digest: str
    voxel_size: VoxelSize | None
    intensity_range: tuple[float, float] | None = None

    def open(self) -> Volume:
        """Open it; the voxels stay on disk."""
        return open_volume(self.path, self.dataset, voxel_size=self.voxel_size, intensity_range=self.intensity_range)


def dataset_names() -> list[str]:
    """Names of the built-in datasets."""
    return protocol.names("datasets")


def dataset_card(name: str) -> DatasetCard:
    """The card of a dataset, or a card made for `local:PATH[:DATASET]`.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name.startswith(LOCAL):
        path, inside = split_local(name)
        label = f"{LOCAL}{path.name}" + (f":{inside}" if inside else "")
        return DatasetCard(
            name=label,
            title=f"local file {path.name}",
            files={"volume": DatasetFile(path=str(path), dataset=inside)},
            splits={"whole": Split("whole", "volume", use="training-free methods only")},
            default_split="whole",
        )
    if name not in dataset_names():
        raise unknown("dataset", name, [*dataset_names(), f"{LOCAL}PATH"])
    return card_from(name, protocol.load("datasets", name), protocol.load("splits", name))


def split_local(name: str) -> tuple[Path, str | None]:
    """Path and inner dataset of `local:PATH[:DATASET]`."""
    text = name.removeprefix(LOCAL)
    if not text:
        raise ConfigError(f"{LOCAL}PATH[:DATASET] needs a path, such as {LOCAL}volume.h5:raw")
    path, _, inside = text.rpartition(":")
    if path and not Path(text).exists():
        return Path(path), inside
    return Path(text), None


def locate(
    card: DatasetCard,
    key: str,
    *,
    data_root: Path | None = None,
    scratch: Path,
    voxel_size: VoxelSize | None = None,
    intensity_range: tuple[float, float] | None = None,
    fetch: bool = True,
    say: Say = lambda text: None,
) -> Located:
    """Find, make or download one file of a dataset, and check it.

    Args:
        card: The dataset.
        key: Which of its files.
        data_root: Where files are looked for and downloaded to; by default `$VEMRECON_DATA`, then a cache.
        scratch: Folder for generated volumes and remembered checksums.
        voxel_size: For local files that do not say theirs.
        intensity_range: For local float files.
        fetch: Whether to make or download what is not there; without it the file may be missing.
        say: Told what takes time.

    Raises:
        DataError: If the file is missing, cannot be downloaded or has another checksum.
    """
    file = card.files[key]
    if file.generator is not None:
        return _generated(card, file, scratch, fetch, say)
    if card.name.startswith(LOCAL):
        path = Path(file.path)
        open_volume(path, file.dataset, voxel_size=voxel_size, intensity_range=intensity_range)  # refuses bad files now
        digest = _digest(path, scratch)
        said = {"voxel_size": voxel_size and list(voxel_size), "intensity_range": intensity_range}
        if any(said.values()):  # these change scores as the voxels do
            digest = digest_of({"sha256": digest, **said})
        return Located(path.resolve(), file.dataset, digest, voxel_size, intensity_range)
    root = data_root or default_data_root()
    path = root / file.path
    if not path.exists():
        if not fetch:
            return Located(path, file.dataset, file.sha256, card.voxel_size)
        _download(card, file, path, say)
    found = _digest(path, scratch)
    if file.sha256 and found != file.sha256:
        raise DataError(
            f"{path}: sha256 is {found[:12]}..., but the card of '{card.name}' says {file.sha256[:12]}...; "
            f"the file is damaged or another release: remove it and fetch it again"
        )
    return Located(path.resolve(), file.dataset, found, card.voxel_size)


def default_data_root() -> Path:
    """`$VEMRECON_DATA`, or the user's cache folder."""
    if root := os.environ.get("VEMRECON_DATA"):
        return Path(root)
    import pooch

    return Path(pooch.os_cache("vemrecon"))


def _generated(card: DatasetCard, file: DatasetFile, scratch: Path, fetch: bool, say: Say) -> Located:
    from vemrecon.data.phantom import PHANTOM_VERSION, make_phantom
    from vemrecon.volume.ome_zarr import copy_to_zarr

    recipe = {**(file.generator or {}), "phantom_version": PHANTOM_VERSION}
    digest = digest_of(recipe)
    path = scratch / f"{card.name}-{digest[:12]}.zarr"
    if fetch and not path.exists():
        make_folder(scratch)
        say(f"making the {card.name} volume {tuple(recipe['shape'])}")
        size = card.voxel_size or VoxelSize(8, 8, 8)
        phantom = make_phantom(tuple(recipe["shape"]), seed=recipe["seed"], voxel_size_nm=size.x)
        copy_to_zarr(path, Volume(phantom.grey, size, card.name), "uint8")
    return Located(path.absolute(), None, digest, card.voxel_size)


def _digest(path: Path, scratch: Path) -> str:
    """sha256 of a file, remembered with size and time of change so that large files are read once."""
    if path.is_dir():
        return sha256_of(path)
    memory = scratch / "checksums.json"
    known = read_json(memory) if memory.exists() else {}
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    if key not in known:
        known[key] = sha256_of(path)
        write_json(memory, known)
    return str(known[key])


def _download(card: DatasetCard, file: DatasetFile, path: Path, say: Say) -> None:
    if not file.url:
        raise DataError(
            f"{path}: not found, and it cannot be downloaded; make it from {card.source or 'its source'} "
            f"(sha256 {file.sha256}), or name its folder with --data-root or VEMRECON_DATA"
        )
    import pooch

    say(f"downloading {file.url}")
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=path.name,
            path=path.parent,
            progressbar=sys.stderr.isatty(),
        )
    except Exception as error:  # requests, urllib and pooch each have their own
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{card.name}: {path.name} could not be downloaded ({reason}); get it by other means from {file.url} "
            f"(sha256 {file.sha256}) and put it at {path}"
        ) from error


def task_volume(located: Located, split: Split) -> Volume:
    """The part of a located volume that a split names.

    Raises:
        DataError: If the split's region lies outside the volume.
    """
    volume = located.open()
    volume = volume.crop(split.region) if split.region is not None else volume
    return replace(volume, name=f"{located.path.name} {split.name}")
