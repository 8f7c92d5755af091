"""What the sensor asks for, on records in memory: no run that it asks for is run."""

from __future__ import annotations

import pytest

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.recorded_automation import (
    CANCELED,
    FAILURE,
    LISTED,
    SUCCESS,
    THEN_ALL,
    Records,
    accounts_of,
    own_tags,
    retried,
)
from analytics_assets_tests.testing.records import attempt, attempt_report, failure

LISTS = [*RESOURCES.account_lists]


def test_accounts_that_were_never_listed_are_listed_first(recorded: Records):
    request = recorded.tick()
    assert request is not None
    assert (request.job_name, own_tags(request)) == (
        "refresh_accounts",
        {
            **THEN_ALL,
            "analytics/reason": "the accounts were never listed",
            "analytics/retry": "0",
        },
    )
    run = recorded.begin("refresh_accounts")
    assert recorded.tick() is None
    assert recorded.skipped == f"the accounts are being listed, by run {run.run_id}"


def test_a_list_that_failed_is_tried_again_after_longer_and_longer_waits(listed: Records):
    for retry, wait in ((0, 300), (1, 600)):
        run_id = listed.refresh(FAILURE, analytics__then="sync all", analytics__retry=str(retry))
        listed.set_clock(run_id, wait - 1)
        assert listed.tick() is None
        assert listed.skipped == "no account is new, and none that failed is due again"
        listed.set_clock(run_id, wait)
        request = listed.tick()
        assert request is not None
        assert (request.job_name, own_tags(request)) == (
            "refresh_accounts",
            {
                **THEN_ALL,
                "analytics/reason": f"run {run_id} failed",
                "analytics/retry": str(retry + 1),
            },
        )
    run_id = listed.refresh(FAILURE, analytics__then="sync all", analytics__retry="2")
    listed.set_clock(run_id, 1e6)
    assert listed.tick() is None


@pytest.mark.parametrize(
    ("ends", "tags"),
    [
        (FAILURE, {}),
        (FAILURE, {"analytics__then": "something else"}),
        (CANCELED, {"analytics__then": "sync all"}),
    ],
    ids=["nothing is to follow", "something else is", "somebody stopped it"],
)
def test_what_is_no_failure_of_a_list_for_all(listed: Records, ends, tags: dict[str, str]):
    listed.set_clock(listed.refresh(ends, **tags), 1e6)
    assert listed.tick() is None


@pytest.mark.parametrize("ends", [SUCCESS, FAILURE, CANCELED])
def test_a_list_made_meanwhile_to_find_new_accounts_is_none_for_all(listed: Records, ends):
    run_id = listed.refresh(FAILURE, analytics__then="sync all", analytics__retry="1")
    listed.refresh(ends)
    listed.set_clock(run_id, 600)
    assert listed.asked() == [f"2 refresh_accounts (run {run_id} failed)"]
    listed.refresh(SUCCESS, analytics__then="sync all")
    assert listed.asked()[0].startswith("- sync (all accounts, after run ")


def test_while_a_failed_list_waits_the_rest_goes_on(recorded: Records):
    recorded.refresh(FAILURE, analytics__then="sync all")
    assert recorded.asked() == ["- sync (new accounts) acme globex initech"]


def test_all_accounts_are_read_once_after_each_list_for_it(listed: Records):
    assert listed.tick() is None  # that list was not made for it
    first = listed.refresh(SUCCESS, analytics__then="sync all")
    newest = listed.refresh(SUCCESS, analytics__then="sync all")
    assert first != newest
    request = listed.tick()
    assert request is not None
    assert request.job_name == "sync"
    assert accounts_of(request) == LISTED
    assert request.tags["analytics/refresh"] == newest
    reason = f"all accounts, after run {newest} has listed them"
    assert request.tags["analytics/reason"] == reason
    assert {key.to_user_string() for key in request.asset_selection or ()} == set(LISTS)

    job_def = compose(platform_settings(), Progress()).resolve_job_def("sync")
    listed.instance.create_run_for_job(job_def, status=FAILURE, tags=request.tags)
    assert listed.tick() is None  # it was asked for, whatever came of it


def test_all_accounts_are_read_by_runs_of_the_size_that_is_set(listed: Records, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "2")
    run_id = listed.refresh(SUCCESS, analytics__then="sync all")
    found = listed.asked()
    assert len(found) == 2
    assert all(f"- sync (all accounts, after run {run_id} has listed them)" in x for x in found)


def test_accounts_that_no_run_was_over_are_new(recorded: Records, monkeypatch):
    recorded.refresh(SUCCESS)
    attempt(recorded.instance, "globex", "audiences")
    assert recorded.asked() == ["- sync (new accounts) acme initech"]
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "1")
    assert recorded.asked() == ["- sync (new accounts) acme", "- sync (new accounts) initech"]
    # of a key that was there before, Dagster would start no run
    assert {request.run_key for request in recorded.tick_for_shards()} == {None}


def test_new_accounts_of_reports_follow_those_of_lists(recorded: Records, monkeypatch):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance,site_performance")
    recorded.refresh(SUCCESS)
    attempt(recorded.instance, "acme", "campaign_performance")
    new_lists = "- sync (new accounts) acme globex initech"
    new_reports = "- performance (new accounts) globex initech"
    assert recorded.asked() == [new_lists]
    for account in LISTED:
        attempt(recorded.instance, account, "campaigns")
    assert recorded.asked() == [new_reports]


@pytest.mark.parametrize(
    ("under_way", "asks_for"),
    [
        ("sync", ["- performance (new accounts) acme globex initech"]),
        ("performance", ["- sync (new accounts) acme globex initech"]),
    ],
)
def test_lists_and_reports_wait_for_their_own_runs_alone(
    recorded: Records, monkeypatch, under_way: str, asks_for: list[str]
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    recorded.refresh(SUCCESS)
    recorded.begin(under_way)
    assert recorded.asked() == asks_for
    both = {"sync", "performance"}
    [other] = both - {under_way}
    newest = recorded.begin(other)
    assert recorded.tick() is None
    assert recorded.skipped == f"run {newest.run_id} over accounts has not ended"


def test_while_a_run_is_over_accounts_no_list_is_made(recorded: Records):
    run = recorded.begin("sync")
    assert recorded.tick() is None
    assert recorded.skipped == f"run {run.run_id} over accounts has not ended"


def fail(recorded: Records, account: str, *names: str, retry: int = 0, permanent: bool = False):
    error = "RefusedError" if permanent else "ReadError"
    told = failure(account, "it broke off", error)
    run_id = attempt(recorded.instance, account, *names, failure=told, tags=retried(retry))
    recorded.set_clock(run_id)


def test_what_failed_is_tried_again_after_its_wait(listed: Records):
    fail(listed, "globex", "campaigns", "audiences")
    listed.now += 299
    assert listed.tick() is None
    assert listed.skipped == "no account is new, and none that failed is due again"
    listed.now += 1
    request = listed.tick()
    assert request is not None
    assert request.job_name == "sync"
    assert accounts_of(request) == ["globex"]
    assert request.tags["analytics/retry"] == "1"
    assert request.tags["analytics/reason"] == "accounts that failed"
    found = [key.to_user_string() for key in request.asset_selection or ()]
    assert found == ["campaigns", "audiences"]


def test_accounts_of_which_the_same_failed_as_often_share_a_run(listed: Records, monkeypatch):
    fail(listed, "acme", "campaigns")
    fail(listed, "globex", "campaigns", retry=1)
    fail(listed, "initech", "campaigns")
    listed.now += 1000
    reason = "(accounts that failed)"
    assert listed.asked() == [f"1 sync {reason} acme initech"]
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "1")
    assert listed.asked() == [f"1 sync {reason} acme", f"1 sync {reason} initech"]
    fail(listed, "acme", "campaigns", retry=2)  # as often as the setting says
    fail(listed, "initech", "campaigns", permanent=True)
    listed.now += 1000
    assert listed.asked() == [f"2 sync {reason} globex"]


def test_another_resource_that_failed_is_another_run(listed: Records):
    fail(listed, "acme", "campaigns")
    fail(listed, "globex", "audiences")
    fail(listed, "initech", "campaigns", "audiences")
    listed.now += 1000
    asked_for = listed.tick()
    assert asked_for is not None
    assert accounts_of(asked_for) == ["globex"]
    attempt(listed.instance, "globex", "audiences")
    asked_for = listed.tick()
    assert asked_for is not None
    assert accounts_of(asked_for) == ["acme"]


def test_a_report_that_failed_is_tried_again_by_its_own_job(listed: Records, monkeypatch):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    for account in LISTED:
        attempt(listed.instance, account, "campaign_performance")
    told = failure("acme", "it broke off", "ReadError")
    run_id = attempt(listed.instance, "acme", "campaign_performance", failure=told, tags={})
    listed.set_clock(run_id, 300)
    assert listed.asked() == ["1 performance (accounts that failed) acme"]
    listed.begin("performance")
    assert listed.tick() is None


def test_a_backfill_that_failed_is_tried_again_with_its_days(
    listed: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    for account in LISTED:
        attempt(listed.instance, account, "campaign_performance")
    days = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
    attempt_report(listed.instance, "acme", "campaign_performance", **days)
    attempt_report(listed.instance, "globex", "campaign_performance", **days)
    run_id = attempt_report(listed.instance, "initech", "campaign_performance")
    listed.set_clock(run_id, 300)
    request = listed.tick()
    assert request is not None
    assert accounts_of(request) == ["initech"]
    assert request.run_config == {"ops": {"account_reports": {"config": {}}}}
    attempt(listed.instance, "initech", "campaign_performance")
    request = listed.tick()
    assert request is not None
    assert accounts_of(request) == ["acme", "globex"]
    assert request.run_config == {"ops": {"account_reports": {"config": days}}}
