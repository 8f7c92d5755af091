"""Whether the warehouse still holds what Dagster's records say was loaded.

What is loaded is the warehouse's to say: a file can be moved away, a table dropped, a backup
restored, another warehouse chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import dagster as dg

from analytics_assets.errors import WarehouseError
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.recorded_loads import Load, latest_loads
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import counted
from analytics_assets.warehouse.holdings import HeldLoads, HeldRows, held_rows


def without_rows(loads: Iterable[Load], held: HeldRows) -> list[Load]:
    """The loads whose rows the warehouse does not hold, or of which it does not know."""
    return [
        load
        for load in loads
        if not held.has(load.resource, load.account_id, load.load_id or "", load.rows or 0)
    ]


def unknown_loads(loads: Iterable[Load], held: HeldLoads) -> list[Load]:
    """The loads of which the warehouse does not know; one without a name is not judged."""
    return [
        load
        for load in loads
        if load.load_id is not None and not held.has(load.resource, load.load_id)
    ]


def records_mark(instance: dg.DagsterInstance, names: AssetNames) -> str:
    """What changes whenever a load is recorded; empty before the first."""
    newest = [
        record.asset_entry.last_materialization_storage_id or 0
        for record in instance.get_asset_records(names.keys(names.all_names))
    ]
    return str(max(newest)) if any(newest) else ""


def compare(instance: dg.DagsterInstance, settings: PlatformSettings) -> str:
    """Says in one line whether the warehouse holds what is on record of the listed accounts.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now, or does not hold it all.
    """
    listed, names = set(known_accounts(instance)), AssetNames.of_settings(settings)
    loads = [load for load in latest_loads(instance, names).values() if load.account_id in listed]
    recorded = _accounts(loads)
    if not recorded:
        return "no account is on record as loaded"
    lost = _accounts(without_rows(loads, held_rows(settings)))
    if not lost:
        return f"it holds the rows of the {counted(len(recorded), 'account')} on record as loaded"
    raise WarehouseError(
        f"it lacks rows of {len(lost)} of the {counted(len(recorded), 'account')} on record as"
        f" loaded ({_named(lost)}): check that the settings lead to the right warehouse, or run"
        " `analytics-assets sync`"
    )


def _accounts(loads: Iterable[Load]) -> list[str]:
    return sorted({load.account_id for load in loads if load.account_id is not None})


def _named(accounts: Collection[str]) -> str:
    first, *_ = accounts
    return first if len(accounts) == 1 else f"{first} and others"
