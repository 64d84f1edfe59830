"""The volumes behind a dataset card: found, made or downloaded, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vemrecon.data.card import DatasetCard, DatasetFile, RemoteFile
from vemrecon.data.catalogue import LOCAL
from vemrecon.data.labels import require_size
from vemrecon.data.prepared import prepared_path, prepared_volume
from vemrecon.data.remote.fetch import fetch_file, fetch_files, spoken
from vemrecon.data.remote.recognise import as_here, content_sha256, identity_of, recognise
from vemrecon.data.split import Split
from vemrecon.data.stated_range import default_range, stated_range
from vemrecon.files import atomic_write, digest_of, make_folder, sha256_of
from vemrecon.kept import intact_or_aside, read_mark, remember, write_mark
from vemrecon.progress import Say
from vemrecon.volume import Edges, RangeRule, Reading, Volume, VoxelSize, open_volume
from vemrecon.volume.geometry import require_square
from vemrecon.volume.grey_range import StatedBy
from vemrecon.volume.reading import AS_IT_IS

if TYPE_CHECKING:
    from vemrecon.data.phantom import Phantom


@dataclass(frozen=True)
class Located:
    """A volume that is on this machine, with the identity of its content."""

    path: Path
    dataset: str | None
    digest: str
    voxel_size: VoxelSize | Edges | None
    intensity_range: tuple[float, float] | None = None
    reading: Reading = AS_IT_IS
    stated_by: StatedBy | None = None
    """Who said the intensity range, where that was not the file."""

    def open(self) -> Volume:
        """Open it; the voxels stay on disk."""
        return open_volume(
            self.path,
            self.dataset,
            voxel_size=self.voxel_size,
            intensity_range=self.intensity_range,
            reading=self.reading,
        )

    def as_it_says(self) -> Volume:
        """Open it without the voxel size of its card, to be compared with that."""
        return open_volume(self.path, self.dataset, reading=self.reading)


@dataclass(frozen=True)
class LocatedLabels:
    """Labels that are on this machine, with the identity of their content."""

    path: Path
    dataset: str | None
    table: bool
    offset: tuple[int, int, int]
    digest: str
    values: tuple[int, ...] = ()
    """Those that mean what is labelled; by default all but 0."""


@dataclass(frozen=True)
class Locator:
    """Finds, makes or downloads the files of datasets, and checks them.

    Attributes:
        scratch: Folder for generated volumes and remembered checksums.
        data_root: Where files are looked for and downloaded to; by default `$VEMRECON_DATA`, then a cache.
        voxel_size: For local files that do not say theirs, or some of its edges.
        intensity_range: Of local files, and of others where nobody else says it.
        fetch: Whether to make or download what is not there; without it a file may be missing.
        say: Told what takes time.
        reading: What else the user says about local files.
    """

    scratch: Path
    data_root: Path | None = None
    voxel_size: Edges | None = None
    intensity_range: tuple[float, float] | RangeRule | None = None
    fetch: bool = True
    say: Say = lambda text: None
    reading: Reading = AS_IT_IS

    @property
    def root(self) -> Path:
        """The folder of dataset files."""
        return self.data_root or default_data_root()

    def volume(self, card: DatasetCard, key: str) -> Located:
        """One file of a dataset, with the meaning of its grey levels.

        Raises:
            DataError: If the file is missing, cannot be downloaded or has another checksum.
            ConfigError: If the user states a grey range that contradicts the dataset.
        """
        if card.name.startswith(LOCAL):
            return self._local(card.files[key])
        stated_range(card, key, None, self.intensity_range)  # refuses what needs no look, before anything is fetched
        return self._with_range(card, key, self.raw(card, key))

    def raw(self, card: DatasetCard, key: str) -> Located:
        """One file of a dataset as it lies, whatever its grey levels mean.

        Raises:
            DataError: If the file is missing, cannot be downloaded or has another checksum.
        """
        file = as_here(card.files[key], self.root)
        if file.generator is not None:
            return self._generated(card, file)
        path, reading = self.root / file.path, Reading(axes=file.axes or None)
        if not path.exists():
            identity = identity_of(file, path)
            if ready := _prepared(card, key, self.root, identity):  # the raw file is not needed any more
                return ready
            if not self.fetch:
                return Located(path, file.dataset, identity, card.voxel_size, reading=reading)
            fetch_file(card, file, self.root, progress=spoken(self.say, path.name), say=self.say)
        found = _box_digest(file, path, self.scratch) if file.box else _digest(path, self.scratch)
        found = recognise(card, file, path, found)
        ready = _prepared(card, key, self.root, found)
        return ready or Located(path.resolve(), file.dataset, found, card.voxel_size, reading=reading)

    def labels(self, card: DatasetCard, key: str, kind: str) -> LocatedLabels:
        """Labels of one file of a dataset.

        Raises:
            DataError: If the file is missing, cannot be downloaded or has another checksum.
        """
        if card.files[key].generator is not None:
            return self._generated_labels(card, card.files[key], kind)
        file = card.files[key].labels[kind]
        path = self.root / file.path
        digest = identity_of(file, path)
        if not path.exists() and self.fetch:
            fetch_file(card, file, self.root, progress=spoken(self.say, path.name), say=self.say)
        if path.exists():
            found = _box_digest(file, path, self.scratch) if file.box else _digest(path, self.scratch)
            digest = recognise(card, file, path, found)
            if card.voxel_size is not None:
                require_size(path, "stack" if file.table else file.dataset, card.voxel_size)
        if file.values:
            digest = digest_of({"sha256": digest, "values": file.values})
        return LocatedLabels(path.absolute(), file.dataset, file.table is not None, file.offset, digest, file.values)

    def fetch_all(self, needed: Iterable[tuple[DatasetCard, str]]) -> None:
        """Download several files, by dataset and key, so that one error lists all that is missing.

        Raises:
            MissingFilesError: With a line for each file that is not there and cannot be downloaded.
        """
        wanted: dict[Path, tuple[DatasetCard, RemoteFile]] = {}
        for card, key in needed:
            file = as_here(card.files[key], self.root)
            path = self.root / file.path
            here = file.generator is not None or card.name.startswith(LOCAL) or path.exists()
            if not here and not _prepared(card, key, self.root, identity_of(file, path)):
                wanted[path] = (card, file)
        fetch_files(wanted.values(), self.root, begin=lambda file: spoken(self.say, Path(file.path).name), say=self.say)

    def _with_range(self, card: DatasetCard, key: str, found: Located) -> Located:
        """The file with the range that is stated for it; another than the usual one changes scores as voxels do."""
        if self.intensity_range is None and card.range_of(key) is None:
            return found
        volume = found.open() if found.path.exists() else None
        stated = stated_range(card, key, volume, self.intensity_range)
        if stated is None:
            return found
        usual = default_range(card, volume)
        digest = found.digest
        if stated.span != usual:
            digest = digest_of({"sha256": digest, "intensity_range": stated.span})
        return replace(found, digest=digest, intensity_range=stated.span, stated_by=stated.stated_by)

    def _local(self, file: DatasetFile) -> Located:
        path, size, span = Path(file.path), self.voxel_size, self.intensity_range
        volume = open_volume(path, file.dataset, voxel_size=size, intensity_range=span, reading=self.reading)
        require_square(volume)
        if self.fetch:
            volume.require_voxel_size()
        span = None if span is None else volume.span  # as numbers, which do not depend on who reads how
        digest = _digest(path, self.scratch)
        said = {"voxel_size": size and list(size), "intensity_range": span, **self.reading.said()}
        if any(said.values()):  # these change scores as the voxels do
            digest = digest_of({"sha256": digest, **said})
        by: StatedBy | None = None if span is None else "user"
        return Located(path.resolve(), file.dataset, digest, size, span, self.reading, by)

    def _generated(self, card: DatasetCard, file: DatasetFile) -> Located:
        from vemrecon.volume.ome_zarr import copy_to_zarr

        digest, shape = _recipe_digest(file)
        path = self.scratch / f"{card.name}-{digest[:12]}.zarr"
        if self.fetch and not intact_or_aside(path):
            make_folder(self.scratch)
            self.say(f"making the {card.name} volume {shape}")
            phantom = _phantom(card, file)
            copy_to_zarr(path, Volume(phantom.grey, phantom.voxel_size, card.name), "uint8")
            remember(path)
        return Located(path.absolute(), None, digest, card.voxel_size)

    def _generated_labels(self, card: DatasetCard, file: DatasetFile, kind: str) -> LocatedLabels:
        digest, _ = _recipe_digest(file)
        path = self.scratch / f"{card.name}-{digest[:12]}-{kind}.npy"
        if self.fetch and not intact_or_aside(path):
            make_folder(self.scratch)
            phantom = _phantom(card, file)
            with atomic_write(path, "wb") as out:
                np.save(out, {"neurons": phantom.cells, "mitochondria": phantom.mitochondria}[kind])
            remember(path)
        return LocatedLabels(path.absolute(), None, False, (0, 0, 0), digest_of([digest, kind]))


def default_data_root() -> Path:
    """`$VEMRECON_DATA`, or the user's cache folder."""
    if root := os.environ.get("VEMRECON_DATA"):
        return Path(root)
    import platformdirs

    return platformdirs.user_cache_path("vemrecon", appauthor=False)


def _prepared(card: DatasetCard, key: str, root: Path, digest: str) -> Located | None:
    """The volume that `vemrecon prepare` made of a raw file; its identity stays that of the raw file."""
    path = prepared_path(root, card.name, key, digest)
    return Located(path.resolve(), None, digest, card.voxel_size) if prepared_volume(path, digest) else None


def _recipe_digest(file: DatasetFile) -> tuple[str, tuple[int, ...]]:
    """Identity and shape of a generated volume."""
    from vemrecon.data.phantom import PHANTOM_VERSION

    recipe = {**(file.generator or {}), "phantom_version": PHANTOM_VERSION}
    return digest_of(recipe), tuple(recipe["shape"])


def _phantom(card: DatasetCard, file: DatasetFile) -> Phantom:
    from vemrecon.data.phantom import make_phantom

    recipe, size = file.generator or {}, card.voxel_size or VoxelSize(8, 8, 8)
    return make_phantom(tuple(recipe["shape"]), seed=recipe["seed"], voxel_size_nm=size.x)


def _digest(path: Path, scratch: Path) -> str:
    """sha256 of a file, remembered with size and time of change so that large files are read once."""
    if path.is_dir():
        return sha256_of(path)
    memory = scratch / "checksums.json"
    known = read_mark(memory)
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    if key not in known:
        known[key] = sha256_of(path)
        write_mark(memory, known)
    return str(known[key])


def _box_digest(file: RemoteFile, path: Path, scratch: Path) -> str:
    """Like `_digest`, of the voxels of a box: remembered for as long as no file of its folder is touched."""
    from vemrecon.data.remote.boxes import require_source

    require_source(file, path)
    files = [Path(place, name).stat() for place, _, names in os.walk(path) for name in names]
    newest = max((one.st_mtime_ns for one in files), default=0)
    key = f"{path.resolve()}|{len(files)}|{sum(one.st_size for one in files)}|{newest}"
    memory = scratch / "checksums.json"
    known = read_mark(memory)
    if key not in known:
        known[key] = content_sha256(file, path)
        write_mark(memory, known)
    return str(known[key])


def task_volume(located: Located, split: Split) -> Volume:
    """The part of a located volume that a split names.

    Raises:
        DataError: If the split's region lies outside the volume.
    """
    volume = located.open()
    volume = volume.crop(split.region) if split.region is not None else volume
    return replace(volume, name=f"{located.path.name} {split.name}")
