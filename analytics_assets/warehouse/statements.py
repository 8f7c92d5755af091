"""Statements: what runs them, and their values, as many at a time as one statement names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Final, TypeVar

from dlt.common.utils import chunks
from dlt.destinations.sql_client import SqlClientBase

SqlClient = SqlClientBase[Any]
"""dlt's connection to the dataset, over whatever driver."""

_MOST_VALUES: Final = 500

Value = TypeVar("Value")


def in_chunks(values: Iterable[Value]) -> Iterator[Sequence[Value]]:
    """The values, as many at a time as a statement names."""
    return chunks(values, _MOST_VALUES)


def marks(values: Sized) -> str:
    """What stands for values that the driver fills in: `%s, %s`."""
    return ", ".join(["%s"] * len(values))


def count_rows(client: SqlClient, source: str, *values: object) -> int:
    """The rows of a table, or those of it for which a condition behind its name holds."""
    [[number]] = client.execute_sql(f"SELECT COUNT(*) FROM {source}", *values) or [[0]]
    return int(number)
