"""PostgreSQL databases and connections that are not in UTF-8, and other ways to set them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.doctor import probe_warehouse
from analytics_assets_tests.testing.commands import Commands
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.postgres_server import PostgresServer
from analytics_assets_tests.testing.tables import query, warehouse_table

TEXT = "Größe 日本 🏷 \\n'\"\\ ÿ"
ROW = {
    "id": 2**53 + 1,
    "display_name": TEXT,
    "condition": {TEXT: [0.1, "\\u00e4", None]},
    "score": 0.1 + 0.2,
    "tiny": 5e-324,
}

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)


@pytest.fixture
def database(warehouse: dict[str, str]) -> str:
    return warehouse["DESTINATION__POSTGRES__CREDENTIALS"].rpartition("/")[2]


@pytest.fixture
def encoded(
    request: pytest.FixtureRequest, home: Path, postgres: PostgresServer, monkeypatch
) -> Iterator[str]:
    """A database of another encoding."""
    encoding = request.param
    name = f"in_{encoding.lower()}"
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    postgres.run(f"CREATE DATABASE {name} {options}")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.url(name))
    yield encoding
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    "encoded", ["LATIN1", "LATIN9", "WIN1252", "EUC_JP", "SQL_ASCII"], indirect=True
)
def test_a_database_that_is_not_utf_8_is_refused(home, tmp_path, encoded: str):
    message = (
        f"the database in_{encoded.lower()} has the encoding {encoded}, which cannot hold all text:"
        " set DESTINATION__POSTGRES__CREDENTIALS to a database that was made with ENCODING 'UTF8'"
    )
    assert refusals(tmp_path) == [message] * 2
    assert query(home, "SELECT nspname FROM pg_namespace WHERE nspname ~ 'analytics'") == []


@pytest.mark.parametrize("encoded", ["LATIN1"], indirect=True)
def test_the_commands_say_so(commands: Commands, encoded: str):
    result = commands.analytics_assets("sync")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: the database in_latin1 has the enc")
    doctor = commands.analytics_assets("doctor")
    assert doctor.returncode == 1
    assert "the database in_latin1 has the encoding LATIN1, which cannot hold all" in doctor.stdout
    assert "-> set DESTINATION__POSTGRES__CREDENTIALS to a database" in doctor.stdout


def refusals(folder: Path) -> list[str]:
    """What a load and the probe say against the warehouse."""
    found: list[str] = []
    for use in (lambda: load(folder, {"a": [ROW]}), lambda: probe_warehouse(platform_settings())):
        with suppress_and_note(found):
            use()
    return found


@contextmanager
def suppress_and_note(found: list[str]) -> Iterator[None]:
    try:
        yield
    except WarehouseError as error:
        found.append(str(error))


def by_url(options: str) -> Callable:
    def change(server: PostgresServer, database: str, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{server.url(database)}?{options}")

    return change


def by_database(setting: str) -> Callable:
    return lambda server, database, _: server.run(f"ALTER DATABASE {database} SET {setting}")


def by_environment(name: str, value: str) -> Callable:
    return lambda server, database, patch: patch.setenv(name, value)


OTHER_CLIENT_ENCODINGS = {
    "url": by_url("client_encoding=latin1"),
    "options": by_url("options=-cclient_encoding%3Dwin1252"),
    "database": by_database("client_encoding = 'LATIN1'"),
    "environment": by_environment("PGCLIENTENCODING", "LATIN9"),
    "dlt": by_environment("DESTINATION__POSTGRES__CREDENTIALS__CLIENT_ENCODING", "latin1"),
}


@pytest.mark.parametrize("change", OTHER_CLIENT_ENCODINGS.values(), ids=OTHER_CLIENT_ENCODINGS)
def test_a_connection_that_is_not_utf_8_is_refused(
    home, tmp_path, postgres: PostgresServer, database: str, monkeypatch, change
):
    change(postgres, database, monkeypatch)
    for refusal in refusals(tmp_path):
        assert f"connections to the database {database} have the client_encoding " in refusal
        assert "set DESTINATION__POSTGRES__CREDENTIALS to end with ?client_encoding=" in refusal
    assert len(refusals(tmp_path)) == 2
    monkeypatch.delenv("DESTINATION__POSTGRES__CREDENTIALS__CLIENT_ENCODING", raising=False)
    by_url("client_encoding=utf8")(postgres, database, monkeypatch)  # as the message says
    assert refusals(tmp_path) == []
    assert kept(home) == [{**ROW, "account_id": "a"}]


def kept(home: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in warehouse_table(home, "audience_rules")
    ]


SETTINGS = [
    "standard_conforming_strings = off",
    "extra_float_digits = -15",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = 'sql_standard'",
    "TimeZone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'",
    "search_path = 'elsewhere'",
    "default_transaction_isolation = 'serializable'",
    "transform_null_equals = on",
    "backslash_quote = off",
]


def test_no_setting_of_the_database_changes_values(
    home, tmp_path, postgres: PostgresServer, database: str
):
    for setting in SETTINGS:
        by_database(setting)(postgres, database, None)
    for _ in range(2):
        load(tmp_path, {"a": [ROW], "b": [ROW]})
    postgres.run(f"ALTER DATABASE {database} RESET ALL")
    assert kept(home) == [{**ROW, "account_id": account} for account in ("a", "b")]


ROLE = "ad loader @:/%20?#&+"


def test_names_and_passwords_may_have_any_characters(
    home, tmp_path, postgres: PostgresServer, database: str, monkeypatch
):
    name, password = "ads + more", f"x{ROLE}"
    postgres.run(f"CREATE ROLE \"{ROLE}\" SUPERUSER LOGIN PASSWORD '{password}'")
    postgres.run(f'CREATE DATABASE "{name}"')
    try:
        address = f"127.0.0.1:{urlsplit(postgres.url()).port}/{quote(name)}"
        options = "options=-c%20lock_timeout%3D9000%20-c%20statement_timeout%3D60000"
        url = f"postgresql://{quote(ROLE, safe='')}:{quote(password, safe='')}@{address}?{options}"
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
        assert refusals(tmp_path) == []
        assert kept(home) == [{**ROW, "account_id": "a"}]
    finally:
        postgres.run(f'DROP DATABASE "{name}" WITH (FORCE)')
        postgres.run(f'DROP ROLE "{ROLE}"')
