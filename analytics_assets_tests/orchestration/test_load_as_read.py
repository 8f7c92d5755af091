"""What a run has read is loaded while it reads on: what is seen meanwhile, and what if it ends."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any

import pytest
from click.testing import Result
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.execution.plan.state import KnownExecutionState
from filelock import FileLock

from analytics_assets.cli.terminal import TerminalProgress
from analytics_assets.definitions import defs
from analytics_assets.orchestration import ingestion
from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import run_target
from analytics_assets.orchestration.recorded_attempts import failed_partitions
from analytics_assets.orchestration.run_failures import run_failure
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.warehouse import publishing
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.commands import invoke, start_sync
from analytics_assets_tests.testing.holding import hold
from analytics_assets_tests.testing.kills import kill_when
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import failed, materialized
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    served_tables,
    warehouse_tables,
)

FOUR = pytest.mark.parametrize("api", [SampleData.generate(accounts=4, campaigns=2)], indirect=True)
NAMES = AssetNames()
Partitions = set[tuple[str, str]]


@pytest.fixture(autouse=True)
def load_at_once(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Whatever has been read is loaded as soon as it can be."""
    monkeypatch.setenv("ANALYTICS__LOAD_INTERVAL", "0")


def all_partitions(account_ids: list[str]) -> Partitions:
    return {(name, account_id) for name in RESOURCES.account_lists for account_id in account_ids}


def green(instance: DagsterInstance) -> Partitions:
    return {(name, key) for name in RESOURCES.account_lists for key in materialized(instance, name)}


def red(instance: DagsterInstance) -> Partitions:
    return {(name, key) for name in RESOURCES.account_lists for key in failed(instance, name)}


def lists_of(data: SampleData, account_id: str) -> set[str]:
    """Each list of an account."""
    campaigns = data.rows("campaigns", account_id)
    return {
        resource.path_in("v1").format(account_id=account_id, parent_id=campaign["id"])
        for resource in RESOURCES.account_lists.values()
        for campaign in campaigns
    }


def asked(api: SampleApi) -> set[str]:
    """What the API was asked for, but for tokens and the list of accounts."""
    paths = set(api.log.count_by_path()) - {"/oauth/token"}
    return paths - {ACCOUNTS_PATH}


ACCOUNTS_PATH = ACCOUNTS.path_in("v1")


def when_the_rest_is_loaded(
    monkeypatch: pytest.MonkeyPatch, instance: DagsterInstance, rest: Partitions, act: Callable
) -> list[bool]:
    """Has `act` called once while a sync of this process reads on; whether it was."""
    called: list[bool] = []
    going_on = TerminalProgress.going_on

    def look(self: TerminalProgress, *args: Any) -> None:
        going_on(self, *args)
        if not called and green(instance) >= rest:
            called.append(True)
            act()

    monkeypatch.setattr(TerminalProgress, "going_on", look)
    return called


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another run has the warehouse."""
    held, let_go = Event(), Event()

    def keep() -> None:
        with FileLock(f"{file}.lock"):
            held.set()
            let_go.wait(120)

    thread = Thread(target=keep)
    thread.start()
    held.wait(120)
    try:
        yield
    finally:
        let_go.set()
        thread.join()


def of_sync(instance: DagsterInstance) -> DagsterRun:
    return next(run for run in instance.get_runs() if run.job_name == "sync")


@FOUR
@both_warehouses
def test_what_is_read_is_there_while_the_run_reads_on(
    home: Path, api: SampleApi, sync, instance, tmp_path: Path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    *others, last = api.data.account_ids
    fault = hold(api, last, monkeypatch)
    seen: dict[str, Any] = {}

    def look() -> None:
        seen["status"] = of_sync(instance).status
        seen["tables"] = warehouse_tables(home)
        seen["files"] = {file.parent for file in temporary.rglob("*.arrow")}
        seen["dlt"] = list(temporary.rglob("pipelines"))
        seen["checks"] = instance.all_logs(
            of_sync(instance).run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION
        )
        api.behaviour.faults.remove(fault)

    called = when_the_rest_is_loaded(monkeypatch, instance, all_partitions(others), look)
    result = sync()
    assert result.exit_code == 0, result.output
    assert called
    served = served_tables(api.data)
    for name in RESOURCES.account_lists:
        assert seen["tables"][name] == {key: served[name][key] for key in others}
    assert seen["status"] == DagsterRunStatus.STARTED
    assert len(seen["files"]) == 1  # of the account that is not read yet
    assert (seen["dlt"], seen["checks"]) == ([], [])
    assert_warehouse_equals_api(home, api.data)

    run_id = of_sync(instance).run_id
    logs = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    loads = [entry.asset_materialization for entry in logs]
    assert len({load.metadata["dlt_load_id"].value for load in loads}) > 1
    for name in RESOURCES.account_lists:
        of_name = [e for e in logs if e.asset_materialization.asset_key == NAMES.key(name)]
        at = [int(entry.timestamp * 1000) for entry in of_name]
        assert len(set(at)) == len(api.data.account_ids)
    checks = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.event_specific_data for entry in checks]
    assert len(found) == len(check_specs(NAMES, list(RESOURCES.account_lists)))  # once, at the end
    assert all(evaluation.passed for evaluation in found)
    for evaluation in found:
        name = NAMES.resource_name(evaluation.asset_key)
        assert evaluation.metadata["rows"].value == len(api.data.table(name))


def loads_of_sync(instance: DagsterInstance) -> set[Any]:
    """dlt's names for the loads of a sync."""
    logs = instance.all_logs(
        of_sync(instance).run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION
    )
    loads = [entry.asset_materialization for entry in logs]
    return {load.metadata["dlt_load_id"].value for load in loads if load}


def test_a_short_run_loads_once(home: Path, api: SampleApi, sync, instance, monkeypatch):
    monkeypatch.delenv("ANALYTICS__LOAD_INTERVAL")
    assert sync().exit_code == 0
    assert len(loads_of_sync(instance)) == 1


def test_what_is_much_is_loaded_before_it_is_time(
    home: Path, api: SampleApi, sync, instance, monkeypatch
):
    monkeypatch.delenv("ANALYTICS__LOAD_INTERVAL")
    monkeypatch.setattr(ingestion, "_MOST_LOADED", 1)
    assert sync().exit_code == 0
    assert len(loads_of_sync(instance)) == len(api.data.account_ids)
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize(
    "api", [SampleData.generate(accounts=20, campaigns=1, items=1)], indirect=True
)
def test_reading_goes_on_while_a_load_waits(home: Path, api: SampleApi, sync, monkeypatch):
    loading, waiting = TerminalProgress.loading, TerminalProgress.waiting
    holds: list[Any] = []
    read_meanwhile: list[set[str]] = []
    everything = {path for key in api.data.account_ids for path in lists_of(api.data, key)}

    def take(self: TerminalProgress, *args: Any) -> None:
        loading(self, *args)
        if not holds:
            holds.append(locked(home / "warehouse.duckdb"))
            holds[0].__enter__()

    def let_go(self: TerminalProgress, *args: Any) -> None:
        waiting(self, *args)
        wait_until(lambda: asked(api) == everything)
        read_meanwhile.append(asked(api))
        holds[0].__exit__(None, None, None)

    monkeypatch.setattr(TerminalProgress, "loading", take)
    monkeypatch.setattr(TerminalProgress, "waiting", let_go)
    result = sync()
    assert result.exit_code == 0, result.output
    assert read_meanwhile == [everything]
    assert_warehouse_equals_api(home, api.data)


def again_by_command(instance: DagsterInstance) -> None:
    result = invoke("sync", "--failed")
    assert result.exit_code == 0, result.output


def again_from_failure(instance: DagsterInstance) -> None:
    """As Dagster starts a run again whose process died, before its own log had its last events."""
    killed = of_sync(instance)
    log = Path(instance.root_directory, "history", "runs", f"{killed.run_id}.db")
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute(
            "DELETE FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
        )
    steps, _ = KnownExecutionState.build_resume_retry_reexecution(instance, killed)
    assert steps == [NAMES.accounts_op]
    assert go_on(instance, killed).status == DagsterRunStatus.SUCCESS


def go_on(instance: DagsterInstance, parent: DagsterRun) -> DagsterRun:
    """A run that goes on where another failed."""
    job = defs.resolve_job_def("sync")
    run = instance.create_run_for_job(
        job_def=job,
        run_config=parent.run_config,
        tags={**parent.tags, "dagster/is_resume_retry": "true"},
        parent_run_id=parent.run_id,
        root_run_id=parent.root_run_id or parent.run_id,
    )
    for _ in execute_run_iterator(InMemoryJob(job), run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


@FOUR
@pytest.mark.process
@pytest.mark.parametrize(
    ("warehouse", "again"),
    [
        ("duckdb", again_by_command),
        ("duckdb", again_from_failure),
        ("postgres", again_by_command),
    ],
    indirect=["warehouse"],
)
def test_after_a_kill_only_what_was_not_loaded_is_read(
    home: Path, api: SampleApi, instance, monkeypatch, again: Callable[[DagsterInstance], None]
):
    *others, last = api.data.account_ids
    fault = hold(api, last, monkeypatch)
    rest = all_partitions(others)
    assert kill_when(start_sync(), lambda: fault.hits > 1 and green(instance) >= rest)
    states = json.loads(invoke("status", "--json").stdout)["accounts"]
    assert {account["account_id"]: account["state"] for account in states} == {
        **dict.fromkeys(others, "ok"),
        last: "failed",
    }
    assert (green(instance), red(instance)) == (all_partitions(others), all_partitions([last]))
    served = served_tables(api.data)
    for name, accounts in warehouse_tables(home).items():
        assert accounts == {
            key: served[name][key]
            for key in (api.data.account_ids if name == "accounts" else others)
        }

    api.behaviour.faults.remove(fault)
    api.log.clear()
    again(instance)
    assert asked(api) == lists_of(api.data, last)
    assert sum(api.log.count_by_path()[path] for path in asked(api)) == len(asked(api))
    assert_warehouse_equals_api(home, api.data)
    assert green(instance) == all_partitions(api.data.account_ids)
    assert red(instance) == set()


@FOUR
def test_a_warehouse_that_fails_between_two_loads(
    home: Path, api: SampleApi, sync, instance, monkeypatch
):
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0")
    *others, held, last = api.data.account_ids
    for_good, fault = (hold(api, account_id, monkeypatch) for account_id in (held, last))
    lost = all_partitions([held, last])
    taken = locked(home / "warehouse.duckdb")

    def take() -> None:
        taken.__enter__()
        api.behaviour.faults.remove(fault)

    called = when_the_rest_is_loaded(monkeypatch, instance, all_partitions(others), take)
    result: Result = sync("--json")
    taken.__exit__(None, None, None)
    assert called
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert "still writes to" in document["error"]
    assert {account["account_id"]: account["state"] for account in document["accounts"]} == {
        **dict.fromkeys(others, "ok"),
        **dict.fromkeys([held, last], "failed"),
    }
    assert (green(instance), red(instance)) == (all_partitions(others), lost)
    # nothing is read for a run that has ended
    wait_until(lambda: not [t for t in enumerate_threads() if t.name.startswith("account_")])
    api.behaviour.faults.remove(for_good)

    # what was loaded is judged, and what was not is named
    run_id = of_sync(instance).run_id
    logs = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.event_specific_data for entry in logs]
    assert len(found) == len(check_specs(NAMES, list(RESOURCES.account_lists)))
    not_passed = {evaluation.check_name for evaluation in found if not evaluation.passed}
    assert not_passed == {"every_account_is_read"}
    for evaluation in found:
        if not evaluation.passed:
            findings = evaluation.metadata["findings"].value
            assert set(findings) == {held, last}
            assert all("still writes to" in cause for cause in findings.values())

    # a run that goes on and fails in the same way forgets nothing
    for _ in range(2):
        with locked(home / "warehouse.duckdb"):
            assert go_on(instance, of_sync(instance)).status == DagsterRunStatus.FAILURE
        assert (green(instance), red(instance)) == (all_partitions(others), lost)
    api.log.clear()
    assert go_on(instance, of_sync(instance)).status == DagsterRunStatus.SUCCESS
    assert asked(api) == lists_of(api.data, held) | lists_of(api.data, last)
    assert red(instance) == set()
    assert_warehouse_equals_api(home, api.data)


def test_a_warehouse_that_fails_after_an_account_did(
    home: Path, api: SampleApi, sync, instance, monkeypatch
):
    monkeypatch.setenv("ANALYTICS__LOAD_INTERVAL", "60")  # all is read by then
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0")
    assert sync("--resource", "accounts").exit_code == 0
    refused, other, *_ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{refused}/campaigns/", value="403"))
    target = run_target(instance, NAMES.accounts_op, api.data.account_ids)
    with locked(home / "warehouse.duckdb"):
        run = defs.resolve_job_def("sync").execute_in_process(
            instance=instance, tags=target.tags, raise_on_error=False
        )
    ended = run_failure(instance, run.run_id).cause
    assert "still writes to" in ended
    assert f"Before that could not be read: {refused}: campaigns: " in ended
    causes = {(f.resource, f.account_id): f.cause for f in failed_partitions(instance, NAMES)}
    assert "403" in causes["motion_ads", refused]
    assert "still writes to" in causes["audiences", refused]
    assert "still writes to" in causes["campaigns", other]


@FOUR
def test_a_copy_is_published_once_for_all_loads(
    home: Path, api: SampleApi, sync, instance, tmp_path: Path, monkeypatch
):
    copy = tmp_path / "published.duckdb"
    monkeypatch.setenv("ANALYTICS__PUBLISH_TO", str(copy))
    publish = publishing._publish
    published: list[Path] = []

    def count(file: Path, target: Path) -> None:
        published.append(target)
        publish(file, target)

    monkeypatch.setattr(publishing, "_publish", count)
    *others, last = api.data.account_ids
    fault = hold(api, last, monkeypatch)

    # so that nothing is left to be loaded in the end
    api.behaviour.faults.append(Fault("status", f"/v1/{last}/*", value=403))
    called = when_the_rest_is_loaded(
        monkeypatch, instance, all_partitions(others), lambda: api.behaviour.faults.remove(fault)
    )
    assert sync().exit_code == 1
    assert called
    assert len(published) == 2  # the list of accounts was loaded before
    copy.replace(home / "warehouse.duckdb")
    assert set(warehouse_tables(home)["campaigns"]) == set(others)
