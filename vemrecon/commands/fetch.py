"""The command that fetches the files of a dataset, or the weights that LPIPS or SAM 2 needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.commands.shown import Shown
from vemrecon.errors import ConfigError
from vemrecon.file_options import RootOptions
from vemrecon.options import option

LPIPS, SAM2 = "lpips", "sam2"
INSTALL = (
    "pip install 'vemrecon[{}]'; where torch is a CPU build, first "
    "pip install torchvision --index-url https://download.pytorch.org/whl/cpu"
)

if TYPE_CHECKING:
    from vemrecon.data.card import DatasetCard, RemoteFile
    from vemrecon.data.remote.download import Received
    from vemrecon.data.remote.fetch import Fetched


@dataclass(frozen=True, kw_only=True)
class FetchOptions(RootOptions):
    """Options of `fetch`."""

    name: str = option(
        "dataset, as `vemrecon datasets` lists it; or lpips or sam2, for the weights of a metric; or a method of "
        "another package whose card declares weights",
        positional=True,
    )
    files: tuple[str, ...] = option("some of its files (default: all)", (), positional=True, whole=True)
    labels: bool = option("label files too", True)


def fetch(options: FetchOptions) -> int:
    """Download the files of a dataset that are not here, and verify all of them."""
    from vemrecon.data import dataset_card, default_data_root
    from vemrecon.data.catalogue import LOCAL
    from vemrecon.data.remote.fetch import files_of
    from vemrecon.methods.weight_files import FOLDER

    if options.name == LPIPS:
        return fetch_lpips(options.files)
    if options.name == SAM2:
        return fetch_sam2(options.files)
    if options.name.startswith(LOCAL):
        raise ConfigError(f"{options.name}: a file of your own is used where it lies; there is nothing to fetch")
    if (weights := weights_of(options.name)) is not None:
        _fetch(weights, files_of(weights, options.files), (options.data_root or default_data_root()) / FOLDER)
        return 0
    card = dataset_card(options.name)
    files = files_of(card, options.files, options.labels)
    if not files:
        print(f"{card.name}: made on demand, there is nothing to fetch")
        return 0
    _fetch(card, files, (options.data_root or default_data_root()).absolute())
    return 0


def weights_of(name: str) -> DatasetCard | None:
    """The files of weights that a method of another package declares and does not bring; None if it is no such method.

    Raises:
        ConfigError: If it declares none that could be fetched.
    """
    from vemrecon.data import is_dataset
    from vemrecon.data.card import DatasetCard, DatasetFile
    from vemrecon.methods.registry import method_entry, plugin_methods

    if is_dataset(name) or name not in [entry.name for entry in plugin_methods()]:
        return None
    _, card, _ = method_entry(name).resolved()
    files = {
        one.file: DatasetFile(path=one.file, url=one.address, sha256=one.sha256) for one in card.weights if one.address
    }
    if not files:
        raise ConfigError(f"method '{name}': its card declares no weights with an address; there is nothing to fetch")
    return DatasetCard(name, card.title, files)


def fetch_lpips(names: Sequence[str]) -> int:
    """Download the weights below LPIPS to torch's cache, verify them, and say whether its package is here.

    Args:
        names: `vgg` and `alex`, or nothing for both.

    Raises:
        ConfigError: If a name is unknown, or a file cannot be had: one line says which to put where.
    """
    from vemrecon.data.card import DatasetCard, DatasetFile
    from vemrecon.perceptual import NETWORKS, missing_package

    files = {
        name: DatasetFile(path=network.file, url=network.url, sha256=network.sha256, bytes=network.bytes)
        for name, network in NETWORKS.items()
    }
    card = DatasetCard(LPIPS, "Weights of the networks below LPIPS", files)
    return _fetch_weights(card, names, NETWORKS["vgg"].path.parent, "LPIPS", missing_package())


def fetch_sam2(names: Sequence[str]) -> int:
    """Download the checkpoint of SAM 2 to torch's cache, verify it, and say whether its package is here.

    Args:
        names: `small`, the only one, or nothing.

    Raises:
        ConfigError: If a name is unknown, or the file cannot be had: one line says which to put where.
    """
    from vemrecon.data.card import DatasetCard, DatasetFile
    from vemrecon.segment.tracker import CHECKPOINT, missing_package

    file = DatasetFile(path=CHECKPOINT.file, url=CHECKPOINT.url, sha256=CHECKPOINT.sha256, bytes=CHECKPOINT.bytes)
    card = DatasetCard(SAM2, "Checkpoint of SAM 2.1", {"small": file})
    return _fetch_weights(card, names, CHECKPOINT.path.parent, "SAM 2", missing_package())


def _fetch_weights(card: DatasetCard, names: Sequence[str], root: Path, title: str, package: str) -> int:
    """Fetch files of weights; `package` says why the package that goes with them cannot be imported, if so."""
    from vemrecon.data.remote.fetch import files_of
    from vemrecon.data.remote.missing import MissingFilesError

    remedy = f"{title} also needs its package ({package}): {INSTALL.format(card.name)}" if package else ""
    try:
        _fetch(card, files_of(card, names), root)
    except MissingFilesError as error:  # its own advice is about the folder of datasets
        raise ConfigError("; ".join(filter(None, [*error.missing, remedy]))) from error
    print(remedy or f"the package {card.name} is installed")
    return 0


def _fetch(card: DatasetCard, files: Sequence[RemoteFile], root: Path) -> None:
    from vemrecon.data.remote.fetch import fetch_files

    with DownloadBars() as bars:
        fetch_files(((card, file) for file in files), root, begin=bars.begin, done=bars.done, say=bars.say)
    print(f"{len(files)} file{'s' * (len(files) > 1)} of {card.name} in {root}")


class DownloadBars(Shown):
    """A bar with bytes, speed and remaining time for the file at work; in the end, or without a terminal, its line."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.console = Console(stderr=True, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
            redirect_stdout=False,  # standard output may go elsewhere than the bars
        )
        self.lines: list[str] = []

    def __exit__(self, *ending: Any) -> None:
        super().__exit__(*ending)
        for line in self.lines:
            print(line)

    def begin(self, file: RemoteFile) -> Received:
        """Show a bar for a file, in place of the one before."""
        for task in self.bars.task_ids:
            self.bars.remove_task(task)
        task = self.bars.add_task(file.path, total=None)
        return lambda done, total: self.bars.update(task, completed=done, total=total)

    def done(self, file: RemoteFile, fetched: Fetched) -> None:
        """Say where a file is; later, if a bar is in the way."""
        if self.bars.disable:
            print(fetched, flush=True)
        else:
            self.lines.append(str(fetched))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self.console.print(text, markup=False, soft_wrap=True)
