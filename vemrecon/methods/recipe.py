"""`Recipe`: how a program is called that turns a file of an observed volume into one of a reconstruction."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from vemrecon.errors import ConfigError, VemreconError, unknown
from vemrecon.files import canonical_json, from_plain
from vemrecon.plugins import Origin

PROGRAM: Final = "vemrecon.methods.external.External"
"""Class of all programs."""
ENDINGS = ("tif", "zarr", "h5", "npy", "mrc")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """Where a program runs; one of these, or none for this process's own environment.

    Attributes:
        conda: Name or folder of a conda environment.
        container: Image; the folders that the program needs are mounted.
        runtime: What runs it.
    """

    conda: str = ""
    container: str = ""
    runtime: str = "apptainer"

    def wrapped(self, command: Sequence[str], folders: Sequence[Path]) -> list[str]:
        """A command as it is called from outside."""
        if self.conda:
            kind = "--prefix" if "/" in self.conda else "--name"
            return ["conda", "run", kind, self.conda, "--no-capture-output", *command]
        if self.container and self.runtime == "docker":
            mounts = [word for one in folders for word in ("--volume", f"{one}:{one}")]
            return ["docker", "run", "--rm", *mounts, "--workdir", str(folders[0]), self.container, *command]
        if self.container:
            return [self.runtime, "exec", "--bind", ",".join(map(str, folders)), self.container, *command]
        return list(command)


@dataclass(frozen=True)
class Recipe:
    """How a program is called. Words may hold {placeholders}, see `placeholders`.

    Attributes:
        command: Makes `{reconstruction}` of `{observed}`.
        train: Learns from `{training}` and leaves all that it needs in the folder `{model}`.
        write: Texts of files that are written first, by their names in the folder of the call.
        observed: Ending of the file of the observed volume, or `sections` for a folder of 0.tif, 1.tif, ...
        reconstruction: Likewise of what the program writes; `name` in it if that is fixed, as in `out/*.tif`.
        dtype: Of the voxels that it gets.
        scales: Smallest and largest scale that it takes.
        whole: Whether scales must be whole.
        grids: Kinds of sections that it takes: aligned (kept), centred (slab means).
        repeat_last: Whether the last section stands for those that a program leaves out behind it.
        folder: Of the program; its commands run there.
        environment: Where it runs.
        files: In that folder, which decide what it does: part of where the code of a run comes from.
        note: What has to be done before, or is not known.
    """

    command: Words
    train: Words = ()
    write: Mapping[str, str] = field(default_factory=dict)
    observed: str = "tif"
    reconstruction: str = "tif"
    dtype: str = "uint8"
    scales: tuple[float, float] = (1.0, 1000.0)
    whole: bool = True
    grids: Words = ("aligned", "centred")
    repeat_last: bool = False
    folder: str = ""
    environment: Environment = field(default_factory=Environment)
    files: Words = ()
    note: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Recipe:
        """The recipe of plain values.

        Raises:
            ConfigError: If it is none.
        """
        names = [one.name for one in fields(cls)]
        for name in facts:
            if name not in names:
                raise unknown("fact of a recipe", str(name), names)
        try:
            found = from_plain(cls, facts)
        except VemreconError as error:
            raise ConfigError(f"no recipe of a program: {error}") from error
        if not found.command:
            raise ConfigError("a recipe needs a command")
        if found.observed not in (*ENDINGS, "sections"):
            raise unknown("kind of file of a recipe", found.observed, (*ENDINGS, "sections"))
        return found

    def place(self, folder: str = "") -> Path:
        """Folder of the program: one that is given, or that of the recipe."""
        return Path(folder or self.folder or ".").expanduser().absolute()


def program_origin(name: str, arguments: Mapping[str, Any]) -> Origin:
    """Where the code of a program comes from: commit of its folder, and sha256 of the files that its recipe names.

    Args:
        name: Of the method.
        arguments: That it is made with.
    """
    recipe = Recipe.of(arguments.get("recipe", {}))
    place, digest = recipe.place(str(arguments.get("folder", ""))), hashlib.sha256()
    called = {key: value for key, value in arguments.get("recipe", {}).items() if key not in ("folder", "environment")}
    digest.update(canonical_json(called).encode())
    for named in recipe.files:
        path = place / named
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(place).as_posix()}\0".encode())
                digest.update(file.read_bytes())
    return Origin(name, _commit(place), digest.hexdigest())


def _commit(place: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(place), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
