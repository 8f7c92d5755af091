"""The table that tells which lists below parent rows were read, and how the parent row was then.

A load removes from it what is about to be replaced, and notes what was read when all of it is in
the tables: whenever a load is killed, what it may have changed counts as never read.

Where a history is kept, rows are told apart by versions, which the load of a list makes. A list
that was loaded without them, or with others, counts as never read, too: its rows would be taken for
unchanged, or changed, when they are not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from dlt import Pipeline
from dlt.common.data_types import TDataType

from analytics_assets.choice import kept_histories
from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.rows.lists import ReadList
from analytics_assets.schema import Resource, ResourceTable
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import is_sound
from analytics_assets.warehouse.destination import sql_dialect
from analytics_assets.warehouse.failures import tables_were_changed
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.locks import look_locked, making_tables
from analytics_assets.warehouse.statements import SqlClient, in_chunks, marks

READ_LISTS: Final = "_analytics_read_lists"
"""The table, which is there only where the setting `reread_unchanged_days` was ever on."""

_COLUMNS: Final[Mapping[str, TDataType]] = {
    "resource": "text",
    "account_id": "text",
    "parent_id": "text",
    "parent_version": "text",
    "read_at": "double",
    "row_count": "bigint",
}
# in `parent_version`, before what makes the versions of a history
_OF_HISTORY: Final = "/"
# the values of a column as one parameter: of 60,000 lists, DuckDB reads these in 0.3 s, not in 3.4
_WITH_UNNEST: Final = ("duckdb", "postgres")

Lists = Mapping[tuple[str, str], Mapping[str, ReadList]]
"""By resource and account, and then by the parent's id as text."""


def read_lists(
    settings: PlatformSettings,
    folder: Path,
    resource_names: Collection[str],
    account_ids: Collection[str],
    request: LockRequest,
) -> Lists:
    """The lists on record whose rows are in the tables, none more and none less.

    Where rows of an account were added or removed by somebody else, nothing is told of its lists.

    Raises:
        WarehouseError: The warehouse could not be read.
    """

    def look(pipeline: Pipeline) -> Lists:
        try:
            with pipeline.sql_client() as client:
                return dict(_sound_lists(settings, client, resource_names, account_ids))
        except Exception as error:
            if tables_were_changed(error):  # no such table or column
                return {}
            raise

    return look_locked(settings, folder, look, request) or {}


def with_parts(
    settings: PlatformSettings, pipeline: Pipeline, accounts: Sequence[AccountRows]
) -> tuple[list[AccountRows], Mapping[str, Sequence[str]]]:
    """Tells what is replaced where some lists were kept: the rows of all others.

    Returns:
        The accounts, and by account the resources that were taken out: somebody else has changed
        the rows of lists that were kept.
    """
    kept = {
        name: [str(a.account_id) for a in accounts if name in a.resources and a.lists[name].kept]
        for name in {name for account in accounts for name in account.lists}
    }
    if not any(kept.values()):
        return list(accounts), {}
    with pipeline.sql_client() as client:
        held = {
            name: _rows_below(client, settings.resources[name], account_ids)
            for name, account_ids in kept.items()
        }
    parts = [_with_parts(settings.resources, account, held) for account in accounts]
    overtaken = {
        str(account.account_id): sorted(account.resources.keys() - part.resources)
        for account, part in zip(accounts, parts, strict=True)
    }
    return parts, {account_id: names for account_id, names in overtaken.items() if names}


def forget_lists(
    settings: PlatformSettings, pipeline: Pipeline, accounts: Iterable[AccountRows]
) -> None:
    """Removes from the table the lists that are replaced, that are gone or that failed."""
    with pipeline.sql_client() as client, client.begin_transaction():
        for account in accounts:
            account_id = str(account.account_id)
            for name in {*account.resources, *account.lists} if _is_storable(account_id) else ():
                if settings.resources[name].has_parent_rows:
                    lists = account.lists.get(name)
                    _forget(client, name, account_id, lists.kept if lists else ())


def note_lists(
    settings: PlatformSettings,
    pipeline: Pipeline,
    accounts: Iterable[AccountRows],
    *,
    is_there: bool,
) -> None:
    """Adds to the table, which is made unless it is there, the lists whose rows were loaded."""
    of_history = _versions_of_histories(settings)
    rows = [row for account in accounts for row in _notes(account, of_history)]
    if not rows:
        return
    if not is_there:
        _make_table(settings, pipeline)
    has_unnest = sql_dialect(pipeline) in _WITH_UNNEST
    with pipeline.sql_client() as client, client.begin_transaction():
        columns = ", ".join(map(client.escape_column_name, _COLUMNS))
        into = f"INSERT INTO {client.make_qualified_table_name(READ_LISTS)} ({columns})"
        if has_unnest:
            arrays = ", ".join(["unnest(%s)"] * len(_COLUMNS))
            client.execute_sql(f"{into} SELECT {arrays}", *map(list, zip(*rows, strict=True)))
            return
        for some in in_chunks(rows):
            places = ", ".join([f"({marks(_COLUMNS)})"] * len(some))
            client.execute_sql(f"{into} VALUES {places}", *chain(*some))


def _sound_lists(
    settings: PlatformSettings,
    client: SqlClient,
    resource_names: Collection[str],
    account_ids: Collection[str],
) -> Iterator[tuple[tuple[str, str], Mapping[str, ReadList]]]:
    noted = _noted(settings, client, account_ids)
    for name in {name for name, _ in noted}.intersection(resource_names):
        held = _rows_below(client, settings.resources[name], account_ids)
        for (resource_name, account_id), lists in noted.items():
            if resource_name == name and _are_there(lists, held.get(account_id, {})):
                yield (name, account_id), lists


def _are_there(lists: Mapping[str, ReadList], held: Mapping[Any, int]) -> bool:
    """Whether a table has the rows of these lists, and none of no list."""
    rows = {str(parent_id): number for parent_id, number in held.items()}
    return None not in held and all(
        rows.get(parent_id, 0) == found.rows for parent_id, found in lists.items()
    )


def _noted(settings: PlatformSettings, client: SqlClient, account_ids: Collection[str]) -> Lists:
    of_history = _versions_of_histories(settings)
    columns = ", ".join(map(client.escape_column_name, _COLUMNS))
    statement = f"SELECT {columns} FROM {client.make_qualified_table_name(READ_LISTS)}"
    found: dict[tuple[str, str], dict[str, ReadList]] = {}
    for row in _of_accounts(client, statement, account_ids):
        resource, account_id, parent_id, noted, read_at, rows = row
        version = _noted_version(str(noted), of_history.get(str(resource)))
        if version is not None:
            lists = found.setdefault((str(resource), str(account_id)), {})
            lists[str(parent_id)] = ReadList(version, float(read_at), int(rows))
    return found


def _versions_of_histories(settings: PlatformSettings) -> dict[str, str]:
    """By resource whose history is kept, what tells how the versions of its rows are made."""
    kept = kept_histories(settings)
    return {name: _OF_HISTORY + ",".join(sorted(ignored)) for name, ignored in kept.items()}


def _noted_version(noted: str, of_history: str | None) -> str | None:
    """The parent row's version; None if the rows below were loaded with none of that history."""
    version, mark, ignored = noted.partition(_OF_HISTORY)
    return version if of_history in (None, f"{mark}{ignored}") else None


def _rows_below(
    client: SqlClient, resource: Resource, account_ids: Collection[str]
) -> dict[str, dict[Any, int]]:
    """By account and parent's id, how many rows a table has."""
    named = ("account_id", str(resource.parent_column))
    columns = ", ".join(map(client.escape_column_name, named))
    statement = f"SELECT {columns}, COUNT(*) FROM {client.make_qualified_table_name(resource.name)}"
    found: dict[str, dict[Any, int]] = {}
    grouping = f" GROUP BY {columns}"
    for account_id, value, rows in _of_accounts(client, statement, account_ids, grouping):
        found.setdefault(str(account_id), {})[value] = int(rows)
    return found


def _of_accounts(
    client: SqlClient, statement: str, account_ids: Collection[str], end: str = ""
) -> Iterator[Sequence[Any]]:
    """The rows that a statement gives of some accounts."""
    column = client.escape_column_name("account_id")
    storable = [account_id for account_id in account_ids if _is_storable(account_id)]
    for some in in_chunks(storable):
        where = f" WHERE {column} IN ({marks(some)})"
        yield from client.execute_sql(f"{statement}{where}{end}", *some) or []


def _with_parts(
    resources: ResourceTable,
    account: AccountRows,
    held: Mapping[str, Mapping[str, Mapping[Any, int]]],
) -> AccountRows:
    read = dict(account.resources)
    for name, lists in account.lists.items():
        if name in read and lists.kept:
            there = held[name].get(str(account.account_id), {})
            rows = read.pop(name)
            if _are_there(lists.kept, there):
                replaced = {parent_id for parent_id in there if str(parent_id) not in lists.kept}
                column = str(resources[name].parent_column)
                read[name] = replace(rows, part=Part(column, replaced.union(lists.asked)))
    return replace(account, resources=read)


def _forget(client: SqlClient, resource_name: str, account_id: str, kept: Collection[str]) -> None:
    columns = ("resource", "account_id", "parent_id")
    resource, account, parent = map(client.escape_column_name, columns)
    statement = (
        f"DELETE FROM {client.make_qualified_table_name(READ_LISTS)}"
        f" WHERE {resource} = %s AND {account} = %s"
    )
    if kept:
        statement += f" AND {parent} NOT IN ({marks(kept)})"
    client.execute_sql(statement, resource_name, account_id, *kept)


def _notes(account: AccountRows, of_history: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for name, lists in account.lists.items():
        for parent_id, found in lists.read.items():
            if name in account.resources and _is_storable(f"{account.account_id}{parent_id}"):
                key = (name, account.account_id, parent_id)
                version = found.version + of_history.get(name, "")
                yield (*key, version, found.read_at, found.rows)


def _make_table(settings: PlatformSettings, pipeline: Pipeline) -> None:
    with making_tables(settings, pipeline), pipeline.sql_client() as client:
        types = client.capabilities.get_type_mapper()
        columns = ", ".join(
            f"{client.escape_column_name(name)}"
            f" {types.to_destination_type({'name': name, 'data_type': kind}, {})}"
            for name, kind in _COLUMNS.items()
        )
        table = client.make_qualified_table_name(READ_LISTS)
        client.execute_sql(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")


def _is_storable(text: str) -> bool:
    """Whether every database holds the text as it is."""
    return "\0" not in text and is_sound(text)
