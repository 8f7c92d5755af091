"""Bad settings: one line that says what to set, no traceback, no secret, exit code not 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import Result

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT, Commands, invoke
from analytics_assets_tests.testing.doctor import SECRET
from analytics_assets_tests.testing.postgres_server import PostgresServer


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"SOURCES__ANALYTICS__CLIENT_SECRET": SECRET},
            "refuses the credentials (401): check SOURCES__ANALYTICS__CLIENT_ID,",
            id="wrong secret",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__BASE_URL": "http://127.0.0.1:1"},
            "no connection (127.0.0.1:1) (are SOURCES__ANALYTICS__BASE_URL and"
            " SOURCES__ANALYTICS__API_VERSION right?)",
            id="wrong host",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__BASE_URL": "127.0.0.1"},
            "SOURCES__ANALYTICS__BASE_URL is not an http(s) URL",
            id="no URL",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__TOKEN_URL": f"http://user:{SECRET}@127.0.0.1:1/token?k={SECRET}"},
            "no answer from the token URL http://127.0.0.1:1/token (ConnectionError): check"
            " SOURCES__ANALYTICS__TOKEN_URL",
            id="wrong token host",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__CLIENT_ID": "", "SOURCES__ANALYTICS__CLIENT_SECRET": ""},
            "missing setting: set SOURCES__ANALYTICS__CLIENT_ID and"
            " SOURCES__ANALYTICS__CLIENT_SECRET in the environment",
            id="missing settings",
        ),
        pytest.param(
            {"SOURCES__ANALYTICS__MAX_RETRIES": "many"},
            "a setting in section [sources.analytics] cannot be used",
            id="setting of a wrong type",
        ),
        pytest.param(
            {"ANALYTICS__DESTINATION": "nowhere"},
            "dlt has no destination 'nowhere': set ANALYTICS__DESTINATION",
            id="unknown destination",
        ),
        pytest.param(
            {"ANALYTICS__DESTINATION": "snowflake"},
            "missing setting, or a part of it: set DESTINATION__SNOWFLAKE__CREDENTIALS in",
            id="destination without its settings",
        ),
        pytest.param(
            {"ANALYTICS__DESTINATION": "postgres", "ANALYTICS__DATASET_NAME": 47 * "x"},
            "ANALYTICS__DATASET_NAME is too long for PostgreSQL: set one of at most 46 characters",
            id="long dataset",
        ),
        pytest.param(
            {"ANALYTICS__DATASET_NAME": "warehouse"},
            "set ANALYTICS__DATASET_NAME or DESTINATION__DUCKDB__CREDENTIALS to another name",
            id="ambiguous dataset",
        ),
        pytest.param(
            {"DESTINATION__DUCKDB__CREDENTIALS": "/nowhere/at/all.duckdb"},
            "cannot write in /nowhere/at (No such file or directory)",
            id="no folder for the warehouse",
        ),
        pytest.param(
            {"DAGSTER_HOME": "/nowhere"}, "set DAGSTER_HOME to a folder", id="no Dagster home"
        ),
    ],
)
def test_settings(sync, monkeypatch, settings: dict[str, str], expected: str):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    _assert_one_clear_line(sync(), expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SOURCES__ANALYTICS__CLIENT_SECRET", SECRET, "refuses the credentials (401): check "),
        ("DAGSTER_HOME", "/nowhere", "set DAGSTER_HOME to a folder"),
    ],
)
def test_the_process_says_no_more(commands: Commands, name: str, value: str, expected: str):
    commands.environment = {name: value}
    result = commands.analytics_assets("sync")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("Error: ")
    assert expected in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ANALYTICS__ACCOUNTS_PER_RUN", "0", "set ANALYTICS__ACCOUNTS_PER_RUN to a whole number"),
        ("ANALYTICS__SYNC_CRON", SECRET, "ANALYTICS__SYNC_CRON is not a cron expression; set it"),
        ("ANALYTICS__TIMEZONE", "UTC", "there is no setting timezone in section [analytics]: set"),
        ("EXTRACT__MAX_PARALLEL_ITEMS", "0", "set EXTRACT__MAX_PARALLEL_ITEMS to a whole number"),
    ],
)
def test_every_door(commands: Commands, sync, monkeypatch, name: str, value: str, line: str):
    monkeypatch.setenv(name, value)
    _assert_one_clear_line(sync(), line)
    doctor = invoke("doctor")
    assert doctor.exit_code == 1
    assert (name in doctor.stdout, SECRET in doctor.stdout) == (
        name != "ANALYTICS__TIMEZONE",
        False,
    )
    if name == "ANALYTICS__TIMEZONE":
        return  # as the one before
    materialized = commands.materialize("accounts")
    assert materialized.returncode == 1
    assert line in materialized.stderr
    if name.startswith("ANALYTICS__"):  # the code location itself does not load
        assert line in materialized.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        pytest.param(
            f"postgresql://user:{SECRET}@127.0.0.1:1/database",
            'no connection to the warehouse (connection to server at "127.0.0.1", port 1 failed:'
            " Connection refused",
            id="unreachable",
        ),
        pytest.param(
            f"postgresql://postgres:{SECRET}@127.0.0.1:{{port}}/postgres",
            'FATAL: password authentication failed for user "postgres"): check'
            " DESTINATION__POSTGRES__CREDENTIALS",
            id="wrong password",
        ),
        pytest.param(
            f"postgresql://postgres:an@{SECRET}@127.0.0.1:{{port}}/postgres",
            "DESTINATION__POSTGRES__CREDENTIALS cannot be used: expected a form such as",
            id="password with an @",
        ),
        pytest.param(
            f"postgresql://postgres:{SECRET}@127.0.0.1:port/postgres",
            "DESTINATION__POSTGRES__CREDENTIALS cannot be used (InvalidNativeValue): expected a",
            id="no number as port",
        ),
        pytest.param(
            f"postgresql://postgres:{SECRET}@/postgres",
            "missing setting, or a part of it: set DESTINATION__POSTGRES__CREDENTIALS in",
            id="no host",
        ),
    ],
)
def test_postgres_credentials(
    sync, monkeypatch, postgres: PostgresServer, credentials: str, expected: str
):
    url = credentials.replace("{port}", str(postgres.port))
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    _assert_one_clear_line(sync(), expected)


def test_missing_credentials(sync, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "postgres")
    _assert_one_clear_line(
        sync(),
        "missing setting, or a part of it: set DESTINATION__POSTGRES__CREDENTIALS in",
    )


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_role_that_may_not_create_schemas(sync, monkeypatch, postgres: PostgresServer, warehouse):
    url = urlsplit(warehouse["DESTINATION__POSTGRES__CREDENTIALS"])
    postgres.run(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
    try:
        monkeypatch.setenv(
            "DESTINATION__POSTGRES__CREDENTIALS",
            f"postgresql://reader:{SECRET}@127.0.0.1:{url.port}{url.path}",
        )
        result = sync()
    finally:
        postgres.run("DROP ROLE reader")
    _assert_one_clear_line(result, "be allowed to create others (GRANT CREATE ON DATABASE)")


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_role_that_may_not_read_the_tables(
    sync, monkeypatch, postgres: PostgresServer, warehouse
):
    assert sync("--resource", "accounts").exit_code == 0
    url = urlsplit(warehouse["DESTINATION__POSTGRES__CREDENTIALS"])
    database = url.path.strip("/")
    postgres.run(f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'")
    try:
        postgres.run(f"GRANT CREATE ON DATABASE {database} TO stranger")
        monkeypatch.setenv(
            "DESTINATION__POSTGRES__CREDENTIALS",
            f"postgresql://stranger:{SECRET}@127.0.0.1:{url.port}{url.path}",
        )
        result = sync()
    finally:
        postgres.run("DROP OWNED BY stranger", database=database)
        postgres.run("DROP ROLE stranger")
    _assert_one_clear_line(result, "must own the schema analytics and be allowed to create others")


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_missing_driver(sync, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    result = sync()
    assert result.exit_code == 1
    line = "needs adbc_driver_postgresql, which is not installed: pip install 'analytics-assets[po"
    assert line in result.output


def test_packages_of_another_destination(sync, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "snowflake")
    monkeypatch.setenv(
        "DESTINATION__SNOWFLAKE__CREDENTIALS", f"snowflake://user:{SECRET}@host/database"
    )
    _assert_one_clear_line(
        sync(),
        "the destination snowflake needs packages that are not installed: pip install",
    )


@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.usefixtures("home")
def test_output_for_which_there_is_no_room(api: SampleApi, sync, command: str):
    assert sync().exit_code == 0
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "analytics_assets.cli", command],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "Error: no space left for what the command writes to: free some\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def test_wrong_token_path(sync, monkeypatch, api: SampleApi):
    monkeypatch.setenv("SOURCES__ANALYTICS__TOKEN_URL", f"{api.base_url}/elsewhere")
    _assert_one_clear_line(sync(), "SOURCES__ANALYTICS__TOKEN_URL")


def test_token_page_without_token(sync, api: SampleApi):
    api.behaviour.faults.append(Fault("html_200", "/oauth/token"))
    _assert_one_clear_line(
        sync(),
        "answers 200 without an access token: check SOURCES__ANALYTICS__TOKEN_URL",
    )


def test_an_api_that_repeats_the_secret(sync, api: SampleApi):
    api.behaviour.faults.append(Fault("status", "*allowed-accounts", value="403"))
    result = sync()
    _assert_one_clear_line(result, "accounts: GET /v1/users/current/allowed-accounts answers 403")
    assert "sample-secret" not in result.output


def _assert_one_clear_line(result: Result, expected: str) -> None:
    assert result.exit_code == 1, result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert expected in lines[0]
    assert SECRET not in result.output
