"""The schedules and the sensor, one tick at a time."""

from __future__ import annotations

from datetime import datetime, timezone

import dagster as dg
from dagster import DagsterInstance

from analytics_assets.factory import compose
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import platform_settings

SENSOR = "sync_accounts_that_are_due"


class Automation:
    """The automation, one tick at a time; what a tick asks for runs in this process."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> dg.RunRequest | None:
        """What the sensor asks for; None with the reason in `skipped`."""
        defs = compose(platform_settings(), Progress())
        sensor = defs.resolve_sensor_def(_named(SENSOR))
        context = dg.build_sensor_context(
            instance=self.instance, definitions=defs, cursor=self.cursor
        )
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        self.skipped = data.skip_message or ""
        requests = data.run_requests or []
        assert len(requests) <= 1
        return requests[0] if requests else None

    def tick_for_shards(self) -> list[dg.RunRequest]:
        defs = compose(platform_settings(), Progress())
        context = dg.build_sensor_context(instance=self.instance, definitions=defs)
        return list(
            defs.resolve_sensor_def(_named(SENSOR)).evaluate_tick(context).run_requests or []
        )

    def schedule(self, name: str) -> dg.RunRequest | None:
        requests = self.schedule_all(name)
        return requests[0] if requests else None

    def schedule_all(self, name: str) -> list[dg.RunRequest]:
        defs = compose(platform_settings(), Progress())
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=datetime.now(timezone.utc)
        )
        data = defs.resolve_schedule_def(_named(name)).evaluate_tick(context)
        self.skipped = data.skip_message or ""
        return list(data.run_requests or [])

    def run(self, request: dg.RunRequest | None, job: str = "refresh_accounts") -> bool:
        assert request is not None, self.skipped
        defs = compose(platform_settings(), Progress())
        job_def = defs.resolve_job_def(request.job_name or _named(job))
        result = job_def.execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            tags=request.tags,
            asset_selection=request.asset_selection,
            raise_on_error=False,
        )
        return result.success


def _named(name: str) -> str:
    return AssetNames.of_settings(platform_settings()).of_definition(name)


def accounts_read(api: SampleApi) -> set[str]:
    return {
        entry.path.split("/")[2] for entry in api.log.entries if entry.path.startswith("/v1/")
    } - {"users"}
