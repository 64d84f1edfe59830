"""The folder `benchmark/`: what defines the numbers, as data. A checkout has it beside the package, a wheel inside."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError, unknown


def benchmark_folder() -> Path:
    """The folder with protocol, datasets, splits, methods and suites."""
    package = Path(__file__).parent
    inside = package / "_benchmark"
    return inside if inside.is_dir() else package.parent / "benchmark"


def names(kind: str) -> list[str]:
    """Names of all files of one kind: datasets, splits, methods or suites."""
    return sorted(path.stem for path in (benchmark_folder() / kind).glob("*.yaml"))


def load(kind: str, name: str) -> dict[str, Any]:
    """One file of the folder.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name not in names(kind):
        raise unknown(kind.rstrip("s"), name, names(kind))
    return load_yaml(benchmark_folder() / kind / f"{name}.yaml")


@cache
def protocol() -> dict[str, Any]:
    """The settings that are the same for every run."""
    return load_yaml(benchmark_folder() / "protocol.yaml")


def value_of(text: str) -> Any:
    """A value of the command line, read as YAML 1.2 reads it: `1e-3` is a number too.

    >>> value_of("1e-3"), value_of("[1, 2]"), value_of("linear")
    (0.001, [1, 2], 'linear')

    Raises:
        ConfigError: If it is not YAML.
    """
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text}: not a value ({' '.join(str(error).split())})") from error
    return number_if_one(value)


def number_if_one(value: Any) -> Any:
    """A word that is a number to YAML 1.2 but not to 1.1, as that number; anything else as it is.

    >>> number_if_one("1e-3"), number_if_one("cubic_a-0.5"), number_if_one(3)
    (0.001, 'cubic_a-0.5', 3)
    """
    if isinstance(value, str) and value[:1] in tuple("+-.0123456789"):
        with suppress(ValueError):
            return float(value)
    return value


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file with a mapping at its top.

    Raises:
        ConfigError: If it is missing or is something else.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold named settings, not {type(data).__name__}")
    return data
