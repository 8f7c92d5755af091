"""What a materialisation tells about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from analytics_assets.api.reader import AccountFailure, AccountRead
from analytics_assets.dagster_backend.internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.translator import column_lineage
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import TableAudit
from analytics_assets.warehouse.load import LoadOutcome

FAILED_ACCOUNTS = "failed_accounts"
"""Metadata of a failed step: by account, the resource that failed, the cause and its type."""

ACCOUNTS_VERSION = "1"
"""The data version of `accounts`, always the same: see `_provenance`."""


def materializations(
    outcome: LoadOutcome,
    settings: PlatformSettings,
    names: AssetNames,
    reads: Iterable[AccountRead],
) -> Iterator[dg.AssetMaterialization]:
    """One event per table and account of a load, each with the account's own figures."""
    by_account = {read.rows.account_id: read for read in reads}
    for load in outcome.tables:
        name = load.resource.name
        shared = load_metadata(outcome, settings, names, name)
        for account_id in (account.account_id for account in load.accounts):
            read = by_account[account_id]
            yield dg.AssetMaterialization(
                names.key(name),
                partition=account_id,
                tags=_provenance(load.resource, names),
                metadata={
                    "dagster/partition_row_count": read.rows.resources[name].rows,
                    **read_metadata(read, name),
                    **drift_metadata(outcome.audits[name], [str(account_id)]),
                    **shared,
                },
            )


def read_metadata(read: AccountRead, resource_name: str) -> dict[str, Any]:
    """The figures of one resource of one account that was read."""
    rows = read.rows.resources[resource_name]
    counts = read.requests.of(resource_name)
    return {
        "duplicate_rows": rows.duplicates,
        "rows_without_key": rows.keyless,
        "requests": counts.requests,
        "retries": counts.retries,
        # of requests that waited at the same time, each counts
        "seconds_throttled_over_all_requests": round(counts.throttled, 3),
        "seconds_to_fetch": round(counts.seconds, 3),
    }


def load_metadata(
    outcome: LoadOutcome, settings: PlatformSettings, names: AssetNames, resource_name: str
) -> dict[str, Any]:
    """What all accounts of a load share: where it went."""
    audit = outcome.audits[resource_name]
    return {
        "dagster/row_count": sum(account.rows for account in audit.values()),
        # Dagster reads it from events, not from definitions
        "dagster/column_lineage": column_lineage(RESOURCES[resource_name], names),
        "dlt_load_id": outcome.load_id,
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


def failure(failures: Sequence[AccountFailure], accounts: int) -> dg.Failure:
    """The end of a run in which some accounts failed: names each with its cause."""
    failures = sorted(failures, key=lambda failed: failed.account_id)
    return dg.Failure(
        f"{len(failures)} of {accounts} accounts failed, and nothing of them was changed:\n"
        + "\n".join(map(str, failures)),
        metadata={FAILED_ACCOUNTS: {f.account_id: _failure_metadata(f) for f in failures}},
        allow_retries=False,
    )


def _failure_metadata(failed: AccountFailure) -> dict[str, Any]:
    return {
        "resource": failed.resource_name or "account",
        "cause": str(failed.error),
        "error": type(failed.error).__name__,
    }


def _provenance(resource: Resource, names: AssetNames) -> dict[str, str]:
    # Without it Dagster goes by time, and calls every partition out of date whenever the accounts
    # are listed anew. An account's rows do not depend on what else is in that list.
    if resource.parent != ACCOUNTS.name:
        return {}
    accounts = names.key(ACCOUNTS.name).to_user_string()
    return {
        CODE_VERSION_TAG: ACCOUNTS_VERSION,
        DATA_VERSION_TAG: ACCOUNTS_VERSION,
        f"{INPUT_DATA_VERSION_TAG_PREFIX}/{accounts}": ACCOUNTS_VERSION,
        f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{accounts}": NULL_EVENT_POINTER,
    }
