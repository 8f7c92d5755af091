"""The code location: what Dagster loads."""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.orchestration.alerts import alert_sensors
from analytics_assets.orchestration.assets import assets
from analytics_assets.orchestration.jobs import check, refresh_accounts, sync
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.schedules import schedules
from analytics_assets.orchestration.sensors import sync_sensor
from analytics_assets.settings import PlatformSettings, platform_settings


def compose(settings: PlatformSettings, progress: Progress) -> dg.Definitions:
    """The platform by its settings, with runs that report to `progress`."""
    return dg.Definitions(
        assets=assets(settings),
        jobs=[refresh_accounts, sync, check],
        schedules=schedules(settings),
        sensors=[sync_sensor(settings), *alert_sensors(settings)],
        resources={"dlt": DagsterDltResource(), "progress": progress},
        executor=dg.in_process_executor,
    )


defs = compose(platform_settings(), Progress())
