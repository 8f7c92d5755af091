"""What the warehouse holds of an account, and how it is taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dlt import Pipeline

from analytics_assets.api.reader import AccountRead, ResourceRead
from analytics_assets.api.resources import ACCOUNT_RESOURCES
from analytics_assets.api.statistics import RequestStatistics
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.pipeline import table_history
from analytics_assets.warehouse.replacement import load_source
from analytics_assets.warehouse.tables import prepare


def row_counts(
    pipeline: Pipeline, history: Mapping[str, Mapping[str, str]], account_id: str
) -> dict[str, int]:
    """Rows of an account by table, for the tables that there are."""
    counts = {}
    with pipeline.sql_client() as client:
        for name in ACCOUNT_RESOURCES:
            if name in history:
                table = client.make_qualified_table_name(name)
                column = client.escape_column_name("account_id")
                sql = f"SELECT count(*) FROM {table} WHERE {column} = %s"
                rows = client.execute_sql(sql, account_id)
                counts[name] = int(rows[0][0]) if rows else 0
    return counts


def suddenly_empty(
    pipeline: Pipeline,
    history: Mapping[str, Mapping[str, str]],
    resource_names: Iterable[str],
    reads: Iterable[AccountRead],
) -> dict[str, int]:
    """Accounts that were read without any row, though several of their tables hold rows.

    One resource that falls to zero is an ordinary answer. That all do at once is not.

    Returns:
        The rows that the warehouse holds, by account.
    """
    names = set(resource_names)
    found = {}
    for read in reads:
        if read.account_id is None or any(resource.rows for resource in read.resources.values()):
            continue
        counts = row_counts(pipeline, history, read.account_id)
        held = {name: rows for name, rows in counts.items() if rows and name in names}
        if len(held) > 1:
            found[read.account_id] = sum(held.values())
    return found


def forget_account(settings: PlatformSettings, pipeline: Pipeline, account_id: str) -> None:
    """Removes an account's rows from all tables: a load in which it has none."""
    history = table_history(pipeline)
    names: Sequence[str] = [name for name in ACCOUNT_RESOURCES if name in history]
    nothing = {name: ResourceRead(Path()) for name in names}
    read = AccountRead(account_id, nothing, RequestStatistics(), seconds=0.0)
    loads = prepare(settings, pipeline, names, [read], history)
    pipeline.run(load_source(loads), loader_file_format="parquet")
