"""`analytics-assets prune`: what is old goes, and nothing is told otherwise than before."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from dagster import DagsterInstance, DagsterRunStatus

from analytics_assets.factory import compose
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import run_target
from analytics_assets.orchestration.progress import Progress
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import change_warehouse, query

LOADS = "SELECT count(*) FROM analytics._dlt_loads"


@pytest.fixture
def records(new_home: Path, request: pytest.FixtureRequest) -> Path:
    """The test's home, with Dagster's records in SQLite or, by parameter, in PostgreSQL."""
    if getattr(request, "param", "sqlite") == "postgres":
        request.getfixturevalue("records_database")
        shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", new_home)
    return new_home


def prune(*arguments: str) -> Result:
    result = invoke("prune", *arguments)
    assert result.exit_code == 0, result.output
    return result


def status() -> dict[str, Any]:
    """What `status` says, but for how long ago that was."""
    without_ages = json.loads(
        invoke("status", "--json").stdout,
        object_hook=lambda found: {k: v for k, v in found.items() if k != "age_seconds"},
    )
    assert isinstance(without_ages, dict)
    return without_ages


def files(home: Path, instance: DagsterInstance) -> set[str]:
    """The runs of which there is a file or a folder."""
    of_runs = {path.name[:36] for path in (home / "history").rglob("*-*-*-*-*.db*")}
    return of_runs | {path.name for path in (home / "storage").glob("*-*-*-*-*")}


@pytest.mark.parametrize(
    ("warehouse", "records"),
    [("duckdb", "sqlite"), ("postgres", "postgres")],
    indirect=True,
    ids=["files", "servers"],
)
def test_what_is_told_stays_the_same(records: Path, sync, api: SampleApi):
    home = records
    gone, failing, forgotten, *_ = api.data.account_ids
    api.data.empty_account(api.data.add_account("without-rows-sc"))
    with DagsterInstance.get() as instance:
        automation = Automation(instance)
        assert automation.run(automation.schedule("list_accounts_then_sync_all"))
        assert automation.run(automation.tick())
        assert sync("--account", failing).exit_code == 0
        api.data.remove_account(forgotten)
        api.data.remove_account(gone)
        assert sync("--allow-empty").exit_code == 0
        assert invoke("forget", forgotten, "--yes").exit_code == 0
        api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))
        assert sync().exit_code == 1
        assert automation.tick() is None
        told, partitions = status(), states(instance)
        loads, runs = query(home, LOADS)[0][0], instance.get_runs_count()

        assert f"{runs} runs, with their events and logs" in prune("--older-than", "1h").stdout
        dry = prune("--older-than", "0h").stdout
        assert "would be removed: run again with --yes" in dry
        assert instance.get_runs_count() == runs
        assert query(home, LOADS) == [(loads,)]

        done = prune("--older-than", "0h", "--yes").stdout
        assert done.splitlines()[:2] == dry.splitlines()[:2]
        left = {run.run_id for run in instance.get_runs()}
        assert f"{runs - len(left)} of {runs} runs" in done
        assert len(left) < runs
        kept = query(home, LOADS)[0][0]
        assert f"{loads - kept} of {loads} loads" in done
        assert 0 < kept < loads
        assert files(home, instance) <= left

        assert (status(), states(instance)) == (told, partitions)
        assert automation.tick() is None, automation.skipped
        assert Automation(instance).tick() is None
        assert f"0 of {len(left)} runs" in prune("--older-than", "0h").stdout
        api.behaviour.faults.clear()
        assert sync().exit_code == 0


@pytest.mark.usefixtures("synced")
def test_what_is_young_or_has_not_ended_stays(home: Path, sync, instance, monkeypatch):
    assert sync().exit_code == 0
    run = next(run for run in instance.get_runs() if run.job_name == "sync")
    instance.add_run(run._replace(run_id="4711", status=DagsterRunStatus.STARTED))
    runs = instance.get_runs_count()
    for age in ("1h", "2d", "3w", " 90D "):
        assert f"0 of {runs} runs" in prune("--older-than", age, "--yes").stdout
    assert instance.get_runs_count() == runs
    later = time.time() + 3 * 86_400
    monkeypatch.setattr("analytics_assets.cli.prune.time", SimpleNamespace(time=lambda: later))
    assert f"2 of {runs} runs" in prune("--older-than", "3d").stdout
    assert f"0 of {runs} runs" in prune("--older-than", "4d").stdout
    prune("--older-than", "3d", "--yes")
    assert instance.get_run_by_id("4711") is not None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("age", ["90", "3y", "-1d", "1.5d", "", "d", "9999999999d"])
def test_an_age_that_is_none(age: str):
    result = invoke("prune", "--older-than", age)
    assert result.exit_code == 1
    assert result.output == (
        "Error: --older-than takes a number of hours, days or weeks: set it to one such as 36h,"
        " 90d or 12w\n"
    )


@pytest.mark.usefixtures("synced")
def test_a_warehouse_that_is_gone_is_not_made(home: Path):
    (home / "warehouse.duckdb").unlink()
    assert "0 of 0 loads" in prune("--older-than", "0h", "--yes").stdout
    assert not (home / "warehouse.duckdb").exists()


@pytest.mark.usefixtures("synced")
def test_the_latest_of_everything_stays(home: Path, sync, api: SampleApi, instance):
    failing, other, *_ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))
    assert sync("--account", failing).exit_code == 1
    api.behaviour.faults.clear()
    assert sync("--account", other).exit_code == 0
    assert run_job(Automation(instance), "check").success
    told = status()["accounts"]

    # were it not for what they hold, the newest of each job would do
    checked, synced, listed, failed, *before = instance.get_runs()
    instance.add_run(checked._replace(run_id="4711"))
    prune("--older-than", "0h", "--yes")
    left = {run.run_id for run in instance.get_runs()}
    first_sync = next(run for run in before if run.job_name == "sync")
    assert left == {"4711", *(run.run_id for run in (checked, synced, listed, failed, first_sync))}
    assert status()["accounts"] == told


@pytest.mark.usefixtures("home")
def test_the_automation_does_not_begin_anew(api: SampleApi, instance):
    automation = Automation(instance)
    assert automation.run(automation.schedule("list_accounts_then_sync_all"))
    assert automation.run(automation.tick())
    # all of it once more, by runs of which the automation knows nothing
    assert run_job(automation, "__ASSET_JOB", ["accounts"]).success
    target = run_target(instance, AssetNames().accounts_op, api.data.account_ids)
    assert run_job(automation, "sync", list(RESOURCES.account_lists), target).success
    prune("--older-than", "0h", "--yes")
    assert Automation(instance).tick() is None
    kept = sorted(run.job_name for run in instance.get_runs())
    assert kept == ["__ASSET_JOB", "refresh_accounts", "sync", "sync"]


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_loads_that_a_row_names_stay_and_those_of_others(home: Path):
    columns = "schema_name, status, inserted_at, schema_version_hash"
    for load_id, schema in (("16.1", "analytics"), ("16.2", "analytics"), ("16.3", "other")):
        change_warehouse(
            home,
            f"INSERT INTO analytics._dlt_loads (load_id, {columns})"
            f" SELECT '{load_id}', '{schema}', status, inserted_at, schema_version_hash"
            " FROM analytics._dlt_loads LIMIT 1",
        )
    change_warehouse(
        home,
        "UPDATE analytics.campaigns SET _dlt_load_id = '16.1'"
        " WHERE id = (SELECT max(id) FROM analytics.campaigns)",
    )
    assert "\n1 of " in prune("--older-than", "1h", "--yes").stdout
    sql = "SELECT load_id FROM analytics._dlt_loads WHERE load_id LIKE '16.%' ORDER BY load_id"
    assert query(home, sql) == [("16.1",), ("16.3",)]


def run_job(
    automation: Automation, job: str, assets: list[str] | None = None, target: Any = None
) -> dg.ExecuteInProcessResult:
    definitions = compose(platform_settings(), Progress())
    found = (
        definitions.resolve_implicit_global_asset_job_def()
        if job == "__ASSET_JOB"
        else definitions.resolve_job_def(job)
    )
    return found.execute_in_process(
        instance=automation.instance,
        run_config={"ops": target.ops} if target else None,
        tags=target.tags if target else None,
        asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
    )


@both_warehouses
def test_versions_that_ended_long_ago(home: Path, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("ANALYTICS__HISTORY", "campaigns")
    account, row = api.data.account_ids[0], api.data.table("campaigns")[0]
    for name in ("once", "twice"):
        assert sync("--resource", "campaigns").exit_code == 0
        api.data.update_row("campaigns", row["id"], {"name": name}, account_id=account)
    assert sync("--resource", "campaigns").exit_code == 0
    table = "analytics.campaigns_history"
    long_ago = "valid_to = valid_to - INTERVAL '400 days'"
    earlier = f"SELECT min(valid_to) FROM {table}"
    change_warehouse(home, f"UPDATE {table} SET {long_ago} WHERE valid_to IN ({earlier})")
    versions = f"SELECT count(*), count(valid_to) FROM {table}"
    [(total, ended)] = query(home, versions)
    assert ended == 2

    said = "1 version that ended, in campaigns_history\n"
    dry = prune("--history-older-than", "399d")
    assert dry.stdout.startswith(said)
    assert query(home, versions) == [(total, ended)]
    done = prune("--history-older-than", "399d", "--yes")
    assert done.stdout == f"{said}These are older than 399d, and were removed.\n"
    assert query(home, versions) == [(total - 1, ended - 1)]
    assert prune("--history-older-than", "0h", "--yes").stdout.startswith("1 ")
    assert query(home, versions) == [(total - 2, 0)]


def test_what_is_to_be_removed_has_to_be_said(home: Path):
    nothing = invoke("prune", "--yes")
    assert nothing.exit_code == 1
    assert nothing.stderr.count("\n") == 1
    assert "--history-older-than" in nothing.stderr
    unusable = invoke("prune", "--history-older-than", "soon")
    assert unusable.exit_code == 1
    assert unusable.stderr.startswith("Error: --history-older-than takes")
