"""Results of older schemas as those of this one: one step for each schema, which gives what the next one has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vemrecon.errors import DataError

SCHEMA: Final = 6
"""Of result.json, as this version writes it."""


class NewerError(DataError):
    """A file that a newer version has written; it is left alone."""


def migrated(data: Any) -> dict[str, Any]:
    """A result as this schema has it.

    Args:
        data: Plain values of a file, of this schema or an older one.

    Raises:
        NewerError: If it is of a newer schema.
        DataError: If it is no result.
    """
    if not isinstance(data, Mapping) or type(data.get("schema")) is not int or data["schema"] < min(STEPS):
        raise DataError("not a vemrecon result")
    if data["schema"] > SCHEMA:
        raise NewerError(f"written by a newer vemrecon (schema {data['schema']}); upgrade to read it")
    found = dict(data)
    for schema in range(data["schema"], SCHEMA):
        try:
            found = STEPS[schema](found)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DataError(f"not a result of schema {schema} ({error!r})") from error
    return {key: value for key, value in found.items() if key != "schema"}


def _from_1(data: Mapping[str, Any]) -> dict[str, Any]:
    from vemrecon.bench.schema1 import upgraded

    return upgraded(data)


def _from_2(data: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 3 says which version each metric had, and more ways to end; the first versions have no number."""
    return {**data, "metric_versions": {}}


KERNELS = ("nearest", "linear", "bicubic", "bicubic-keys", "bspline3", "lanczos3")
"""Of schemas before 4; the earliest results do not name the class."""
INTERPOLATION = "vemrecon.methods.interpolation.Interpolation"


def _from_3(data: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 4 says which methods are kernels; before, all of them were of one class."""
    method, card = data["spec"]["method"], data.get("card")
    kernel = method["class_path"] == INTERPOLATION or (not method["class_path"] and method["name"] in KERNELS)
    return {**data, "card": {**card, "kernel": kernel} if card else None}


def _from_4(data: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 5 keeps what references of the task score, such as its smoothed truth."""
    return {**data, "references": {}}


def _from_5(data: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 6 keeps where presets deviate from what they are named after, and which arguments depend on the task."""
    return {**data, "preset_facts": {}}


STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5,
}  # fmt: skip
"""By the schema that they start from."""
