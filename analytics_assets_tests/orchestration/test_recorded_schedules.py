"""What the schedules ask for, on records made by hand: no run that they ask for is run."""

from __future__ import annotations

import dagster as dg
import pytest

from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.schedules import schedules
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.recorded_automation import (
    LISTED,
    SUCCESS,
    THEN_ALL,
    Records,
    accounts_of,
    own_tags,
)

THEN_SYNC, FIND_NEW = "list_accounts_then_sync_all", "list_accounts_to_find_new"
REPORTS = "read_reports_of_all"


@pytest.fixture
def recorded(instance: dg.DagsterInstance) -> Records:
    """Records of three accounts, in a home: a schedule finds no others."""
    keep_partitions(instance, LISTED)
    return Records(instance)


@pytest.mark.parametrize(("name", "tags"), [(THEN_SYNC, THEN_ALL), (FIND_NEW, {})])
def test_a_list_of_accounts_says_what_is_to_follow(
    recorded: Records, name: str, tags: dict[str, str]
):
    recorded.refresh(SUCCESS, analytics__then="sync all")
    request = recorded.schedule(name)
    assert request is not None
    assert own_tags(request) == tags


def test_a_list_is_not_made_while_one_is_under_way_that_does_as_well(recorded: Records):
    run = recorded.begin("refresh_accounts")
    assert recorded.schedule(FIND_NEW) is None
    assert recorded.skipped == f"the accounts are being listed, by run {run.run_id}"
    assert recorded.schedule(THEN_SYNC) is not None  # nothing would follow that one
    run = recorded.begin("refresh_accounts", analytics__then="sync all")
    for name in (FIND_NEW, THEN_SYNC):
        assert recorded.schedule(name) is None
        assert recorded.skipped == f"the accounts are being listed, by run {run.run_id}"


def test_another_run_does_not_hold_up_a_list(recorded: Records):
    recorded.begin("sync", analytics__then="sync all")
    assert recorded.schedule(THEN_SYNC) is not None


@pytest.fixture
def reports(recorded: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance,site_performance")


@pytest.mark.usefixtures("reports")
def test_reports_of_all_accounts_are_asked_for(recorded: Records):
    recorded.begin("sync")  # they do not wait for it
    request = recorded.schedule(REPORTS)
    assert request is not None
    assert request.job_name == "performance"
    assert accounts_of(request) == LISTED
    assert own_tags(request) == {"analytics/reason": "reports of all accounts, by schedule"}
    found = [key.to_user_string() for key in request.asset_selection or ()]
    assert found == ["campaign_performance", "site_performance"]
    assert {check.asset_key.path[0] for check in request.asset_check_keys or ()} == set(found)
    assert request.run_config == {"ops": {"account_reports": {"config": {}}}}


@pytest.mark.usefixtures("reports")
def test_reports_of_more_accounts_than_a_run_may_read_are_several_runs(
    recorded: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "1")
    requests = recorded.schedule_all(REPORTS)
    assert sorted(account for each in requests for account in accounts_of(each)) == LISTED
    assert len({each.run_key for each in requests}) == len(LISTED)


@pytest.mark.usefixtures("reports")
def test_reports_wait_for_a_run_over_reports_and_for_accounts(recorded: Records):
    run = recorded.begin("performance")
    recorded.begin("sync")
    assert recorded.schedule(REPORTS) is None
    assert recorded.skipped == f"run {run.run_id} over reports has not ended"
    recorded.instance.report_run_canceled(run)
    assert recorded.schedule(REPORTS) is not None
    keep_partitions(recorded.instance, [])
    assert recorded.schedule(REPORTS) is None
    assert recorded.skipped == "no account is listed yet"


def test_a_schedule_of_reports_is_there_with_a_report():
    without = [schedule.name for schedule in schedules(PlatformSettings())]
    assert without == [THEN_SYNC, FIND_NEW]
    settings = PlatformSettings(
        extra_resources=("campaign_performance",),
        automation=True,
        performance_cron="15 3 * * *",
        time_zone="Europe/Berlin",
    )
    *_, reports = schedules(settings)
    assert (reports.name, reports.cron_schedule) == (REPORTS, "15 3 * * *")
    assert reports.execution_timezone == "Europe/Berlin"
    assert reports.default_status.value == "RUNNING"
    assert reports.description == "Reads the reports of all accounts: the days that still change."
    assert reports.job_name == "performance"
