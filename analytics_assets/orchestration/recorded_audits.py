"""What is on record of accounts that a run does not load: their tables are not looked at for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_loads import Load, loads_of
from analytics_assets.warehouse.audit import NO_ROWS, AccountAudit, TableAudit, time_of_load
from analytics_assets.warehouse.outcome import LoadOutcome


def recorded_audits(
    instance: dg.DagsterInstance, names: AssetNames, resource_names: Iterable[str]
) -> dict[str, dict[str, AccountAudit]]:
    """The rows of each account when it was last loaded, and when that was, by table."""
    found: dict[str, dict[str, AccountAudit]] = {name: {} for name in resource_names}
    for load in loads_of(instance, names, found):
        if load.account_id is not None and load.rows is not None:
            audit = replace(NO_ROWS, rows=load.rows, loaded_at=_loaded_at(load))
            found[load.resource][load.account_id] = audit
    return found


def as_recorded(
    audits: Mapping[str, TableAudit], instance: dg.DagsterInstance, names: AssetNames
) -> Mapping[str, TableAudit]:
    """The audits, where rows of lists that a load left out count as loaded by it.

    They have the name of the load that they came with. They count if there are as many rows of the
    account as the load has recorded.
    """
    found = {name: dict(of_table) for name, of_table in audits.items()}
    below = [name for name in found if names.resources[name].has_parent_rows]
    for load in loads_of(instance, names, below):
        audit = found[load.resource].get(str(load.account_id))
        if load.lists_left_out and audit is not None and audit.rows == load.rows:
            found[load.resource][str(load.account_id)] = replace(audit, loaded_at=_loaded_at(load))
    return found


def completed(
    outcome: LoadOutcome,
    known: MutableMapping[str, TableAudit],
    instance: dg.DagsterInstance,
    names: AssetNames,
    resource_names: Iterable[str],
) -> LoadOutcome:
    """The outcome of a load with audits of all accounts.

    Args:
        outcome: The outcome, with audits of what was loaded.
        known: What a run's loads before have found and left here, and where this one does.
        instance: Whose records tell of other accounts, once for each table.
        names: The assets' names.
        resource_names: The tables.
    """
    tables = list(resource_names)
    unknown = [name for name in tables if name not in known and name not in outcome.whole]
    if unknown:
        known.update(recorded_audits(instance, names, unknown))
    for name, audit in outcome.audits.items():
        others = {} if name in outcome.whole else known[name]
        known[name] = {**others, **audit}
    return replace(outcome, audits={name: known[name] for name in tables if name in known})


def _loaded_at(load: Load) -> float:
    """The time that dlt names the load by, which its rows have; or when it was recorded."""
    return time_of_load(load.load_id) or load.at
