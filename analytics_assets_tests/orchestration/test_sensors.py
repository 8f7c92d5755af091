"""What the sensor asks for, from what Dagster's records hold."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_requests import is_due
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets_tests.testing.automation import Automation, accounts_read
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    warehouse_table,
)


def test_new_accounts_get_their_first_data_in_one_run(
    home, automation: Automation, sync, api, instance
):
    first, second, third = api.data.account_ids
    fourth = api.data.add_account()
    assert sync("--account", second).exit_code == 0  # so that the others are no neighbours
    api.log.clear()
    request = automation.tick()
    assert request is not None
    assert request.tags["analytics/reason"] == "new accounts"
    assert automation.run(request)
    assert accounts_read(api) == {first, third, fourth}
    assert states(instance) == {
        name: ({first, second, third, fourth}, set()) for name in RESOURCES.account_lists
    }
    assert automation.tick() is None


def test_failed_accounts_are_tried_again_alone_and_not_for_ever(
    home, automation: Automation, sync, api, monkeypatch
):
    broken, refused, sound = api.data.account_ids
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRIES", "2")
    api.behaviour.faults.append(Fault("status", f"/v1/{broken}/campaigns/", value="500"))
    api.behaviour.faults.append(Fault("status", f"/v1/{refused}/campaigns/", value="403"))
    assert sync("--resource", "campaigns", "--resource", "audiences").exit_code == 1
    assert automation.tick() is None  # its wait is not over

    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    for attempt in ("1", "2"):
        api.log.clear()
        request = automation.tick()
        assert request is not None
        assert request.tags["analytics/retry"] == attempt
        assert [key.to_user_string() for key in request.asset_selection or ()] == ["campaigns"]
        assert not automation.run(request)
        assert accounts_read(api) == {broken}
    assert automation.tick() is None  # as often as the setting says

    api.behaviour.faults.clear()
    assert sync("--account", sound).exit_code == 0
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRIES", "3")
    assert automation.run(automation.tick())  # healed
    assert {row["account_id"] for row in warehouse_table(home, "campaigns")} == {broken, sound}
    assert automation.tick() is None  # the refusal waits for the next run over all


@pytest.mark.parametrize(
    ("retries", "waited", "due"),
    [(0, 299, False), (0, 300, True), (2, 1199, False), (2, 1200, True), (3, 10**6, False)],
)
def test_each_wait_is_twice_the_one_before_and_they_end(retries: int, waited: int, due: bool):
    settings = PlatformSettings(account_retries=3, account_retry_wait=300)
    assert is_due(settings, retries, ended_at=1000, now=1000 + waited) == due


def test_waits_grow(automation: Automation, sync, api, monkeypatch, instance):
    account = api.data.account_ids[0]
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/campaigns/", value="500"))
    now = [0.0]
    clock = SimpleNamespace(time=lambda: now[0])
    monkeypatch.setattr("analytics_assets.orchestration.sensors.time", clock)
    assert sync("--resource", "campaigns").exit_code == 1
    for wait in (300, 600, 1200):
        ended = instance.get_run_records(limit=1)[0].end_time
        assert ended is not None
        now[0] = ended + wait - 1
        assert automation.tick() is None
        now[0] = ended + wait
        assert not automation.run(automation.tick())


@pytest.mark.usefixtures("synced")
def test_a_run_whose_process_was_killed_does_not_block(automation: Automation, instance, sync):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    job_def = compose(platform_settings(), Progress()).resolve_job_def("sync")
    runs = {
        pid: instance.create_run_for_job(
            job_def,
            status=DagsterRunStatus.STARTED,
            tags={".dagster/analytics_process": f"{host}:{pid}"},
        )
        for host, pid in (
            (socket.gethostname(), gone.pid),
            (socket.gethostname(), os.getpid()),
            ("elsewhere", gone.pid + 1),
        )
    }
    assert automation.tick() is None
    status = {pid: instance.get_run_by_id(run.run_id).status for pid, run in runs.items()}
    assert status == {
        gone.pid: DagsterRunStatus.FAILURE,
        os.getpid(): DagsterRunStatus.STARTED,
        gone.pid + 1: DagsterRunStatus.STARTED,
    }


@pytest.mark.parametrize("records", ["sqlite", "postgres"])
def test_an_account_that_was_forgotten_is_new_when_it_is_listed_again(
    home, sync, commands, api: SampleApi, records: str, request
):
    if records == "postgres":
        request.getfixturevalue("records_database")
        shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", home)
    account, *_ = api.data.account_ids
    assert sync().exit_code == 0
    api.data.remove_account(account)
    assert sync("--resource", "accounts").exit_code == 0
    assert commands.analytics_assets("forget", account, "--yes").returncode == 0
    assert account not in {row["account_id"] for row in warehouse_table(home, "campaigns")}
    api.data.add_account(account)
    assert sync("--resource", "accounts").exit_code == 0
    with DagsterInstance.get() as instance:
        automation = Automation(instance)
        asked = automation.tick()
        assert asked is not None
        assert asked.tags["analytics/reason"] == "new accounts"
        api.log.clear()
        assert automation.run(asked)
        assert accounts_read(api) == {account}
        assert_warehouse_equals_api(home, api.data)
        assert automation.tick() is None
