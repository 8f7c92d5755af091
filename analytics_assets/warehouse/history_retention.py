"""Versions that are taken out of histories: of an account, or of long ago."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history import VALID_TO
from analytics_assets.warehouse.holdings import read_only_client
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.statements import SqlClient, count_rows


class Versions(NamedTuple):
    """Which versions are meant, in histories that are still written or are not.

    Attributes:
        column: A column of each history.
        is_: How its value compares, as SQL has it.
        value: What it is compared with.
        account_ids: The accounts that they are of; None for all.
    """

    column: str
    is_: str
    value: Any
    account_ids: Sequence[str] | None = None

    @classmethod
    def of_account(cls, account_id: str) -> Versions:
        """All versions of an account."""
        return cls("account_id", "=", account_id, [account_id])

    @classmethod
    def ended_before(cls, at: float) -> Versions:
        """Those that ended before a moment, in unix seconds; open ones have not."""
        return cls(VALID_TO, "<", datetime.fromtimestamp(at, timezone.utc))


def count_versions(settings: PlatformSettings, meant: Versions) -> dict[str, int]:
    """How many of them each history has.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    with read_only_client(settings) as client:
        if client is None:
            return {}
        sql, found = client.sql_client, {}
        for name, columns in client.get_storage_tables(settings.resources.histories):
            if meant.column in {known.lower() for known in columns}:
                found[name] = count_rows(sql, _where(sql, name, meant), meant.value)
        return found


def remove_versions(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    meant: Versions,
    request: LockRequest,
) -> None:
    """Removes them from histories.

    Raises:
        WarehouseError: The warehouse could not be written.
    """
    pipeline = make_pipeline(settings, folder)

    def remove() -> None:
        with pipeline.sql_client() as client, client.begin_transaction():
            for name in tables:
                client.execute_sql(f"DELETE FROM {_where(client, name, meant)}", meant.value)

    run_locked(settings, pipeline, remove, request, meant.account_ids)


def _where(client: SqlClient, table: str, meant: Versions) -> str:
    column = client.escape_column_name(meant.column)
    return f"{client.make_qualified_table_name(table)} WHERE {column} {meant.is_} %s"
