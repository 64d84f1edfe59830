"""Suites and other files of options: stored requests, and how what is given nearer to the user takes their place.

A file holds options by name. Where it asks for several things, `tasks` is a list of what differs between them:

    tasks:
      - {dataset: phantom, scale: [4, 8]}
      - {dataset: cremi, task: native, scale: 10}
    methods: [linear, bicubic]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from vemrecon import protocol
from vemrecon.bench.request import TASK_OPTIONS, Request, Setup, checked_settings
from vemrecon.errors import ConfigError, unknown
from vemrecon.options import options_of

Given = Mapping[str, Any]
"""Words or values of options that were given, by name."""
TASKS = "tasks"


def read_suite(name: str) -> list[Given]:
    """What a suite asks for, by name or from a YAML file.

    Raises:
        ConfigError: If it is missing or has unknown keys.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_file(path)
    return _entries(protocol.load("suites", name), f"suite {name}", ())


def read_file(path: Path, also: Iterable[str] = ()) -> list[Given]:
    """What a YAML file asks for, one mapping for each of its `tasks`; `also` names more options that it may hold.

    Raises:
        ConfigError: If it is missing or has unknown keys.
    """
    return _entries(protocol.load_yaml(path), str(path), also)


def _entries(data: Mapping[str, Any], source: str, also: Iterable[str]) -> list[Given]:
    known = {*options_of(Request), *options_of(Setup), *also}
    whole = _given(data, {*known, TASKS}, f"key of {source}")
    parts = whole.pop(TASKS, [{}])
    if not (isinstance(parts, list) and parts and all(isinstance(part, Mapping) for part in parts)):
        raise ConfigError(f"{source}: {TASKS} must be a list of named options")
    return [{**whole, **_given(part, options_of(Request), f"key of {TASKS} in {source}")} for part in parts]


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
        found = [_over(below, above) for below in result for above in layer]
        result = [one for n, one in enumerate(found) if one not in found[:n]]
    return result


def _over(below: Given, above: Given) -> dict[str, Any]:
    kept = {key: value for key, value in below.items() if not ("dataset" in above and key in TASK_OPTIONS)}
    return {**kept, **above}


def requests_and_setup(entries: Sequence[Given]) -> tuple[tuple[Request, ...], Setup]:
    """The typed form of what is asked for.

    Raises:
        ConfigError: If an option cannot be used.
    """
    plain = [Request(**{**_part(entry, Request), "set": {}}) for entry in entries]
    owners = [owner for request in plain for owner in request.owners]
    requests = []
    for entry, request in zip(entries, plain, strict=True):
        settings = checked_settings(entry.get("set", {}), owners)  # a file has them for all of its tasks
        own = {owner: arguments for owner, arguments in settings.items() if owner in request.owners}
        requests.append(replace(request, set={**request.set, **own}))
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
    return str(value) if isinstance(value, Path) else value
