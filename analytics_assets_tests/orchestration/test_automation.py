"""What the schedules and the sensor ask for, from what Dagster's records hold."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.definitions import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_records import latest_loads
from analytics_assets.orchestration.sensors import LOST
from analytics_assets.orchestration.sharding import balanced
from analytics_assets.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    change_warehouse,
    on_postgres,
    query,
    taken,
    warehouse_table,
)

SENSOR = "sync_accounts_that_are_due"


class Automation:
    """The automation, one tick at a time; what a tick asks for runs in this process."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> dg.RunRequest | None:
        """What the sensor asks for; None with the reason in `skipped`."""
        defs = compose(Progress())
        sensor = defs.resolve_sensor_def(SENSOR)
        context = dg.build_sensor_context(
            instance=self.instance, definitions=defs, cursor=self.cursor
        )
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        self.skipped = data.skip_message or ""
        requests = data.run_requests or []
        assert len(requests) <= 1
        return requests[0] if requests else None

    def tick_for_shards(self) -> list[dg.RunRequest]:
        defs = compose(Progress())
        context = dg.build_sensor_context(instance=self.instance, definitions=defs)
        return list(defs.resolve_sensor_def(SENSOR).evaluate_tick(context).run_requests or [])

    def schedule(self, name: str) -> dg.RunRequest | None:
        defs = compose(Progress())
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=datetime.now(timezone.utc)
        )
        data = defs.resolve_schedule_def(name).evaluate_tick(context)
        self.skipped = data.skip_message or ""
        return data.run_requests[0] if data.run_requests else None

    def run(self, request: dg.RunRequest | None, job: str = "refresh_accounts") -> bool:
        assert request is not None, self.skipped
        job_def = compose(Progress()).resolve_job_def(request.job_name or job)
        result = job_def.execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            tags=request.tags,
            asset_selection=request.asset_selection,
            raise_on_error=False,
        )
        return result.success


@pytest.fixture
def automation(instance: DagsterInstance) -> Automation:
    return Automation(instance)


def accounts_read(api: SampleApi) -> set[str]:
    return {
        entry.path.split("/")[2] for entry in api.log.entries if entry.path.startswith("/v1/")
    } - {"users"}


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
        name: ({first, second, third, fourth}, set()) for name in ACCOUNT_RESOURCES
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
        assert {key.to_user_string() for key in request.asset_selection or ()} == {
            "campaigns",
            "audiences",
        }
        assert not automation.run(request)
        assert accounts_read(api) == {broken}
    assert automation.tick() is None  # as often as the setting says

    api.behaviour.faults.clear()
    assert sync("--account", sound).exit_code == 0
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRIES", "3")
    assert automation.run(automation.tick())  # healed
    assert {row["account_id"] for row in warehouse_table(home, "campaigns")} == {broken, sound}
    assert automation.tick() is None  # the refusal waits for the next run over all


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
    job_def = compose(Progress()).resolve_job_def(job)
    run = instance.create_run_for_job(job_def, status=DagsterRunStatus.STARTED)
    asked = automation.tick() if name == SENSOR else automation.schedule(name)
    assert asked is None
    assert run.run_id in automation.skipped
    assert reason in automation.skipped


def test_a_run_whose_process_was_killed_does_not_block(automation: Automation, instance, sync):
    assert sync().exit_code == 0
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    job_def = compose(Progress()).resolve_job_def("sync")
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


@pytest.mark.parametrize("switched_on", [False, True])
def test_automation_is_off_until_it_is_switched_on(home, monkeypatch, switched_on: bool):
    if switched_on:
        monkeypatch.setenv("ANALYTICS__AUTOMATION", "true")
        monkeypatch.setenv("ANALYTICS__SYNC_CRON", "15 4 * * 1")
        monkeypatch.setenv("ANALYTICS__REFRESH_CRON", "*/10 * * * *")
        monkeypatch.setenv("ANALYTICS__TIME_ZONE", "Europe/Berlin")
        monkeypatch.setenv("ANALYTICS__ALERT_WEBHOOK_URL", "https://hooks.example.com/secret")
    defs = compose(Progress())
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


def test_more_accounts_than_a_run_may_read_are_spread_over_several(
    home, automation: Automation, sync, api: SampleApi, instance, monkeypatch
):
    api.data.add_account()
    api.data.add_account()
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "2")
    assert automation.run(automation.tick())
    requests = automation.tick_for_shards()
    assert len(requests) == 3
    read = []
    for request in requests:
        api.log.clear()
        assert automation.run(request)
        read.append(accounts_read(api))
    assert sorted(map(len, read)) == [1, 2, 2]
    assert set.union(*read) == set(api.data.account_ids)
    assert_warehouse_equals_api(home, api.data)
    everything: tuple[set[str], set[str]] = (set(api.data.account_ids), set())
    assert states(instance) == dict.fromkeys(ACCOUNT_RESOURCES, everything)
    assert automation.tick() is None

    # the command does the same, run by run
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/*", value="403"))
    result = sync()
    assert result.exit_code == 1
    assert len([run for run in instance.get_runs() if run.job_name == "sync"]) == 6
    assert f"{account}: " in result.output
    assert_warehouse_equals_api(home, api.data)


@given(
    rows=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10_000), max_size=40),
    bound=st.integers(1, 12),
)
def test_shards_hold_each_account_once_within_the_bound(rows: dict[str, int], bound: int):
    found = balanced(list(rows), rows, bound)
    assert sorted(account for shard in found for account in shard) == sorted(rows)
    assert all(0 < len(shard) <= bound for shard in found)
    assert len(found) == -(-len(rows) // bound)


def test_shards_have_about_as_many_rows():
    rows = {str(number): size for number, size in enumerate([1000, 900, 500, 400, 10, 10, 5, 5])}
    sums = [sum(rows[account] for account in shard) for shard in balanced(list(rows), rows, 4)]
    assert sorted(sums) == [1415, 1415]


def heal(automation: Automation) -> list[tuple[str, set[str]]]:
    """Ticks and runs what is asked for until nothing is; the jobs with their resources."""
    asked = []
    while (request := automation.tick()) is not None:
        assert request.tags["analytics/reason"] == LOST
        resources = {key.to_user_string() for key in request.asset_selection or ()}
        asked.append((str(request.job_name), resources))
        assert automation.run(request)
        assert len(asked) < 5
    return asked


EVERYTHING = [("refresh_accounts", set()), ("sync", set(ACCOUNT_RESOURCES))]


def move_away(home: Path) -> None:
    if on_postgres():
        query(home, "DROP SCHEMA analytics CASCADE")
    else:
        (home / "warehouse.duckdb").rename(home / "elsewhere.duckdb")


@both_warehouses
def test_a_warehouse_that_is_gone_is_filled_again(home, automation: Automation, sync, api):
    assert sync().exit_code == 0
    assert automation.tick() is None
    move_away(home)
    assert heal(automation) == EVERYTHING
    assert_warehouse_equals_api(home, api.data)


def test_accounts_that_only_the_former_warehouse_holds(home, automation, sync, api):
    assert sync().exit_code == 0
    move_away(home)
    first, second, third = api.data.account_ids
    assert sync("--account", second).exit_code == 0
    api.log.clear()
    assert heal(automation) == EVERYTHING[1:]
    assert accounts_read(api) == {first, third}
    assert_warehouse_equals_api(home, api.data)


@both_warehouses
def test_a_dropped_table_and_another_dataset(home, automation: Automation, sync, api, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    assert sync().exit_code == 0
    monkeypatch.setenv("ANALYTICS__DATASET_NAME", "other")
    assert heal(automation) == EVERYTHING
    monkeypatch.delenv("ANALYTICS__DATASET_NAME")
    assert heal(automation) == EVERYTHING  # the newest loads are in the other dataset
    change_warehouse(home, "DROP TABLE analytics.audiences")
    request = automation.tick()
    assert request is not None
    assert {key.to_user_string() for key in request.asset_selection or ()} == {"audiences"}


def test_an_older_backup(home, automation: Automation, sync, api):
    account, *_ = api.data.account_ids
    assert sync().exit_code == 0
    shutil.copy(home / "warehouse.duckdb", home / "backup")
    row = api.data.rows("audiences", account)[0]
    api.data.delete_row("audiences", row["id"], account_id=account)
    assert sync("--account", account).exit_code == 0
    shutil.copy(home / "backup", home / "warehouse.duckdb")
    api.log.clear()
    assert heal(automation) == EVERYTHING
    assert accounts_read(api) == {account}
    assert_warehouse_equals_api(home, api.data)


def test_what_does_not_help_is_not_done_for_ever(home, automation: Automation, sync, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRIES", "2")
    assert sync().exit_code == 0
    now = [time.time()]
    monkeypatch.setattr(
        "analytics_assets.orchestration.sensors.time", SimpleNamespace(time=lambda: now[0])
    )
    asked = []
    for _ in range(12):
        (home / "warehouse.duckdb").unlink(missing_ok=True)  # as if runs wrote elsewhere
        if (request := automation.tick()) is not None:
            asked.append((request.job_name, request.tags["analytics/retry"]))
            assert automation.run(request)
        else:
            now[0] += 3600
    assert sorted(asked) == [
        (job, retry) for job in ("refresh_accounts", "sync") for retry in ("0", "1", "2")
    ]


def test_lost_rows_of_an_account_that_fails_wait_as_it_does(
    home, automation, sync, api, monkeypatch
):
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    assert sync().exit_code == 0
    move_away(home)
    refused = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{refused}/*", value="403"))
    assert automation.run(automation.tick())
    assert not automation.run(automation.tick())
    assert automation.tick() is None


def test_a_warehouse_that_cannot_be_asked(home, automation: Automation, sync, monkeypatch):
    assert sync().exit_code == 0
    with taken(home / "warehouse.duckdb"):
        assert automation.tick() is None
    monkeypatch.setenv("ANALYTICS__DESTINATION", "nowhere")
    assert automation.tick() is None


@both_warehouses
def test_it_does_not_look_again_if_nothing_has_changed(home, automation, sync, monkeypatch):
    looked = []

    def look(instance: DagsterInstance) -> object:
        looked.append(instance)
        return latest_loads(instance)

    monkeypatch.setattr("analytics_assets.orchestration.sensors.latest_loads", look)
    assert automation.run(automation.tick())
    assert automation.run(automation.tick())
    assert looked == []
    for _ in range(3):
        assert automation.tick() is None
    assert len(looked) == 1
    if not on_postgres():
        with taken(home / "warehouse.duckdb"):
            assert automation.tick() is None  # the file is not even opened
    assert sync().exit_code == 0
    for _ in range(2):
        assert automation.tick() is None
    assert len(looked) == 2


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
