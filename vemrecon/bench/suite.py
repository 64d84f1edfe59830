"""Suites and other files of options: stored requests, and how what is given nearer to the user takes their place.

A file holds options by name. Where it asks for several things, `tasks` is a list of what differs between them:

    tasks:
      - {dataset: phantom, scale: [4, 8]}
      - {dataset: cremi, task: native, scale: 10}
    methods: [linear, bicubic]

`include` names other suites, whose tasks come before; what the file says of all tasks then holds for these too. A
method may stand several times with other arguments, as `{class_path: isovem, init_args: {rotations: [0]}}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from vemrecon import protocol
from vemrecon.bench.learn_from import LearnFrom
from vemrecon.bench.missing import Missing
from vemrecon.bench.request import TASK_OPTIONS, Request, Setup, checked_settings, merged
from vemrecon.bench.track import Track
from vemrecon.errors import ConfigError, unknown
from vemrecon.options import options_of

Given = Mapping[str, Any]
"""Words or values of options that were given, by name."""
TASKS, INCLUDE, TITLE = "tasks", "include", "title"


def read_suite(name: str, within: Sequence[str] = ()) -> list[Given]:
    """What a suite asks for, by name or from a YAML file.

    Args:
        name: Of the suite, or path of the file.
        within: The suites that include it.

    Raises:
        ConfigError: If it is missing, has unknown keys, or includes itself.
    """
    if name in within:
        raise ConfigError(f"suite {name}: includes itself ({' -> '.join((*within, name))})")
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_file(path, within=within)
    return _entries(protocol.load("suites", name), f"suite {name}", (), (*within, name))


def read_file(path: Path, also: Iterable[str] = (), within: Sequence[str] = ()) -> list[Given]:
    """What a YAML file asks for, one mapping for each of its tasks.

    Args:
        path: The file.
        also: More options that it may hold.
        within: The suites that include it.

    Raises:
        ConfigError: If it is missing or has unknown keys.
    """
    return _entries(protocol.load_yaml(path), str(path), also, (*within, str(path)))


def titles() -> dict[str, str]:
    """What every suite of this project is for, by name."""
    return {name: str(protocol.load("suites", name).get(TITLE, "")) for name in protocol.names("suites")}


def _entries(data: Mapping[str, Any], source: str, also: Iterable[str], within: Sequence[str]) -> list[Given]:
    known = {*options_of(Request), *options_of(Setup), *also}
    whole = _given(data, {*known, TASKS, INCLUDE, TITLE}, f"key of {source}")
    whole.pop(TITLE, None)
    names = whole.pop(INCLUDE, [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ConfigError(f"{source}: {INCLUDE} must be a list of suites")
    parts = whole.pop(TASKS, [] if names else [{}])
    if not (isinstance(parts, list) and (parts or names) and all(isinstance(part, Mapping) for part in parts)):
        raise ConfigError(f"{source}: {TASKS} must be a list of named options")
    own = [{**whole, **_given(part, options_of(Request), f"key of {TASKS} in {source}")} for part in parts]
    included = [entry for name in names for entry in read_suite(name, within)]
    return _distinct([*layered(included, [whole]), *own])


def _given(data: Mapping[str, Any], known: Iterable[str], what: str) -> dict[str, Any]:
    for key in data:
        if key not in known:
            raise unknown(what, str(key), known)
    return {key: value for key, value in data.items() if value is not None}


def layered(*layers: Sequence[Given]) -> list[dict[str, Any]]:
    """What is asked for in all, where each layer takes the place of what the ones before it say.

    A layer that names a dataset also replaces split, task, scale and degradation, which belong to it.
    """
    result: list[dict[str, Any]] = [{}]
    for layer in layers:
        result = _distinct([_over(below, above) for below in result for above in layer])
    return result


def _distinct(entries: Sequence[Any]) -> list[Any]:
    return [one for n, one in enumerate(entries) if one not in entries[:n]]


def variants_apart(entry: Given) -> list[dict[str, Any]]:
    """The entry once for each time that a method stands in it with other arguments, as a request holds it only once.

    >>> entry = {"methods": ["linear", "m", {"class_path": "m", "init_args": {"a": 1}}], "scale": 8}
    >>> [part["methods"] for part in variants_apart(entry)]
    [['linear', 'm'], [{'class_path': 'm', 'init_args': {'a': 1}}]]
    """
    asked = entry.get("methods")
    if not isinstance(asked, list):
        return [dict(entry)]
    parts: list[list[Any]] = [[]]
    for one in _distinct(asked):
        free = next((part for part in parts if _class_path(one) not in map(_class_path, part)), None)
        if free is None:
            parts.append(free := [])
        free.append(one)
    return [{**entry, "methods": part} for part in parts]


def _class_path(method: Any) -> Any:
    return method.get("class_path") if isinstance(method, Mapping) else method


def _over(below: Given, above: Given) -> dict[str, Any]:
    kept = {key: value for key, value in below.items() if not ("dataset" in above and key in TASK_OPTIONS)}
    return {**kept, **above}


def requests_and_setup(entries: Sequence[Given]) -> tuple[tuple[Request, ...], Setup]:
    """The typed form of what is asked for.

    Raises:
        ConfigError: If an option cannot be used.
    """
    entries = [part for entry in entries for part in variants_apart(entry)]
    plain = [Request(**{**_part(entry, Request), "set": {}}) for entry in entries]
    owners = [owner for request in plain for owner in request.owners]
    requests = []
    for entry, request in zip(entries, plain, strict=True):
        settings = checked_settings(entry.get("set", {}), owners)  # a file has them for all of its tasks
        own = {owner: arguments for owner, arguments in settings.items() if owner in request.owners}
        requests.append(replace(request, set=merged(request.set, own)))
    return tuple(requests), Setup(**_part(entries[0], Setup))


def _part(entry: Given, kind: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name in options_of(kind)}


def as_file(requests: Sequence[Request], setup: Setup) -> dict[str, Any]:
    """Plain values of a file that asks for the same."""
    parts = [_plain(request) for request in requests]
    return {**(parts[0] if len(parts) == 1 else {TASKS: parts}), **_plain(setup)}


def _plain(options: Request | Setup) -> dict[str, Any]:
    values = {one.name: getattr(options, one.name) for one in fields(options)}
    return {name: _plain_value(value) for name, value in values.items() if value not in (None, (), {})}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_value(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_value(one) for one in value]
    if isinstance(value, Track):
        return asdict(value)
    return str(value) if isinstance(value, Path | LearnFrom | Missing) else value
