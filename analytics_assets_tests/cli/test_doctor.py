"""`analytics-assets doctor`: every check in order, and out of order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from analytics_assets.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.tables import query

SECRET = "a-secret-that-must-not-show"
ENDPOINTS = [f"endpoint {name}" for name in ACCOUNT_RESOURCES]
API_CHECKS = ["token", "account list", *ENDPOINTS, "quota headers"]
WAREHOUSE_CHECKS = ["warehouse", "tables", "loads on record"]
CHILDREN = [name for name, resource in ACCOUNT_RESOURCES.items() if resource.has_parent_rows]
Checks = dict[str, dict]


@pytest.fixture
def run(home: Path) -> Callable[..., Result]:
    """`analytics-assets doctor` in this process."""
    from analytics_assets.cli import main

    def doctor(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False)

    return doctor


@pytest.fixture
def doctor(run) -> Callable[..., Checks]:
    """The checks by name; text and JSON say the same, and neither holds a secret."""

    def checks_of(*arguments: str) -> Checks:
        text, as_json = run(*arguments), run(*arguments, "--json")
        checks = json.loads(as_json.stdout)
        assert all(set(check) == {"name", "ok", "detail", "advice"} for check in checks)
        assert text.exit_code == as_json.exit_code == any(check["ok"] is False for check in checks)
        for check in checks:
            assert check["detail"] in text.stdout
            assert check["advice"] in text.stdout
        for secret in (SECRET, "sample-client", "sample-secret"):
            assert secret not in text.output + as_json.output
        return {check["name"]: check for check in checks}

    return checks_of


def failed(checks: Checks) -> list[str]:
    return [name for name, check in checks.items() if check["ok"] is False]


def skipped(checks: Checks) -> list[str]:
    return [name for name, check in checks.items() if check["ok"] is None]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_is_well_and_nothing_is_left_behind(new_home, doctor, run, api: SampleApi):
    before = files(new_home)
    checks = doctor()
    assert files(new_home) == before
    assert (failed(checks), skipped(checks)) == ([], [])
    first = api.data.account_ids[0]
    assert checks["account list"]["detail"].endswith("answers 200, 3 rows")
    for name in ACCOUNT_RESOURCES:
        assert f"GET /v1/{first}/" in checks[f"endpoint {name}"]["detail"]
    assert checks["quota headers"]["detail"] == "none"
    assert "warehouse.duckdb is not there yet" in checks["warehouse"]["detail"]
    assert checks["dagster home"]["detail"] == f"{new_home}, in which nothing is recorded yet"
    for package in ("python", "analytics-assets", "dagster", "dagster-dlt", "dlt", "duckdb"):
        assert f"{package} " in checks["versions"]["detail"]
    api.log.clear()
    assert run().stdout.splitlines()[-1] == "all is well"
    assert api.log.requests == 2 + len(ACCOUNT_RESOURCES)  # the token and the list of accounts


def test_after_a_sync(home, sync, doctor, api: SampleApi):
    assert sync().exit_code == 0
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


def test_an_account_without_campaigns(doctor, api: SampleApi):
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("empty_results", "/v1/*/campaigns/"))
    checks = doctor()
    assert (failed(checks), skipped(checks)) == ([], [f"endpoint {name}" for name in CHILDREN])
    for name in CHILDREN:
        assert f"{account} has no campaigns" in checks[f"endpoint {name}"]["detail"]
        assert "--account" in checks[f"endpoint {name}"]["advice"]


def test_an_unknown_account(doctor):
    checks = doctor("--account", "acme-0001-sx")
    assert checks["account"]["detail"] == (
        "no such account: acme-0001-sx (did you mean acme-0001-sc?)"
    )
    assert (failed(checks), skipped(checks)) == (["account"], ENDPOINTS)


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
    ("fault", "detail", "advice"),
    [
        (
            Fault("html_200", "*allowed-accounts"),
            "answers 200 with an HTML page, not JSON",
            "check ",
        ),
        (Fault("no_results", "*allowed-accounts"), "without a list of `results`", "check "),
        (
            Fault("empty_results", "*allowed-accounts"),
            "answers 200, 0 rows",
            "have the API's owner",
        ),
        (Fault("status", "*allowed-accounts", value=404), "answers 404: ", "check "),
        (Fault("expired_token", "*allowed-accounts"), "answers 401: ", "have the API's owner"),
        (
            Fault("html_status", "*allowed-accounts", value=502),
            "502 with an HTML page",
            "the API is",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_no_account_list(doctor, api: SampleApi, fault: Fault, detail: str, advice: str):
    api.behaviour.faults.append(fault)
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["account list"], ENDPOINTS)
    asked = "GET /v1/users/current/allowed-accounts "
    assert checks["account list"]["detail"].startswith(asked)
    assert detail in checks["account list"]["detail"]
    assert checks["account list"]["advice"].startswith(advice)


def test_one_endpoint_that_is_refused(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("status", "/v1/*/universal_pixel/conversion_rule", value=403))
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["endpoint conversion_rules"], [])
    refused = checks["endpoint conversion_rules"]
    path = f"/v1/{api.data.account_ids[0]}/universal_pixel/conversion_rule"
    assert refused["detail"] == (f"GET {path} answers 403: Something went wrong, please try again.")
    assert refused["advice"] == "have the API's owner permit the client to read it"


def test_a_parent_that_is_refused(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("reset", "/v1/*/campaigns/"))
    checks = doctor()
    assert failed(checks) == ["endpoint campaigns"]
    assert skipped(checks) == [f"endpoint {name}" for name in CHILDREN]
    assert checks[f"endpoint {CHILDREN[0]}"]["detail"] == "needs endpoint campaigns"
    assert [fault.hits for fault in api.behaviour.faults] == [2]  # text, JSON: nothing is repeated


def test_a_quota_that_is_used_up(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("too_many_requests", "*/resources/audiences", value=3600))
    checks = doctor()
    assert failed(checks) == ["endpoint audiences"]
    assert "answers 429" in checks["endpoint audiences"]["detail"]
    assert checks["endpoint audiences"]["advice"].startswith("the quota is used up")
    # it does not wait for an hour
    assert skipped(checks) == ["endpoint audience_rules", "endpoint conversion_rules"]
    assert checks["endpoint audience_rules"]["detail"] == "needs quota"
    assert "Retry-After: " in checks["quota headers"]["detail"]


def test_quota_headers_of_answers(doctor, monkeypatch):
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"results": [{"account_id": "acme", "id": 1}]})

        def do_POST(self) -> None:
            self.answer({"access_token": SECRET, "expires_in": 60})

        def answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-RateLimit-Remaining", "41")
            self.send_header("RateLimit-Policy", f"10;w=1 for {SECRET}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SOURCES__ANALYTICS__BASE_URL", url)
        monkeypatch.setenv("SOURCES__ANALYTICS__TOKEN_URL", url)
        checks = doctor()
        server.shutdown()
    assert failed(checks) == []
    assert checks["quota headers"]["detail"] == (
        "X-RateLimit-Remaining: 41, RateLimit-Policy: 10;w=1 for ***"
    )


def test_an_api_that_repeats_the_secret(doctor, api: SampleApi, monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", SECRET)
    api.behaviour.client_secret = SECRET
    api.behaviour.faults.append(Fault("redirect", "*allowed-accounts", value=f"/{SECRET}"))
    checks = doctor()
    assert failed(checks) == ["account list"]
    assert checks["account list"]["detail"].startswith("GET /*** answers 404")


def test_a_read_only_warehouse(doctor, small_disk: Path, monkeypatch):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(small_disk / "warehouse.duckdb"))
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert checks["warehouse"]["detail"] == f"cannot write in {small_disk} (Read-only file system)"
    assert checks["warehouse"]["advice"] == "check DESTINATION__DUCKDB__CREDENTIALS or DAGSTER_HOME"


@contextmanager
def holding(file: Path, *, read_only: bool) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the DuckDB file open."""
    code = (
        "import duckdb, sys\n"
        f"with duckdb.connect(sys.argv[1], read_only={read_only}):\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


@pytest.mark.parametrize("read_only", [True, False])
def test_a_warehouse_that_another_process_holds(home, doctor, read_only: bool):
    file = home / "warehouse.duckdb"
    with holding(file, read_only=False):
        pass
    with holding(file, read_only=read_only) as process:
        checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert checks["warehouse"]["detail"].startswith(f"{file} is held by ")
    assert f"(PID {process.pid})" in checks["warehouse"]["detail"]
    assert checks["warehouse"]["advice"] == "close it there, or a sync waits for it"


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_postgres(home, doctor, monkeypatch, warehouse: dict[str, str]):
    told = doctor()["warehouse"]
    assert told["detail"] == "connected to postgres; dataset analytics can be written"
    assert query(home, "SELECT 1 FROM pg_namespace WHERE nspname ~ 'analytics'") == []
    url = warehouse["DESTINATION__POSTGRES__CREDENTIALS"]
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url.replace("postgres:", "nobody:"))
    told = doctor()["warehouse"]
    assert not told["ok"]
    assert 'password authentication failed for user "nobody"' in told["detail"]


def test_a_warehouse_that_a_killed_process_left(home, doctor):
    file = home / "warehouse.duckdb"
    code = (
        "import duckdb, os, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "connection.execute('CREATE TABLE t AS SELECT 1')\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    before = files(home)
    assert "warehouse.duckdb.wal" in before
    assert failed(doctor()) == []
    assert files(home) == before


def test_a_file_that_is_no_warehouse(home, doctor):
    (home / "warehouse.duckdb").write_text("not a database" * 1000)
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert "not a valid DuckDB database file" in checks["warehouse"]["detail"]


@pytest.mark.parametrize(
    ("settings", "detail"),
    [
        ({"ANALYTICS__DESTINATION": "nowhere"}, "dlt has no destination 'nowhere'"),
        ({"ANALYTICS__DATASET_NAME": "warehouse"}, "DuckDB cannot tell a file warehouse.duckdb"),
        ({"ANALYTICS__DESTINATION": "filesystem"}, "filesystem cannot replace a table's rows"),
        ({"ANALYTICS__DESTINATION": "redshift"}, "redshift has no "),
    ],
)
def test_no_warehouse(doctor, monkeypatch, settings: dict[str, str], detail: str):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert detail in checks["warehouse"]["detail"]


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


def test_another_destination(home, doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", f"sqlite:///{tmp_path}/a.db")
    checks = doctor()
    assert failed(checks) == []
    assert checks["warehouse"]["detail"] == (
        "connected to sqlalchemy; dataset analytics is not there yet;"
        " a load will show if it can be written"
    )


@pytest.mark.parametrize(
    "credentials",
    [
        f"postgresql+nodriver://user:{SECRET}@127.0.0.1:1/{SECRET}",
        f"postgresql://user:{SECRET}",
        f"sqlite:////nowhere/{SECRET}",
    ],
)
def test_another_destination_that_cannot_be_reached(doctor, monkeypatch, credentials: str):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", credentials)
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert checks["warehouse"]["detail"].startswith("sqlalchemy cannot be reached or written: ")
    assert checks["warehouse"]["advice"] == (
        "check section [destination.sqlalchemy] of the settings"
    )


def test_no_dagster_home(home, doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    checks = doctor()
    assert failed(checks) == ["dagster home"]
    assert checks["dagster home"]["detail"] == f"no dagster.yaml in {tmp_path}"
    assert checks["dagster home"]["advice"].startswith("set DAGSTER_HOME to a folder")


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
