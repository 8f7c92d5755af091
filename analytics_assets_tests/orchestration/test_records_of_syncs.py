"""What Dagster's records say of accounts: of real syncs, and of records made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine, event

from analytics_assets.errors import WarehouseError
from analytics_assets.factory import compose
from analytics_assets.orchestration import recorded_loads
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.presence import compare
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_attempts import (
    attempted_accounts,
    failed_attempts,
    failed_partitions,
)
from analytics_assets.orchestration.recorded_loads import latest_loads, record_forgotten
from analytics_assets.orchestration.recorded_runs import unfinished_runs
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.tables import change_warehouse

NAMES = AssetNames()


ALL = tuple(RESOURCES.account_lists)
MATERIALIZE = ("dagster", "asset", "materialize", "-m", "analytics_assets.definitions")


def newest_run(instance: DagsterInstance) -> str:
    return instance.get_runs(limit=1)[0].run_id


@pytest.fixture
def records_in_memory() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def test_runs_over_accounts_are_told_from_others(records_in_memory: DagsterInstance):
    defs = compose(PlatformSettings(), Progress())
    started = dg.DagsterRunStatus.STARTED

    def begin(job: str, *assets: str, status: dg.DagsterRunStatus = started) -> str:
        selection = {dg.AssetKey(name) for name in assets} or None
        job_def = defs.resolve_job_def(job)
        run = records_in_memory.create_run_for_job(
            job_def.get_subset(asset_selection=selection) if selection else job_def,
            status=status,
            asset_selection=frozenset(selection) if selection else None,
        )
        return run.run_id

    over_accounts = [begin("sync"), begin("sync", "audiences")]
    ending = begin("sync", status=dg.DagsterRunStatus.CANCELING)
    begin("refresh_accounts")
    begin("sync", status=dg.DagsterRunStatus.SUCCESS)
    begin("sync", status=dg.DagsterRunStatus.FAILURE)
    begin("sync", status=dg.DagsterRunStatus.CANCELED)
    found = [run.run_id for run in unfinished_runs(records_in_memory, NAMES)]
    assert found == [ending, *reversed(over_accounts)]


def test_latest_loads(home, sync, api: SampleApi, instance: DagsterInstance, monkeypatch):
    monkeypatch.setattr(recorded_loads, "RECORDS_PER_QUERY", 2)
    assert latest_loads(instance, NAMES) == {}
    first, second, third = api.data.account_ids
    started = time.time()
    assert sync().exit_code == 0
    loads = latest_loads(instance, NAMES)
    assert set(loads) == {(ACCOUNTS.name, None)} | {
        (name, account) for name in ALL for account in (first, second, third)
    }
    for (name, account), load in loads.items():
        assert (load.resource, load.account_id) == (name, account)
        assert load.rows == len(api.data.table(name, None if account is None else [account]))
        assert started <= load.at <= time.time()
    assert loads["campaigns", first].run_id == newest_run(instance)

    api.data.remove_account(third)
    assert sync("--account", first, "--resource", "audiences").exit_code == 0
    changed = {
        key: load for key, load in latest_loads(instance, NAMES).items() if load != loads[key]
    }
    assert set(changed) == {(ACCOUNTS.name, None), ("audiences", first)}
    assert changed["audiences", first].run_id == newest_run(instance)
    assert changed[ACCOUNTS.name, None].rows == 2


def test_a_forgotten_account_is_on_record_no_longer(home, sync, api: SampleApi, instance):
    first, second, _ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{first}/*", value=403))
    assert sync("--resource", "audiences").exit_code == 1
    api.behaviour.faults.clear()
    assert sync("--resource", "campaigns").exit_code == 0
    before = latest_loads(instance, NAMES)
    record_forgotten(instance, NAMES, first)
    assert latest_loads(instance, NAMES) == {
        key: load for key, load in before.items() if key[1] != first
    }
    assert failed_attempts(instance, NAMES) == {}
    attempted = attempted_accounts(instance, NAMES, NAMES.account_resources)
    assert attempted == {account for _, account in before if account} - {first}
    # what people observe is none of this
    observed = dg.AssetObservation(dg.AssetKey("campaigns"), partition=second)
    instance.report_runless_asset_event(observed)
    assert ("campaigns", second) in latest_loads(instance, NAMES)
    assert sync("--account", first, "--resource", "campaigns").exit_code == 0
    assert ("campaigns", first) in latest_loads(instance, NAMES)
    assert first in attempted_accounts(instance, NAMES, NAMES.account_resources)


def test_the_warehouse_is_compared_in_one_line(home, sync, api: SampleApi, instance):
    def compared() -> str:
        return compare(instance, platform_settings())

    assert compared() == "no account is on record as loaded"
    assert sync().exit_code == 0
    assert compared() == "it holds the rows of the 3 accounts on record as loaded"
    first, *_ = api.data.account_ids
    change_warehouse(home, f"DELETE FROM analytics.audiences WHERE account_id = '{first}'")
    with pytest.raises(WarehouseError, match=f"lacks rows of 1 of .* \\({first}\\): check"):
        compared()
    (home / "warehouse.duckdb").unlink()
    with pytest.raises(WarehouseError, match=r"lacks rows of 3 of .* and others"):
        compared()


def test_a_failing_account(home, sync, api: SampleApi, instance: DagsterInstance):
    first, second, third = api.data.account_ids
    api.behaviour.faults += [
        Fault("status", f"/v1/{second}/campaigns/", value=403),
        Fault("status", f"/v1/{third}/campaigns/", value=503),
    ]
    assert sync().exit_code == 1
    failed = failed_attempts(instance, NAMES)
    assert set(failed) == {second, third}
    attempt = failed[second]
    assert attempt.resources == ("campaigns", "campaign_items", "motion_ads")
    assert attempt.cause.startswith(f"campaigns: GET /v1/{second}/campaigns/ answers 403: ")
    assert (attempt.permanent, failed[third].permanent) == (True, False)
    assert failed[third].cause.startswith(f"campaigns: GET /v1/{third}/campaigns/ answers 503: ")
    run = instance.get_run_record_by_id(attempt.run_id)
    assert run is not None
    assert (attempt.run_id, attempt.at) == (newest_run(instance), run.end_time)
    [tags] = {
        str(each.tags) for each in failed_partitions(instance, NAMES) if each.account_id == second
    }
    assert f"'dagster/asset_partition_range_start': '{first}'" in tags

    api.behaviour.faults.clear()
    assert sync("--account", second).exit_code == 0
    assert set(failed_attempts(instance, NAMES)) == {third}
    api.data.remove_account(third)
    assert sync("--resource", "accounts").exit_code == 0
    assert failed_attempts(instance, NAMES) == {}


def test_the_newest_failing_run_tells_the_cause(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/*", value=403))
    assert sync().exit_code == 1
    api.behaviour.faults[:] = [Fault("html_status", f"/v1/{account}/*", value=502)]
    assert sync("--account", account, "--resource", "audiences").exit_code == 1
    attempt = failed_attempts(instance, NAMES)[account]
    assert (attempt.resources, attempt.run_id) == (ALL, newest_run(instance))
    assert (attempt.permanent, "answers 502 with an HTML page" in attempt.cause) == (False, True)

    api.behaviour.faults.clear()
    assert sync("--account", account, "--resource", "audiences").exit_code == 0
    rest = tuple(name for name in ALL if name != "audiences")
    attempt = failed_attempts(instance, NAMES)[account]
    assert (attempt.resources, attempt.permanent) == (rest, True)


def test_a_run_that_failed_as_a_whole(
    home, sync, commands, api: SampleApi, instance: DagsterInstance
):
    first, second, _ = api.data.account_ids
    assert sync("--resource", "accounts").exit_code == 0
    commands.environment = {"SOURCES__ANALYTICS__CLIENT_SECRET": "wrong"}
    selection = ("--partition-range", f"{first}...{second}")
    assert commands.materialize("campaigns,motion_ads", *selection).returncode == 1
    failed = failed_attempts(instance, NAMES)
    assert set(failed) == {first, second}
    for attempt in failed.values():
        assert (attempt.resources, attempt.permanent) == (("campaigns", "motion_ads"), False)
        assert "refuses the credentials (401): check" in attempt.cause
        assert len(attempt.cause.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "resources"),
    [
        pytest.param(("analytics_assets.cli", "sync"), ALL, id="sync"),
        pytest.param(
            (*MATERIALIZE, "--select", "campaigns", "--partition-range", "{0}...{2}"),
            ("campaigns",),
            id="materialize",
        ),
    ],
)
def test_a_run_whose_process_died(
    home, sync, api: SampleApi, instance: DagsterInstance, command, resources
):
    assert sync("--resource", "accounts").exit_code == 0
    api.behaviour.faults.append(Fault("hang", "/v1/*/campaigns/"))
    arguments = [part.format(*api.data.account_ids) for part in command]
    assert unfinished_runs(instance, NAMES) == []
    with hanging(api, *arguments):
        (run,) = unfinished_runs(instance, NAMES)
    # as long as nobody has noticed, the run counts as one that is under way
    assert [run.run_id for run in unfinished_runs(instance, NAMES)] == [run.run_id]
    assert failed_attempts(instance, NAMES) == {}

    instance.report_run_failed(run, "Run worker died.")
    assert unfinished_runs(instance, NAMES) == []
    failed = failed_attempts(instance, NAMES)
    assert set(failed) == set(api.data.account_ids)
    for attempt in failed.values():
        assert (attempt.resources, attempt.permanent) == (resources, False)
        assert attempt.cause == "the run ended without a cause: Run worker died."


def test_a_cancelled_run_is_no_failure(home, sync, api: SampleApi, instance: DagsterInstance):
    assert sync("--resource", "accounts").exit_code == 0
    api.behaviour.faults.append(Fault("hang", "/v1/*/campaigns/"))
    with hanging(api, "analytics_assets.cli", "sync"):
        (run,) = unfinished_runs(instance, NAMES)
    instance.report_run_canceled(run)
    assert unfinished_runs(instance, NAMES) == []
    assert failed_attempts(instance, NAMES) == {}


def test_a_list_of_accounts_is_no_run_over_accounts(home, api: SampleApi, instance):
    api.behaviour.faults.append(Fault("hang", "*allowed-accounts"))
    with hanging(api, "analytics_assets.cli", "sync"):
        assert len(instance.get_runs()) == 1
        assert unfinished_runs(instance, NAMES) == []


@pytest.mark.parametrize("api", [SampleData.generate(accounts=12, campaigns=1)], indirect=True)
def test_many_accounts_take_no_more_queries(home, sync, api: SampleApi, instance):
    def after(*account_ids: str) -> tuple[int, int]:
        chosen = [argument for account in account_ids for argument in ("--account", account)]
        assert sync(*chosen).exit_code == 1
        counts = (
            queries(lambda: latest_loads(instance, NAMES)),
            queries(lambda: failed_attempts(instance, NAMES)),
        )
        assert len(failed_attempts(instance, NAMES)) == len(account_ids) // 2
        return counts

    accounts = api.data.account_ids
    api.behaviour.forbidden_accounts.update(accounts[::2])
    few, many = after(*accounts[:2]), after(*accounts)
    # the first time, files are opened
    assert all(0 < of_many <= of_few for of_few, of_many in zip(few, many, strict=True))


@contextmanager
def hanging(api: SampleApi, *arguments: str) -> Iterator[None]:
    """A command in a process of its own, while its requests hang; it is killed at the end."""
    hangs = api.behaviour.faults[-1]
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: hangs.hits > 0 or process.poll() is not None)
        assert process.poll() is None
        yield
    finally:
        process.kill()
        process.wait(timeout=30)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def queries(ask: Callable[[], object]) -> int:
    statements: list[str] = []

    def note(connection, cursor, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(statements)
