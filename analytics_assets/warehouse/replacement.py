"""Exact replacement: after a load, an account's rows are those that were read, and no others.

It is dlt's merge with a destination scope: in one transaction per table, the rows of the loaded
accounts are deleted and those read are inserted. An account that was read but has no rows is in the
load by a marker row, which the merge's source filter keeps out of the table.

Of an account that was read in part, the rows of that part are replaced. A marker row for each value
says which these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.schema.typing import (
    C_DLT_ID,
    C_DLT_LOAD_ID,
    TColumnSchema,
    TWriteDispositionConfig,
)
from dlt.extract import DltResource, DltSource

from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.rows.arrow import ARROW_TYPES
from analytics_assets.rows.versions import row_versions
from analytics_assets.schema import Resource
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
from analytics_assets.warehouse.history import VALIDITY, History

SOURCE_NAME = "analytics"
ROW_ID = C_DLT_ID
DLT_COLUMNS = (C_DLT_ID, C_DLT_LOAD_ID)
FIELD_HINT = "x-field"
"""In dlt's schema, the API's field that a column was made for; dlt keeps hints that begin so."""

# The rows that a load replaces: all accounts are listed anew, other tables account by account.
_ALL_ROWS = "1 = 1"
_ROWS_OF_LOADED_ACCOUNTS = "account_id IN (SELECT account_id FROM {staging_table})"
ROWS_OF_LOADED_ACCOUNTS_BY_INDEX = (
    "account_id = ANY (ARRAY(SELECT DISTINCT account_id FROM {staging_table}))"
)
"""The same for PostgreSQL, which knows nothing of a staged table, and without this takes its
accounts for so many that it would rather read all rows than use the index."""
# markers of accounts, as of those that come whole beside parts, and of the values of a part
_ACCOUNT_MARK, _VALUE_MARK = None, ""
_ROWS = f"{ROW_ID} IS NOT NULL"
_ROWS_BESIDE_PARTS = f"{ROW_ID} <> '{_VALUE_MARK}'"
# dlt handles each table that it is given on its own, so it gets few and large ones
_ROWS_PER_TABLE = 50_000


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One resource's share of a load.

    Attributes:
        resource: The resource, whose name is the table's.
        accounts: Those whose rows are replaced; without any, the load only makes the table.
        columns: The table's columns.
        history: The table of the rows' versions, where one is kept.
        stored: Makes of rows what the destination can hold.
        scope: The condition on the rows that are replaced.
        quoted: Makes of a column's name what statements have for it: `order` is a name, too.
    """

    resource: Resource
    accounts: Sequence[AccountRows]
    columns: TableColumns
    history: History | None = None
    stored: Callable[[pa.Table], pa.Table] = lambda table: table
    scope: str = _ROWS_OF_LOADED_ACCOUNTS
    quoted: Callable[[str], str] = lambda name: name

    @property
    def part_column(self) -> str | None:
        """The column by which rows are replaced in part; None if all accounts come whole."""
        return next((part.column for part in self.parts if part), None)

    @property
    def part_values(self) -> list[Any]:
        """The values of that column whose rows are replaced."""
        return [value for part in self.parts if part for value in part.values]

    @property
    def parts(self) -> Iterator[Part | None]:
        """What was read of each account; None for one that comes whole."""
        return (account.resources[self.resource.name].part for account in self.accounts)


def plan(
    resources: Sequence[Resource],
    accounts: Sequence[AccountRows],
    stored: Mapping[str, Mapping[str, StoredColumn]],
    kept: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> list[TableLoad]:
    """What to load into each table, of which the warehouse has the `stored` columns.

    `kept` are the tables whose history is kept, with the columns that it ignores.
    """
    loads = []
    for resource in resources:
        name = resource.name
        columns = TableColumns.of(resource, stored.get(name, {}))
        read = [account for account in accounts if name in account.resources]
        extending = [a for a in read if a.resources[name].extras or columns.misfits]
        columns.extend(table for account in extending for table in _tables(account, name))
        past = stored.get(resource.history.name, {})
        history = History.of(columns, past, kept[name]) if name in kept else None
        loads.append(TableLoad(resource, read, columns, history))
    return loads


def load_source(loads: Sequence[TableLoad]) -> DltSource:
    """The source that dlt loads from: one resource per table."""
    return _source([_resource(load) for load in loads])


def tables_source(loads: Sequence[TableLoad]) -> DltSource:
    """A source without rows, from which dlt makes the tables and those of their versions."""
    histories = [load.history for load in loads if load.history is not None]
    tables = [_resource(replace(load, accounts=[])) for load in loads]
    return _source([*tables, *map(_history_resource, histories)])


def _source(resources: list[DltResource]) -> DltSource:
    @dlt.source(name=SOURCE_NAME, max_table_nesting=0)
    def analytics() -> list[DltResource]:
        return resources

    return analytics()


def _history_resource(history: History) -> DltResource:
    load = TableLoad(history.columns.resource, [], history.columns)
    hints = _column_hints(load)
    for name in VALIDITY:
        hints[name] = {"name": name, "data_type": "timestamp", "nullable": True}
    factory = dlt.resource(_rows, name=history.name, columns=hints, write_disposition="append")
    return factory(load)


def _resource(load: TableLoad) -> DltResource:
    resource = load.resource
    disposition: TWriteDispositionConfig = {
        "disposition": "merge",
        "strategy": "delete-insert",
        "deduplicated": True,
        "destination_scope": _replaced(load),
        "source_filter": _ROWS if load.part_column is None else _ROWS_BESIDE_PARTS,
    }
    resource_factory = dlt.resource(
        _rows,
        name=resource.name,
        primary_key=list(resource.key),
        columns=_column_hints(load),
        write_disposition=disposition,
    )
    return resource_factory(load)


def _replaced(load: TableLoad) -> str:
    """The rows of the table that give way to what is staged."""
    if load.resource.parent is None:
        return _ALL_ROWS
    if (column := load.part_column) is None:
        return load.scope
    name = load.quoted(column)
    values = (
        f"(account_id, {name}) IN"
        f" (SELECT account_id, {name} FROM {{staging_table}} WHERE {ROW_ID} = '{_VALUE_MARK}')"
    )
    if column in load.resource.key and all(part for part in load.parts):
        return values
    key = ", ".join(map(load.quoted, load.resource.key))
    # one list of keys to join with: with OR between conditions, PostgreSQL compares each row with
    # each staged one, as soon as these are too many for its memory
    return f"""{load.scope} AND ({key}) IN (
        SELECT {key} FROM {{table}} WHERE {load.scope} AND account_id IN
            (SELECT account_id FROM {{staging_table}} WHERE {ROW_ID} IS NULL)
        UNION ALL SELECT {key} FROM {{table}} WHERE {load.scope} AND {values}
        UNION ALL SELECT {key} FROM {{staging_table}} WHERE {_ROWS_BESIDE_PARTS}
    )"""


def _column_hints(load: TableLoad) -> dict[str, TColumnSchema]:
    columns = load.columns
    hints: dict[str, dict[str, Any]] = {
        name: {
            "name": name,
            "data_type": columns.types[name],
            "nullable": name not in load.resource.key,
        }
        for name in columns.filled
    }
    for field, name in columns.fields.items():
        if name in hints:
            hints[name][FIELD_HINT] = field
    for name in columns.variants.intersection(hints):
        hints[name]["variant"] = True
    hints[ROW_ID] = {"name": ROW_ID, "data_type": "text", "nullable": True}
    return cast(dict[str, TColumnSchema], hints)


def _rows(load: TableLoad) -> Iterator[pa.Table]:
    pending: list[pa.Table] = []
    for account in load.accounts:
        rows = account.resources[load.resource.name]
        if rows.rows == 0 or load.part_column is not None:
            pending.append(_markers(load.resource, account.account_id, rows.part))
        for table in _tables(account, load.resource.name):
            pending.append(load.columns.spread(table).append_column(ROW_ID, _row_ids(load, table)))
        if sum(table.num_rows for table in pending) >= _ROWS_PER_TABLE:
            yield load.stored(pa.concat_tables(pending, promote_options="default"))
            pending.clear()
    if pending:
        yield load.stored(pa.concat_tables(pending, promote_options="default"))
    if not load.accounts:
        types = {**load.columns.types, ROW_ID: "text"}
        fields = [(name, ARROW_TYPES[types[name]]) for name in _column_hints(load)]
        yield pa.schema(fields).empty_table()


def _tables(account: AccountRows, resource_name: str) -> Iterator[pa.Table]:
    rows = account.resources[resource_name]
    if rows.rows == 0:
        return
    with pa.memory_map(str(rows.path)) as file:
        for batch in pa.ipc.open_stream(file):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def _row_ids(load: TableLoad, table: pa.Table) -> pa.Array:
    """What tells the rows apart: their key, or where a history is kept, their version."""
    if load.history is not None:
        return row_versions(load.resource, table, load.history.ignored)
    parts = [table[name].cast(pa.string()) for name in load.resource.key]
    return pc.binary_join_element_wise(*parts, "/")


def _markers(resource: Resource, account_id: str | None, part: Part | None) -> pa.Table:
    """Rows that say what was read, with or without rows of it: the account, or each value.

    Of no value it is one of no account, which replaces nothing: dlt loads no table without a row.
    """
    types = {column.name: column.type for column in resource.table_columns}
    named = {*resource.key, *([part.column] if part else [])}
    filler: dict[str, Any] = {name: ("" if types[name] == "text" else 0) for name in resource.key}
    filler |= {"account_id": account_id or "", ROW_ID: _VALUE_MARK if part else _ACCOUNT_MARK}
    rows = [filler | {part.column: value} for value in part.values] if part else [filler]
    rows = rows or [filler | {"account_id": ""}]
    fields = [(name, ARROW_TYPES[types[name]]) for name in types if name in named]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, (ROW_ID, pa.string())]))
