"""`DatasetCard`: where a dataset's files come from, how they are recognised, and its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from vemrecon.data.card_checks import check_card, https_address, span_of
from vemrecon.data.split import Split, split_from
from vemrecon.errors import ConfigError, VemreconError, unknown
from vemrecon.volume.region import Region, triple
from vemrecon.volume.volume import Span
from vemrecon.volume.voxels import VoxelSize

TaskKind = Literal["reference", "lateral", "native"]
"""What is asked of a method: restore a degraded z whose truth is known; restore a degraded y of an anisotropic volume;
restore the real z of an anisotropic volume, without truth."""
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)


BoxFormat = Literal["precomputed", "zarr", "zarr3", "n5"]
BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)


@dataclass(frozen=True)
class Box:
    """A box of a chunked volume that is read over https, without a login."""

    url: str
    """Of the volume, or of its container; gs:// and s3:// stand for the https addresses of public buckets."""
    region: Region
    """Voxels (z, y, x) of the whole volume; for labels, of the volume that they label."""
    format: BoxFormat = "precomputed"
    """neuroglancer's, zarr 2, zarr 3 or N5."""
    dataset: str = ""
    """Array inside a container of zarr or N5, such as `em/fibsem-uint8/s0`."""
    mip: int = 0
    """Which scale of a precomputed volume."""
    whole: tuple[int, int, int] | None = None
    """Voxels (z, y, x) of the whole volume, as somebody states them; None where nobody does. Compared at first
    contact."""
    voxel_size: VoxelSize | None = None
    """Of labels, likewise; for grey levels the card says it. Taken where the volume itself does not say any."""


@dataclass(frozen=True)
class RemoteFile:
    """A file below the data root, and how to get and recognise it."""

    path: str = ""
    """Relative to the data root."""
    dataset: str | None = None
    """Name inside an HDF5 file or zarr group."""
    sha256: str = ""
    """Empty where none is public: then that of the first download is recorded, and later ones must equal it."""
    voxels_sha256: str = ""
    """Of the voxels (z, y, x in C order), by which a file is recognised whose bytes differ from those of `sha256`, or
    have none: somebody else has packed the same voxels."""
    url: str = ""
    mirrors: tuple[str, ...] = ()
    bytes: int | None = None
    verify_tls: bool = True
    """False only for servers with an expired certificate; the sha256 then has to be known."""
    box: Box | None = None
    """In place of a file that is downloaded: a part of a volume."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it, or the volume that it is a box of, can be had."""
        return tuple(url for url in (self.url, *self.mirrors, self.box.url if self.box else "") if url)


@dataclass(frozen=True)
class LabelFile(RemoteFile):
    """Labels of a volume; same fields as the volume's file."""

    table: str | None = None
    """Dataset with two columns, label of a voxel and neuron id (FIB-25)."""
    offset: tuple[int, int, int] = (0, 0, 0)
    """Voxel (z, y, x) of the volume where the labels begin."""
    values: tuple[int, ...] = ()
    """Of a classification, the labels that mean what is labelled; by default all but 0."""
    labelled: Box | None = None
    """The box that the labels of a box are brought to the voxels of."""


@dataclass(frozen=True)
class Target:
    """What a segmenter of the dataset finds: where it learns, and where reconstructions are segmented and scored.

    Boundaries between the two are kept by whoever writes the card; what is scored here must not be learned from.
    """

    labels: str
    """Which labels; those of neurons are ids, of which membranes are made, and all others masks."""
    train: Mapping[str, Region]
    """Labelled regions, by file."""
    score: Mapping[str, Region]


@dataclass(frozen=True)
class Packed:
    """A file of the same voxels (z, y, x) as the published one, which is used where only this one is there."""

    path: str
    """Relative to the data root."""
    dataset: str | None = None
    """Name inside an HDF5 file or zarr group."""


@dataclass(frozen=True)
class DatasetFile(RemoteFile):
    """One volume of a dataset: a file, a box of a chunked remote volume, or the recipe of a generated volume."""

    shape: tuple[int, int, int] | None = None
    """Of the volume (z, y, x), however its axes are stored."""
    axes: str = ""
    """Letters of the axes as they are stored, such as `xyz`, where they are not z, y, x and no name says so."""
    packed: Packed | None = None
    labels: Mapping[str, LabelFile] = field(default_factory=dict)
    """By what is labelled: neurons, mitochondria, membranes, clefts."""
    generator: Mapping[str, Any] | None = None
    defects: tuple[int, ...] = ()
    """Damaged sections (z), left out of scores."""
    intensity_range: Span | None = None
    """Grey values that mean black and white, where they differ from those of the card."""


@dataclass(frozen=True)
class DatasetCard:
    """Facts about a dataset."""

    name: str
    title: str
    files: Mapping[str, DatasetFile]
    splits: Mapping[str, Split] = field(default_factory=dict)
    voxel_size: VoxelSize | None = None
    dtype: str = ""
    """Grey-level type that the files must have; empty where it is not established."""
    intensity_range: Span | None = None
    """Grey values of all volumes that mean black and white; by default what a file says, or the range of its type."""
    licence: str = ""
    citation: str = ""
    source: str = ""
    """How to get files that have no address."""
    note: str = ""
    """What is not known of the data, or limits what its scores say."""
    default_split: str = "test"
    tasks: tuple[TaskKind, ...] = ("reference",)
    """Kinds of task that make sense; the first is the default."""
    segmentation: Mapping[str, Target] = field(default_factory=dict)
    """By what is found: membranes, mitochondria."""
    tissue: str = ""
    """What it is a piece of, where other datasets are pieces of the same; means over tissues count these once."""
    exclude_outliers: bool = False
    """Whether sections that depart by more than 4 robust sigmas in mean or contrast count as defects."""

    def split(self, name: str | None) -> Split:
        """A split by name, or the default one.

        Raises:
            ConfigError: If there is none of this name.
        """
        name = name or self.default_split
        if name not in self.splits:
            raise unknown(f"split of {self.name}", name, self.splits)
        return self.splits[name]

    def range_of(self, key: str) -> Span | None:
        """The grey range that is stated for a file."""
        return self.files[key].intensity_range or self.intensity_range

    def members(self, name: str | None) -> tuple[Split, ...]:
        """The splits that a name stands for: those of a group, or the one of this name.

        Raises:
            ConfigError: If there is none of this name.
        """
        split = self.split(name)
        return tuple(self.split(member) for member in split.group) or (split,)


def card_from(name: str, facts: Mapping[str, Any], splits: Mapping[str, Any]) -> DatasetCard:
    """The card of a YAML file and the YAML file of its splits.

    Raises:
        ConfigError: If a field is unknown or missing, a task is of no known kind, or a file would be read or written
            where it must not be.
    """
    try:
        size = facts.get("voxel_size")
        card = DatasetCard(
            name=name,
            **{
                **facts,
                "voxel_size": VoxelSize(*size) if size else None,
                "files": {key: _file(value) for key, value in facts["files"].items()},
                "splits": {key: split_from(key, value) for key, value in splits.items()},
                "tasks": tuple(facts.get("tasks", ("reference",))),
                "segmentation": {key: _target(value) for key, value in facts.get("segmentation", {}).items()},
                "intensity_range": span_of(facts.get("intensity_range")),
            },
        )
        check_card(card)
    except (TypeError, KeyError, ValueError, AttributeError, VemreconError) as error:
        raise ConfigError(f"dataset card '{name}': {error}") from error
    for what, target in card.segmentation.items():
        for key in (*target.train, *target.score):
            if target.labels not in (card.files[key].labels if key in card.files else ()):
                raise ConfigError(f"dataset card '{name}': {what}: the file '{key}' has no labels '{target.labels}'")
    for kind in card.tasks:
        if kind not in TASK_KINDS:
            raise unknown(f"task of dataset card '{name}'", str(kind), TASK_KINDS)
    return card


def _file(facts: Mapping[str, Any]) -> DatasetFile:
    box, packed = _box(facts.get("box")), facts.get("packed")
    return DatasetFile(
        **{
            **facts,
            "mirrors": tuple(facts.get("mirrors", ())),
            "defects": tuple(facts.get("defects", ())),
            "intensity_range": span_of(facts.get("intensity_range")),
            "labels": {key: _labels(value, box) for key, value in facts.get("labels", {}).items()},
            "packed": Packed(**packed) if packed else None,
            "box": box,
        }
    )


def _box(facts: Mapping[str, Any] | None, labelled: Box | None = None) -> Box | None:
    """The box of a file; that of labels lies where that of the volume does."""
    if not facts:
        return None
    region = Region.of(facts["region"]) if labelled is None else labelled.region
    size, whole = facts.get("voxel_size"), facts.get("whole")
    if facts.get("format", "precomputed") not in BOX_FORMATS:
        raise unknown("format of a box", str(facts["format"]), BOX_FORMATS)
    return Box(
        **{
            **facts,
            "url": https_address(facts["url"]),
            "region": region,
            "whole": triple(whole) if whole else None,
            "voxel_size": VoxelSize(*size) if size else None,
        }
    )


def _target(facts: Mapping[str, Any]) -> Target:
    regions = {part: {key: Region.of(r) for key, r in facts[part].items()} for part in ("train", "score")}
    return Target(**{**facts, **regions})


def _labels(facts: Mapping[str, Any], labelled: Box | None) -> LabelFile:
    if facts.get("box") and (labelled is None or "region" in facts["box"]):
        raise ConfigError("labels of a box belong to a volume that is one, and lie in its region: leave theirs out")
    return LabelFile(
        **{
            **facts,
            "mirrors": tuple(facts.get("mirrors", ())),
            "offset": tuple(facts.get("offset", (0, 0, 0))),
            "values": tuple(facts.get("values", ())),
            "box": _box(facts.get("box"), labelled),
            "labelled": labelled if facts.get("box") else None,
        }
    )
