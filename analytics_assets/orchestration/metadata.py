"""What a materialisation tells about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.choice import EXTRA_RESOURCES_SETTING, SKIP_ACCOUNTS, SKIP_RESOURCES
from analytics_assets.dagster_backend.internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from analytics_assets.errors import AnalyticsError, RefusedError
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.translator import column_lineage, stored_schema
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import TableAudit, rows_of_departed
from analytics_assets.warehouse.history import Changes
from analytics_assets.warehouse.history_audit import VersionsAudit
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.replacement import TableLoad

FAILED_PARTITIONS = "failed_partitions"
"""Metadata of a failed step: by account and resource, the cause and its type."""

ERROR = "error"
"""Metadata of a step that failed as a whole: the type of the cause."""

SKIPPED_ACCOUNTS = "skipped_accounts"
"""Metadata of `accounts`: those that are not read, with the setting that leaves each out."""

REQUESTS = "requests"
"""Metadata of a materialisation: the requests that it took to read it."""

LISTS_LEFT_OUT = "lists_left_out"
"""Metadata of a materialisation: lists that were not read, as nothing in them can have changed."""

LOAD_ID = "dlt_load_id"
"""Metadata of a materialisation: dlt's name for the load."""

LAST_DAY = "last_day"
"""Metadata of a report: the last day that was asked for."""

DATA_UPDATED = "data_updated"
"""Metadata of a report: when the data that it was made of was last updated, as the API says."""

ACCOUNTS_VERSION = "1"
"""The data version of `accounts`, always the same: see `provenance`."""


def materializations(
    outcome: LoadOutcome,
    settings: PlatformSettings,
    names: AssetNames,
    reads: Iterable[AccountRead],
    listed: Collection[str],
) -> Iterator[dg.AssetMaterialization]:
    """One event per table and account of a load, each with the account's own figures.

    Where a history is kept, its own come after those of its resource.
    """
    by_account = {read.rows.account_id: read for read in reads}
    for load in outcome.tables:
        name = load.resource.name
        shared = load_metadata(outcome, settings, names, name, listed)
        for account_id in (account.account_id for account in load.accounts):
            read, audit = by_account[account_id], outcome.audits[name]
            held = audit.get(str(account_id))
            yield dg.AssetMaterialization(
                names.key(name),
                partition=account_id,
                tags=provenance(load.resource, names),
                metadata={
                    "dagster/partition_row_count": held.rows if held else 0,
                    **read_metadata(read, name),
                    **drift_metadata(audit, [str(account_id)]),
                    **shared,
                },
            )
        if name in outcome.changes:
            yield from _history_materializations(outcome, settings, names, load)


def _history_materializations(
    outcome: LoadOutcome, settings: PlatformSettings, names: AssetNames, load: TableLoad
) -> Iterator[dg.AssetMaterialization]:
    name = load.resource.name
    for account_id in (str(account.account_id) for account in load.accounts):
        changes = outcome.changes[name].get(account_id, Changes())
        held = outcome.histories[name].get(account_id, VersionsAudit())
        yield dg.AssetMaterialization(
            names.history_key(name),
            partition=account_id,
            metadata={
                "dagster/partition_row_count": held.versions,
                "versions_begun": changes.begun,
                "versions_ended": changes.ended,
                **_destination_metadata(outcome, settings),
            },
        )


def read_metadata(read: AccountRead, resource_name: str) -> dict[str, Any]:
    """The figures of one resource of one account that was read."""
    rows = read.rows.resources[resource_name]
    counts, lists = read.requests.of(resource_name), read.rows.lists.get(resource_name)
    return {
        "duplicate_rows": rows.duplicates,
        "rows_without_key": rows.keyless,
        REQUESTS: counts.requests,
        **({LISTS_LEFT_OUT: len(lists.kept)} if lists else {}),
        "retries": counts.retries,
        # of requests that waited at the same time, each counts
        "seconds_throttled_over_all_requests": round(counts.throttled, 3),
        "seconds_to_fetch": round(counts.seconds, 3),
    }


def load_metadata(
    outcome: LoadOutcome,
    settings: PlatformSettings,
    names: AssetNames,
    resource_name: str,
    listed: Collection[str],
) -> dict[str, Any]:
    """What all accounts of a load share: where it went, and what is there now."""
    audit, resource = outcome.audits[resource_name], names.resources[resource_name]
    inferred = {}
    if resource.is_open:
        inferred["dagster/column_schema"] = stored_schema(outcome.columns[resource_name])
    return {
        "dagster/row_count": sum(account.rows for account in audit.values()),
        "rows_of_departed_accounts": rows_of_departed(audit, listed),
        # Dagster reads it from events, not from definitions
        "dagster/column_lineage": column_lineage(resource, names),
        **inferred,
        **_destination_metadata(outcome, settings),
    }


def _destination_metadata(outcome: LoadOutcome, settings: PlatformSettings) -> dict[str, Any]:
    return {
        LOAD_ID: outcome.load_id,
        "destination_name": settings.destination.rpartition(".")[2],
        "dataset_name": settings.dataset_name,
    }


def drift_metadata(audit: TableAudit, account_ids: Iterable[str]) -> dict[str, Any]:
    """What the accounts' rows hold beyond the declared columns and types, if anything."""
    found = [audit[account_id] for account_id in account_ids if account_id in audit]
    metadata: dict[str, Any] = {}
    if unknown := {name for account in found for name in account.unknown}:
        metadata["unknown_fields"] = sorted(unknown)
    variants: Counter[str] = Counter()
    for account in found:
        variants.update(account.variants)
    if variants:
        metadata["values_of_another_type"] = dict(variants)
    return metadata


def failure(failures: Sequence[ReadFailure], accounts: int, resources: int) -> dg.Failure:
    """The end of a run over so many accounts and resources: names what failed, with its cause."""
    failures = sorted(failures, key=lambda failed: failed.account_id)
    lost = len({(failed.account_id, name) for failed in failures for name in failed.lost})
    hit = len({failed.account_id for failed in failures})
    summary = (
        f"{lost} of {accounts * resources} partitions failed, in {hit} of {accounts} accounts, and"
        " keep the rows that they had:"
    )
    lines = [summary, *map(str, failures)]
    refused = sorted({n for f in failures if isinstance(f.error, RefusedError) for n in f.lost})
    if refused:
        left_out = f"set {SKIP_RESOURCES}, or {SKIP_ACCOUNTS} for all of an account"
        if set(refused) <= RESOURCES.reports.keys():
            left_out = f"take it out of {EXTRA_RESOURCES_SETTING}"
        lines.append(
            "What the API refuses for good (403, 404) is not tried again before the next sync of"
            f" all. To leave it out of a run, select the assets without {', '.join(refused)} (sync:"
            f" name the others by --resource); to leave it out of all runs, {left_out}"
        )
    return dg.Failure("\n".join(lines), metadata=_failed(failures), allow_retries=False)


def early_end(
    error: AnalyticsError, unread: Iterable[ReadFailure], failures: Iterable[ReadFailure]
) -> dg.Failure:
    """The end of a run by an error, after some accounts could not be read.

    Args:
        error: What ended it.
        unread: What could not be read before that.
        failures: What was not loaded, for either reason.
    """
    lines = [str(error), "Before that could not be read:", *map(str, unread)]
    return dg.Failure("\n".join(lines), metadata=_failed(failures), allow_retries=False)


def _failed(failures: Iterable[ReadFailure]) -> dict[str, Any]:
    """By account and resource, why it failed."""
    by_account: dict[str, dict[str, dict[str, str]]] = {}
    for failed in failures:
        cause = f"{failed.resource_name or 'account'}: {failed.error}"
        for name in failed.lost:
            by_account.setdefault(failed.account_id, {})[name] = {
                "cause": cause,
                "error": type(failed.error).__name__,
            }
    return {FAILED_PARTITIONS: by_account}


def provenance(resource: Resource, names: AssetNames) -> dict[str, str]:
    """Tags by which Dagster knows what a partition was made of."""
    # Without it Dagster goes by time, and calls every partition out of date whenever the accounts
    # are listed anew. An account's rows do not depend on what else is in that list.
    if names.parent(resource) != ACCOUNTS.name:
        return {}
    accounts = names.key(ACCOUNTS.name).to_user_string()
    return {
        CODE_VERSION_TAG: ACCOUNTS_VERSION,
        DATA_VERSION_TAG: ACCOUNTS_VERSION,
        f"{INPUT_DATA_VERSION_TAG_PREFIX}/{accounts}": ACCOUNTS_VERSION,
        f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{accounts}": NULL_EVENT_POINTER,
    }
