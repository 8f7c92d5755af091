"""Ticks of the sensor on records in memory, made by hand, with a clock."""

from __future__ import annotations

import dagster as dg

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import Automation

LISTED = ["acme", "globex", "initech"]
THEN_ALL = {"analytics/then": "sync all"}
STARTED, SUCCESS = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS
FAILURE, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


class Records(Automation):
    """The sensor's ticks on records in memory, and what they are made of."""

    now = 0.0

    def begin(self, job: str, **tags: str) -> dg.DagsterRun:
        job_def = compose(platform_settings(), Progress()).resolve_job_def(job)
        told = {key.replace("__", "/"): value for key, value in tags.items()}
        return self.instance.create_run_for_job(job_def, status=STARTED, tags=told)

    def refresh(self, ends: dg.DagsterRunStatus, **tags: str) -> str:
        """A run that has listed the accounts, or has not; it ends at the clock's second 0."""
        run = self.begin("refresh_accounts", **tags)
        if ends == FAILURE:
            self.instance.report_run_failed(run)
        elif ends == CANCELED:
            self.instance.report_run_canceled(run)
        else:
            event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
            self.instance.report_dagster_event(event, run.run_id)
        self.set_clock(run.run_id)
        return run.run_id

    def set_clock(self, run_id: str, seconds: float = 0) -> None:
        """Makes it so many seconds after the end of a run."""
        record = self.instance.get_run_record_by_id(run_id)
        assert record is not None
        assert record.end_time is not None
        self.now = record.end_time + seconds

    def asked(self) -> list[str]:
        """The retry, the job, the reason and the accounts of each run that a tick asks for."""
        return [
            " ".join(
                (
                    request.tags.get("analytics/retry", "-"),
                    str(request.job_name),
                    f"({request.tags['analytics/reason']})",
                    *accounts_of(request),
                )
            )
            for request in self.tick_for_shards()
        ]


def retried(times: int) -> dict[str, str]:
    return {"analytics/retry": str(times)} if times else {}


def own_tags(request: dg.RunRequest) -> dict[str, str]:
    return {name: value for name, value in request.tags.items() if name.startswith("analytics/")}


def accounts_of(request: dg.RunRequest) -> list[str]:
    [config] = [op["config"] for op in request.run_config.get("ops", {}).values()] or [{}]
    tags = request.tags
    if "accounts" in config:
        return list(config["accounts"])
    if "dagster/partition" in tags:
        return [tags["dagster/partition"]]
    if "dagster/asset_partition_range_start" not in tags:
        return []
    first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return LISTED[LISTED.index(first) : LISTED.index(last) + 1]
