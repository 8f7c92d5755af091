"""Several processes at one warehouse: each ends right, or says in time for whom it waits."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import start_sync
from analytics_assets_tests.testing.kills import staging_schemas
from analytics_assets_tests.testing.tables import (
    Row,
    assert_equal_tables,
    assert_warehouse_equals_api,
    served_table,
    warehouse_table,
)

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("warehouse", "same_accounts"),
    # DuckDB's lock is for all accounts alike
    [("duckdb", False), ("postgres", False), ("postgres", True)],
    indirect=["warehouse"],
)
def test_two_syncs_at_once(new_home: Path, api: SampleApi, sync, same_accounts: bool):
    first, second, third = api.data.account_ids
    chosen = [(), ()] if same_accounts else [("--account", first), ("--account", second)]
    processes = [start_sync(*arguments) for arguments in chosen]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    if not same_accounts:
        api.data.remove_account(third)
        assert sync("--resource", "accounts").exit_code == 0
    assert_warehouse_equals_api(new_home, api.data)


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_load_waits_for_no_other_account(home: Path, api: SampleApi, sync, monkeypatch):
    first, second, _ = api.data.account_ids
    before = warehouse_table(home, "campaigns")
    for account in (first, second):
        row = api.data.rows("campaigns", account)[0]
        api.data.update_row("campaigns", row["id"], {"name": "changed"}, account_id=account)
    api.log.clear()
    process = start_sync("--account", first)
    try:
        wait_until(lambda: loading(home, api, first))
        process.send_signal(signal.SIGSTOP)
        assert sync("--account", second).exit_code == 0
        rows = warehouse_table(home, "campaigns")
        expected = served_table(api.data, "campaigns", [second])
        assert_equal_tables(expected, of_account(rows, second), "campaigns")
        assert_equal_tables(of_account(before, first), of_account(rows, first), "campaigns")

        monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")
        result = sync("--account", first)
        assert result.exit_code == 1
        holder = rf"run [0-9a-f-]{{36}} \(process {process.pid}\)"
        assert re.search(f"waiting for {holder}, which writes to analytics", result.output)
        assert re.search(f"{holder} still writes to analytics after 0.5 s: run", result.output)
    finally:
        process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_warehouse_equals_api(home, api.data)


def loading(home: Path, api: SampleApi, account: str) -> bool:
    """Whether the account was read, and its rows are being staged in PostgreSQL."""
    asked = any(entry.account_id == account for entry in api.log.entries)
    return asked and bool(staging_schemas(home))


def of_account(rows: list[Row], account: str) -> list[Row]:
    return [row for row in rows if row["account_id"] == account]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("synced")
def test_a_reader_is_waited_for(home: Path, api: SampleApi):
    api.data.add_account()
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True):
        process = start_sync()
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("waiting for ")
        assert f"(PID {os.getpid()}), which has the warehouse open" in line
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.usefixtures("synced")
def test_a_reader_that_stays_is_named(home: Path, api: SampleApi, monkeypatch):
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True):
        _, errors = (process := start_sync()).communicate(timeout=120)
    assert process.returncode == 1
    assert f"(PID {os.getpid()}) after 0.5 s: close it there and run again" in errors
    assert "ANALYTICS__LOCK_TIMEOUT" in errors


def test_a_run_that_waits_for_another_run_says_so(home: Path, api: SampleApi, sync, monkeypatch):
    from filelock import FileLock

    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")
    (home / "warehouse.duckdb.writer").write_text("run 4711 (process 42)")
    with FileLock(home / "warehouse.duckdb.lock"):
        result = sync()
    assert result.exit_code == 1
    assert "waiting for run 4711 (process 42), which writes to" in result.output
    assert "run 4711 (process 42) still writes to" in result.output
    assert "after 0.5 s: run this one again later" in result.output
