"""What loading the code location does not: import what only some processes need, and set things."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NOT_NEEDED = [
    "aiohttp",  # the sample API
    "alembic",  # Dagster's storages
    "analytics_assets.cli",
    "analytics_assets.sample_api",
    "dagster._core.storage.event_log",
    "dagster_celery",
    "dagster_postgres",
    "dagster_webserver",
    "duckdb",  # only a run writes
    "psycopg2",
    "rich",  # the terminal
    "sqlalchemy",
]


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules of a process that has loaded the code location."""
    program = "import sys, analytics_assets.definitions; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", NOT_NEEDED)
def test_the_code_location_loads_without(imported: set[str], module: str) -> None:
    assert "analytics_assets.orchestration.assets" in imported
    assert module not in imported


def test_no_import_changes_the_environment() -> None:
    program = """
import os, dagster, dlt
before = dict(os.environ)
import analytics_assets.definitions, analytics_assets.dagster_backend.postgres_event_log
import analytics_assets.dagster_backend.sqlite_event_log
assert dict(os.environ) == before
"""
    # other tests have opened Dagster's records, which sets some of it
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")}
    subprocess.run([sys.executable, "-c", program], check=True, env=clean)
