"""`analytics-assets sync` against the sample API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterInstance

from analytics_assets.cli import main
from analytics_assets.dagster_backend import command_runs
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.reports import CAMPAIGNS
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, warehouse_table


@pytest.mark.parametrize("api", [SampleData.generate(accounts=20, campaigns=5)], indirect=True)
def test_every_table_equals_the_api_for_20_accounts(home, sync, api: SampleApi):
    first = sync()
    assert first.exit_code == 0, first.stderr
    assert_warehouse_equals_api(home, api.data)

    second = sync()
    assert second.exit_code == 0, second.stderr
    assert_warehouse_equals_api(home, api.data)
    assert "acme-0001-sc" in first.stdout
    for name in RESOURCES.lists:
        assert name in first.stdout


def test_an_account_that_leaves_the_list_between_two_runs(
    home, sync, api: SampleApi, monkeypatch: pytest.MonkeyPatch
):
    first, leaving, third = api.data.account_ids
    run_job = command_runs.run_job

    def and_list_anew(instance: DagsterInstance, *given: Any) -> command_runs.CommandRun:
        run = run_job(instance, *given)
        if run.success and len(instance.get_runs()) > 1:
            instance.delete_dynamic_partition("accounts", leaving)
        return run

    monkeypatch.setattr(command_runs, "run_job", and_list_anew)
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "1")
    result = sync("--resource", "audiences")
    assert result.exit_code == 1
    assert result.stderr == f"Error: no longer listed, so that not all was read: {leaving}\n"
    rows = warehouse_table(home, "audiences")
    assert {row["account_id"] for row in rows} == {first, third}


def test_only_the_accounts_and_resources_asked_for(home, sync, api: SampleApi):
    first, _, third = api.data.account_ids
    result = sync("--account", first, "--account", third, "--resource", "campaign_items")
    assert result.exit_code == 0, result.output
    rows = warehouse_table(home, "campaign_items")
    assert {row["account_id"] for row in rows} == {first, third}
    assert len(rows) == len(api.data.table("campaign_items", [first, third]))


@pytest.mark.parametrize("unknown", ["acme-0001-sx", "nothing-like-it"])
def test_unknown_account(sync, unknown: str):
    result = sync("--account", unknown)
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"no such account: {unknown}" in result.stderr


def document(result: Result) -> dict[str, Any]:
    """The one JSON document on standard output."""
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def test_json_of_a_sync_that_succeeded(home, sync, api: SampleApi, instance: DagsterInstance):
    api.data.add_account("aardvark-0004-sc")
    report = document(result := sync("--json"))
    assert (result.stderr, report["state"], report["error"]) == ("", "ok", None)
    assert report["seconds"] > 0
    assert report["run_ids"] == [run.run_id for run in reversed(instance.get_runs())]
    rows = {name: len(api.data.table(name)) for name in RESOURCES.lists}
    assert report["resources"] == rows
    assert report["rows"] == sum(rows.values())
    of_accounts = sum(rows.values()) - rows["accounts"]
    assert sum(account["rows"] for account in report["accounts"]) == of_accounts
    states = [(account["account_id"], account["state"]) for account in report["accounts"]]
    assert states == [(account_id, "ok") for account_id in sorted(api.data.account_ids)]
    assert report["failures"] == []


def test_json_of_accounts_that_failed(home, sync, api: SampleApi, instance: DagsterInstance):
    first, second, third = sorted(api.data.account_ids)
    api.behaviour.forbidden_accounts.add(third)
    api.behaviour.faults.append(Fault("status", f"/v1/{second}/*/audiences*", value="500"))
    report = document(result := sync("--json"))
    assert (result.exit_code, report["state"]) == (1, "failed")
    assert report["error"] == result.stderr.removeprefix("Error: ").strip()
    states = [(account["account_id"], account["state"]) for account in report["accounts"]]
    assert states == [(third, "failed"), (second, "partly"), (first, "ok")]
    failures = {(found["account_id"], found["resource"]): found for found in report["failures"]}
    expected = {(third, name) for name in RESOURCES.account_lists} | {(second, "audiences")}
    assert failures.keys() == expected
    assert {key for key, found in failures.items() if not found["permanent"]} == {
        (second, "audiences")
    }
    assert "answers 500" in failures[second, "audiences"]["cause"]
    assert {found["run_id"] for found in failures.values()} == {instance.get_runs()[0].run_id}


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("SOURCES__ANALYTICS__CLIENT_SECRET", 1),
        ("SOURCES__ANALYTICS__CLIENT_ID", 0),
        ("DAGSTER_HOME", 0),
    ],
    ids=["in a run", "before any run", "no home"],
)
def test_json_of_a_sync_that_could_not_begin(sync, monkeypatch, name: str, runs: int):
    monkeypatch.setenv(name, "" if name.endswith("_ID") else "/nowhere")
    report = document(result := sync("--json"))
    assert (result.exit_code, result.stderr) == (1, f"Error: {report['error']}\n")
    assert (report["state"], report["rows"], report["accounts"]) == ("failed", 0, [])
    assert len(report["run_ids"]) == len(report["failures"]) == runs
    for failure in report["failures"]:
        assert (failure["account_id"], failure["cause"]) == (None, report["error"])


def test_failed_reads_what_failed_and_no_more(home, sync, api: SampleApi):
    _, second, third = api.data.account_ids
    api.behaviour.forbidden_accounts.add(second)
    assert sync().exit_code == 1
    only = ("audiences", "audience_rules")
    api.behaviour.forbidden_accounts.add(third)
    assert sync("--account", third, *(f"--resource={name}" for name in only)).exit_code == 1

    api.log.clear()
    api.behaviour.forbidden_accounts.clear()
    assert sync("--failed", "--account", third, "--resource", "audiences").exit_code == 0
    assert {entry.account_id for entry in api.log.entries if entry.account_id} == {third}
    assert paths(api) == {f"/v1/{third}/combined_audiences/resources/audiences"}

    api.log.clear()
    report = document(sync("--failed", "--json"))
    assert {entry.account_id for entry in api.log.entries if entry.account_id} == {second, third}
    assert f"/v1/{third}/campaigns/" not in paths(api)
    assert [account["account_id"] for account in report["accounts"]] == sorted([second, third])
    assert len(report["run_ids"]) == 2  # one for each set of resources
    assert_warehouse_equals_api(home, api.data)


def paths(api: SampleApi) -> set[str]:
    return {entry.path.partition("?")[0] for entry in api.log.entries if "/v1/" in entry.path}


@pytest.mark.usefixtures("synced")
def test_failed_asks_the_api_nothing_if_nothing_failed(sync, api: SampleApi):
    result = sync("--failed")
    assert (result.exit_code, result.output) == (0, "nothing that was asked for failed last\n")
    assert document(sync("--failed", "--json"))["state"] == "ok"
    assert api.log.requests == 0
    assert sync("--failed", "--account", "nobody").exit_code == 1


def test_a_list_of_accounts_that_failed_is_read_again(sync, api: SampleApi):
    api.behaviour.faults.append(Fault("status", "*allowed-accounts", value="403"))
    assert sync().exit_code == 1
    assert "403" in sync("--failed").stderr
    api.behaviour.faults.clear()
    assert document(sync("--failed", "--json"))["resources"] == {"accounts": 3}
    assert sync("--failed").output == "nothing that was asked for failed last\n"


def test_what_fails_again_is_told_again(sync, api: SampleApi):
    _, second, _ = api.data.account_ids
    api.behaviour.forbidden_accounts.add(second)
    assert sync().exit_code == 1
    result = sync("--failed")
    assert result.exit_code == 1
    assert f"{second}: " in result.stderr


def test_a_narrow_terminal(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    long = "an-account-whose-name-is-longer-than-many-another-name-0004-sc"
    api.data.add_account(long)
    result = sync()
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    cells = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    assert long in cells


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("snyc",), "No such command 'snyc': did you mean sync?"),
        (("doctr",), "did you mean doctor?"),
        (("nothing",), "No such command 'nothing'"),
        (("sync", "--resource", "campaignz"), "did you mean campaigns?"),
        (("sync", "--resource", "nothing"), "'nothing' is not one of 'accounts', 'campaigns'"),
    ],
)
def test_a_slip_of_the_pen(arguments: tuple[str, ...], said: str):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "word", "completed"),
    [
        ("analytics-assets sync --resource", "camp", ["campaigns", "campaign_items", CAMPAIGNS]),
        ("analytics-assets sync --account", "acme", ["acme-0001-sc"]),
        ("analytics-assets status --account", "acme", ["acme-0001-sc"]),
        ("analytics-assets", "sy", ["sync"]),
    ],
)
@pytest.mark.usefixtures("synced")
def test_completion(words: str, word: str, completed: list[str], monkeypatch):
    assert complete(words, word, monkeypatch) == completed


def test_completion_without_records_is_silent(monkeypatch, new_home):
    assert complete("analytics-assets sync --account", "", monkeypatch) == []
    assert [path.name for path in new_home.iterdir()] == ["dagster.yaml"]
    monkeypatch.setenv("DAGSTER_HOME", "/nowhere")
    assert complete("analytics-assets sync --account", "", monkeypatch) == []


def complete(words: str, word: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash is told."""
    monkeypatch.setenv("_ANALYTICS_ASSETS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"{words} {word}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    result = CliRunner().invoke(main, prog_name="analytics-assets", catch_exceptions=False)
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]
