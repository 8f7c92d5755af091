"""What Dagster's own records say was loaded, and what was forgotten since.

A query or two per asset, however many accounts there are: sensors ask every 30 seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import dagster as dg
from dlt.common.utils import chunks

from analytics_assets.orchestration.metadata import (
    DATA_UPDATED,
    LAST_DAY,
    LISTS_LEFT_OUT,
    LOAD_ID,
    REQUESTS,
    SKIPPED_ACCOUNTS,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.resources import ACCOUNTS

# Dagster's names for the rows of a partition and of a table
ROW_COUNTS: Final = ("dagster/partition_row_count", "dagster/row_count")

RECORDS_PER_QUERY: Final = 500

_FORGOTTEN: Final = "forgotten"

Figure = TypeVar("Figure")


@dataclass(frozen=True, slots=True)
class Load:
    """The latest materialisation of a resource, for one account.

    Attributes:
        resource: The resource's name.
        account_id: The account; None for `accounts`, which belongs to none.
        at: When, in seconds since 1970.
        rows: Rows that the table got, if the event tells.
        run_id: The run that loaded them.
        load_id: dlt's name for the load, if the event tells.
        requests: What it took to read them, if the event tells.
        lists_left_out: Lists that were not read, because nothing in them can have changed.
        last_day: Of a report, the last day that was asked for.
        data_at: Of a report, when the data that it was made of was updated, in unix seconds, if
            the event tells.
    """

    resource: str
    account_id: str | None
    at: float
    rows: int | None
    run_id: str
    load_id: str | None
    requests: int | None = None
    lists_left_out: int = 0
    last_day: str | None = None
    data_at: float | None = None


def latest_loads(
    instance: dg.DagsterInstance, names: AssetNames
) -> dict[tuple[str, str | None], Load]:
    """The latest load by resource and account, of accounts that are no longer listed, too.

    What is on record of an account from before it was forgotten does not count.
    """
    accounts = instance.fetch_materializations(names.key(ACCOUNTS.name), limit=1).records
    loads = [_load(ACCOUNTS.name, record) for record in accounts]
    loads += loads_of(instance, names, names.partitioned)
    return {(load.resource, load.account_id): load for load in loads}


def loads_of(
    instance: dg.DagsterInstance, names: AssetNames, resource_names: Iterable[str]
) -> Iterator[Load]:
    """The latest load by account of some resources, as `latest_loads` has them."""
    for name in resource_names:
        newest = newest_events(instance, names.key(name), dg.DagsterEventType.ASSET_MATERIALIZATION)
        records = records_of(instance.fetch_materializations, names.key(name), newest.values())
        yield from (_load(name, record) for record in records)


def loaded_by(
    instance: dg.DagsterInstance, key: dg.AssetKey, runs: Sequence[dg.RunRecord]
) -> dict[str, dg.AssetMaterialization]:
    """What runs have loaded of an asset, by account: the latest, unless it was forgotten since."""
    run_ids = {run.dagster_run.run_id for run in runs}
    began = min((run.start_time for run in runs if run.start_time), default=None)
    if began is None:  # none of them has begun
        return {}
    since = dg.AssetRecordsFilter(asset_key=key, after_timestamp=began)
    gone = forgotten(instance, key)
    found: dict[str, dg.AssetMaterialization] = {}
    more, cursor = True, None
    while more:
        page = instance.fetch_materializations(since, limit=RECORDS_PER_QUERY, cursor=cursor)
        more, cursor = page.has_more, page.cursor
        for record in page.records:
            event = record.asset_materialization
            if event is None or event.partition is None or record.run_id not in run_ids:
                continue
            if record.storage_id > gone.get(event.partition, 0):
                found.setdefault(event.partition, event)
    return found


def requests_taken(instance: dg.DagsterInstance, names: AssetNames) -> dict[tuple[str, str], int]:
    """The requests that it took to read each resource of an account when it was last loaded."""
    return {
        (load.resource, load.account_id): load.requests
        for load in latest_loads(instance, names).values()
        if load.account_id is not None and load.requests is not None
    }


def recorded_as_skipped(instance: dg.DagsterInstance, names: AssetNames) -> dict[str, str]:
    """The accounts of the latest list that are no partitions, with the setting that says so."""
    for record in instance.fetch_materializations(names.key(ACCOUNTS.name), limit=1).records:
        event = record.asset_materialization
        skipped = event.metadata.get(SKIPPED_ACCOUNTS) if event else None
        if isinstance(skipped, dg.JsonMetadataValue):
            return cast(dict[str, str], skipped.value)
    return {}


def listed_accounts(instance: dg.DagsterInstance, names: AssetNames) -> set[str]:
    """The accounts of the latest list: the partitions, and those that a setting leaves out."""
    return {*known_accounts(instance), *recorded_as_skipped(instance, names)}


def record_forgotten(instance: dg.DagsterInstance, names: AssetNames, account_id: str) -> None:
    """Notes that an account's rows are removed: if it is listed again, it counts as new.

    Dagster's storages cannot take a partition out of their records.
    """
    reports = instance.get_asset_records(names.keys(names.resources.reports))
    known = [record.asset_entry.asset_key for record in reports]
    for key in [*names.keys(names.resources.account_lists), *known]:
        instance.report_runless_asset_event(
            dg.AssetObservation(
                key,
                partition=account_id,
                description="The account was forgotten: its rows are no longer in the table.",
                metadata={_FORGOTTEN: True},
            )
        )


def newest_events(
    instance: dg.DagsterInstance, key: dg.AssetKey, event_type: dg.DagsterEventType
) -> dict[str, int]:
    """The newest event of a type by account, unless the account was forgotten since."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, event_type)
    gone = forgotten(instance, key)
    return {
        account_id: event for account_id, event in newest.items() if event > gone.get(account_id, 0)
    }


def forgotten(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    """The event that notes it, by account that was ever forgotten: see `record_forgotten`."""
    observed = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_OBSERVATION
    )
    found = {}
    for record in records_of(instance.fetch_observations, key, observed.values()):
        event = record.asset_observation
        if event is not None and event.partition and _FORGOTTEN in event.metadata:
            found[event.partition] = record.storage_id
    return found


def records_of(
    fetch: Callable[..., dg.EventRecordsResult], key: dg.AssetKey, storage_ids: Iterable[int]
) -> Iterator[dg.EventLogRecord]:
    """The records of an asset's events with these ids; `fetch` is the instance's for their type."""
    for ids in chunks(storage_ids, RECORDS_PER_QUERY):
        wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
        yield from fetch(wanted, limit=len(ids)).records


def _load(name: str, record: dg.EventLogRecord) -> Load:
    event = record.asset_materialization
    assert event is not None
    figures = {key: entry.value for key, entry in event.metadata.items()}

    def figure(kind: type[Figure], *names: str) -> Figure | None:
        values = (figures.get(name) for name in names)
        return next((value for value in values if isinstance(value, kind)), None)

    load_id = figures.get(LOAD_ID)
    return Load(
        resource=name,
        account_id=event.partition,
        at=record.timestamp,
        rows=figure(int, *ROW_COUNTS),
        run_id=record.run_id,
        load_id=str(load_id) if load_id else None,
        requests=figure(int, REQUESTS),
        lists_left_out=figure(int, LISTS_LEFT_OUT) or 0,
        last_day=figure(str, LAST_DAY),
        data_at=figure(float, DATA_UPDATED),
    )
