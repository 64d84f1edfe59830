"""Finished stages that several runs have in common, such as the diffusion of all D2R methods: trained by the first run
that comes to it, taken by the others. They would all have found the same weights.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vemrecon.files import checksum, digest_of, make_folder, output_error
from vemrecon.kept import read_mark, set_aside
from vemrecon.methods.stage import Stage
from vemrecon.methods.weight_choice import LAST
from vemrecon.version import __version__

WEIGHTS, LOG, FACTS = "stage.safetensors", "loss.csv", "stage.json"


@dataclass(frozen=True)
class SharedStages:
    """Where shared stages lie.

    Attributes:
        folder: One folder per stage is made in it.
        data: Identity of what all runs that share them learn from.
    """

    folder: Path
    data: str

    def place(self, stage: Stage, seed: int) -> Path | None:
        """Folder of a stage, or None if it belongs to one method alone."""
        if stage.recipe is None:
            return None
        facts = [__version__, self.data, seed, stage.name, stage.budget, stage.batch, stage.recipe]
        facts += [asdict(stage.choice)] if stage.choice != LAST else []  # stages of before there was a choice are found
        return self.folder / digest_of(facts)[:12]

    def take(self, stage: Stage, seed: int, place: Path) -> dict[str, Any] | None:
        """Copy a finished stage to the folder of a run, and give its facts; None if nobody has finished it.

        One that is damaged is moved aside: the next run that finishes the stage keeps it anew.

        Raises:
            OutputError: If it cannot be written.
        """
        found = self.place(stage, seed)
        if found is None or not found.exists():
            return None
        facts: dict[str, Any] = read_mark(found / FACTS)
        if not facts or facts.get("crc32", checksum(found / WEIGHTS)) != checksum(found / WEIGHTS):
            set_aside(found, "the stage is trained again")
            return None
        try:
            for name in (WEIGHTS, LOG):
                shutil.copyfile(found / name, make_folder(place) / name)
        except OSError as error:
            raise output_error(place, error) from error
        return facts

    def put(self, stage: Stage, seed: int, place: Path) -> None:
        """Keep a stage that a run has finished, unless another one has done so meanwhile.

        Raises:
            OutputError: If it cannot be written.
        """
        wanted = self.place(stage, seed)
        if wanted is None or wanted.exists():
            return
        part = Path(tempfile.mkdtemp(dir=make_folder(self.folder), suffix=".part"))
        try:
            for name in (WEIGHTS, LOG, FACTS):
                shutil.copyfile(place / name, part / name)
            if not wanted.exists():
                part.rename(wanted)
        except OSError as error:
            raise output_error(wanted, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
