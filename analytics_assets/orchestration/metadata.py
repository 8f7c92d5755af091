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
from analytics_assets.orchestration.ingestion import Loaded
from analytics_assets.orchestration.translator import column_lineage
from analytics_assets.resources import ACCOUNTS
from analytics_assets.schema import Resource
from analytics_assets.warehouse.audit import TableAudit

FAILED_ACCOUNTS = "failed_accounts"
"""Metadata of a failed step: a table of account, resource, cause and whether it is permanent."""

ACCOUNTS_VERSION = "1"
"""The data version of `accounts`, always the same: see `_provenance`."""


def materializations(loaded: Loaded) -> Iterator[dg.AssetMaterialization]:
    """One event per table and account, each with the account's own figures."""
    for load in loaded.tables:
        name = load.resource.name
        shared = load_metadata(loaded, name)
        for read in load.reads:
            yield dg.AssetMaterialization(
                dg.AssetKey(name),
                partition=read.account_id,
                tags=_provenance(load.resource),
                metadata={
                    "dagster/partition_row_count": read.resources[name].rows,
                    **read_metadata(read, name),
                    **drift_metadata(loaded.audits[name], [str(read.account_id)]),
                    **shared,
                },
            )


def read_metadata(read: AccountRead, resource_name: str) -> dict[str, Any]:
    """The figures of one resource of one reading."""
    resource = read.resources[resource_name]
    counts = read.statistics.of(resource_name)
    return {
        "duplicate_rows": resource.duplicates,
        "rows_without_key": resource.keyless,
        "requests": counts.requests,
        "retries": counts.retries,
        # of requests that waited at the same time, each counts
        "seconds_throttled_over_all_requests": round(counts.throttled, 3),
        "seconds_to_fetch": round(counts.seconds, 3),
    }


def load_metadata(loaded: Loaded, resource_name: str) -> dict[str, Any]:
    """What all accounts of a load share: where it went."""
    load = next(load for load in loaded.tables if load.resource.name == resource_name)
    told = next(
        result.metadata or {}
        for result in loaded.results
        if result.asset_key == dg.AssetKey(resource_name)
    )
    return {
        "dagster/row_count": sum(audit.rows for audit in loaded.audits[resource_name].values()),
        # Dagster reads it from events, not from definitions
        "dagster/column_lineage": column_lineage(load.resource),
        "dlt_load_id": loaded.load_id,
        **{key: told[key] for key in ("destination_name", "dataset_name") if key in told},
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
    lines = [str(failed) for failed in sorted(failures, key=lambda failed: failed.account_id)]
    return dg.Failure(
        f"{len(failures)} of {accounts} accounts failed, and nothing of them was changed:\n"
        + "\n".join(lines),
        metadata={
            FAILED_ACCOUNTS: dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "account": failed.account_id,
                            "resource": failed.resource or "account",
                            "cause": failed.message,
                            "permanent": failed.permanent,
                        }
                    )
                    for failed in failures
                ]
            )
        },
        allow_retries=False,
    )


def _provenance(resource: Resource) -> dict[str, str]:
    # Without it Dagster goes by time, and calls every partition out of date whenever the accounts
    # are listed anew. An account's rows do not depend on what else is in that list.
    if resource.parent != ACCOUNTS.name:
        return {}
    return {
        CODE_VERSION_TAG: ACCOUNTS_VERSION,
        DATA_VERSION_TAG: ACCOUNTS_VERSION,
        f"{INPUT_DATA_VERSION_TAG_PREFIX}/{ACCOUNTS.name}": ACCOUNTS_VERSION,
        f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{ACCOUNTS.name}": NULL_EVENT_POINTER,
    }
