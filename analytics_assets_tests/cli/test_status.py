"""`analytics-assets status`: what Dagster's records say, and what the warehouse holds of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path

import pytest
from click import unstyle
from click.testing import CliRunner, Result
from dagster import AssetCheckKey, AssetKey, DagsterRunStatus

from analytics_assets.cli import main
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.tables import change_warehouse, on_postgres, query, taken

NEVER = {
    "last_load": None,
    "age_seconds": None,
    "rows": None,
    "run_id": None,
    "in_warehouse": None,
}
COMPARED = {"compared": True, "cause": None}


@pytest.fixture
def status(home, monkeypatch):
    """`analytics-assets status` in this process, in which no setting is set."""

    def run(*arguments: str) -> Result:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("SOURCES__")]:
                patch.delenv(name)
            return CliRunner().invoke(main, ["status", *arguments], catch_exceptions=False)

    return run


def accounts_of(result: Result) -> dict[str, dict]:
    assert result.exit_code == 0, result.output
    return {account["account_id"]: account for account in json.loads(result.stdout)["accounts"]}


def test_before_the_first_sync(status):
    result = status()
    assert (result.exit_code, result.output) == (
        0,
        "no accounts yet: run `analytics-assets sync`\n",
    )
    assert json.loads(status("--json").stdout) == {
        "warehouse": COMPARED,
        "accounts_list": NEVER,
        "accounts": [],
        "departed_accounts": [],
        "skipped_accounts": [],
        "skipped_resources": [],
        "idle_reports": [],
        "left_tables": {},
        "unfinished_runs": [],
    }


@pytest.mark.parametrize("api", [SampleData.generate(accounts=4, campaigns=2)], indirect=True)
def test_every_state(home, sync, status, api: SampleApi, instance):
    good, bad, part, never = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{bad}/*", value=403))
    assert sync("--account", good, "--account", bad).exit_code == 1
    assert sync("--account", part, "--resource", "audiences").exit_code == 0

    document = json.loads(status("--json").stdout)
    assert document["warehouse"] == COMPARED
    assert document["accounts_list"]["rows"] == 4
    assert document["accounts_list"]["in_warehouse"] is True
    assert document["unfinished_runs"] == []
    assert [account["account_id"] for account in document["accounts"]] == [bad, part, never, good]
    accounts = accounts_of(status("--json"))
    states = {account_id: account["state"] for account_id, account in accounts.items()}
    assert states == {bad: "failed", part: "partly", never: "never", good: "ok"}
    assert accounts[bad]["failure"].pop("at") is not None
    run = next(run for run in instance.get_runs() if "range_start" in str(run.tags))
    assert accounts[bad]["failure"] == {
        "resources": list(RESOURCES.account_lists),
        "cause": accounts[bad]["failure"]["cause"],
        "permanent": True,
        "run_id": run.run_id,
    }
    assert accounts[never]["resources"] == dict.fromkeys(RESOURCES.account_lists, NEVER)
    for name, load in accounts[good]["resources"].items():
        assert load["rows"] == len(api.data.table(name, [good]))
        loaded_at = datetime.fromisoformat(load["last_load"])
        assert loaded_at.utcoffset() is not None
        assert abs(time.time() - load["age_seconds"] - loaded_at.timestamp()) < 5
        assert load["run_id"] == run.run_id
        assert load["in_warehouse"] is True
    assert accounts[good]["rows"] == sum(
        len(api.data.table(name, [good])) for name in RESOURCES.account_lists
    )

    lines = status().stdout.splitlines()
    shown = [line.split()[:2] for line in account_lines(status())]
    assert shown == [["failed", bad], ["partly", part], ["never", never], ["ok", good]]
    cause = accounts[bad]["failure"]["cause"]
    assert f"/v1/{bad}/" in cause
    assert any(cause in line and line.split()[0] == "failed" for line in lines)
    assert lines[-1].startswith("4 accounts (1 failed, 1 partly, 1 never, 1 ok), listed ")


@pytest.mark.usefixtures("synced")
def test_one_account_resource_by_resource(home, sync, status, api: SampleApi):
    first, *_ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{first}/*", value=403))
    assert sync("--account", first, "--resource", "audiences").exit_code == 1
    lines = status("--account", first).stdout.splitlines()
    assert lines[0] == f"{first}: failed"
    assert "and will again: audiences: GET /v1/" in lines[1]
    states = {
        words[1]: (words[0], words[2])
        for words in (line.split() for line in lines[2:])
        if words[1:2] and words[1] in RESOURCES.account_lists
    }
    assert states == {
        name: ("failed" if name == "audiences" else "ok", str(len(api.data.table(name, [first]))))
        for name in RESOURCES.account_lists
    }
    assert set(accounts_of(status("--account", first, "--json"))) == {first}


def test_an_unknown_account(home, sync, status, api: SampleApi):
    assert sync("--resource", "accounts").exit_code == 0
    result = status("--account", "acme-0001-sx", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: no such account: acme-0001-sx (did you mean acme-0001-sc?)\n"


@pytest.mark.usefixtures("synced")
def test_accounts_that_are_no_longer_listed(home, sync, status, api: SampleApi, instance):
    account, *others = api.data.account_ids
    rows = sum(len(api.data.table(name, [account])) for name in RESOURCES.account_lists)
    campaigns = len(api.data.table("campaigns", [account]))
    assert json.loads(status("--json").stdout)["departed_accounts"] == []
    api.data.remove_account(account)
    assert sync().exit_code == 0

    document = json.loads(status("--json").stdout)
    assert [listed["account_id"] for listed in document["accounts"]] == others
    (departed,) = document["departed_accounts"]
    assert (departed["account_id"], departed["rows"]) == (account, rows)
    assert datetime.fromisoformat(departed["last_load"]).utcoffset() is not None
    assert departed["age_seconds"] >= 0
    *_, shown, _, last = status().stdout.splitlines()
    assert shown.split()[:2] == [account, str(rows)]
    assert last.endswith("`analytics-assets forget ACCOUNT` removes those of one.")
    assert account not in status("--account", others[0]).stdout

    # the UI tells the same, table by table
    loaded = metadata(instance, "campaigns", others[0])
    total = len(api.data.table("campaigns")) + campaigns
    assert (loaded["dagster/row_count"], loaded["rows_of_departed_accounts"]) == (total, campaigns)
    key = AssetCheckKey(AssetKey("campaigns"), "key_is_unique")
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    found = latest.event.dagster_event.asset_check_evaluation_data.metadata
    assert found["rows_of_departed_accounts"].value == campaigns

    assert CliRunner().invoke(main, ["forget", account, "--yes"]).exit_code == 0
    assert json.loads(status("--json").stdout)["departed_accounts"] == []


@pytest.mark.usefixtures("synced")
def test_departed_accounts_of_a_warehouse_that_cannot_be_asked(home, sync, status, api: SampleApi):
    account = api.data.account_ids[0]
    rows = sum(len(api.data.table(name, [account])) for name in RESOURCES.account_lists)
    api.data.remove_account(account)
    assert sync("--resource", "accounts").exit_code == 0
    with taken(home / "warehouse.duckdb"):
        (departed,) = json.loads(status("--json").stdout)["departed_accounts"]
    assert (departed["account_id"], departed["rows"]) == (account, rows)


@pytest.mark.parametrize("api", [SampleData.generate(accounts=6, campaigns=1)], indirect=True)
def test_a_narrow_terminal(home, sync, status, api: SampleApi, monkeypatch):
    first, *others = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{first}/campaigns/", value=403))
    assert sync().exit_code == 1
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    lines = [line.rstrip() for line in unstyle(status().stdout).splitlines()]
    shown = [line.split()[1] for line in lines if line.split()[:1] in (["failed"], ["ok"])]
    assert shown == [first, *others]  # as the API lists them
    (cause,) = (line for line in lines if line.startswith(f"{first}: campaigns: GET "))
    assert all(len(line) <= 60 for line in lines if line != cause)
    in_detail = [
        line.rstrip() for line in unstyle(status("--account", others[0]).stdout).splitlines()
    ]
    assert len([line for line in in_detail if line.split()[:1] == ["ok"]]) == len(
        RESOURCES.account_lists
    )
    assert all(len(line) <= 60 for line in in_detail)


@pytest.mark.usefixtures("synced")
def test_a_run_that_has_not_ended(home, sync, status, api: SampleApi, instance):
    run = next(run for run in instance.get_runs() if run.job_name == "sync")
    instance.add_run(run._replace(run_id="4711", status=DagsterRunStatus.STARTED))
    assert "run 4711 (sync) has not ended: STARTED" in status().stdout.splitlines()
    assert json.loads(status("--json").stdout)["unfinished_runs"] == [
        {"run_id": "4711", "job": "sync", "status": "STARTED"}
    ]


@pytest.mark.parametrize("api", [SampleData.generate(accounts=45, campaigns=0)], indirect=True)
def test_many_accounts_are_shown_in_part_but_not_those_amiss(home, sync, status, api: SampleApi):
    bad = api.data.account_ids[-1]
    api.behaviour.forbidden_accounts.add(bad)
    assert sync("--resource", "campaigns").exit_code == 1
    assert len(account_lines(status())) == 45

    assert sync().exit_code == 1
    lines = account_lines(status())
    assert (len(lines), lines[0].split()[:2]) == (40, ["failed", bad])
    assert "... and 5 more accounts, all ok" in status().stdout.splitlines()
    assert len(accounts_of(status("--json"))) == 45


def test_an_account_is_printed_as_it_is_called(home, sync, status, api: SampleApi):
    name = api.data.add_account("net[red]:smile:")
    assert name in sync().stdout
    assert name in status().stdout
    assert name in status("--account", name).stdout


def account_lines(result: Result) -> list[str]:
    return [line for line in result.stdout.splitlines() if "-sc" in line]


def move_away(home: Path) -> None:
    if on_postgres():
        query(home, "DROP SCHEMA analytics CASCADE")
    else:
        (home / "warehouse.duckdb").rename(home / "elsewhere.duckdb")


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_a_warehouse_that_is_gone(home, sync, status, api: SampleApi):
    assert {account["state"] for account in accounts_of(status("--json")).values()} == {"ok"}
    move_away(home)
    document = json.loads(status("--json").stdout)
    assert document["warehouse"] == COMPARED
    assert document["accounts_list"]["in_warehouse"] is False
    for account in document["accounts"]:
        assert (account["state"], account["rows"], account["age_seconds"]) == ("lost", 0, None)
        assert {load["in_warehouse"] for load in account["resources"].values()} == {False}
    lines = status().stdout.splitlines()
    assert [line.split()[0] for line in account_lines(status())] == ["lost"] * 3
    assert lines[-2].startswith("3 accounts (3 lost), listed ")
    assert lines[-1].startswith("the warehouse does not hold the list of accounts: run ")
    first = api.data.account_ids[0]
    assert status("--account", first).stdout.splitlines()[0] == f"{first}: lost"
    assert not (home / "warehouse.duckdb").exists()

    assert sync("--account", first).exit_code == 0
    states = [account["state"] for account in accounts_of(status("--json")).values()]
    assert states == ["lost", "lost", "ok"]


@both_warehouses
def test_rows_and_tables_that_are_gone(home, sync, status, api: SampleApi):
    emptied, halved, whole = api.data.account_ids
    api.data.empty_account(api.data.add_account("without-rows-sc"))
    assert sync().exit_code == 0
    table = "analytics.campaigns"
    change_warehouse(
        home,
        f"DELETE FROM {table} WHERE account_id = '{emptied}'",
        f"DELETE FROM {table} WHERE account_id = '{halved}'"
        f" AND id = (SELECT max(id) FROM {table} WHERE account_id = '{halved}')",
    )

    def lost() -> dict[str, set[str]]:
        return {
            account_id: {
                name for name, load in account["resources"].items() if not load["in_warehouse"]
            }
            for account_id, account in accounts_of(status("--json")).items()
        }

    assert lost() == {
        emptied: {"campaigns"},
        halved: {"campaigns"},
        whole: set(),
        "without-rows-sc": set(),
    }
    change_warehouse(home, "DROP TABLE analytics.audiences")
    assert lost() == {
        emptied: {"campaigns", "audiences"},
        halved: {"campaigns", "audiences"},
        whole: {"audiences"},
        "without-rows-sc": {"audiences"},
    }


@pytest.mark.usefixtures("synced")
def test_a_warehouse_of_before(home, sync, status, api: SampleApi):
    account, other, *_ = api.data.account_ids
    shutil.copy(home / "warehouse.duckdb", home / "backup")
    assert sync("--account", account).exit_code == 0
    shutil.move(home / "backup", home / "warehouse.duckdb")
    states = {key: found["state"] for key, found in accounts_of(status("--json")).items()}
    assert (states[account], states[other]) == ("lost", "ok")


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_another_dataset(home, status, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DATASET_NAME", "other")
    assert {account["state"] for account in accounts_of(status("--json")).values()} == {"lost"}


@pytest.mark.usefixtures("synced")
def test_rows_that_a_killed_run_loaded_without_a_record_are_there(home, status, instance):
    change_warehouse(home, "UPDATE analytics.campaigns SET _dlt_load_id = '9' || _dlt_load_id")
    assert {account["state"] for account in accounts_of(status("--json")).values()} == {"ok"}


@pytest.mark.usefixtures("synced")
def test_a_warehouse_that_cannot_be_asked(home, status, monkeypatch):
    with taken(home / "warehouse.duckdb") as pid:
        result = status("--json")
        document = json.loads(result.stdout)
        assert document["warehouse"]["compared"] is False
        assert f"(PID {pid})" in document["warehouse"]["cause"]
        assert document["accounts_list"]["in_warehouse"] is None
        assert {account["state"] for account in document["accounts"]} == {"ok"}
        result = status()
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("the warehouse was not asked, and these are records only: ")
    assert "warehouse.duckdb is held by " in line
    assert len(account_lines(result)) == 3
    (home / "warehouse.duckdb").write_text("no database")
    assert "cannot be read: " in status().stderr


@pytest.mark.usefixtures("synced")
def test_a_postgres_that_is_gone(home, status, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "postgres")
    url = "postgresql://loader:s3cret-word@127.0.0.1:1/nowhere"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    result = status()
    assert result.exit_code == 0
    assert "no connection to the warehouse" in result.stderr
    assert "s3cret" not in result.output
    assert len(account_lines(result)) == 3


@pytest.mark.usefixtures("synced")
def test_needs_neither_api_nor_settings(commands, home, api: SampleApi):
    (home / "warehouse.duckdb").unlink()
    files = {path.name for path in home.iterdir()}
    api.log.clear()
    commands.environment = {
        "SOURCES__ANALYTICS__BASE_URL": "",
        "SOURCES__ANALYTICS__CLIENT_SECRET": "",
        "ANALYTICS__DESTINATION": "nowhere",
    }
    result = commands.analytics_assets("status", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert {account["state"] for account in document["accounts"]} == {"ok"}
    assert "dlt has no destination 'nowhere'" in document["warehouse"]["cause"]
    del commands.environment["ANALYTICS__DESTINATION"]
    result = commands.analytics_assets("status", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert {account["state"] for account in json.loads(result.stdout)["accounts"]} == {"lost"}
    assert api.log.requests == 0
    assert {path.name for path in home.iterdir()} == files
