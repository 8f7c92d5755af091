"""An account that was read, and a load of it, made by hand: for what tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows, ResourceRows
from analytics_assets.warehouse.audit import AccountAudit
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.replacement import TableLoad


def account_read(account_id: str | None, seconds: float = 2.0, **rows: int) -> AccountRead:
    """An account with so many rows of each resource."""
    resources = {name: ResourceRows(Path(), rows=number) for name, number in rows.items()}
    return AccountRead(AccountRows(account_id, resources), [], AccountRequests(), seconds)


def audited(**figures: Any) -> AccountAudit:
    """What is found of an account with nothing wrong, but for these figures."""
    return AccountAudit(**{"rows": 1, "duplicates": 0, "orphans": 0, "loaded_at": 0.0, **figures})


def loaded(
    reads: list[AccountRead], audits: Mapping[str, Mapping[str, AccountAudit]], load_id: str = "1.5"
) -> LoadOutcome:
    """The outcome of a load of the accounts into the tables that were audited."""
    accounts = [read.rows for read in reads]
    columns = {name: TableColumns.of(RESOURCES[name], {}) for name in audits}
    tables = [TableLoad(RESOURCES[name], accounts, columns[name]) for name in audits]
    return LoadOutcome({}, {}, tables, load_id, columns, audits)
