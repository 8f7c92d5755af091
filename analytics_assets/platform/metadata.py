"""What a materialisation tells about itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)

from analytics_assets.api.reader import AccountFailure, AccountRead
from analytics_assets.api.resources import ACCOUNTS
from analytics_assets.api.schema import Resource
from analytics_assets.warehouse.replacement import TableLoad

ACCOUNTS_VERSION = "1"
"""The data version of `accounts`, always the same: see `_provenance`."""


def materializations(
    loads: Sequence[TableLoad],
    results: Sequence[dg.MaterializeResult],  # type: ignore[type-arg]
) -> Iterator[dg.AssetMaterialization]:
    """One event per table and account, each with the account's own figures."""
    told = {result.asset_key: result.metadata or {} for result in results}
    for load in loads:
        asset_key = dg.AssetKey(load.resource.name)
        shared = {**_load_metadata(told[asset_key]), **drift_metadata(load)}
        for read in load.reads:
            yield dg.AssetMaterialization(
                asset_key,
                partition=read.account_id,
                tags=_provenance(load.resource),
                metadata={
                    "dagster/partition_row_count": read.resources[load.resource.name].rows,
                    **read_metadata(read, load.resource.name),
                    **shared,
                },
            )


def read_metadata(read: AccountRead, resource_name: str) -> dict[str, Any]:
    """The figures of one resource of one reading."""
    resource = read.resources[resource_name]
    return {
        "duplicate_rows": resource.duplicates,
        "rows_without_key": resource.keyless,
        "account_requests": read.statistics.requests,
        "account_retries": read.statistics.retries,
        "account_seconds_throttled": round(read.statistics.throttled, 3),
        "account_seconds_to_read": round(read.seconds, 3),
    }


def drift_metadata(load: TableLoad) -> dict[str, Any]:
    """Columns beyond the declared ones, where there are any."""
    metadata: dict[str, Any] = {}
    if load.columns.unknown:
        metadata["unknown_fields"] = sorted(load.columns.unknown)
    if load.columns.drifted:
        metadata["values_of_another_type"] = dict(load.columns.drifted)
    return metadata


def failure(failures: Sequence[AccountFailure], accounts: int) -> dg.Failure:
    """The end of a run in which some accounts failed: names each with its cause."""
    lines = [str(failed) for failed in sorted(failures, key=lambda failed: failed.account_id)]
    return dg.Failure(
        f"{len(failures)} of {accounts} accounts failed, and nothing of them was changed:\n"
        + "\n".join(lines),
        metadata={
            "failed_accounts": {
                failed.account_id: {
                    "resource": failed.resource,
                    "cause": failed.message,
                    "permanent": failed.permanent,
                }
                for failed in failures
            }
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


def _load_metadata(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("destination_name", "dataset_name") if key in told}
