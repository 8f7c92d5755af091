"""No secret in anything that a run prints or writes, also when everything fails."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.postgres_server import PASSWORD, PostgresServer

SECRET = "k3y-that-must-stay-in-memory"

FAULTS = {
    "one account fails": [Fault("status", "*/items/", value="403")],
    "the list fails": [Fault("status", "*/allowed-accounts", value="500")],
    "tokens are revoked": [Fault("revoke_tokens", "*/campaigns/")],
    "connections break": [Fault("reset_in_body", "*/audiences")],
    "the token URL fails": [Fault("status", "/oauth/token", value="500")],
    "the token page is no token": [Fault("html_200", "/oauth/token")],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_no_secret_leaves_the_process(
    home: Path, commands, api: SampleApi, tmp_path: Path, faults: list[Fault]
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    api.behaviour.client_secret = SECRET
    api.behaviour.faults.extend(faults)
    commands.environment = {
        "SOURCES__ANALYTICS__CLIENT_SECRET": SECRET,
        "RUNTIME__LOG_LEVEL": "DEBUG",
        "TMPDIR": str(temporary),
    }
    result = commands.analytics_assets("sync")
    assert result.returncode == 1

    headers = [str(entry.headers.get("Authorization", "")) for entry in api.log.entries]
    tokens = {header.removeprefix("Bearer ") for header in headers if header}
    assert_nowhere((SECRET, *tokens), result.stdout + result.stderr, home, temporary)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize("breakage", ["none", "another password", "a key is lost"])
def test_the_password_of_the_warehouse(
    home: Path, commands, postgres: PostgresServer, warehouse, tmp_path: Path, breakage: str
):
    url = warehouse["DESTINATION__POSTGRES__CREDENTIALS"]
    password = quote(PASSWORD, safe="")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    commands.environment = {"RUNTIME__LOG_LEVEL": "DEBUG", "TMPDIR": str(temporary)}
    if breakage == "another password":
        commands.environment["DESTINATION__POSTGRES__CREDENTIALS"] = url.replace(password, SECRET)
    if breakage == "a key is lost":
        assert commands.analytics_assets("sync").returncode == 0
        database = urlsplit(url).path.strip("/")
        postgres.run("ALTER TABLE analytics.campaigns DROP COLUMN id", database=database)
    result = commands.analytics_assets("sync")
    assert result.returncode == (breakage != "none"), result.stderr
    assert_nowhere((PASSWORD, password, SECRET), result.stdout + result.stderr, home, temporary)


POSTGRES = "DESTINATION__POSTGRES__CREDENTIALS"
URL = "postgresql://loader:{}@127.0.0.1:1/warehouse"
IN_TOML = f'[destination.postgres]\ncredentials = "{URL.format(SECRET)}"\n'
# by what is wrong: secrets.toml, config.toml, environment
MISCONFIGURATIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "no destination is chosen": (IN_TOML, "", {}),
    "no destination is chosen, URL misspelt": (IN_TOML.replace("postgresql:", "://"), "", {}),
    "chosen in the wrong place": (IN_TOML + "[analytics.destination]\npostgres = 1\n", "", {}),
    "a table for the destination": (
        f'[analytics.destination.postgres]\ncredentials = "{URL.format(SECRET)}"\n',
        "",
        {},
    ),
    "a URL for the destination": ("", "", {"ANALYTICS__DESTINATION": URL.format(SECRET)}),
    "a URL for the dataset": ("", "", {"ANALYTICS__DATASET_NAME": URL.format(SECRET)}),
    "a URL for DuckDB": ("", "", {"DESTINATION__DUCKDB__CREDENTIALS": URL.format(SECRET)}),
    "nobody answers": (IN_TOML, "", {"ANALYTICS__DESTINATION": "postgres"}),
    "in config.toml": ("", IN_TOML, {"ANALYTICS__DESTINATION": "postgres"}),
    "no database": (
        f'[destination.postgres.credentials]\nhost = "127.0.0.1"\npassword = "{SECRET}"\n',
        '[analytics]\ndestination = "postgres"\n',
        {},
    ),
    **{
        f"the password holds a {character}": (
            "",
            "",
            {
                "ANALYTICS__DESTINATION": "postgres",
                POSTGRES: URL.format(SECRET[:9] + character + SECRET[9:]),
            },
        )
        for character in ("@", "@5/", "?x@", "/#")
    },
}


@pytest.mark.parametrize(
    ("secrets", "config", "environment"), MISCONFIGURATIONS.values(), ids=MISCONFIGURATIONS
)
def test_settings_that_are_wrong(
    home: Path,
    toml,
    capfd,
    tmp_path: Path,
    monkeypatch,
    secrets: str,
    config: str,
    environment: dict[str, str],
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    toml(config, secrets=False)
    toml(secrets)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = invoke("doctor", "--json").output + invoke("sync").output
    output += "".join(capfd.readouterr())
    assert_nowhere((SECRET, SECRET[:9], SECRET[9:]), output, home, temporary)


@pytest.mark.parametrize("case", ["a URL for the dataset", "nobody answers", "in config.toml"])
def test_files_of_settings_that_are_wrong(home: Path, commands, tmp_path: Path, case: str):
    secrets, config, environment = MISCONFIGURATIONS[case]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    dlt = commands.folder / ".dlt"
    dlt.mkdir()
    (dlt / "secrets.toml").write_text(secrets)
    (dlt / "config.toml").write_text(config)
    commands.environment = {**environment, "TMPDIR": str(temporary)}
    for result in (commands.analytics_assets("sync"), commands.materialize("accounts")):
        assert result.returncode == 1
        output = result.stdout + result.stderr
        assert_nowhere((SECRET, SECRET[:9], SECRET[9:]), output, home, temporary)


def assert_nowhere(secrets: Iterable[str], output: str, home: Path, temporary: Path) -> None:
    written = [path for path in (*home.rglob("*"), *temporary.rglob("*")) if path.is_file()]
    assert any(path.suffix == ".db" for path in written)  # Dagster's records are among them
    contents = {str(path): path.read_bytes() for path in written}
    contents["output"] = output.encode()
    for name, content in contents.items():
        for secret in secrets:
            assert secret.encode() not in content, name
