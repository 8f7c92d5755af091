"""`analytics-assets doctor`: every check in order, and out of order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.doctor import (
    API_CHECKS,
    ENDPOINTS,
    SECRET,
    WAREHOUSE_CHECKS,
    failed,
    files,
    skipped,
)


def test_all_is_well_and_nothing_is_left_behind(new_home, doctor, api: SampleApi):
    before = files(new_home)
    checks = doctor()
    assert files(new_home) == before
    assert (failed(checks), skipped(checks)) == ([], [])
    first = api.data.account_ids[0]
    assert checks["account list"]["detail"].endswith("answers 200, 3 rows")
    for name in RESOURCES.account_lists:
        assert f"GET /v1/{first}/" in checks[f"endpoint {name}"]["detail"]
    assert checks["quota headers"]["detail"] == "none"
    assert "warehouse.duckdb is not there yet" in checks["warehouse"]["detail"]
    assert checks["dagster home"]["detail"] == f"{new_home}, in which nothing is recorded yet"
    for package in ("python", "analytics-assets", "dagster", "dagster-dlt", "dlt", "duckdb"):
        assert f"{package} " in checks["versions"]["detail"]
    api.log.clear()
    assert invoke("doctor").stdout.splitlines()[-1] == "all is well"
    assert api.log.requests == 2 + len(
        RESOURCES.account_lists
    )  # the token and the list of accounts


@pytest.mark.usefixtures("synced")
def test_after_a_sync(home, doctor, api: SampleApi):
    before = files(home)
    account = api.data.account_ids[1]
    checks = doctor("--account", account)
    assert {name: files(home)[name] for name in before if "duckdb" in name} == {
        name: content for name, content in before.items() if "duckdb" in name
    }
    assert (failed(checks), skipped(checks)) == ([], [])
    assert all(f"/v1/{account}/" in checks[name]["detail"] for name in ENDPOINTS)
    campaigns = len(api.data.table("campaigns", [account]))
    assert checks["endpoint campaigns"]["detail"].endswith(f"answers 200, {campaigns} rows")
    assert checks["warehouse"]["detail"] == f"{home / 'warehouse.duckdb'} can be written"
    assert checks["dagster home"]["detail"] == f"{home}, 2 runs recorded"


@pytest.mark.usefixtures("synced")
def test_how_long_a_full_sync_takes_under_the_quota(doctor, api: SampleApi):
    assert "quota" not in doctor()  # none is announced
    api.behaviour.quota, api.behaviour.quota_burst = 1.4, 84
    api.behaviour.quota_headers = "policy"  # the same in every answer
    accounts, campaigns = len(api.data.account_ids), len(api.data.table("campaigns"))
    children = sum(resource.has_parent_rows for resource in RESOURCES.account_lists.values())
    requests = 1 + accounts * (len(RESOURCES.account_lists) - children) + campaigns * children
    assert doctor()["quota"]["detail"].startswith(
        f"84 requests per 60 s announced; a full sync of {accounts} accounts"
        f" (about {requests} requests) takes about "
    )


@pytest.mark.usefixtures("synced")
def test_how_long_it_takes_where_each_account_has_a_quota(doctor, api: SampleApi, monkeypatch):
    api.behaviour.quota, api.behaviour.quota_burst = 1, 60
    api.behaviour.quota_headers, api.behaviour.quota_scope = "policy", "account"
    monkeypatch.setenv("SOURCES__ANALYTICS__QUOTA_SCOPE", "account")
    children = sum(resource.has_parent_rows for resource in RESOURCES.account_lists.values())
    most = max(len(api.data.table("campaigns", [each])) for each in api.data.account_ids)
    seconds = len(RESOURCES.account_lists) - children + children * most
    detail = doctor()["quota"]["detail"]
    assert detail.startswith("60 requests per 60 s announced for each account; ")
    assert detail.endswith(f" takes about {seconds} seconds")


def test_how_long_it_takes_where_the_parent_rows_are_not_loaded(doctor, sync, api, monkeypatch):
    monkeypatch.setenv("ANALYTICS__SKIP_RESOURCES", "campaigns")
    assert sync().exit_code == 0
    requests = sum(entry.method == "GET" for entry in api.log.entries)
    api.behaviour.quota, api.behaviour.quota_burst = 1.4, 84
    api.behaviour.quota_headers = "policy"
    assert f" (about {requests} requests) " in doctor()["quota"]["detail"]


def test_an_account_s_type_that_is_a_number_leaves_nothing_out(doctor, sync, api, monkeypatch):
    first = api.data.account_ids[0]
    api.data.update_row("accounts", first, {"type": 7})
    monkeypatch.setenv("ANALYTICS__SKIP_ACCOUNT_TYPES", "7")
    assert doctor()["accounts left out"]["detail"] == "none"
    assert sync().exit_code == 0
    assert first in {entry.account_id for entry in api.log.entries}


def test_where_settings_come_from(commands, home, tmp_path, monkeypatch):
    for name in ("BASE_URL", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"SOURCES__ANALYTICS__{name}")
    monkeypatch.setenv("CLIENT_ID", SECRET)
    dlt = commands.folder / ".dlt"
    dlt.mkdir()
    (dlt / "secrets.toml").write_text(
        "[sources.analytics]\n"
        f'base_url = "https://user:{SECRET}@127.0.0.1:1/backstage?key={SECRET}"\n'
        f'client_secret = "{SECRET}"\n'
    )
    (dlt / "config.toml").write_text(
        '[sources.analytics]\ntoken_url = "http://127.0.0.1:1/token"\n'
    )
    result = commands.analytics_assets("doctor", "--json")
    assert SECRET not in result.stdout + result.stderr
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {
        name: checks[f"setting {name}"]["detail"]
        for name in ("base_url", "token_url", "client_id", "client_secret")
    } == {
        "base_url": "https://127.0.0.1:1/backstage"
        f" (sources.analytics.base_url in {dlt / 'secrets.toml'})",
        "token_url": "http://127.0.0.1:1/token"
        f" (sources.analytics.token_url in {dlt / 'config.toml'})",
        "client_id": "*** (environment variable CLIENT_ID)",
        "client_secret": f"*** (sources.analytics.client_secret in {dlt / 'secrets.toml'})",
    }
    assert "max_retries 3" in checks["settings by default"]["detail"]
    assert "dataset_name analytics" in checks["settings by default"]["detail"]


def test_no_settings(doctor, api: SampleApi, monkeypatch):
    names = [f"SOURCES__ANALYTICS__{name}" for name in ("BASE_URL", "TOKEN_URL", "CLIENT_ID")]
    names.append("SOURCES__ANALYTICS__CLIENT_SECRET")
    for name in names:
        monkeypatch.delenv(name)
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["settings"], API_CHECKS)
    assert checks["settings"]["detail"] == "missing setting"
    assert checks["settings"]["advice"].startswith(f"set {' and '.join(names)} in the environment")
    assert "setting base_url" not in checks
    assert api.log.requests == 0


def test_a_file_of_settings_that_is_broken(commands, home):
    (commands.folder / ".dlt").mkdir()
    (commands.folder / ".dlt" / "secrets.toml").write_text(f'a = 1\nclient_secret = "{SECRET}\n')
    result = commands.analytics_assets("doctor", "--json")
    assert SECRET not in result.stdout + result.stderr
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert checks["settings"]["detail"] == "secrets.toml is not TOML (line 2)"
    assert ".dlt/secrets.toml" in checks["settings"]["advice"]
    assert skipped(checks) == [*API_CHECKS, *WAREHOUSE_CHECKS]
    assert checks["dagster home"]["ok"]

    synced = commands.analytics_assets("sync")
    assert (synced.returncode, synced.stderr.count("\n")) == (1, 1)
    assert "secrets.toml is not TOML (line 2): check" in synced.stderr


@pytest.mark.parametrize(
    ("settings", "check", "detail", "advice"),
    [
        pytest.param(
            {"SOURCES__ANALYTICS__MAX_RETRIES": SECRET},
            "settings",
            "a setting in section [sources.analytics] cannot be used",
            "set SOURCES__ANALYTICS__MAX_RETRIES to a whole number",
            id="no number",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__QUOTA_SCOPE": "all"},
            "settings",
            "a setting in section [sources.analytics] cannot be used",
            "set SOURCES__ANALYTICS__QUOTA_SCOPE to one of client, account",
            id="none of the choices",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__BASE_URL": SECRET},
            "settings",
            "SOURCES__ANALYTICS__BASE_URL is not an http(s) URL",
            "set it to one such as https://api.example.com",
            id="no URL",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__CLIENT_SECRET": SECRET},
            "token",
            "refuses the credentials (401)",
            "check SOURCES__ANALYTICS__CLIENT_ID, SOURCES__ANALYTICS__CLIENT_SECRET and",
            id="wrong secret",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__TOKEN_URL": f"http://user:{SECRET}@127.0.0.1:1/token?k={SECRET}"},
            "token",
            "no answer from the token URL http://127.0.0.1:1/token (ConnectionError)",
            "check SOURCES__ANALYTICS__TOKEN_URL",
            id="wrong token host",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__BASE_URL": "http://127.0.0.1:1"},
            "account list",
            "no connection (127.0.0.1:1)",
            "check SOURCES__ANALYTICS__BASE_URL",
            id="wrong host",
        ),
    ],
)
def test_unusable_settings(doctor, monkeypatch, settings, check, detail, advice):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    checks = doctor()
    assert failed(checks) == [check]
    assert detail in checks[check]["detail"]
    assert checks[check]["advice"].startswith(advice)
    following = ENDPOINTS if check == "account list" else API_CHECKS
    assert skipped(checks) == [name for name in following if name != check]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ANALYTICS__LOCK_TIMEOUT", "set ANALYTICS__LOCK_TIMEOUT to a number from 0 to"),
        ("ANALYTICS__SYNC_CRON", "set it to one such as 0 5 * * *"),
        ("ANALYTICS__TIMEZONE", "set ANALYTICS__TIME_ZONE instead, or remove it"),
    ],
)
def test_unusable_settings_of_the_platform(doctor, monkeypatch, name: str, advice: str):
    monkeypatch.setenv(name, SECRET)
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["platform settings"], WAREHOUSE_CHECKS)
    assert checks["platform settings"]["advice"].startswith(advice)


def test_no_dagster_home(home, doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    checks = doctor()
    assert failed(checks) == ["dagster home"]
    assert checks["dagster home"]["detail"] == f"no dagster.yaml in {tmp_path}"
    assert checks["dagster home"]["advice"].startswith("run `analytics-assets init`")


def test_an_unusable_dagster_home(home, doctor, small_disk: Path, monkeypatch):
    (home / "dagster.yaml").write_text("no_such_key: true\n")
    checks = doctor()
    assert failed(checks) == ["dagster home"]
    assert "no_such_key" in checks["dagster home"]["detail"]
    assert checks["dagster home"]["advice"] == f"check dagster.yaml in {home}"

    shutil.copy(Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml", small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    monkeypatch.setenv("DAGSTER_HOME", str(small_disk))
    checks = doctor()
    assert set(failed(checks)) == {"warehouse", "dagster home"}
    assert "(Read-only file system)" in checks["dagster home"]["detail"]
