"""Shards on several workers, one of which is lost: Dagster runs its shard again by itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from celery.app.control import Inspect
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext, WorkerStatus

from analytics_assets.dagster_backend import celery_launcher
from analytics_assets.dagster_backend.celery_launcher import FleetRunLauncher
from analytics_assets.dagster_backend.run_launcher import note_process
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.fleet import (
    Fleet,
    broker,
    runs_over_accounts,
    until,
)
from analytics_assets_tests.testing.postgres_server import PASSWORD
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, query

SETTINGS = {
    "ANALYTICS__AUTOMATION": "true",
    "ANALYTICS__SYNC_CRON": "0 0 29 2 *",
    "ANALYTICS__REFRESH_CRON": "0 0 29 2 *",
    "ANALYTICS__SENSOR_INTERVAL": "1",
    "ANALYTICS__ACCOUNTS_PER_RUN": "2",
    "SOURCES__ANALYTICS__TIMEOUT": "600",
    "SOURCES__ANALYTICS__MAX_REQUESTS_PER_SECOND": "10",
}
SHARDS = 3
# two shares of it: there are two workers
QUOTA = 20

pytestmark = [
    pytest.mark.process,
    pytest.mark.parametrize("warehouse", ["postgres"], indirect=True),
    pytest.mark.parametrize(
        "api", [SampleData.generate(accounts=2 * SHARDS, campaigns=4, items=2)], indirect=True
    ),
]


@pytest.fixture
def fleet(
    new_home: Path, records_database: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    """A fleet without machines; this process has the fleet's records."""
    with broker() as url, ExitStack() as machines:
        for name, value in {**SETTINGS, "CELERY_BROKER_URL": url}.items():
            monkeypatch.setenv(name, value)
        # a socket's path has room for 107 letters, and the tests' own folder takes most of them
        folder = machines.enter_context(TemporaryDirectory(prefix="fleet-"))
        fleet = Fleet(Path(folder), machines)
        fleet.configure(new_home)
        yield fleet


@pytest.fixture
def records(fleet: Fleet) -> Iterator[DagsterInstance]:
    """The fleet's records, with room for all shards in the warehouse's pool."""
    with DagsterInstance.get() as instance:
        instance.event_log_storage.set_concurrency_slots("warehouse", SHARDS)
        yield instance


def statuses(records: DagsterInstance) -> Counter[str]:
    return Counter(run.status.value for run in runs_over_accounts(records))


def test_the_shard_of_a_lost_worker_is_run_again(
    fleet: Fleet, records: DagsterInstance, api: SampleApi, home: Path
):
    api.behaviour.quota = QUOTA
    # a request is never answered: the first run that sends it stands still
    hang = Fault("hang", f"/v1/{api.data.account_ids[0]}/campaigns/", times=1)
    api.behaviour.faults.append(hang)
    workers = [fleet.worker("worker-1"), fleet.worker("worker-2")]
    fleet.daemon()
    until(
        lambda: statuses(records) == {"STARTED": 1, "SUCCESS": SHARDS - 1},
        "the end of all other shards",
    )

    [hanging] = [run for run in runs_over_accounts(records) if not run.is_finished]
    [lost] = [worker for worker in workers if worker.took(hanging)]
    [other] = [worker for worker in workers if worker is not lost]
    assert all(other.took(run) for run in runs_over_accounts(records) if run.is_finished)
    assert health(records, hanging) == WorkerStatus.RUNNING
    lost.kill()
    until(
        lambda: statuses(records) == {"FAILURE": 1, "SUCCESS": SHARDS},
        "another run over the shard",
    )

    [again] = [run for run in runs_over_accounts(records) if run.parent_run_id == hanging.run_id]
    assert other.took(again)
    assert api.log.refused == 0
    assert_warehouse_equals_api(home, api.data)
    assert query(home, "SELECT nspname FROM pg_namespace WHERE nspname ~ '_staging'") == []
    other.stop()
    assert other.temporary == []


def test_a_run_that_the_broker_has_forgotten_is_worked_on(
    fleet: Fleet, records: DagsterInstance, api: SampleApi, monkeypatch: pytest.MonkeyPatch
):
    # as it forgets each after a day, and all when it is started again without its data
    api.behaviour.faults.append(Fault("hang", "/v1/*", times=1))
    worker = fleet.worker("worker-1")
    launch_refresh(records)
    until(lambda: api.log.requests > 1, "the request after the one for a token")
    [run] = records.get_runs()
    launcher(records).celery.AsyncResult(run.tags["dagster-celery/task_id"]).forget()
    assert health(records, run) == WorkerStatus.RUNNING
    worker.kill()
    monkeypatch.setattr(celery_launcher, "_QUESTIONS", 1)
    assert health(records, run) == WorkerStatus.UNKNOWN


def test_a_run_can_be_cancelled(fleet: Fleet, records: DagsterInstance, api: SampleApi):
    api.behaviour.latency = 5
    worker = fleet.worker("worker-1")
    run = launch_refresh(records)
    until(lambda: api.log.requests > 1, "the request after the one for a token")
    records.run_coordinator.cancel_run(run.run_id)
    until(lambda: records.get_runs()[0].is_finished, "the end of the run")
    # a failed one would be started again
    assert [run.status for run in records.get_runs()] == [DagsterRunStatus.CANCELED]
    worker.stop()
    assert worker.temporary == []


def test_the_broker_is_sent_no_secret(fleet: Fleet, records: DagsterInstance):
    run = launch_refresh(records)
    with launcher(records).celery.connection_for_read() as connection:
        message = connection.SimpleQueue("dagster").get(timeout=10)
        text = f"{message.headers} {message.payload}"
    assert run.run_id in text
    secrets = [PASSWORD, quote(PASSWORD, safe=""), os.environ["SOURCES__ANALYTICS__CLIENT_SECRET"]]
    assert not any(secret in text for secret in secrets)


def test_a_worker_that_does_not_know_the_run_has_lost_it(fleet: Fleet, records: DagsterInstance):
    # as after the restart of a worker that has the same name as before
    worker = fleet.worker("worker-1")
    until(lambda: worker.is_ready, "the start of the worker")
    run = DagsterRun("sync", tags={"dagster-celery/task_id": "of-a-worker-before"})
    meta = {"hostname": "worker-1@test", "pid": 1}
    launcher(records).celery.backend.store_result("of-a-worker-before", meta, "STARTED")
    assert health(records, run) == WorkerStatus.FAILED


def test_a_worker_that_waits_before_it_calls_the_broker_again_is_waited_for(
    fleet: Fleet, records: DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    waited: list[float] = []

    def query_task(inspect: Inspect, task_id: str) -> dict[str, Any] | None:
        waited.append(inspect.timeout)
        return {"worker-1@test": {task_id: ["active", {}]}} if sum(waited) > 32 else None

    monkeypatch.setattr(Inspect, "query_task", query_task)
    run = DagsterRun("sync", tags={"dagster-celery/task_id": "of-a-worker"})
    meta = {"hostname": "worker-1@test", "pid": 1}
    launcher(records).celery.backend.store_result("of-a-worker", meta, "STARTED")
    assert health(records, run) == WorkerStatus.RUNNING


def test_a_run_of_a_command_is_left_alone(fleet: Fleet, records: DagsterInstance):
    assert health(records, DagsterRun("sync")) == WorkerStatus.RUNNING
    assert launcher(records).get_run_worker_debug_info(DagsterRun("sync")) is None


def test_a_run_that_no_worker_has_is_of_this_process(fleet: Fleet, records: DagsterInstance):
    def noted(**tags: str) -> bool:
        run = records.add_run(DagsterRun("sync"))
        records.add_run_tags(run.run_id, tags)  # after the worker has got the run
        note_process(records, run)
        [found] = records.get_runs(limit=1)
        return ".dagster/analytics_process" in found.tags

    assert noted()  # of `dg launch`
    assert not noted(**{"dagster-celery/task_id": "of-a-worker"})


def test_the_run_of_a_command_that_was_killed_ends(fleet: Fleet, records: DagsterInstance):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    code = ReconstructableRepository.for_module("analytics_assets.definitions", "defs")
    run = records.create_run_for_job(
        code.get_reconstructable_job("refresh_accounts").get_definition(),
        status=DagsterRunStatus.STARTED,
        tags={".dagster/analytics_process": f"{socket.gethostname()}:{process.pid}"},
    )
    assert health(records, run) == WorkerStatus.FAILED
    assert launcher(records).terminate(run.run_id)
    assert records.get_runs()[0].status == DagsterRunStatus.CANCELED


def launch_refresh(records: DagsterInstance) -> DagsterRun:
    """Has a worker list the accounts, without a daemon and its queue."""
    code = ReconstructableRepository.for_module("analytics_assets.definitions", "defs")
    job = code.get_reconstructable_job("refresh_accounts")
    run = records.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
    launcher(records).launch_run(LaunchRunContext(run, workspace=None))
    return run


def launcher(records: DagsterInstance) -> FleetRunLauncher:
    assert isinstance(records.run_launcher, FleetRunLauncher)
    return records.run_launcher


def health(records: DagsterInstance, run: DagsterRun) -> WorkerStatus:
    return launcher(records).check_run_worker_health(run).status
