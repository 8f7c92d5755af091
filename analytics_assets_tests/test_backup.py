"""What the page on maintenance says of backups, done and put back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dagster import DagsterInstance

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

PAGE = CHECKOUT / "docs" / "maintenance.md"


@both_warehouses
def test_a_sync_goes_on_with_a_backup_that_was_put_back(
    synced: Path,
    api: SampleApi,
    warehouse: dict[str, str],
    sync: Callable[..., Result],
    request: pytest.FixtureRequest,
    tmp_path: Path,
):
    server: Any = request.getfixturevalue("postgres") if warehouse else None
    database = warehouse.get("DESTINATION__POSTGRES__CREDENTIALS", "").rpartition("/")[2]
    with DagsterInstance.get() as instance:  # its files are open, as the daemon has them
        runs = {run.run_id for run in instance.get_runs()}
        back_up(tmp_path / "backup")
    if server:
        server.dump(database, tmp_path / "dump")
    account, *_ = api.data.account_ids
    api.data.delete_row(
        "audiences", api.data.rows("audiences", account)[0]["id"], account_id=account
    )
    assert sync("--account", account).exit_code == 0

    shutil.rmtree(synced)
    shutil.copytree(tmp_path / "backup", synced)
    if server:
        server.run(f"DROP DATABASE {database} WITH (FORCE)")
        server.run(f"CREATE DATABASE {database}")
        server.restore(tmp_path / "dump", database)
    with DagsterInstance.get() as instance:
        assert {run.run_id for run in instance.get_runs()} == runs
    found = json.loads(invoke("status", "--json").stdout)
    assert {each["state"] for each in found["accounts"]} == {"ok"}
    assert sync().exit_code == 0
    assert_warehouse_equals_api(synced, api.data)


def back_up(folder: Path) -> None:
    """Runs the page's script; there is no DuckDB file if the warehouse is another."""
    if shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 on this machine; on Debian: apt-get install sqlite3")
    [script] = re.findall(r"^```sh\n(to=.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    script = re.sub("^to=.*", f"to={folder}", script)
    subprocess.run(["sh", "-euc", script], check=True)
