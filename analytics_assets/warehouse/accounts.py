"""Accounts in the warehouse: which look wrongly empty, and how one is taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dlt import Pipeline

from analytics_assets.api.reader import AccountRead, ResourceRead
from analytics_assets.api.request_counts import RequestStatistics
from analytics_assets.resources import ACCOUNT_RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.replacement import load_source
from analytics_assets.warehouse.stored import stored_tables
from analytics_assets.warehouse.tables import prepare


def suddenly_empty(before: RowCounts, reads: Iterable[AccountRead]) -> dict[str, int]:
    """Accounts that were read without any row, though several of their tables hold rows.

    One resource that falls to zero is an ordinary answer. That all do at once is not.

    Args:
        before: The rows that the tables of the load hold.
        reads: What was read of the accounts.

    Returns:
        The rows that the warehouse holds, by account.
    """
    found = {}
    for read in reads:
        if read.account_id is None or any(resource.rows for resource in read.resources.values()):
            continue
        held = [rows[read.account_id] for rows in before.values() if read.account_id in rows]
        if len(held) > 1:
            found[read.account_id] = sum(held)
    return found


def forget_account(settings: PlatformSettings, pipeline: Pipeline, account_id: str) -> None:
    """Removes an account's rows from all tables: a load in which it has none."""
    stored = stored_tables(pipeline)
    names: Sequence[str] = [name for name in ACCOUNT_RESOURCES if name in stored.columns]
    nothing = {name: ResourceRead(Path()) for name in names}
    read = AccountRead(account_id, nothing, RequestStatistics(), seconds=0.0)
    loads = prepare(settings, pipeline, names, [read], stored)
    pipeline.run(load_source(loads), loader_file_format="parquet")
