"""What the sensor asks for where the warehouse lacks what is on record, and when it looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from analytics_assets.orchestration import recorded_loads
from analytics_assets.orchestration.lost_loads import LOST
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets_tests.testing.recorded_automation import (
    FAILURE,
    LISTED,
    Records,
    accounts_of,
    own_tags,
)
from analytics_assets_tests.testing.records import attempt, failure, load

Change = Callable[..., None]
FOR_THE_LOST = {"analytics/reason": LOST}


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Changes the tables of the warehouse."""

    def run(*statements: str) -> None:
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            connection.execute("SET schema = 'analytics'")
            for statement in statements:
                connection.execute(statement)

    return run


@pytest.fixture(autouse=True)
def _held(listed: Records, tmp_path: Path, change: Change) -> None:
    """The warehouse knows of load 1, which is on record of campaigns and audiences of each."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA analytics")
    change(
        *(f"CREATE TABLE {name} (id INT)" for name in ("accounts", "campaigns", "audiences")),
        "CREATE TABLE _dlt_loads (load_id VARCHAR, status BIGINT)",
        "INSERT INTO _dlt_loads VALUES ('1', 0)",
    )
    load(listed.instance, "accounts", None, dlt_load_id="1")
    for account in LISTED:
        load(listed.instance, "campaigns", account, dlt_load_id="1")
        load(listed.instance, "audiences", account, dlt_load_id="1")


def test_what_the_warehouse_holds_is_not_asked_for(listed: Records):
    assert listed.tick() is None
    assert listed.skipped == "no account is new, and none that failed is due again"


def test_a_lost_list_of_accounts_comes_before_their_rows(listed: Records, change: Change):
    change("DROP TABLE accounts", "DROP TABLE audiences")
    request = listed.tick()
    assert request is not None
    assert (request.job_name, own_tags(request)) == (
        "refresh_accounts",
        {**FOR_THE_LOST, "analytics/retry": "0"},
    )
    change("CREATE TABLE accounts (id INT)")
    request = listed.tick()
    assert request is not None
    assert (request.job_name, own_tags(request)) == (
        "sync",
        {**FOR_THE_LOST, "analytics/retry": "0"},
    )
    assert accounts_of(request) == LISTED
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["audiences"]


def list_again(records: Records, retry: int, load_id: str, failed: bool = False) -> str:
    """A list of the accounts that was made because the last one was lost."""

    @dg.asset(name="accounts")
    def accounts() -> dg.MaterializeResult:
        if failed:
            raise dg.Failure("the API is down")
        return dg.MaterializeResult(metadata={"dlt_load_id": load_id})

    defs = dg.Definitions([accounts], jobs=[dg.define_asset_job("refresh_accounts", "accounts")])
    tags = {**FOR_THE_LOST, "analytics/retry": str(retry)}
    run = defs.resolve_job_def("refresh_accounts").execute_in_process(
        instance=records.instance, tags=tags, raise_on_error=False
    )
    records.set_clock(run.run_id)
    return run.run_id


@pytest.mark.parametrize("failed", [False, True], ids=["lost again", "failed"])
def test_a_list_that_stays_lost_is_made_again_after_waits(
    listed: Records, change: Change, failed: bool
):
    change("DROP TABLE accounts")
    for retry, wait in ((0, 300), (1, 600)):
        run_id = list_again(listed, retry, "1", failed)
        listed.set_clock(run_id, wait - 1)
        assert listed.tick() is None
        listed.set_clock(run_id, wait)
        assert listed.asked() == [f"{retry + 1} refresh_accounts ({LOST})"]
    listed.set_clock(list_again(listed, 2, "1", failed), 1e6)
    assert listed.tick() is None


def test_a_list_that_was_held_and_is_lost_now_is_made_at_once(listed: Records, change: Change):
    list_again(listed, 1, "1")
    load(listed.instance, "accounts", None, dlt_load_id="1")  # by another run since
    change("DROP TABLE accounts")
    assert listed.asked() == [f"0 refresh_accounts ({LOST})"]


def test_only_listed_accounts_are_read_again(listed: Records, change: Change):
    keep_partitions(listed.instance, ["acme", "globex"])
    change("DROP TABLE campaigns")
    assert listed.asked() == [f"0 sync ({LOST}) acme globex"]


def test_what_an_attempt_has_failed_since_waits_as_what_failed(listed: Records, change: Change):
    change("DROP TABLE campaigns")
    told = failure("globex", "it broke off", "ReadError")
    attempt(listed.instance, "globex", "campaigns", failure=told, tags={})
    assert listed.asked() == [f"0 sync ({LOST}) acme initech"]


def test_rows_that_stay_lost_are_read_again_after_waits(
    listed: Records, change: Change, monkeypatch: pytest.MonkeyPatch
):
    change("DROP TABLE campaigns")
    for account, retry in (("acme", 0), ("globex", 1), ("initech", 2)):
        tags = {**FOR_THE_LOST, "analytics/retry": str(retry)}
        run_id = attempt(listed.instance, account, "campaigns", tags=tags, dlt_load_id="1")
        if account == "acme":
            listed.set_clock(run_id, 299)
    assert listed.tick() is None
    listed.now += 1
    assert listed.asked() == [f"1 sync ({LOST}) acme"]
    listed.now += 1e6
    assert listed.asked() == [f"1 sync ({LOST}) acme"]
    attempt(listed.instance, "acme", "campaigns", tags=tags, dlt_load_id="1")
    assert listed.asked() == [f"2 sync ({LOST}) globex"]
    attempt(listed.instance, "globex", "campaigns", tags=tags, dlt_load_id="1")
    assert listed.tick() is None


def test_accounts_of_which_the_same_is_lost_share_runs(
    listed: Records, change: Change, monkeypatch: pytest.MonkeyPatch
):
    attempt(listed.instance, "globex", "audiences", dlt_load_id="2")
    change("DELETE FROM _dlt_loads", "INSERT INTO _dlt_loads VALUES ('2', 0)")
    load(listed.instance, "accounts", None, dlt_load_id="2")
    request = listed.tick()
    assert request is not None
    assert accounts_of(request) == ["globex"]
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["campaigns"]
    load(listed.instance, "campaigns", "globex", dlt_load_id="2")
    request = listed.tick()
    assert request is not None
    assert accounts_of(request) == ["acme", "initech"]
    found = [key.to_user_string() for key in request.asset_selection or ()]
    assert found == ["campaigns", "audiences"]
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "1")
    assert sorted(listed.asked()) == [f"0 sync ({LOST}) acme", f"0 sync ({LOST}) initech"]


def test_lost_reports_come_after_lost_lists(
    listed: Records, change: Change, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    for account in LISTED:
        attempt(listed.instance, account, "campaign_performance", dlt_load_id="1")
    change("DROP TABLE campaigns")
    assert listed.asked() == [f"0 sync ({LOST}) acme globex initech"]
    change("CREATE TABLE campaigns (id INT)")
    assert listed.asked() == [f"0 performance ({LOST}) acme globex initech"]


def test_what_is_lost_waits_for_a_run_over_accounts(listed: Records, change: Change):
    change("DROP TABLE campaigns")
    run = listed.begin("sync")
    assert listed.tick() is None
    assert listed.skipped == f"run {run.run_id} over accounts has not ended"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each time that the sensor has compared the records with the warehouse."""
    found: list[str] = []
    latest_loads = recorded_loads.latest_loads

    def look(instance: dg.DagsterInstance, names: AssetNames) -> object:
        found.append("looked")
        return latest_loads(instance, names)

    monkeypatch.setattr("analytics_assets.orchestration.lost_loads.latest_loads", look)
    return found


def test_it_looks_again_once_something_has_changed(
    listed: Records, change: Change, looked: list[str]
):
    for _ in range(2):
        assert listed.tick() is None
        listed.now += 1e6
    assert len(looked) == 1
    load(listed.instance, "campaigns", "acme", dlt_load_id="1")
    for _ in range(2):
        assert listed.tick() is None
    assert len(looked) == 2
    change("CREATE TABLE mine (id INT)")
    for _ in range(2):
        assert listed.tick() is None
    assert len(looked) == 3


def test_what_was_lost_and_has_to_wait_is_looked_for_after_each_wait(
    listed: Records, change: Change, looked: list[str]
):
    change("DROP TABLE accounts")
    list_again(listed, 2, "1")
    listed.now = 3000
    for seconds in (0, 299, 1, 299, 1):
        listed.now += seconds
        assert listed.tick() is None
    assert len(looked) == 3


def test_a_warehouse_that_cannot_be_asked_stops_nothing_else(
    listed: Records, change: Change, monkeypatch: pytest.MonkeyPatch
):
    change("DROP TABLE accounts")
    told = failure("acme", "it broke off", "ReadError")
    run_id = attempt(listed.instance, "acme", "campaigns", failure=told, tags={})
    listed.set_clock(run_id, 300)
    monkeypatch.setenv("ANALYTICS__DESTINATION", "nowhere")
    assert listed.asked() == ["1 sync (accounts that failed) acme"]


def test_a_list_that_failed_for_another_reason_is_none_for_the_lost(
    listed: Records, change: Change
):
    change("DROP TABLE accounts")
    listed.refresh(FAILURE, analytics__reason="somebody")
    assert listed.asked() == [f"0 refresh_accounts ({LOST})"]
