"""What the launcher of `dagster.yaml` says and does of the runs of commands."""

from __future__ import annotations

import json
import multiprocessing
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from analytics_assets.dagster_backend.orphans import process_tags
from analytics_assets.dagster_backend.run_launcher import LocalRunLauncher, note_process

TAG = ".dagster/analytics_process"


@dg.job
def nothing() -> None:
    """A run of events only."""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a signal, and is told nothing of it in time to answer."""
    program = "import signal; print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def run_in(instance: DagsterInstance, host: str, pid: int) -> dg.DagsterRun:
    tags = {TAG: f"{host}:{pid}"}
    return instance.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags=tags)


def launcher(instance: DagsterInstance) -> LocalRunLauncher:
    assert isinstance(instance.run_launcher, LocalRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    return instance.run_launcher


def statuses(instance: DagsterInstance) -> list[DagsterRunStatus]:
    return [run.status for run in instance.get_runs()]


def test_a_run_that_nobody_has_launched_is_of_this_process(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(**tags: str) -> dict[str, str]:
        run = instance.create_run_for_job(nothing, tags=tags)
        note_process(instance, run)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return {name: value for name, value in found.tags.items() if name == TAG}

    assert noted() == {TAG: process_tags()[TAG]}
    assert noted(**{TAG: "host:1:2"}) == {TAG: "host:1:2"}
    assert noted(**{GRPC_INFO_TAG: "{}"}) == {}
    with monkeypatch.context() as patch:  # a step of Dagster's multiprocess executor
        patch.setattr(multiprocessing, "parent_process", object)
        assert noted() == {}
    monkeypatch.setattr(DagsterInstance, "run_launcher", None)
    assert noted() == {}


def test_a_command_that_runs_is_interrupted(instance: DagsterInstance, process) -> None:
    run = run_in(instance, socket.gethostname(), process.pid)
    assert launcher(instance).check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert launcher(instance).terminate(run.run_id)
    assert process.wait(timeout=30) in (-signal.SIGINT, 1)
    assert statuses(instance) == [DagsterRunStatus.CANCELING]


def test_a_command_that_is_gone_has_its_run_cancelled(instance: DagsterInstance, process) -> None:
    process.kill()
    process.wait()
    run = run_in(instance, socket.gethostname(), process.pid)
    health = launcher(instance).check_run_worker_health(run)
    assert health.status == WorkerStatus.FAILED
    assert health.msg == f"Process {process.pid}, in which this run ran, is gone."
    assert launcher(instance).terminate(run.run_id)
    assert statuses(instance) == [DagsterRunStatus.CANCELED]
    assert not launcher(instance).terminate(run.run_id)


def test_a_command_on_another_machine_is_let_be(instance: DagsterInstance, process) -> None:
    run = run_in(instance, f"not-{socket.gethostname()}", process.pid)
    assert launcher(instance).check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert not launcher(instance).terminate(run.run_id)
    assert process.poll() is None
    assert statuses(instance) == [DagsterRunStatus.STARTED]
    [event] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    assert event.dagster_event
    assert f"end process {process.pid} there" in str(event.dagster_event.message)


def test_a_run_that_dagster_started_is_dagsters(instance: DagsterInstance) -> None:
    run = instance.create_run_for_job(nothing, status=DagsterRunStatus.STARTED)
    assert launcher(instance).check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert not launcher(instance).terminate(run.run_id)  # there is no code server to ask
    assert statuses(instance) == [DagsterRunStatus.CANCELING]


def test_a_run_whose_code_server_is_gone_is_lost(instance: DagsterInstance, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    tags = {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": str(path)})}
    run = instance.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags=tags)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(0)
        # a server that nobody answers for is there, however many ask
        for _ in range(3):
            assert launcher(instance).check_run_worker_health(run).status == WorkerStatus.RUNNING
    for is_left in (True, False):  # a server that was killed leaves its file
        assert path.exists() is is_left
        health = launcher(instance).check_run_worker_health(run)
        assert (health.status, health.msg) == (
            WorkerStatus.FAILED,
            "The code server of this run is gone.",
        )
        path.unlink(missing_ok=True)


def test_a_code_server_at_a_port_may_be_on_another_machine(instance: DagsterInstance) -> None:
    tags = {".dagster/grpc_info": json.dumps({"host": "code.example.com", "port": 4000})}
    run = instance.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags=tags)
    assert launcher(instance).check_run_worker_health(run).status == WorkerStatus.RUNNING
