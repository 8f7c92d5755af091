"""Rows as the API sends them, as Arrow tables with the declared columns: no value changes.

A value that its column cannot hold, and a field that the resource does not declare, go whole into
the column `EXTRAS`; the warehouse, which knows the table's history, finds columns for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from typing import Any, Final

import orjson
import pyarrow as pa

from analytics_assets.errors import ReadError
from analytics_assets.schema import Column, ColumnType, Resource
from analytics_assets.text import sound_text

Row = Mapping[str, Any]

EXTRAS: Final = "_extras"
"""A JSON object per row: the fields that have no declared column to go to, or null."""

ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "json": pa.string(),
    "date": pa.date32(),
}

DEEPEST: Final = 250
"""Levels of lists and objects that a value may have; a table's other readers have limits, too."""

_BIGINT = range(-(2**63), 2**63)
# a time of day other than midnight would be lost
_DAY: Final = re.compile(r"(\d{4}-\d\d-\d\d)([ T]00:00:00(\.0+)?)?", re.ASCII)

# The Python types that the JSON parser yields for values that the column holds as they are; it
# yields no date, which `as_day` makes of a text.
_EXACT: Final[dict[ColumnType, frozenset[type]]] = {
    "text": frozenset({str}),
    "bigint": frozenset({int}),
    "double": frozenset({float}),
    "bool": frozenset({bool}),
    "json": frozenset({dict, list}),
    "date": frozenset({date}),
}


@cache
def arrow_schema(resource: Resource) -> pa.Schema:
    """The declared columns, then `EXTRAS`."""
    fields = [pa.field(column.name, ARROW_TYPES[column.type]) for column in resource.table_columns]
    return pa.schema([*fields, pa.field(EXTRAS, pa.string())])


def to_arrow(resource: Resource, rows: Sequence[Row]) -> pa.Table:
    """The rows as a table of `arrow_schema(resource)`, in their order.

    Raises:
        ReadError: A value is nested too deep; the message names its field.
    """
    try:
        return _to_arrow(resource, rows)
    except RecursionError:
        fields = (name for row in rows for name in row if _is_deeper(row[name], DEEPEST))
        raise ReadError(
            f"the field {next(fields, '')!r} is nested more than {DEEPEST} levels deep"
        ) from None


def _to_arrow(resource: Resource, rows: Sequence[Row]) -> pa.Table:
    extras: list[dict[str, Any]] = [{} for _ in rows]
    arrays = [_array(column, rows, extras) for column in resource.table_columns]
    declared = {column.name for column in resource.table_columns}
    for row, extra in zip(rows, extras, strict=True):
        if not declared.issuperset(row):
            unknown = (name for name in row if name not in declared)
            extra.update((_sound_name(name), row[name]) for name in unknown)
    texts = [json_text(extra) if extra else None for extra in extras]
    return pa.table([*arrays, pa.array(texts, pa.string())], schema=arrow_schema(resource))


def value_type(value: Any) -> ColumnType:
    """The column type that holds a JSON value, or a date, exactly."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "bigint" if value in _BIGINT else "json"
    if isinstance(value, float):
        return "double"
    if isinstance(value, date):
        return "date"
    return "text" if isinstance(value, str) else "json"


def holds(column_type: str, value: Any) -> bool:
    """Whether a column of that type holds the value exactly. JSON null is held by all.

    A type that is none of ours holds nothing else.
    """
    if value is None or value_type(value) == column_type:
        return True
    # JSON has one kind of number: 1 is a double unless the double would be another number
    return column_type == "double" and value_type(value) == "bigint" and float(value) == value


def as_day(value: Any) -> Any:
    """The date that a text of the API stands for, `2026-09-29` or with midnight; else the value."""
    return (_day(value) or value) if isinstance(value, str) else value


@lru_cache(maxsize=10_000)  # a report has few days in many rows
def _day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:  # the 30th of February
        return None


def arrow_array(column_type: str, values: Sequence[Any]) -> pa.Array:
    """An array of values that a column of that type, one of `ARROW_TYPES`, holds."""
    convert = _CONVERSIONS.get(column_type)
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    try:
        return pa.array(values, ARROW_TYPES[column_type])
    except UnicodeEncodeError:
        texts = (None if value is None else sound_text(value) for value in values)
        return pa.array(texts, ARROW_TYPES[column_type])


def json_text(value: Any) -> str:
    """The value as JSON; numbers keep all their digits.

    Raises:
        RecursionError: The value is nested more than `DEEPEST` levels deep.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number of more than 64 bits, a lone surrogate, or many levels
        if _is_deeper(value, DEEPEST + 1):  # the fields of a row are a level of their own
            raise RecursionError from None
        return sound_text(json.dumps(value, ensure_ascii=False))


def _sound_name(name: str) -> str:
    """A field's name without lone surrogates; two names that differ stay two."""
    return name if name.isascii() else name.encode(errors="backslashreplace").decode()


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a value has more than that many levels of lists and objects."""
    parts = [value]
    for _ in range(levels):
        nested = (part for part in parts if isinstance(part, (dict, list)))
        inner = (part.values() if isinstance(part, dict) else part for part in nested)
        parts = [part for several in inner for part in several]
    return any(isinstance(part, (dict, list)) for part in parts)


_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "double": float,
    "json": json_text,
}


def _array(column: Column, rows: Sequence[Row], extras: list[dict[str, Any]]) -> pa.Array:
    values = [row.get(column.name) for row in rows]
    if column.type == "date":
        values = [as_day(value) for value in values]
    types = {type(value) for value in values} - {type(None)}
    if not types <= _EXACT[column.type] or column.type == "bigint":
        for index, value in enumerate(values):
            if not holds(column.type, value):
                extras[index][column.name] = value
                values[index] = None
    return arrow_array(column.type, values)
