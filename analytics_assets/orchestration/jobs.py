"""The jobs that people and schedules start."""

from __future__ import annotations

import dagster as dg

from analytics_assets.resources import ACCOUNT_RESOURCES, ACCOUNTS

refresh_accounts = dg.define_asset_job(
    "refresh_accounts",
    selection=dg.AssetSelection.assets(ACCOUNTS.name),
    description="Lists the accounts anew: a partition for each, gone for those no longer listed.",
)

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(*ACCOUNT_RESOURCES),
    description="Reads everything of an account, a range of accounts or any set of them. For a set"
    " with gaps, launch it for one of its accounts, with all of them as `accounts: [...]` in the"
    " configuration of `account_resources`.",
)

check = dg.define_asset_job(
    "check",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Judges the tables as they are, without a request to the API and without a load.",
)
