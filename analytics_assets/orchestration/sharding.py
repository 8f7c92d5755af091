"""Many accounts as several runs of a bounded size, so that a fleet can share them."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_loads import latest_loads


def shards(
    instance: dg.DagsterInstance,
    names: AssetNames,
    account_ids: Collection[str],
    accounts_per_run: int | None,
) -> list[list[str]]:
    """The accounts in as few shards as the bound allows, each with about as many rows.

    What counts are the rows that each account had when it was last loaded; None is no bound.
    """
    if accounts_per_run is None or len(account_ids) <= accounts_per_run:
        return [list(account_ids)] if account_ids else []
    rows: dict[str, int] = {}
    for (_, account_id), load in latest_loads(instance, names).items():
        if account_id is not None:
            rows[account_id] = rows.get(account_id, 0) + (load.rows or 0)
    return balanced(account_ids, rows, accounts_per_run)


def balanced(
    account_ids: Collection[str], rows: Mapping[str, int], accounts_per_run: int
) -> list[list[str]]:
    """Gives each account, the largest first, to the shard with the fewest rows that has room."""
    count = -(-len(account_ids) // accounts_per_run)
    loads = [(0, place) for place in range(count)]
    found: list[list[str]] = [[] for _ in range(count)]
    for account_id in sorted(account_ids, key=lambda key: -rows.get(key, 0)):
        held, place = heapq.heappop(loads)
        found[place].append(account_id)
        if len(found[place]) < accounts_per_run:
            # an account costs requests even if it has no rows
            heapq.heappush(loads, (held + rows.get(account_id, 0) + 1, place))
    return found
