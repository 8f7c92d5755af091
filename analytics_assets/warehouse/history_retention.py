"""Versions that are taken out of histories: of an account, or of long ago."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history import VALID_TO
from analytics_assets.warehouse.holdings import read_only_client
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline

_OF_ACCOUNT: Final = "account_id"


def versions_of(settings: PlatformSettings, account_id: str) -> dict[str, int]:
    """How many versions each history has of an account, whether or not it is still written.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    return _count(settings, _OF_ACCOUNT, "=", account_id)


def versions_ended_before(settings: PlatformSettings, before: float) -> dict[str, int]:
    """How many versions of each history ended before a moment, in unix seconds.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    return _count(settings, VALID_TO, "<", _moment(before))


def remove_versions_of(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    account_id: str,
    request: LockRequest,
) -> None:
    """Removes all versions of an account from histories.

    Raises:
        WarehouseError: The warehouse could not be written.
    """
    where = (_OF_ACCOUNT, "=", account_id)
    _remove(settings, folder, tables, where, request, [account_id])


def remove_versions_ended_before(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    before: float,
    request: LockRequest,
) -> None:
    """Removes versions that ended before a moment, in unix seconds; open ones stay.

    Raises:
        WarehouseError: The warehouse could not be written.
    """
    _remove(settings, folder, tables, (VALID_TO, "<", _moment(before)), request)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc)


def _count(settings: PlatformSettings, column: str, is_: str, value: Any) -> dict[str, int]:
    with read_only_client(settings) as client:
        if client is None:
            return {}
        sql, found = client.sql_client, {}
        for name, columns in client.get_storage_tables(settings.resources.histories):
            if column in {known.lower() for known in columns}:
                statement = f"SELECT COUNT(*) FROM {_where(sql, name, column, is_)}"
                found[name] = int((sql.execute_sql(statement, value) or [[0]])[0][0])
        return found


def _remove(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    where: tuple[str, str, Any],
    request: LockRequest,
    account_ids: Sequence[str] | None = None,
) -> None:
    pipeline, (column, is_, value) = make_pipeline(settings, folder), where

    def remove() -> None:
        with pipeline.sql_client() as client, client.begin_transaction():
            for name in tables:
                client.execute_sql(f"DELETE FROM {_where(client, name, column, is_)}", value)

    run_locked(settings, pipeline, remove, request, account_ids)


def _where(client: SqlClientBase[Any], table: str, column: str, is_: str) -> str:
    name = client.escape_column_name(column)
    return f"{client.make_qualified_table_name(table)} WHERE {name} {is_} %s"
