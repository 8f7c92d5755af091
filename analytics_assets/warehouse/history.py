"""Every version of every row: what a load changed in a table, in the table `<resource>_history`.

After a table was loaded, and under the same lock, one transaction ends the open versions that the
table no longer has, and begins those that it has anew. What is compared are the tables themselves,
by the version that is each row's `_dlt_id`: so a load that was killed between the two is made good
by the next one, and so is a time in which no history was kept.

dlt's own `scd2` would stage each row twice, and look for a version among the open ones of all
accounts by `NOT IN`, for which PostgreSQL compares each with each once there are too many for its
`work_mem`: a second load of 200,000 rows had not ended after eight minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from dlt import Pipeline
from dlt.common.schema.typing import C_DLT_ID, C_DLT_LOAD_ID

from analytics_assets.schema import Resource
from analytics_assets.warehouse.columns import StoredColumn, TableColumns, variant_name
from analytics_assets.warehouse.statements import SqlClient, in_chunks, marks

VALID_FROM: Final = "valid_from"
VALID_TO: Final = "valid_to"
VALIDITY: Final = {
    VALID_FROM: "When the version was first loaded (UTC).",
    VALID_TO: "When it was found to be another or gone (UTC); null while it is valid.",
}
"""The columns that a history has beside those of the table, with what they are."""

_END: Final = """
    UPDATE {history} SET {valid_to} = %s
    WHERE {history}.{valid_to} IS NULL AND {scope} AND NOT EXISTS (
        SELECT 1 FROM (SELECT * FROM {table} WHERE {scope}) t
        WHERE t.{account_id} = {history}.{account_id} AND t.{version} = {history}.{version}
    )
"""
_BEGIN: Final = """
    INSERT INTO {history} ({places}, {valid_from})
    SELECT {columns}, %s FROM (SELECT * FROM {table} WHERE {scope}) t
    WHERE t.{version} IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM (SELECT * FROM {history} WHERE {scope} AND {valid_to} IS NULL) h
        WHERE h.{account_id} = t.{account_id} AND h.{version} = t.{version}
    )
"""
_NEWEST: Final = "SELECT MAX({valid_from}), MAX({valid_to}) FROM {history} WHERE {scope}"
_CHANGED: Final = """
    SELECT {account_id}, SUM(CASE WHEN {valid_from} = %s THEN 1 ELSE 0 END),
        SUM(CASE WHEN {valid_to} = %s THEN 1 ELSE 0 END)
    FROM {history} WHERE {scope} GROUP BY {account_id}
"""


@dataclass(frozen=True, slots=True)
class History:
    """The table of a resource's versions.

    Attributes:
        columns: Its columns, but for `VALIDITY`.
        places: By column of the resource's table, the column that holds the same here.
        ignored: Columns whose change makes no version.
    """

    columns: TableColumns
    places: Mapping[str, str]
    ignored: frozenset[str]

    @classmethod
    def of(
        cls, table: TableColumns, stored: Mapping[str, StoredColumn], ignored: frozenset[str]
    ) -> History:
        """The history of a table with these columns; `stored` has those that it has by now.

        A column that has another type than the table's is left as it is, with one beside it.
        """
        there = {name: column for name, column in stored.items() if name not in VALIDITY}
        columns = TableColumns.of(table.resource.history, there)
        places = {}
        for name in table.filled:
            type_, place = table.types[name], name
            if name in VALIDITY or (name in there and there[name].type != type_):
                place = variant_name(name, type_)
            if place != name or name in table.variants:
                columns.variants.add(place)
            columns.types[place] = type_
            columns.others.discard(place)
            places[name] = place
        for name in VALIDITY:
            columns.types.pop(name, None)
        known = {field: name for field, name in table.fields.items() if places.get(name) == name}
        columns.fields.update(known)
        return cls(columns, places, ignored)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.columns.resource.name


@dataclass(frozen=True, slots=True)
class Changes:
    """What a load did to an account's history.

    Attributes:
        begun: The versions that began.
        ended: The versions that ended.
    """

    begun: int = 0
    ended: int = 0


def write_versions(
    pipeline: Pipeline, resource: Resource, history: History, account_ids: Sequence[str]
) -> dict[str, Changes]:
    """Makes the open versions of accounts equal their rows; says what came of it, by account."""
    found = {}
    with pipeline.sql_client() as client, client.begin_transaction():
        for some in in_chunks(account_ids):
            found.update(_write(client, resource, history, some))
    return found


def _write(
    client: SqlClient, resource: Resource, history: History, accounts: Sequence[str]
) -> dict[str, Changes]:
    names = names_of(client, resource, accounts)
    places = {C_DLT_ID: C_DLT_ID, C_DLT_LOAD_ID: C_DLT_LOAD_ID, **history.places}
    names["columns"] = ", ".join(f"t.{client.escape_column_name(name)}" for name in places)
    names["places"] = ", ".join(map(client.escape_column_name, places.values()))
    moment = _moment(client.execute_sql(_NEWEST.format(**names), *accounts))
    client.execute_sql(_END.format(**names), moment, *accounts, *accounts)
    client.execute_sql(_BEGIN.format(**names), moment, *accounts, *accounts)
    rows = client.execute_sql(_CHANGED.format(**names), moment, moment, *accounts)
    return {str(account): Changes(*map(int, numbers)) for account, *numbers in rows or []}


def names_of(client: SqlClient, resource: Resource, accounts: Sequence[str]) -> dict[str, str]:
    """What stands for a resource's table, its history, their columns and rows in statements.

    Without accounts, the rows are those of all.
    """
    columns = {"account_id": "account_id", "version": C_DLT_ID}
    columns |= {name: name for name in VALIDITY}
    names = {role: client.escape_column_name(name) for role, name in columns.items()}
    tables = {"table": resource.name, "history": resource.history.name}
    names |= {role: client.make_qualified_table_name(name) for role, name in tables.items()}
    scope = f"{names['account_id']} IN ({marks(accounts)})" if accounts else "1 = 1"
    return {**names, "scope": scope}


def _moment(newest: Sequence[Sequence[Any]] | None) -> datetime:
    """Now, or if a clock went back, just after what is on record: versions follow each other."""
    known: list[datetime] = [at for row in newest or [] for at in row if at is not None]
    now = datetime.now(timezone.utc)
    return max([now, *(at + timedelta(microseconds=1) for at in known)])
