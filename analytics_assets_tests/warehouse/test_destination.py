"""The destination: its configuration, and what a load does to a DuckDB file."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

from analytics_assets.errors import SettingsError
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.destination import (
    is_postgres,
    make_destination,
    sql_dialect,
    storable,
)
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.location import default_duckdb
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.tables import query


@pytest.fixture
def configuration(home: Path) -> Any:
    """Gives the configuration of a client for a dataset."""
    destination = make_destination(platform_settings())

    def of(dataset_name: str) -> Any:
        return destination.configuration(
            DuckDbClientConfiguration()._bind_dataset_name(dataset_name=dataset_name)
        )

    return of


def test_each_client_has_connections_of_its_own(configuration: Any) -> None:
    first, second, third = (configuration("analytics").credentials for _ in range(3))
    assert first.database == second.database == third.database == str(default_duckdb())
    pools = [first.conn_pool, second.conn_pool, third.conn_pool]
    assert None not in pools
    assert len(set(map(id, pools))) == 3


def test_each_dataset_has_a_configuration_of_its_own(configuration: Any) -> None:
    names = [configuration(name).dataset_name for name in ("one", "other", "one")]
    assert names == ["one", "other", "one"]


def test_no_reader_takes_the_file_between_the_steps_of_a_load(home: Path) -> None:
    load(home, {"a": [{"id": 1}]})
    settings = platform_settings()
    pipeline = make_pipeline(settings, home)
    assert run_locked(settings, pipeline, is_taken, LockRequest("a test", 1, print))
    assert not is_taken()


def is_taken() -> bool:
    code = f"import duckdb; duckdb.connect({str(default_duckdb())!r}, read_only=True)"
    reader = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return "Conflicting lock" in reader.stderr


@pytest.mark.parametrize(
    ("told", "limit"), [(None, "152.5 MiB"), ('{"memory_limit": "300MB"}', "286.1 MiB")]
)
def test_duckdb_works_with_little_memory_unless_told_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, limit: str
) -> None:
    if told:
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG", told)
    with make_pipeline(platform_settings(), home).sql_client() as client:
        [(found,)] = client.execute_sql("SELECT current_setting('memory_limit')") or []
    assert found == limit


def test_what_was_staged_does_not_stay(home: Path) -> None:
    load(home, {"a": [{"id": 1}], "b": [{"id": 2}]})
    assert query(home, "SELECT count(*) FROM analytics.audience_rules") == [(2,)]
    assert query(home, "SELECT count(*) FROM analytics_staging.audience_rules") == [(0,)]


POSTGRES = "postgresql://loader:hunter2@db.example.com:5432/ads"


@pytest.fixture
def on_a_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    """The settings of a PostgreSQL server that nobody asks."""
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", POSTGRES)
    return PlatformSettings(destination="postgres")


def test_what_a_pipeline_says_of_its_database(home: Path, on_a_server: PlatformSettings) -> None:
    in_file, on_server = (
        make_pipeline(settings, home / settings.destination)
        for settings in (platform_settings(), on_a_server)
    )
    assert (is_postgres(in_file), sql_dialect(in_file)) == (False, "duckdb")
    assert (is_postgres(on_server), sql_dialect(on_server)) == (True, "postgres")
    elsewhere = make_pipeline(PlatformSettings(destination="sqlalchemy"), home / "elsewhere")
    assert sql_dialect(elsewhere) == ""


def test_what_postgresql_cannot_hold_is_replaced(home: Path, on_a_server: PlatformSettings) -> None:
    table = pa.table({"id": [1, 2], "name": ["a\0b\0", None], "more": ["\0", "c"]})
    found = storable(table, make_pipeline(on_a_server, home))
    assert found.schema == table.schema
    assert found.to_pydict() == {
        "id": [1, 2],
        "name": ["a\ufffdb\ufffd", None],
        "more": ["\ufffd", "c"],
    }
    assert storable(table, make_pipeline(platform_settings(), home / "file")) is table


def test_each_run_has_a_staging_dataset_of_its_own_on_a_server(
    on_a_server: PlatformSettings,
) -> None:
    made: list[Any] = [make_destination(on_a_server) for _ in range(2)]
    layouts = [
        each.configuration(each.spec(), accept_partial=True).staging_dataset_name_layout
        for each in made
    ]
    assert len(set(layouts)) == 2
    assert all(re.fullmatch("%s_staging_[0-9a-f]{8}", layout) for layout in layouts)


def refusal(settings: PlatformSettings) -> str:
    with pytest.raises(SettingsError) as error:
        make_destination(settings)
    return str(error.value)


def test_a_dataset_whose_staging_datasets_postgresql_would_cut_off(
    on_a_server: PlatformSettings,
) -> None:
    make_destination(replace(on_a_server, dataset_name="a" * 46))
    assert refusal(replace(on_a_server, dataset_name="a" * 47)) == (
        "ANALYTICS__DATASET_NAME is too long for PostgreSQL: set one of at most 46 characters"
    )
    make_destination(PlatformSettings(dataset_name="a" * 47))


@pytest.mark.parametrize("driver", ["psycopg2", "adbc_driver_manager", "adbc_driver_postgresql"])
def test_a_driver_that_is_not_installed_is_named(
    on_a_server: PlatformSettings, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    assert refusal(on_a_server) == (
        f"PostgreSQL as warehouse needs {driver}, which is not installed: pip install"
        " 'analytics-assets[postgres]'"
    )


def test_a_destination_that_dlt_does_not_have(home: Path) -> None:
    assert refusal(PlatformSettings(destination="nowhere")) == (
        "dlt has no destination 'nowhere': set ANALYTICS__DESTINATION to one such as duckdb or"
        " postgres"
    )
