"""What the warehouse holds of the loads that were made: asked without making or changing anything.

A DuckDB file is opened to be read only. Where it is not there, nothing is held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.schema.typing import C_DLT_LOAD_ID
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.errors import AnalyticsError, WarehouseError
from analytics_assets.resources import ACCOUNTS
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.failures import explain, first_cause
from analytics_assets.warehouse.location import POSTGRES_TYPE, duckdb_file
from analytics_assets.warehouse.locks import holder_of
from analytics_assets.warehouse.replacement import SOURCE_NAME
from analytics_assets.warehouse.statements import marks

# a statement that alters a table locks it, but not for long
_WAIT_BRIEFLY: Final = "SET lock_timeout = '2s'"


@dataclass(frozen=True, slots=True)
class HeldLoads:
    """The loads of which the warehouse knows.

    Attributes:
        tables: The resources that have a table.
        load_ids: dlt's names of the loads that were completed.
    """

    tables: Set[str] = frozenset()
    load_ids: Set[str] = frozenset()

    def has(self, resource: str, load_id: str) -> bool:
        """Whether the load was made here, and the resource's table is still there."""
        return resource in self.tables and load_id in self.load_ids

    @property
    def mark(self) -> str:
        """What changes whenever this does."""
        known = "\n".join([*sorted(self.tables), *sorted(self.load_ids)])
        return hashlib.blake2b(known.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class HeldRows:
    """The rows that the warehouse holds.

    Attributes:
        loads: The loads of which it knows.
        counts: Rows and the newest load that any of them is of, by resource and account; the
            account is None for `accounts`.
    """

    loads: HeldLoads = field(default_factory=HeldLoads)
    counts: Mapping[tuple[str, str | None], tuple[int, str]] = field(default_factory=dict)

    def has(self, resource: str, account_id: str | None, load_id: str, rows: int) -> bool:
        """Whether as many rows as the load had are there, or those of a later one."""
        held, newest = self.counts.get((resource, account_id), (0, ""))
        if held and newest > load_id:
            return True
        known = newest == load_id or self.loads.has(resource, load_id)
        return known and held >= rows


def held_loads(settings: PlatformSettings) -> HeldLoads:
    """The loads that the warehouse knows: quickly told, however many rows there are.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    with read_only_client(settings) as client:
        return _loads(settings, client) if client else HeldLoads()


def held_rows(settings: PlatformSettings, accounts: Sequence[str] = ()) -> HeldRows:
    """The rows that the warehouse holds, of these accounts or of all: it counts them.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    with read_only_client(settings) as client:
        if client is None:
            return HeldRows()
        loads = _loads(settings, client)
        counts = {
            (name, account_id): held
            for name in loads.tables
            for account_id, held in _counts(client.sql_client, name, accounts)
        }
        return HeldRows(loads, counts)


def file_mark(settings: PlatformSettings) -> str | None:
    """What changes with the dataset in a DuckDB file; None where the warehouse is no file.

    Raises:
        SettingsError: The settings lead to no warehouse.
    """
    file = duckdb_file(settings)
    if file is None:
        return None
    marks = [str(file), settings.dataset_name]
    for part in (file, Path(f"{file}.wal")):
        try:
            found = part.stat()
            marks.append(f"{found.st_ino} {found.st_size} {found.st_mtime_ns}")
        except OSError:
            marks.append("none")
    return "/".join(marks)


def _loads(settings: PlatformSettings, client: SqlJobClientBase) -> HeldLoads:
    loads_table = client.schema.loads_table_name
    there = {*existing_tables(client, [*settings.resources, loads_table])}
    if loads_table not in there:
        return HeldLoads(there)
    column = client.sql_client.escape_column_name
    rows = client.sql_client.execute_sql(
        f"SELECT {column('load_id')} FROM"
        f" {client.sql_client.make_qualified_table_name(loads_table)} WHERE {column('status')} = 0"
    )
    return HeldLoads(there - {loads_table}, {str(load_id) for (load_id,) in rows or []})


def _counts(
    client: Any, name: str, accounts: Sequence[str]
) -> Iterator[tuple[str | None, tuple[int, str]]]:
    account_id, load_id = map(client.escape_column_name, ("account_id", C_DLT_LOAD_ID))
    account, where, grouping = account_id, "", f" GROUP BY {account_id}"
    if name == ACCOUNTS.name:  # all its rows belong to one load
        account, grouping, accounts = "NULL", "", ()
    if accounts:
        where = f" WHERE {account_id} IN ({marks(accounts)})"
    rows = client.execute_sql(
        f"SELECT {account}, COUNT(*), MAX({load_id})"
        f" FROM {client.make_qualified_table_name(name)}{where}{grouping}",
        *accounts,
    )
    for key, number, newest in rows or []:
        yield key, (int(number), str(newest or ""))


def existing_tables(client: SqlJobClientBase, names: Iterable[str]) -> dict[str, Set[str]]:
    """The columns of those of the tables that there are."""
    tables = client.get_storage_tables(names)
    return {name: {*columns} for name, columns in tables if columns}


@contextmanager
def read_only_client(settings: PlatformSettings) -> Iterator[SqlJobClientBase | None]:
    """A client that reads; None where there is no file or no dataset yet.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    destination = make_destination(settings)
    file = duckdb_file(settings)
    if file is not None:
        if not file.exists():
            yield None
            return
        credentials = DuckDbCredentials(str(file), read_only=True)
        destination = dlt.destinations.duckdb(credentials)  # type: ignore[assignment]
    dataset = dlt.dataset(destination, settings.dataset_name, dlt.Schema(SOURCE_NAME))
    try:
        with dataset.destination_client as client:
            assert isinstance(client, SqlJobClientBase)
            if destination.destination_type == POSTGRES_TYPE:
                client.sql_client.execute_sql(_WAIT_BRIEFLY)
            yield client if client.is_storage_initialized() else None
    except AnalyticsError:
        raise
    except Exception as error:
        if file is None:
            raise WarehouseError(explain(error, settings)) from None
        holder = holder_of(first_cause(error))
        cause = f"is held by {holder}" if holder else f"cannot be read: {first_cause(error)}"
        raise WarehouseError(f"{file} {cause}") from None
