"""What records say of accounts, on records in memory: loads, attempts and runs without a sync."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from analytics_assets.factory import compose
from analytics_assets.orchestration import recorded_attempts, recorded_loads
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.recorded_attempts import (
    attempted_accounts,
    attempts_without_loads,
    failed_attempts,
    failed_partitions,
)
from analytics_assets.orchestration.recorded_loads import (
    latest_loads,
    listed_accounts,
    loaded_by,
    record_forgotten,
    recorded_as_skipped,
    requests_taken,
)
from analytics_assets.orchestration.recorded_runs import materializes, unfinished_runs
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.records import (
    attempt,
    attempt_report,
    failure,
    load,
    not_begun,
)

NAMES = AssetNames()


LISTED = ["acme", "globex", "initech"]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Records of three accounts, of which a query gives two."""
    for module in (recorded_loads, recorded_attempts):
        monkeypatch.setattr(module, "RECORDS_PER_QUERY", 2)
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, LISTED)
        yield instance


def observe(records: dg.DagsterInstance, name: str, account: str) -> None:
    records.report_runless_asset_event(dg.AssetObservation(name, partition=account))


def test_the_latest_load_of_each_resource_and_account(records: dg.DagsterInstance) -> None:
    assert latest_loads(records, NAMES) == {}
    load(records, "accounts", None, dagster__row_count=9, dlt_load_id="0.5")
    load(records, "accounts", None, dagster__row_count=3, dlt_load_id="1.5")
    for account in LISTED:
        load(records, "campaigns", account, dagster__partition_row_count=7, dlt_load_id="1.5")
    load(
        records,
        "campaigns",
        "acme",
        dagster__partition_row_count=9,
        dagster__row_count=99,
        dlt_load_id="2.5",
    )
    load(records, "audiences", "gone")
    found = latest_loads(records, NAMES)
    assert {key: (load.rows, load.load_id) for key, load in found.items()} == {
        ("accounts", None): (3, "1.5"),
        ("campaigns", "acme"): (9, "2.5"),
        ("campaigns", "globex"): (7, "1.5"),
        ("campaigns", "initech"): (7, "1.5"),
        ("audiences", "gone"): (None, None),
    }
    for (name, of_account), latest in found.items():
        assert (latest.resource, latest.account_id) == (name, of_account)
    assert found["campaigns", "acme"].at >= found["campaigns", "globex"].at > 0


def test_the_requests_that_it_took(records: dg.DagsterInstance) -> None:
    load(records, "accounts", None, requests=1)
    load(records, "campaigns", "acme", requests=9)
    load(records, "campaigns", "acme", requests=3)
    load(records, "campaigns", "globex")
    assert requests_taken(records, NAMES) == {("campaigns", "acme"): 3}


def test_a_load_tells_its_run(records: dg.DagsterInstance) -> None:
    run_id = attempt(records, "acme", "campaigns")
    assert latest_loads(records, NAMES)["campaigns", "acme"].run_id == run_id
    assert failed_attempts(records, NAMES) == {}
    assert attempted_accounts(records, NAMES, NAMES.account_resources) == {"acme"}


def test_what_some_runs_have_loaded(records: dg.DagsterInstance) -> None:
    first, other, second, third = (
        attempt(records, account, "campaigns", of_run=run)
        for run, account in enumerate(["acme", "acme", "globex", "initech"])
    )
    load(records, "campaigns", "globex", of_run=4)
    failed = attempt(records, "globex", "campaigns", failure=dg.Failure("it broke off"))

    def loaded(*run_ids: str) -> dict[str, Any]:
        runs = [record for run_id in run_ids if (record := records.get_run_record_by_id(run_id))]
        assert len(runs) == len(run_ids)
        events = loaded_by(records, dg.AssetKey("campaigns"), runs)
        return {account: event.metadata["of_run"].value for account, event in events.items()}

    assert loaded(first) == {"acme": 0}
    assert loaded(first, other) == {"acme": 1}  # the latest
    assert loaded(third, first, second) == {"acme": 0, "globex": 2, "initech": 3}
    assert loaded(failed) == loaded() == {}
    record_forgotten(records, NAMES, "acme")
    assert loaded(other, third) == {"initech": 3}


def test_what_was_before_an_account_was_forgotten_does_not_count(
    records: dg.DagsterInstance,
) -> None:
    for account in LISTED:
        load(records, "campaigns", account)
    attempt(records, "acme", "audiences", failure=failure("acme", "it broke off", "ReadError"))
    attempt(records, "globex", "audiences", failure=failure("globex", "it broke off", "ReadError"))
    record_forgotten(records, NAMES, "acme")
    observe(records, "campaigns", "globex")  # what people observe is none of this
    observe(records, "audiences", "globex")
    assert set(latest_loads(records, NAMES)) == {("campaigns", "globex"), ("campaigns", "initech")}
    assert attempted_accounts(records, NAMES, NAMES.account_resources) == {"globex"}
    assert attempts_without_loads(records, NAMES)["acme"] == {}
    assert set(failed_attempts(records, NAMES)) == {"globex"}
    load(records, "campaigns", "acme")
    assert ("campaigns", "acme") in latest_loads(records, NAMES)


def test_an_attempt_that_failed(records: dg.DagsterInstance) -> None:
    refused = failure("acme", "GET /v1/acme answers 403", "RefusedError")
    run_id = attempt(records, "acme", "campaigns", "audiences", failure=refused)
    [(account, found)] = failed_attempts(records, NAMES).items()
    assert account == "acme"
    assert (found.resources, found.run_id) == (("campaigns", "audiences"), run_id)
    assert (found.cause, found.permanent) == ("campaigns: GET /v1/acme answers 403", True)
    assert [each.tags["analytics/retry"] for each in failed_partitions(records, NAMES)] == [
        "1",
        "1",
    ]
    record = records.get_run_record_by_id(run_id)
    assert record is not None
    assert found.at == record.end_time


def test_the_newest_run_tells_the_cause_and_a_load_ends_it(records: dg.DagsterInstance) -> None:
    attempt(
        records, "acme", "campaigns", "audiences", failure=failure("acme", "first", "RefusedError")
    )
    newest = attempt(records, "acme", "audiences", failure=failure("acme", "second", "ReadError"))
    found = failed_attempts(records, NAMES)["acme"]
    assert (found.run_id, found.permanent) == (newest, False)
    assert found.cause == "campaigns: first; campaigns: second"
    assert found.resources == ("campaigns", "audiences")
    attempt(records, "acme", "audiences")
    found = failed_attempts(records, NAMES)["acme"]
    assert (found.resources, found.cause) == (("campaigns",), "campaigns: first")
    attempt(records, "acme", "campaigns")
    assert failed_attempts(records, NAMES) == {}


def test_a_run_that_never_began_failed_for_all_accounts_that_it_names(
    records: dg.DagsterInstance,
) -> None:
    attempt(records, "acme", "campaigns", "audiences")
    broke_off = failure("initech", "it broke off", "ReadError")
    attempt(records, "initech", "campaigns", failure=broke_off)
    run = not_begun(records, ["acme", "initech", "gone"], "campaigns")
    found = failed_attempts(records, NAMES)
    assert {
        account: (each.resources, each.run_id) for account, each in found.items()
    } == dict.fromkeys(("acme", "initech"), (("campaigns",), run.run_id))
    assert attempts_without_loads(records, NAMES)["acme"] == {"campaigns": run.run_id}
    assert found["initech"].cause == "the run ended without a cause: no such image"
    assert attempted_accounts(records, NAMES, ["campaigns"]) == {"acme", "initech"}
    # a later one that never began, a load and a forgotten account end it, each for its account
    later = not_begun(records, ["globex", "initech"], "campaigns")
    assert attempted_accounts(records, NAMES, ["campaigns"]) == set(LISTED)
    assert attempted_accounts(records, NAMES, ["audiences"]) == {"acme"}
    found = failed_attempts(records, NAMES)
    assert {account: each.run_id for account, each in found.items()} == {
        "acme": run.run_id,
        "globex": later.run_id,
        "initech": later.run_id,
    }
    attempt(records, "initech", "campaigns")
    assert set(failed_attempts(records, NAMES)) == {"acme", "globex"}
    record_forgotten(records, NAMES, "initech")
    not_begun(records, ["globex", "initech"], "campaigns")
    record_forgotten(records, NAMES, "initech")
    assert set(failed_attempts(records, NAMES)) == {"acme", "globex"}


def test_an_account_that_is_not_listed_is_left_out(records: dg.DagsterInstance) -> None:
    for account in LISTED:
        attempt(records, account, "campaigns", failure=failure(account, "so", "ReadError"))
    keep_partitions(records, LISTED[:2])
    assert set(failed_attempts(records, NAMES)) == set(LISTED[:2])
    assert set(attempts_without_loads(records, NAMES)) == set(LISTED[:2])


def test_what_a_load_tells_of_itself(records: dg.DagsterInstance) -> None:
    load(
        records,
        "campaign_items",
        "acme",
        dagster__row_count=4,
        requests=3,
        lists_left_out=2,
        last_day="2026-01-31",
        data_updated=dg.MetadataValue.timestamp(1.7e9),
        dlt_load_id="1.5",
    )
    load(records, "campaign_items", "globex", requests="many", lists_left_out="?", last_day=7)
    found = latest_loads(records, NAMES)
    told, silent = (found["campaign_items", account] for account in ("acme", "globex"))
    assert (told.rows, told.requests, told.lists_left_out) == (4, 3, 2)
    assert (told.last_day, told.data_at, told.load_id) == ("2026-01-31", 1.7e9, "1.5")
    assert (silent.rows, silent.requests, silent.lists_left_out) == (None, None, 0)
    assert (silent.last_day, silent.data_at, silent.load_id) == (None, None, None)


def test_accounts_that_a_setting_leaves_out_are_listed_all_the_same(
    records: dg.DagsterInstance,
) -> None:
    assert recorded_as_skipped(records, NAMES) == {}
    assert listed_accounts(records, NAMES) == set(LISTED)
    load(records, "accounts", None, skipped_accounts={"hooli": "ANALYTICS__SKIP_ACCOUNTS"})
    assert recorded_as_skipped(records, NAMES) == {"hooli": "ANALYTICS__SKIP_ACCOUNTS"}
    assert listed_accounts(records, NAMES) == {*LISTED, "hooli"}
    load(records, "accounts", None)
    assert recorded_as_skipped(records, NAMES) == {}


REPORT = "campaign_performance"
WITH_REPORT = AssetNames(report_names=(REPORT,))


def test_a_failed_report_has_the_days_that_somebody_asked_for(records: dg.DagsterInstance) -> None:
    attempt_report(records, "acme", REPORT, start_date="2026-01-01", end_date="2026-01-31")
    attempt_report(records, "globex", REPORT, start_date="2026-01-01")
    attempt_report(records, "initech", REPORT)
    found = {each.account_id: each.days for each in failed_partitions(records, WITH_REPORT)}
    assert found == {
        "acme": ("2026-01-01", "2026-01-31"),
        "globex": ("2026-01-01", ""),
        "initech": ("", ""),
    }


def test_to_forget_an_account_forgets_its_reports_too(records: dg.DagsterInstance) -> None:
    load(records, REPORT, "acme")
    load(records, REPORT, "globex")
    load(records, "campaigns", "acme")
    record_forgotten(records, WITH_REPORT, "acme")
    assert set(latest_loads(records, WITH_REPORT)) == {(REPORT, "globex")}
    # nothing is said of reports that were never read
    known = {key.to_user_string() for key in records.get_asset_keys()}
    assert known == {REPORT, *WITH_REPORT.account_resources}


@dg.asset
def theirs() -> None:
    """An asset of somebody else, who has a job over it and our lists."""


def begun(
    records: dg.DagsterInstance,
    job: str,
    assets: list[str] | None = None,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
) -> dg.DagsterRun:
    """A run of one of our jobs, or of theirs, over all of its assets or some."""
    settings = PlatformSettings(extra_resources=(REPORT,))
    both = dg.AssetSelection.assets("theirs", *WITH_REPORT.account_resources)
    own = dg.Definitions(assets=[theirs], jobs=[dg.define_asset_job("nightly", both)])
    job_def = dg.Definitions.merge(compose(settings), own).resolve_job_def(job)
    selection = None if assets is None else frozenset(map(dg.AssetKey, assets))
    return records.create_run_for_job(job_def, status=status, asset_selection=selection)


@pytest.mark.parametrize(
    ("job", "assets", "of", "is_one"),
    [
        ("sync", None, ["campaigns"], True),
        ("sync", None, [REPORT], False),
        ("performance", None, [REPORT], True),
        ("performance", None, ["campaigns"], False),
        ("refresh_accounts", None, ["campaigns", REPORT], False),
        ("check", None, ["campaigns", REPORT], False),
        ("nightly", None, ["campaigns", REPORT], True),
        ("nightly", None, [REPORT], False),
        ("nightly", ["theirs"], ["campaigns"], False),
        ("nightly", ["campaigns", "theirs"], ["campaigns", "audiences"], True),
        ("sync", ["audiences"], ["campaigns"], False),
    ],
)
def test_which_resources_a_run_is_over(
    records: dg.DagsterInstance, job: str, assets: list[str] | None, of: list[str], is_one: bool
) -> None:
    assert materializes(records, begun(records, job, assets), WITH_REPORT, of) is is_one


def test_runs_over_accounts_that_have_not_ended(records: dg.DagsterInstance) -> None:
    under_way = [
        begun(records, job, status=status).run_id
        for job in ("sync", "performance", "nightly")
        for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    ]
    for status in (
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    ):
        begun(records, "sync", status=status)
    begun(records, "refresh_accounts")
    records.add_run(dg.DagsterRun(job_name="of ops", status=dg.DagsterRunStatus.STARTED))
    found = [run.run_id for run in unfinished_runs(records, WITH_REPORT)]
    assert found == list(reversed(under_way))
