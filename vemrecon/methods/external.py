"""`External`: any program that turns a file of an observed volume into one of a reconstruction, as a method.

A recipe, a YAML file, says how the program is called. It stands in `benchmark/external/` (`external:NAME`), or anywhere
(`--methods mytool.yaml`). Inputs and outputs are files, so the program may need its own environment: an executable, a
conda environment or a container. What it has learned is kept with the run as the weights of others are.

    title: My tool
    regime: self
    command: [python, restore.py, "{observed}", "{reconstruction}", --scale, "{scale}", --model, "{model}"]
    train: [python, train.py, "{training}", --out, "{model}"] # only where it learns
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vemrecon.data.patches import Patches
from vemrecon.data.source import Source
from vemrecon.errors import VemreconError
from vemrecon.files import make_folder
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.recipe import Environment, Recipe
from vemrecon.methods.stage import Stage
from vemrecon.processes import rank, wait_until
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume, write_volume
from vemrecon.volume.intensity import RangeRule

WHOLE = 1 << 20
"""Voxels of a tile along each axis: no program is asked for less than the whole volume."""
LAST_LINES = 3
"""Of what a program says when it fails."""


class Nothing(Patches):
    """What is learned from where a program does that."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """Nothing."""
        return {"observed": torch.zeros(1)}


class Packed(nn.Module):
    """A folder, as one tensor of bytes, so that weights of programs are files like those of all others."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.register_buffer("archive", torch.zeros(0, dtype=torch.uint8))

    def pack(self, folder: Path) -> None:
        """Take what is in a folder."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.add(path, path.relative_to(folder).as_posix(), filter=_plain)
        self.archive = torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)

    def unpack(self, folder: Path) -> None:
        """Put it into a folder."""
        make_folder(folder)
        if self.archive.numel():
            with tarfile.open(fileobj=io.BytesIO(self.archive.cpu().numpy().tobytes())) as archive:
                archive.extractall(folder, filter="data")


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from one machine to the next."""
    member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
    return member


class External(Method):
    """A program.

    Args:
        scale: Of the task.
        grid: Of the task.
        recipe: How it is called, see `Recipe`.
        folder: Of the program, if the recipe does not say it.
        conda: Likewise, the name of its conda environment.
        container: Likewise, the image that it runs in.
    """

    any_grid: ClassVar[bool] = True
    in_batches: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        recipe: Mapping[str, Any],
        folder: str = "",
        conda: str = "",
        container: str = "",
    ) -> None:
        super().__init__()
        found = Recipe.of(recipe)
        self.recipe, self.grid, self.place = found, grid, found.place(folder)
        own = found.environment
        self.environment = Environment(conda or own.conda, container or own.container, own.runtime)
        self.learned = Packed()
        self.tile = TileShape(WHOLE, WHOLE, WHOLE)

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """What the recipe says."""
        low, high = self.recipe.scales
        if not low <= scale <= high:
            return f"the program takes scales from {low:g} to {high:g}"
        if self.recipe.whole and not float(scale).is_integer():
            return "the program takes whole scales"
        if grid.kind not in self.recipe.grids:
            return f"the program takes {' and '.join(self.recipe.grids)} sections"
        return None

    def stages(self) -> tuple[Stage, ...]:
        """One, in whose preparation the program learns, if it does."""
        if not self.recipe.train:
            return ()
        return (Stage("program", ("learned",), Nothing(), 1, 1, epoch=1, validation=0),)

    def prepare(self, stage: Stage, source: Source, scratch: Path) -> Source:
        """Let the program learn, unless an earlier attempt has let it; nothing is known of what it does in between."""
        place, done = scratch / "program", scratch / "program" / "learned"
        if rank() == 0 and not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            volumes = {"training": source.observed, "validation": source.validation}
            if source.regime == "isotropic":
                volumes["truth"] = source.truth
            for name, some in volumes.items():
                for number, volume in enumerate(some):
                    self._put(make_folder(place / name) / str(number), volume)
            self._call(self.recipe.train, place, make_folder(place / "model"))
            done.touch()
        wait_until(done.exists)
        self.learned.pack(place / "model")
        return source

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Of nothing: the program has learned already."""
        return torch.optim.SGD([self.learned.unused], lr=0.0)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Nothing."""
        return 0 * self.learned.unused

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """What a program has learned has any length."""
        if (found := weights.get("learned.archive")) is not None:
            self.learned.archive = torch.zeros_like(found)

    def reconstruct(self, tile: Tile) -> Tensor:
        """Call the program on the whole volume."""
        observed = tile.observed[0, 0].cpu().numpy()
        with tempfile.TemporaryDirectory(prefix="vemrecon-program-") as name:
            place = Path(name)
            self.learned.unpack(place / "model")
            size = VoxelSize(10 * tile.scale, 10, 10)  # readers want one; programs are told the scale
            self._put(place / "observed", Volume(observed, size, "observed", intensity_range=(0.0, 1.0)))
            self._call(self.recipe.command, place, place / "model")
            made = self._made(place)
        rows = tile.grid.extent(len(observed))
        if self.recipe.repeat_last and 0 < len(made) < rows:
            made = np.concatenate([made, np.repeat(made[-1:], rows - len(made), axis=0)])
        return torch.from_numpy(np.ascontiguousarray(made))[None, None].to(tile.observed)

    def _made(self, place: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        found = sorted(place.glob(self._name("reconstruction", self.recipe.reconstruction)))
        if not found:
            raise VemreconError(f"{self.recipe.command[0]}: wrote no {self.recipe.reconstruction} as its recipe says")
        dtype, wanted = open_volume(found[-1]).dtype, np.dtype(self.recipe.dtype)
        if dtype not in (wanted, np.float32):  # 0 to 255 in 16 bits would be taken for black
            raise VemreconError(
                f"{self.recipe.command[0]}: wrote {dtype}, but got {wanted}; let it write that or float32, or say "
                f"dtype: {dtype} in its recipe"
            )
        volume = open_volume(found[-1], intensity_range=RangeRule("auto") if dtype == np.float32 else None)
        return volume.read(volume.whole)

    def _put(self, path: Path, volume: Volume) -> None:
        """Write a volume as the program wants it."""
        if self.recipe.observed != "sections":
            write_volume(path.with_name(f"{path.name}.{self.recipe.observed}"), volume, np.dtype(self.recipe.dtype))
            return
        import tifffile

        from vemrecon.volume import quantise

        make_folder(path)
        for z in range(volume.shape[0]):
            section = volume.read(Region((z, 0, 0), (z + 1, *volume.shape[1:])))[0]
            tifffile.imwrite(path / f"{z}.tif", quantise(section, np.dtype(self.recipe.dtype)))

    def _name(self, name: str, ending: str) -> str:
        return name if ending == "sections" else ending if "/" in ending or "*" in ending else f"{name}.{ending}"

    def placeholders(self, place: Path, model: Path) -> dict[str, str]:
        """What words of a recipe may name."""
        observed = self._name("observed", self.recipe.observed)
        first = self._name("0", self.recipe.observed)
        return {
            "observed": str(place / observed),
            "reconstruction": str(place / self._name("reconstruction", self.recipe.reconstruction)),
            "place": str(place),
            "model": str(model),
            "training": str(place / "training" / first),
            "training_folder": str(place / "training"),
            "validation_folder": str(place / "validation"),
            "truth_folder": str(place / "truth"),
            "scale": f"{self.grid.scale:g}",
            "between": f"{self.grid.scale - 1:g}",
            "grid": self.grid.kind,
            "seed": str(self.seed),
            "folder": str(self.place),
            "python": sys.executable,
        }

    def _call(self, command: Sequence[str], place: Path, model: Path) -> None:
        """Run a command of the program.

        Raises:
            VemreconError: With the last lines of what it said, if it fails or is not there.
        """
        known = self.placeholders(place, model)
        for name, text in self.recipe.write.items():
            (place / name).write_text(filled(text, known), encoding="utf-8")
        words = [filled(word, known) for word in command]
        called = self.environment.wrapped(words, [self.place, place, model])
        said = place / "said.txt"
        try:
            with said.open("wb") as log:
                done = subprocess.run(
                    called, cwd=self.place, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"}, check=False,
                )  # fmt: skip
        except OSError as error:
            raise VemreconError(f"{called[0]}: cannot be run in {self.place} ({error.strerror or error})") from error
        text = said.read_text(encoding="utf-8", errors="replace")
        print(text, end="")  # in the log of the run
        if done.returncode:
            last = " / ".join(text.strip().splitlines()[-LAST_LINES:]) or "it said nothing"
            raise VemreconError(f"{' '.join(called)[:200]}: ended with code {done.returncode} ({last})")


def filled(text: str, known: Mapping[str, str]) -> str:
    """A text with its placeholders; other braces stay, as JSON has them.

    >>> filled('{"scale": {scale}}', {"scale": "8"})
    '{"scale": 8}'
    """
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text
