"""The runs over accounts that schedules and sensors ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import dagster as dg

from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import run_targets
from analytics_assets.orchestration.sharding import shards
from analytics_assets.settings import PlatformSettings

REASON_TAG: Final = "analytics/reason"
"""Tag of a run: why it was asked for."""

RETRY_TAG: Final = "analytics/retry"
"""Tag of a run: how often it was asked for before, for the same reason."""

Requests = list[dg.RunRequest]
"""Runs that are asked for together; none where there is nothing to do."""


def account_requests(
    instance: dg.DagsterInstance,
    names: AssetNames,
    account_ids: Collection[str],
    accounts_per_run: int | None,
    tags: Mapping[str, str],
    resource_names: Collection[str],
    days: tuple[str, str] = ("", ""),
) -> Requests:
    """Runs over the accounts for these resources, lists or reports.

    Of reports they ask for the days from the first to the last, or, where these are empty, for
    those that are due.
    """
    op_name, (first, last) = names.op_of(resource_names), days
    parts = shards(instance, names, account_ids, accounts_per_run)
    targets = run_targets(instance, op_name, parts, start_date=first, end_date=last)
    return [
        dg.RunRequest(
            job_name=names.job_of(resource_names),
            run_config={"ops": dict(target.ops)},
            tags={**target.tags, **tags},
            asset_selection=names.keys(resource_names),
            asset_check_keys=[spec.key for spec in check_specs(names, resource_names)],
        )
        for target in targets
    ]


def retries_of(tags: Mapping[str, str]) -> int:
    """How often a run with these tags was asked for before."""
    return int(tags.get(RETRY_TAG, "0"))


def is_due(settings: PlatformSettings, retries: int, ended_at: float, now: float) -> bool:
    """Whether what failed after so many retries, at that unix time, is to be tried again."""
    wait = settings.account_retry_wait * 2**retries
    return retries < settings.account_retries and now >= ended_at + wait
