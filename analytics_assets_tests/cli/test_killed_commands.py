"""Commands that are killed, with no warning: whatever comes next ends their runs."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.commands import Commands, invoke, start_sync
from analytics_assets_tests.testing.deployment import Deployment
from analytics_assets_tests.testing.homes import sample_settings

pytestmark = pytest.mark.process

FAILURE = DagsterRunStatus.FAILURE
TERMINATE = """mutation { terminateRun(runId: "%s") { __typename } }"""


def started_sync(api: SampleApi) -> subprocess.Popen[str]:
    """A sync that has begun to read accounts, and is in no hurry."""
    before = api.log.requests
    api.behaviour.latency = 0.5
    process = start_sync()
    wait_until(lambda: api.log.requests > before + 3 or process.poll() is not None)
    assert process.poll() is None
    return process


def killed_sync(api: SampleApi) -> None:
    process = started_sync(api)
    process.kill()
    process.communicate()
    api.behaviour.latency = 0


@pytest.mark.usefixtures("synced")
def test_the_next_command_ends_the_run(home: Path, api: SampleApi, sync, instance: DagsterInstance):
    def newest() -> list[DagsterRunStatus]:
        return [run.status for run in instance.get_runs()][:-2]  # but for those of `synced`

    killed_sync(api)
    assert newest() == [DagsterRunStatus.STARTED, DagsterRunStatus.SUCCESS]

    checks = invoke("doctor").output
    assert ", of which 1 was killed: the next `sync` or `status` marks it as failed" in checks
    assert newest()[0] == DagsterRunStatus.STARTED

    shown = invoke("status").output
    assert "has not ended" not in shown
    assert newest()[0] == FAILURE

    killed_sync(api)
    assert sync().exit_code == 0
    assert newest()[:3] == [DagsterRunStatus.SUCCESS, DagsterRunStatus.SUCCESS, FAILURE]


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("select", ["accounts", "campaigns"])
def test_the_next_command_ends_a_run_of_dagster_s_own_commands(
    commands: Commands, api: SampleApi, instance: DagsterInstance, select: str
):
    partition = () if select == "accounts" else ("--partition", api.data.account_ids[0])
    before, api.behaviour.latency = api.log.requests, 60
    with commands.start_materializing(select, *partition) as process:
        wait_until(lambda: api.log.requests > before or process.poll() is not None)
        process.kill()
    assert instance.get_runs()[0].status == DagsterRunStatus.STARTED
    assert "has not ended" not in invoke("status").output
    assert instance.get_runs()[0].status == FAILURE


@pytest.mark.parametrize("api", [SampleData.generate(accounts=4, campaigns=20)], indirect=True)
def test_the_daemon_ends_the_run_and_the_ui_any(tmp_path: Path, api: SampleApi, monkeypatch):
    deployment = Deployment(tmp_path, api)  # its automation is off
    monkeypatch.setenv("DAGSTER_HOME", str(deployment.home))
    for name, value in sample_settings(deployment.home, api).items():
        monkeypatch.setenv(name, value)
    configuration = yaml.safe_load((deployment.home / "dagster.yaml").read_text())
    configuration["run_monitoring"]["poll_interval_seconds"] = 1
    (deployment.home / "dagster.yaml").write_text(yaml.safe_dump(configuration))

    with deployment.serving(), DagsterInstance.get() as instance:
        killed_sync(api)
        wait_until(lambda: instance.get_runs(limit=1)[0].status == FAILURE)
        [killed] = instance.get_runs(limit=1)
        assert killed.tags.get("dagster/will_retry") != "true"

        process = started_sync(api)
        [run] = instance.get_runs(limit=1)
        answer = deployment.graphql(TERMINATE % run.run_id)
        assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        assert errors.startswith("Error: interrupted: ")
        assert errors.count("\n") == 1
        [ended] = instance.get_runs(limit=1)
        assert (ended.run_id, ended.status) == (run.run_id, DagsterRunStatus.CANCELED)
