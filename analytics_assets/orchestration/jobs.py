"""The jobs that people and schedules start."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

import dagster as dg

from analytics_assets.dagster_backend.internals import UnresolvedAssetJobDefinition
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.resources import ACCOUNTS

# Dagster's tag: a sync under a small quota may take longer than other runs of the same Dagster may
_HOWEVER_LONG: Final = {"dagster/max_runtime": "0"}


class Jobs(NamedTuple):
    """All jobs of the platform.

    Attributes:
        refresh: Lists the accounts.
        sync: Reads accounts.
        check: Judges the tables.
        performance: Reads reports of accounts; None where none is an asset.
    """

    refresh: UnresolvedAssetJobDefinition
    sync: UnresolvedAssetJobDefinition
    check: UnresolvedAssetJobDefinition
    performance: UnresolvedAssetJobDefinition | None = None


def asset_jobs(names: AssetNames) -> Jobs:
    """The jobs over the assets of these names."""
    job, assets = partial(dg.define_asset_job, executor_def=dg.in_process_executor), names.keys
    refresh = job(
        names.refresh_job,
        assets([ACCOUNTS.name]),
        description="Lists the accounts anew: a partition for each, gone for those no longer"
        " listed.",
    )
    sync = job(
        names.sync_job,
        assets(names.account_resources),
        description="Reads everything of an account, a range of accounts or any set of them. For a"
        " set with gaps, launch it for one of its accounts, with all of them as `accounts: [...]`"
        f" in the configuration of `{names.accounts_op}`.",
        tags=_HOWEVER_LONG,
    )
    check = job(
        names.check_job,
        dg.AssetSelection.checks_for_assets(*assets(names.all_names)),
        description="Judges the tables as they are, without a request to the API and without a"
        " load.",
    )
    if not names.report_names:
        return Jobs(refresh, sync, check)
    performance = job(
        names.performance_job,
        assets(names.report_names),
        description="Reads the reports of an account, a range of accounts or any set of them, as"
        " the job over lists does. Other days than those that are due are `start_date` and"
        f" `end_date` in the configuration of `{names.reports_op}`.",
        tags=_HOWEVER_LONG,
    )
    return Jobs(refresh, sync, check, performance)
