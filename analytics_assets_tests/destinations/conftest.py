"""The warehouses of this lane: `make test-destinations`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from analytics_assets_tests.testing.other_destinations import (
    install_extensions,
    settings_of_page,
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
        yield settings_of_page("sqlalchemy", tmp_path)
    elif request.param == "ducklake":
        yield settings_of_page("ducklake", tmp_path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as database:
            catalog = {"DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": server.url(database)}
            yield {**settings_of_page("ducklake", tmp_path), **catalog}
