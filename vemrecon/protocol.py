"""The folder `benchmark/`: what defines the numbers, as data. A checkout has it beside the package, a wheel inside."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError, unknown

LARGEST_YAML = 4 << 20
MOST_VALUES = 1_000_000


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
    return number_if_one(read_yaml(text, text))


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
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_YAML + 1)
        if len(data) > LARGEST_YAML:
            raise ConfigError(f"{path}: more than {LARGEST_YAML:,} bytes, which no file of settings has")
        found = deepcopy(_known_yaml(data.decode(), str(path)))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from error
    if found is None:
        raise ConfigError(f"{path}: is empty; it must hold named settings")
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must hold named settings, not {type(found).__name__}")
    return found


@lru_cache(maxsize=256)
def _known_yaml(text: str, name: str) -> Any:
    """What a text stands for, which takes long to find out; not to be changed."""
    return read_yaml(text, name)


def read_yaml(text: str, name: str) -> Any:
    """YAML of plain values, from anybody.

    Raises:
        ConfigError: If it is not YAML, or few words stand for a very large thing.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # dates that are none, numbers without end
        raise ConfigError(f"{name[:200]}: not YAML ({' '.join(str(error).split())[:300]})") from error
    except RecursionError as error:
        raise ConfigError(f"{name[:200]}: not YAML that can be used (too deep)") from error
    waiting, count = [found], 0
    while waiting:  # aliases may stand for more than could ever be walked through
        one = waiting.pop()
        inner = [*one.keys(), *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else ()
        count += len(inner)
        if count > MOST_VALUES:
            raise ConfigError(f"{name[:200]}: stands for more than {MOST_VALUES:,} values")
        waiting += inner
    return found
