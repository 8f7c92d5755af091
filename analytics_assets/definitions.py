"""The code location: what Dagster loads."""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.orchestration.alerts import alert_sensors
from analytics_assets.orchestration.assets import assets
from analytics_assets.orchestration.jobs import asset_jobs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.schedules import schedules
from analytics_assets.orchestration.sensors import sync_sensor
from analytics_assets.settings import PlatformSettings, platform_settings


def compose(settings: PlatformSettings, progress: Progress) -> dg.Definitions:
    """The platform by its settings, with runs that report to `progress`."""
    jobs = asset_jobs(AssetNames.of_settings(settings))
    return dg.Definitions(
        assets=assets(settings),
        jobs=[*jobs],
        schedules=schedules(settings),
        sensors=[sync_sensor(settings, jobs), *alert_sensors(settings)],
        resources={"dlt": DagsterDltResource(), "progress": progress},
        executor=dg.in_process_executor,
    )


defs = compose(platform_settings(), Progress())
