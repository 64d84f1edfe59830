"""`write_package`: an installable package with one method, metric, degradation or dataset that works at once."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from vemrecon import protocol
from vemrecon.errors import ConfigError, OutputError
from vemrecon.files import atomic_write, make_folder, output_error, sha256_of

NewKind = Literal["method", "metric", "degradation", "dataset"]
Like = Literal[
    "training-free",
    "self-supervised",
    "two-stage",
    "adversarial",
    "test-time-fit",
    "supervised",
    "external-weights",
]
"""Kinds of methods that there are examples of."""
HERE = Path(__file__).parent
METHOD_FILES = {
    "card.yaml": "title, source, licence, version, and what it learns from",
    "presets.yaml": "arguments by name: `smoke` to see that it runs, `cpu`, `gpu10`, `paper`",
}


@dataclass(frozen=True)
class Names:
    """A name in all the ways that code needs it."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name):
            raise ConfigError(
                f"name {self.name!r}: must be small letters, digits and single hyphens, such as my-method"
            )

    @property
    def module(self) -> str:
        """Of the package."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """Of a class."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def constant(self) -> str:
        """Of a value."""
        return self.module.upper()


def write_package(kind: NewKind, name: str, folder: Path, like: Like = "self-supervised") -> Package:
    """Write a package.

    Args:
        kind: Of what it holds.
        name: Of that, and of the package.
        folder: Where the package's own folder is made.
        like: Example that a method begins as.

    Raises:
        ConfigError: If the name cannot be used.
        OutputError: If there is something already, or it cannot be written.
    """
    names = Names(name)
    if name in built_in(kind):
        raise ConfigError(f"a {kind} '{name}' is built in; choose another name")
    place = folder / name
    if place.exists():
        raise OutputError(f"{place}: is there already; choose another name or another folder (--out)")
    if importlib.util.find_spec(names.module) is not None:
        raise ConfigError(f"a module '{names.module}' is installed already; choose another name")
    package = Package(kind, names, place, like)
    try:
        make_folder(place)
        package.write()
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)  # half of a package is of no use
        if isinstance(error, OSError):
            raise output_error(place, error) from error
        raise
    return package


def built_in(kind: NewKind) -> list[str]:
    """Names that this project has."""
    if kind == "metric":
        from vemrecon.metrics.catalogue import metrics

        return list(metrics().own)
    if kind == "degradation":
        from vemrecon.degradations import degradations

        return list(degradations().own)
    return protocol.names(f"{kind}s")


@dataclass(frozen=True)
class Package:
    """What is written, and how it is used."""

    kind: NewKind
    names: Names
    place: Path
    like: Like

    @property
    def file(self) -> str:
        """What its author is to change."""
        return "card.yaml" if self.kind == "dataset" else f"{self.kind}.py"

    @property
    def object_name(self) -> str:
        """What the entry point leads to."""
        return self.names.class_name if self.kind in ("method", "degradation") else self.names.constant

    @property
    def module(self) -> str:
        """Where that stands."""
        return self.names.module if self.kind == "dataset" else f"{self.names.module}.{self.kind}"

    @property
    def check(self) -> list[str]:
        """Words of the command that checks it in its folder, installed or not."""
        kind = [] if self.kind == "method" else ["--kind", self.kind]
        return ["check", f"{self.module}.{self.object_name}", *kind, *self.data]

    @property
    def data(self) -> list[str]:
        """Where its files are, for commands."""
        return ["--data-root", "data"] if self.kind == "dataset" else []

    @property
    def bench(self) -> list[str]:
        """Words of a first benchmark."""
        name = self.names.name
        return {
            "method": ["bench", "--dataset", "phantom", "--methods", "linear", name, "--preset", "smoke"],
            "metric": ["bench", "--dataset", "phantom", "--methods", "linear", "--metrics", "psnr", name],
            "degradation": ["bench", "--dataset", "phantom", "--methods", "linear", "--degradation", name],
            "dataset": ["bench", "--dataset", name, "--methods", "linear", *self.data],
        }[self.kind]

    def write(self) -> None:
        """All files."""
        inside = make_folder(self.place / self.names.module)
        others: dict[str, str] = {}
        if self.kind == "method":
            others = {f"{self.names.module}/{name}": words for name, words in self._method(inside).items()}
        elif self.kind == "dataset":
            self._dataset(inside)
        else:
            _put(inside / self.file, self._named((HERE / "others" / self.file).read_text(encoding="utf-8")))
        text = f'"""{self.names.name}, a {self.kind} for vemrecon."""\n'
        if self.kind == "dataset":
            text += f'\nfrom pathlib import Path\n\n{self.object_name} = Path(__file__).with_name("{self.file}")\n'
        _put(inside / "__init__.py", text)
        what = (
            "the files, splits, licence and citation" if self.kind == "dataset" else f"the {self.kind}, yours to change"
        )
        facts = {
            "name": self.names.name,
            "kind": self.kind,
            "module": self.names.module,
            "title": f"{self.names.name}, a {self.kind} for vemrecon",
            "place": f"{self.module}:{self.object_name}",
            "file": self.file,
            "what": what,
            "others": others,
            "steps": "\n".join(f"vemrecon {' '.join(words)}" for words in (self.check, self.bench)),
            "check": ", ".join(f'"{word}"' for word in self.check),
        }
        for name in ("pyproject.toml", "README.md", "CITATION.cff"):
            _put(self.place / name, _filled(name, facts))
        _put(make_folder(self.place / "tests") / f"test_{self.names.module}.py", _filled("test.py", facts))

    def _method(self, inside: Path) -> dict[str, str]:
        """Write the files of a method; gives those beside its module, with what they are for."""
        example = HERE / "methods" / self.like.replace("-", "_")
        weights = ""
        if self.like == "external-weights":
            weights = _zeros(inside / "weights.safetensors")
        for file in sorted(example.glob("*")):
            if file.name == self.file or file.suffix == ".yaml":
                text = file.read_text(encoding="utf-8").replace("@weights@", weights)
                _put(inside / file.name, self._named(text))
        return {name: words for name, words in METHOD_FILES.items() if (inside / name).exists()}

    def _dataset(self, inside: Path) -> None:
        import numpy as np

        from vemrecon.data.phantom import make_phantom

        volume = make_folder(self.place / "data" / self.names.name) / "grey.npy"
        with atomic_write(volume, "wb") as file:
            np.save(file, make_phantom((128, 64, 64)).grey)
        card = (HERE / "others" / "dataset.yaml").read_text(encoding="utf-8")
        card = card.replace("@name@", self.names.name).replace("@sha256@", sha256_of(volume))
        _put(inside / self.file, card)

    def _named(self, text: str) -> str:
        """An example under the name of what it becomes."""
        text = re.sub(r"\bEXAMPLE\b", self.names.constant, text)
        text = re.sub(r"\bExample\b", self.names.class_name, text)
        return re.sub(r'"example"|\bexample (?=measures)', lambda m: m[0].replace("example", self.names.name), text)


def _zeros(path: Path) -> str:
    """Weights for the example that brings some: they change nothing. Gives their sha256."""
    import numpy as np
    from safetensors.numpy import save

    shapes = {"0.weight": (8, 1, 3, 3), "0.bias": (8,), "2.weight": (1, 8, 3, 3), "2.bias": (1,)}
    with atomic_write(path, "wb") as file:
        file.write(save({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}))
    return sha256_of(path)


def _put(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text)


def _filled(name: str, facts: Mapping[str, Any]) -> str:
    from jinja2 import Template

    template = (HERE / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return Template(template, keep_trailing_newline=True).render(facts)


LIKES: tuple[str, ...] = get_args(Like)
