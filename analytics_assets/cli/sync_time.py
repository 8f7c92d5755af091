"""How long a full sync takes under the quota that the API announces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from analytics_assets.cli.home import ensure_dagster_home, has_records
from analytics_assets.resources import ACCOUNTS

if TYPE_CHECKING:
    from analytics_assets.settings import PlatformSettings


def full_sync_time(
    settings: PlatformSettings,
    accounts: Collection[str],
    asked_for: Collection[str],
    answers: Iterable[Mapping[str, str]],
) -> str | None:
    """A line on it; None if no quota with a window is announced, or no rows are on record.

    Args:
        settings: The platform's.
        accounts: Those that are read.
        asked_for: The names of the resources that are.
        answers: The headers of answers that tell of a quota.
    """
    from analytics_assets.api.announced import announced

    told = [quota for headers in answers for quota in announced(headers)]
    quotas = {(quota.limit, quota.window) for quota in told if quota.limit and quota.window}
    if not quotas or not has_records():
        return None
    requests = _requests(settings, set(accounts), asked_for)
    if requests is None:
        return None
    limit, window = min(quotas, key=lambda each: each[0] / each[1])
    minutes = requests * window / limit / 60
    took = f"{minutes:,.0f} minutes" if minutes >= 2 else f"{minutes * 60:,.0f} seconds"
    return (
        f"{limit:,.0f} requests per {window:,.0f} s announced; a full sync of {len(accounts):,}"
        f" accounts (about {requests:,} requests) takes about {took}"
    )


def _requests(
    settings: PlatformSettings, accounts: Collection[str], asked_for: Collection[str]
) -> int | None:
    """The requests for all lists, by what was loaded last; None if nothing was.

    Where the parent rows of a list are not loaded, it is asked for as often as it was.
    """
    from dagster import DagsterInstance

    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.run_records import latest_loads

    ensure_dagster_home()
    with DagsterInstance.get() as instance:
        loads = latest_loads(instance, AssetNames.of_settings(settings))
    held = {key: load for key, load in loads.items() if key[1] in accounts}
    if not held:
        return None
    requests = 1
    for resource in (settings.resources[name] for name in asked_for if name != ACCOUNTS.name):
        if not resource.has_parent_rows:
            requests += len(accounts)
        elif parents := [load.rows or 0 for key, load in held.items() if key[0] == resource.parent]:
            requests += sum(parents)
        else:
            own = (load for key, load in held.items() if key[0] == resource.name)
            requests += sum((load.requests or 0) + load.lists_left_out for load in own)
    return requests
