"""The platform as definitions, for its own code location and for those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.orchestration.alerts import alert_sensors
from analytics_assets.orchestration.assets import assets
from analytics_assets.orchestration.jobs import asset_jobs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.schedules import schedules
from analytics_assets.orchestration.sensors import sync_sensor
from analytics_assets.settings import PlatformSettings, api_version, platform_settings


def build_definitions(
    *,
    key_prefix: str | Sequence[str] | None = None,
    group_name: str | None = None,
    owners: Sequence[str] | None = None,
    automation: bool | None = None,
) -> dg.Definitions:
    """The platform's assets, checks, jobs, schedules and sensors, to be merged with yours.

    `dagster.Definitions.merge(build_definitions(key_prefix="advertising"), yours)`: what it
    returns has no executor, and names of its own for all else if there is a prefix.

    Args:
        key_prefix: What the asset keys begin with: a name, names with `/` between them or a list.
            The commands `sync` and `status` know the setting of this name, not the argument.
        group_name: The assets' group.
        owners: The assets' owners: e-mail addresses and `team:NAME`.
        automation: Whether schedules and sensors are switched on from the start.

    Where an argument is not given, the setting of the same name counts.

    Raises:
        SettingsError: A setting is unusable.
        dagster.DagsterInvalidDefinitionError: Dagster does not admit an argument.
    """
    settings = platform_settings()
    if key_prefix is not None:
        prefix = key_prefix if isinstance(key_prefix, str) else "/".join(key_prefix)
        settings = replace(settings, key_prefix=prefix)
    if group_name is not None:
        settings = replace(settings, group_name=group_name)
    if owners is not None:
        settings = replace(settings, owners=tuple(owners))
    if automation is not None:
        settings = replace(settings, automation=automation)
    return compose(settings)


def compose(settings: PlatformSettings, progress: Progress | None = None) -> dg.Definitions:
    """The platform by its settings; runs report to `progress`, by default in their log.

    Raises:
        SettingsError: The setting `api_version`, which the assets' descriptions have, is unusable.
    """
    jobs = asset_jobs(AssetNames.of_settings(settings))
    return dg.Definitions(
        assets=assets(settings, api_version()),
        jobs=[job for job in jobs if job is not None],
        schedules=schedules(settings),
        sensors=[sync_sensor(settings, jobs), *alert_sensors(settings)],
        # names of our own: a code location that embeds it may have a resource `dlt`
        resources={
            "analytics_dlt": DagsterDltResource(),
            "analytics_progress": progress or Progress(),
        },
    )
