"""The destination: its configuration, and what a load does to a DuckDB file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.destination import make_destination
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
