"""The keys that tell an API's rows apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from analytics_assets.rows.arrow import as_day, holds
from analytics_assets.schema import ACCOUNT_ID, Column, Report, Resource
from analytics_assets.text import is_sound

# From here on a double may stand for several integers.
_FIRST_INEXACT: Final = 2**53
# the digits and the sign of the longest bigint
_LONGEST_BIGINT: Final = 20
_TEXT: Final = Column("", "text")

PARENT_ID: Final = f"id_{uuid4().hex}"
"""Under this name, which no API can send, a parent's row has its id, for its children to take."""


def parents_of(resource: Resource) -> str:
    """The name, for dlt, of the rows that a resource's lists are asked for."""
    return f"parents_of_{resource.name}"


def parent_id_field(resource: Resource) -> str:
    """The field of a row with its parent's id; dlt names what a row takes from its parent so."""
    return f"_{parents_of(resource)}_{PARENT_ID}"


def key_value(column: Column, value: Any) -> Any:
    """The value as the key column's type, if that loses nothing; else None.

    JSON writers differ in how they write a number: `7`, `7.0` and `"7"` are one key. A text with
    half a character is none: neither a column nor a path holds it as it is.
    """
    if value is None or value == "":
        return None
    if type(value) is float and value.is_integer() and abs(value) < _FIRST_INEXACT:
        value = int(value)
    if column.type == "date":
        value = as_day(value)
    if holds(column.type, value):
        return value if type(value) is not str or is_sound(value) else None
    if column.type == "text" and type(value) is int:
        return str(value)
    if column.type == "bigint" and isinstance(value, str) and len(value) <= _LONGEST_BIGINT:
        return _canonical(value)
    return None


def fill(row: dict[str, Any], name: str, value: Any) -> None:
    """Gives the row a value of ours; another one of the API's goes to `api_` and the name."""
    own, place = row.get(name), f"api_{name}"
    if own not in (None, value):
        while place in row:
            place = f"api_{place}"
        row[place] = own
    row[name] = value


def list_key(resource: Resource) -> tuple[Column, ...]:
    """The columns that tell the rows of one list apart: it is of one account, and of one parent.

    There are none where a list has one row.
    """
    columns = {column.name: column for column in resource.table_columns}
    asked_by = {ACCOUNT_ID.name} if resource.parent else set()
    if resource.has_parent_rows:
        asked_by.add(str(resource.parent_column))
    return tuple(columns[name] for name in resource.key if name not in asked_by)


def row_key(columns: Sequence[Column], row: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The row's values of the key columns; None if one of them cannot be used."""
    key = tuple(key_value(column, row.get(column.name)) for column in columns)
    return None if None in key else key


def row_name(report: Report, row: Mapping[str, Any]) -> str | None:
    """What names a row of a report's day; None where the last group of fields has no value."""
    found = [
        next((text for name in group if (text := key_value(_TEXT, row.get(name)))), "")
        for group in report.named_by
    ]
    return "/".join(found) if found and found[-1] else None


def _canonical(text: str) -> int | None:
    """The bigint that is written as this text and as no other."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number) == text and holds("bigint", number) else None
