"""Runs that take long: nothing ends them but themselves."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._daemon.monitoring.run_monitoring import check_run_timeout

from analytics_assets.definitions import defs


def test_the_instance_ends_no_run_for_its_length(home: Path, instance: DagsterInstance) -> None:
    assert instance.run_monitoring_max_runtime_seconds == 0


@dg.job
def another() -> None:
    """A job of somebody who embeds the platform."""


@pytest.mark.parametrize(
    ("job", "ends"),
    [(defs.resolve_job_def("sync"), False), (another, True)],
    ids=["sync", "another"],
)
def test_a_limit_for_other_runs_is_none_for_a_sync(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, job: dg.JobDefinition, ends: bool
) -> None:
    run = instance.create_run_for_job(
        job_def=job, status=DagsterRunStatus.STARTED, tags=job.run_tags
    )
    instance.report_engine_event("started", run)
    [record] = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    record = record._replace(start_time=time.time() - 86_400)
    check_run_timeout(instance, record, logging.getLogger(), 3600.0)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert (ended.status == DagsterRunStatus.FAILURE) == ends
