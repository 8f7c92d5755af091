"""The code location: what Dagster loads."""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.platform.assets import account_assets, accounts_asset
from analytics_assets.platform.jobs import refresh_accounts, sync
from analytics_assets.platform.progress import Progress
from analytics_assets.platform.translator import without_dlt_objects


def compose(progress: Progress) -> dg.Definitions:
    """The platform, with runs that report to `progress`."""
    return dg.Definitions(
        assets=[
            assets.map_asset_specs(without_dlt_objects)
            for assets in (accounts_asset, account_assets)
        ],
        jobs=[refresh_accounts, sync],
        resources={"dlt": DagsterDltResource(), "progress": progress},
        executor=dg.in_process_executor,
    )


defs = compose(Progress())
