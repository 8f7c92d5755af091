"""The warehouses of this lane: `make test-destinations`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from analytics_assets_tests.testing.other_destinations import (
    install_extensions,
    lake_settings,
    sqlite_settings,
)
from analytics_assets_tests.testing.postgres_server import PostgresServer

# DuckLake needs the DuckDB that its extension was built for, so it has an environment of its own
collect_ignore_glob = [] if find_spec("duckdb_extension_ducklake") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _extensions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("duckdb")))
        install_extensions()
        yield


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of an empty warehouse; which one, by parameter."""
    if request.param == "sqlite":
        yield sqlite_settings(tmp_path)
    elif request.param == "ducklake":
        yield lake_settings(tmp_path, f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as database:
            yield lake_settings(tmp_path, server.url(database))
