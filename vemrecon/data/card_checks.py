"""What no dataset card may say: it may come from a stranger, and decides what is downloaded where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from vemrecon.errors import ConfigError, unknown
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.volume import GREY_DTYPES, Span

if TYPE_CHECKING:
    from vemrecon.data.card import DatasetCard, DatasetFile, RemoteFile
    from vemrecon.data.split import Split

SCHEMES = ("http", "https")
LARGEST_GENERATED = 1 << 31  # voxels; they are made in memory
LABELS_OF_GENERATED = ("neurons", "mitochondria")


def https_address(url: Any) -> Any:
    """The plain address of a public volume, however its bucket is spelled.

    >>> https_address("precomputed://gs://bucket/a/b/"), https_address("s3://bucket/a.zarr")
    ('https://storage.googleapis.com/bucket/a/b', 'https://bucket.s3.amazonaws.com/a.zarr')
    """
    if not isinstance(url, str):
        return url
    plain = url.removeprefix("precomputed://").removeprefix("zarr://").removeprefix("n5://").rstrip("/")
    scheme, _, rest = plain.partition("://")
    if scheme == "gs":
        return f"https://storage.googleapis.com/{rest}"
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        return f"https://{bucket}.s3.amazonaws.com/{key}"
    return plain


def span_of(value: Any) -> Span | None:
    """A grey range of a card.

    Raises:
        ConfigError: If it is none.
    """
    if value is None:
        return None
    numbers = value if isinstance(value, list | tuple) else [value]
    known = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n)]
    if len(known) != 2 or len(numbers) != 2 or not known[0] < known[1]:
        raise ConfigError(f"intensity_range {value}: must be [BLACK, WHITE], two grey values that rise, as [0, 4095]")
    return float(known[0]), float(known[1])


def check_names(what: str, names: Iterable[Any]) -> None:
    """Refuse names that would lead elsewhere as a part of a path.

    Raises:
        ConfigError: If one does.
    """
    for name in names:
        text = str(name)
        if not isinstance(name, str) or not text.strip(". ") or set(text) & set("/\\\0\n"):
            raise ConfigError(f"name of a {what} {text!r}: must be a word that can stand in a file name")


def check_card(card: DatasetCard) -> None:
    """Refuse a card that contradicts itself, or would have files read or written where they must not be.

    Raises:
        ConfigError: With what is wrong.
    """
    check_names("file", card.files)
    check_names("split", card.splits)
    check_names("segmentation", card.segmentation)
    if card.dtype and card.dtype not in GREY_DTYPES:
        raise unknown("dtype", str(card.dtype), GREY_DTYPES)
    for key, file in card.files.items():
        check_names("kind of labels", file.labels)
        for one in (file, *file.labels.values()):
            _check_file(one, named=file.generator is None)
        _check_packed(key, file)
        _check_generator(key, file)
        _check_range(card, key)
    for name, split in card.splits.items():
        if not split.group and split.file not in card.files:
            raise ConfigError(f"split '{name}': {unknown('file', split.file, card.files)}")
        _check_marks(card, split)


def _check_marks(card: DatasetCard, split: Split) -> None:
    """Marks are true or false; a contaminated split is one of a paper, and nobody comes to it without asking for it."""
    for mark in ("inside", "contaminated", "chosen_here"):
        if not isinstance(getattr(split, mark), bool):
            raise ConfigError(f"split '{split.name}': {mark} {getattr(split, mark)!r}: must be true or false")
    if not split.contaminated:
        return
    if not (split.inside and split.paper):
        raise ConfigError(f"split '{split.name}': contaminated needs `inside: true`, and the `paper` that did so")
    default = card.splits.get(card.default_split)
    if split.name in (card.default_split, *(default.group if default else ())):
        raise ConfigError(f"split '{split.name}': is contaminated, so it must be asked for by name; not a default")


def _check_file(file: RemoteFile, *, named: bool) -> None:
    for name in ("path", "url", "sha256", "voxels_sha256"):
        if not isinstance(getattr(file, name), str):
            raise ConfigError(f"{name} {getattr(file, name)!r}: must be text")
    if file.bytes is not None and (not isinstance(file.bytes, int) or file.bytes < 0):
        raise ConfigError(f"bytes {file.bytes!r}: must be a whole number")
    if "\0" in file.path or (named and not file.path.strip("./ ")):
        raise ConfigError(f"path {file.path!r}: must name a file")
    for url in file.addresses:
        if not isinstance(url, str) or urlsplit(url).scheme not in SCHEMES:
            raise ConfigError(f"address {url}: files are fetched by http and https only")
    if file.addresses and not stays_below(file.path):
        raise ConfigError(
            f"path {file.path}: what is downloaded must stay below the data root: a relative path without '..'"
        )


def stays_below(path: str) -> bool:
    """Whether a path cannot lead out of the folder that it is relative to, on any system.

    >>> stays_below("epfl/volume.tif"), stays_below("../x"), stays_below("/x"), stays_below("C:/x")
    (True, False, False, False)
    """
    kinds = (PurePosixPath(path), PureWindowsPath(path))
    return not any(one.is_absolute() or one.drive or one.root or ".." in one.parts for one in kinds)


def _check_packed(key: str, file: DatasetFile) -> None:
    if file.axes and (not isinstance(file.axes, str) or sorted(file.axes) != ["x", "y", "z"]):
        raise ConfigError(
            f"axes {file.axes!r} of '{key}': must be the letters x, y and z as they are stored, such as xyz"
        )
    if file.packed is None:
        return
    path = file.packed.path
    if not isinstance(path, str) or "\0" in path or not path.strip("./ "):
        raise ConfigError(f"packed path {path!r} of '{key}': must name a file")
    if not file.voxels_sha256:
        raise ConfigError(f"packed file of '{key}': needs voxels_sha256, by which it is recognised")


def _check_generator(key: str, file: DatasetFile) -> None:
    recipe: Mapping[str, Any] | None = file.generator
    if recipe is None:
        return
    shape, seed = recipe.get("shape"), recipe.get("seed")
    sizes = [n for n in shape if isinstance(n, int) and n > 0] if isinstance(shape, list | tuple) else []
    if len(sizes) != 3 or len(shape or ()) != 3 or not isinstance(seed, int):
        raise ConfigError(f"generator of '{key}': must have a shape of three whole numbers and a seed")
    if math.prod(sizes) > LARGEST_GENERATED:
        raise ConfigError(
            f"generator of '{key}': {' x '.join(map(str, sizes))} voxels are too many; at most {LARGEST_GENERATED:,}"
        )
    for kind in file.labels:
        if kind not in LABELS_OF_GENERATED:
            raise unknown(f"labels of the generated file '{key}'", kind, LABELS_OF_GENERATED)


def _check_range(card: DatasetCard, key: str) -> None:
    span = card.range_of(key)
    dtype = "uint8" if card.files[key].generator is not None else card.dtype
    if span is None or not dtype or np.dtype(dtype).kind == "f":
        return
    low, high = intensity_range_of(np.dtype(dtype))
    if span[0] < low or span[1] > high:
        raise ConfigError(
            f"intensity_range {span[0]:g} {span[1]:g} of '{key}': reaches beyond {dtype}, which holds {low:g} to "
            f"{high:g}"
        )
