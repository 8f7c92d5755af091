"""What the schedules ask for, and that nothing starts by itself until it is switched on."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import SENSOR, Automation, accounts_read
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
)


def test_from_nothing_to_all_accounts_and_then_one_run_per_schedule(
    home, automation: Automation, api: SampleApi
):
    first = automation.tick()
    assert first is not None
    assert (first.job_name, first.tags["analytics/then"]) == ("refresh_accounts", "sync all")
    assert automation.run(first)
    request = automation.tick()
    assert request is not None
    assert request.job_name == "sync"
    assert automation.run(request)
    assert_warehouse_equals_api(home, api.data)
    assert automation.tick() is None
    assert "no account is new" in automation.skipped

    assert automation.run(automation.schedule("list_accounts_to_find_new"))
    assert automation.tick() is None  # nothing new: no run

    assert automation.run(automation.schedule("list_accounts_then_sync_all"))
    api.log.clear()
    assert automation.run(automation.tick())
    assert accounts_read(api) == set(api.data.account_ids)
    assert automation.tick() is None  # once after each list


def test_a_list_of_accounts_that_failed_is_made_again(automation: Automation, api, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    api.behaviour.faults.append(Fault("status", "*/allowed-accounts", value="500"))
    assert not automation.run(automation.schedule("list_accounts_then_sync_all"))
    api.behaviour.faults.clear()
    assert automation.run(automation.tick())
    request = automation.tick()
    assert request is not None
    assert "all accounts" in request.tags["analytics/reason"]


UNFINISHED = {
    "a run over accounts": ("sync", "sync_accounts_that_are_due", "has not ended"),
    "the list of accounts": ("refresh_accounts", "sync_accounts_that_are_due", "being listed"),
    "the list, by another schedule": (
        "refresh_accounts",
        "list_accounts_to_find_new",
        "being listed",
    ),
}


@pytest.mark.parametrize(("job", "name", "reason"), UNFINISHED.values(), ids=UNFINISHED)
def test_nothing_piles_up_while_a_run_is_going(
    automation: Automation, instance: DagsterInstance, job: str, name: str, reason: str
):
    job_def = compose(platform_settings(), Progress()).resolve_job_def(job)
    run = instance.create_run_for_job(job_def, status=DagsterRunStatus.STARTED)
    asked = automation.tick() if name == SENSOR else automation.schedule(name)
    assert asked is None
    assert run.run_id in automation.skipped
    assert reason in automation.skipped


@pytest.mark.parametrize("switched_on", [False, True])
def test_automation_is_off_until_it_is_switched_on(home, monkeypatch, switched_on: bool):
    if switched_on:
        monkeypatch.setenv("ANALYTICS__AUTOMATION", "true")
        monkeypatch.setenv("ANALYTICS__SYNC_CRON", "15 4 * * 1")
        monkeypatch.setenv("ANALYTICS__REFRESH_CRON", "*/10 * * * *")
        monkeypatch.setenv("ANALYTICS__TIME_ZONE", "Europe/Berlin")
        monkeypatch.setenv("ANALYTICS__ALERT_WEBHOOK_URL", "https://hooks.example.com/secret")
    defs = compose(platform_settings(), Progress())
    assert defs.schedules
    assert defs.sensors
    for definition in (*defs.schedules, *defs.sensors):
        assert definition.default_status.value == ("RUNNING" if switched_on else "STOPPED")
    found = [defs.resolve_schedule_def(schedule.name) for schedule in defs.schedules]
    crons = [(schedule.cron_schedule, schedule.execution_timezone) for schedule in found]
    assert crons == (
        [("15 4 * * 1", "Europe/Berlin"), ("*/10 * * * *", "Europe/Berlin")]
        if switched_on
        else [("0 5 * * *", "UTC"), ("30 * * * *", "UTC")]
    )
