"""What people are told of an error that came of using the warehouse."""

from __future__ import annotations

import duckdb
import pytest
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationValueError,
    ValueNotSecretException,
)
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.impl.postgres.configuration import PostgresCredentials

from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.failures import (
    explain,
    first_cause,
    is_refused,
    tables_were_changed,
)


class OperationalError(Exception):
    """As database drivers have it, with or without what the server says."""

    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        (None, "no connection to the warehouse (it failed)"),
        ("08006", "no connection to the warehouse (it failed)"),
        ("54000", "the warehouse could not be written: it failed"),
        ("53100", "the warehouse could not be written: it failed"),
        ("42501", "the warehouse refuses (it failed)"),
    ],
)
def test_what_the_server_refuses_is_no_lost_connection(
    home, monkeypatch, sqlstate: str | None, said: str
):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "postgres")
    settings = platform_settings()
    assert explain(OperationalError("it failed", sqlstate), settings).startswith(said)


def test_what_dlt_knows_of_a_table_that_is_not_there():
    error = DatabaseUndefinedRelation(OperationalError("no such table: a", None))
    error.__cause__ = OperationalError("no such table: a", None)
    assert tables_were_changed(error)
    assert not tables_were_changed(error.__cause__)


SECRET = "a-secret-that-must-not-show"


def raised(*chain: Exception) -> Exception:
    """The last of these errors, each of which came of the one before."""
    first, *others = chain
    for error in others:
        error.__cause__ = first
        first = error
    return first


@pytest.fixture
def on_a_server(home, monkeypatch) -> PlatformSettings:
    credentials = f"postgresql://loader:{SECRET}@db:5432/ads"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", credentials)
    return PlatformSettings(destination="dlt.destinations.postgres", dataset_name="ads")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConfigFieldMissingException(PostgresCredentials(), {"host": [], "password": []}),
            (
                "missing setting, or a part of it: set DESTINATION__POSTGRES__HOST and"
                " DESTINATION__POSTGRES__PASSWORD in the environment or in .dlt/secrets.toml"
            ),
        ),
        (
            ValueNotSecretException("config.toml", "password"),
            (
                "destination.postgres holds a secret, which does not belong in config.toml: set it"
                " in .dlt/secrets.toml, or DESTINATION__POSTGRES__CREDENTIALS in the environment"
            ),
        ),
        (
            ConfigurationValueError(f"cannot be read: {SECRET}"),
            (
                "DESTINATION__POSTGRES__CREDENTIALS cannot be used (ConfigurationValueError):"
                " expected a form such as postgresql://user:password@host:5432/database, with"
                " special characters of the password percent-encoded (@ is %40)"
            ),
        ),
        (
            MissingDependencyException("postgres", ["psycopg2", "adbc"]),
            (
                "the destination postgres needs packages that are not installed: pip install"
                " psycopg2 adbc"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_dlt_cannot_begin_with_is_told_wherever_it_came_from(
    on_a_server: PlatformSettings, error: Exception, said: str
):
    assert explain(error, on_a_server) == said
    assert explain(raised(ValueError("first"), error, ValueError("last")), on_a_server) == said


def test_the_first_cause_is_told_on_one_line_and_without_a_secret(on_a_server: PlatformSettings):
    error = raised(ValueError(f"no\n  {SECRET}\there"), KeyError("later"))
    assert explain(error, on_a_server) == "the warehouse could not be written: no *** here"
    assert first_cause(error) == f"no {SECRET} here"
    nothing = raised(ZeroDivisionError(), KeyError("later"))
    assert explain(nothing, on_a_server) == "the warehouse could not be written: ZeroDivisionError"
    assert first_cause(nothing) == "ZeroDivisionError"


def test_what_is_to_be_done_where_the_server_is_not_reached_or_refuses(
    on_a_server: PlatformSettings,
):
    name = "DESTINATION__POSTGRES__CREDENTIALS"
    lost, refused = OperationalError("gone", "08001"), OperationalError("no", "42501")
    assert explain(lost, on_a_server) == f"no connection to the warehouse (gone): check {name}"
    assert explain(refused, on_a_server) == (
        f"the warehouse refuses (no): the role in {name} must own the schema ads and be allowed to"
        " create others (GRANT CREATE ON DATABASE)"
    )
    # of a file, it is neither
    for error in (lost, refused):
        said = explain(error, PlatformSettings())
        assert said == f"the warehouse could not be written: {error}"


def test_rows_that_have_no_room_in_the_memory_of_duckdb():
    connection = duckdb.connect(config={"memory_limit": "1MB"})
    with connection, pytest.raises(duckdb.OutOfMemoryException) as caught:
        connection.execute("CREATE TABLE wide AS SELECT repeat('x', 4000000)")
    said = explain(raised(caught.value, KeyError("later")), PlatformSettings())
    assert said.startswith("DuckDB's memory has no room for the rows (Out of Memory Error: ")
    advice = """DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG='{"memory_limit": "2GB"}'"""
    assert said.endswith(f"): give it more by {advice}")
    assert "Possible" not in said


@pytest.mark.parametrize(
    ("first", "changed", "refused"),
    [
        (OperationalError("no such table", "42P01"), True, False),
        (OperationalError("not allowed", "42501"), False, True),
        (OperationalError("lost", "08006"), False, False),
        (OperationalError("lost", None), False, False),
        (duckdb.CatalogException("no such table"), True, False),
        (duckdb.IOException("no such file"), False, False),
    ],
)
def test_the_first_error_says_whether_tables_were_changed(
    first: Exception, changed: bool, refused: bool
):
    for error in (first, raised(first, ValueError("later"))):
        assert tables_were_changed(error) is changed
        assert is_refused(error) is refused


def test_the_state_that_either_driver_tells():
    class OfPsycopgError(Exception):
        pgcode = "42P01"

    assert tables_were_changed(OfPsycopgError())
