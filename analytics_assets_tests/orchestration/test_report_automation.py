"""Reports by schedule and by sensor: when they are read, and what is tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets.factory import compose
from analytics_assets.orchestration.lost_loads import LOST
from analytics_assets.orchestration.partitions import run_target
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_failures import run_failure
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    EASTERN,
    HISTORY,
    asked,
    expected,
    lines,
    spelled,
    table,
    updates,
)
from analytics_assets_tests.testing.tables import change_warehouse

pytestmark = pytest.mark.usefixtures("performance")


@pytest.fixture
def api(report_api: SampleApi) -> SampleApi:
    return report_api


def test_the_schedule_and_the_sensor(
    home: Path,
    api: SampleApi,
    instance: dg.DagsterInstance,
    automation: Automation,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    assert automation.schedule("read_reports_of_all") is None
    assert automation.skipped == "no account is listed yet"
    automation.run(automation.tick())  # lists the accounts
    everything = automation.tick()
    assert everything is not None
    assert automation.run(everything)
    new = automation.tick()
    assert new is not None
    assert new.job_name == "performance"
    assert new.tags["analytics/reason"] == "new accounts"
    assert automation.run(new)
    asked(api)
    request = automation.schedule("read_reports_of_all")
    assert automation.run(request)
    assert asked(api) == updates()
    assert automation.tick() is None

    # what somebody writes into the run's configuration
    for days, said in (
        ({"end_date": "2026-08-01"}, "end_date needs a start_date: give the first day, too"),
        ({"start_date": "2026-08-02", "end_date": "2026-08-01"}, "the window ends on 2026-08-01"),
    ):
        target = run_target(instance, "account_reports", [EASTERN], **days)
        assert not automation.run(
            dg.RunRequest(job_name="performance", run_config={"ops": target.ops}, tags=target.tags)
        )
        [newest] = instance.get_runs(limit=1)
        [line] = run_failure(instance, newest.run_id).lines()
        assert line.startswith(said)
    assert automation.tick() is None  # to try that again is pointless
    assert asked(api) == []


def test_a_failed_backfill_is_tried_again_with_its_days(
    home: Path,
    api: SampleApi,
    read: Callable[..., str],
    automation: Automation,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    invoke("sync")
    days = ("--from", "2026-05-01", "--to", "2026-05-20")
    fault = Fault("status", f"/v1/{EASTERN}/reports/*", value=500)
    api.behaviour.faults.append(fault)
    read(*days, exit_code=1)
    api.behaviour.faults.clear()
    asked(api)
    retry = automation.tick()
    assert retry is not None
    assert retry.job_name == "performance"
    assert automation.run(retry)
    window = (EASTERN, date(2026, 5, 1), date(2026, 5, 20))
    assert asked(api) == sorted([*lines(window), *lines(window, dimension="day")])

    api.behaviour.faults.append(fault)
    read(*days, exit_code=1)
    api.behaviour.faults.clear()
    asked(api)
    read("--failed")
    assert lines(window)[0] in asked(api)

    change_warehouse(home, f"DROP TABLE analytics.{CAMPAIGNS}")
    lost = automation.tick()
    assert lost is not None
    assert (lost.job_name, lost.tags["analytics/reason"]) == ("performance", LOST)
    assert automation.run(lost)
    assert spelled(table(home, CAMPAIGNS)) == spelled(expected(api, CAMPAIGNS, HISTORY))


def test_a_run_over_reports_and_one_over_lists_do_not_wait_for_each_other(
    home: Path, api: SampleApi, instance: dg.DagsterInstance, automation: Automation
):
    invoke("sync")
    defs = compose(platform_settings(), Progress())
    under_way = instance.create_run_for_job(defs.resolve_job_def("performance"))
    assert automation.schedule("read_reports_of_all") is None
    assert under_way.run_id in automation.skipped
    api.data.add_row("accounts", {"account_id": "new-0003-sc", "id": 3}, account_id=None)
    automation.run(automation.schedule("list_accounts_to_find_new"))
    new = automation.tick()
    assert new is not None
    assert new.job_name == "sync"
