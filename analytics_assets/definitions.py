"""The code location: what Dagster loads."""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.platform.assets import account_assets, accounts_asset
from analytics_assets.platform.jobs import refresh_accounts, sync
from analytics_assets.platform.progress import Progress


def compose(progress: Progress) -> dg.Definitions:
    """The platform, with runs that report to `progress`."""
    return dg.Definitions(
        assets=[accounts_asset, account_assets],
        jobs=[refresh_accounts, sync],
        resources={"dlt": DagsterDltResource(), "progress": progress},
        executor=dg.in_process_executor,
    )


defs = compose(Progress())
