"""Results of older schemas as those of this one: one step for each schema, which gives what the next one has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vemrecon.errors import DataError

SCHEMA: Final = 3
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


STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
"""By the schema that they start from."""
