"""How long a full sync takes under the quota that the API announces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from analytics_assets.cli.home import ensure_dagster_home, has_records
from analytics_assets.resources import ACCOUNTS
from analytics_assets.text import counted

if TYPE_CHECKING:
    from analytics_assets.orchestration.recorded_loads import Load
    from analytics_assets.schema import Resource
    from analytics_assets.settings import PlatformSettings


def full_sync_time(
    settings: PlatformSettings,
    accounts: Collection[str],
    asked_for: Collection[str],
    answers: Iterable[Mapping[str, str]],
    quota_scope: str,
) -> str | None:
    """A line on it; None if no quota with a window is announced, or no rows are on record.

    Args:
        settings: The platform's.
        accounts: Those that are read.
        asked_for: The names of the resources that are.
        answers: The headers of answers that tell of a quota.
        quota_scope: What the quota counts: the client, or each `account` on its own.
    """
    from analytics_assets.api.announced import announced

    told = [quota for headers in answers for quota in announced(headers)]
    quotas = {(quota.limit, quota.window) for quota in told if quota.limit and quota.window}
    if not quotas or not has_records():
        return None
    by_account = _requests(settings, set(accounts), asked_for)
    if by_account is None:
        return None
    requests, is_for_each = 1 + by_account.total(), quota_scope == "account"
    of_one_quota = max(by_account.values()) if is_for_each else requests
    limit, window = min(quotas, key=lambda each: each[0] / each[1])
    minutes = of_one_quota * window / limit / 60
    took = f"{minutes:,.0f} minutes" if minutes >= 2 else f"{minutes * 60:,.0f} seconds"
    each = " for each account" if is_for_each else ""
    return (
        f"{limit:,.0f} requests per {window:,.0f} s announced{each}; a full sync of"
        f" {counted(len(accounts), 'account')} (about {requests:,} requests) takes about {took}"
    )


def _requests(
    settings: PlatformSettings, accounts: Collection[str], asked_for: Collection[str]
) -> Counter[str] | None:
    """By account, the requests for its lists, by what was loaded last; None if nothing was."""
    from dagster import DagsterInstance

    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.recorded_loads import latest_loads

    ensure_dagster_home()
    with DagsterInstance.get() as instance:
        loads = latest_loads(instance, AssetNames.of_settings(settings))
    held = {key: load for key, load in loads.items() if key[1] in accounts}
    if not held:
        return None
    requests = Counter(dict.fromkeys(accounts, 0))
    for resource in (settings.resources[name] for name in asked_for if name != ACCOUNTS.name):
        for account_id in accounts:
            own = held.get((resource.name, account_id))
            parent = held.get((resource.parent or "", account_id))
            requests[account_id] += _asked(resource, own, parent)
    return requests


def _asked(resource: Resource, own: Load | None, parent: Load | None) -> int:
    """Once, or once for each parent row; if these are not loaded, as often as it was last time."""
    if not resource.has_parent_rows:
        return 1
    if parent is not None:
        return parent.rows or 0
    return (own.requests or 0) + own.lists_left_out if own is not None else 0
