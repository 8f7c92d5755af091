"""What `analytics-assets doctor` finds at the warehouse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from analytics_assets_tests.testing.doctor import (
    SECRET,
    failed,
    files,
)
from analytics_assets_tests.testing.tables import query


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
        ({"ANALYTICS__DESTINATION": "filesystem"}, "filesystem cannot hold the tables"),
        ({"ANALYTICS__DESTINATION": "snowflake"}, "snowflake has no "),
    ],
)
def test_no_warehouse(doctor, monkeypatch, settings: dict[str, str], detail: str):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert detail in checks["warehouse"]["detail"]


def test_another_destination(home, doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", f"sqlite:///{tmp_path}/a.db")
    checks = doctor()
    assert failed(checks) == []
    assert checks["warehouse"]["detail"] == (
        "connected to sqlalchemy; dataset analytics is not there yet;"
        " a load will show if it can be written;"
        " loads take turns on one machine, and not across several"
    )


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (f"postgresql+nodriver://user:{SECRET}@127.0.0.1:1/{SECRET}", "Can't load plugin"),
        (f"postgresql://user:{SECRET}", "invalid literal for int()"),
        (f"sqlite:////nowhere/{SECRET}", "unable to open database file"),
    ],
)
def test_another_destination_that_cannot_be_reached(
    doctor, monkeypatch, credentials: str, reason: str
):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", credentials)
    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert checks["warehouse"]["detail"].startswith("sqlalchemy cannot be reached or written: ")
    assert reason in checks["warehouse"]["detail"]
    assert checks["warehouse"]["advice"] == (
        "check section [destination.sqlalchemy] of the settings"
    )
