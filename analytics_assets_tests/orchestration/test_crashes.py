"""Killed runs and full disks: no table is ever half, and the next run heals everything."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.commands import start_sync
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.kills import condition, kill_when, staging_schemas
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    by_account,
    on_postgres,
    served_table,
    warehouse_table,
)

pytestmark = pytest.mark.process

# when to kill: requests that have arrived by then, or seconds since the load began, which takes
# about half a second: dlt extracts, normalises, copies to staging, and merges table by table;
# `make kills` kills at many more
WHILE_IT_READS: list[float] = [24]
IN_THE_LOAD = [0.05, 0.3]


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize(
    ("warehouse", "points"),
    [("duckdb", WHILE_IT_READS + IN_THE_LOAD), ("postgres", IN_THE_LOAD)],
    indirect=["warehouse"],
    ids=["duckdb", "postgres"],
)
def test_killed_runs(home: Path, api: SampleApi, sync, tmp_path: Path, monkeypatch, points):
    api.behaviour.latency = 0.01
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    versions = {
        name: [by_account(served_table(api.data, name))] for name in RESOURCES.account_lists
    }
    kills, left = 0, False
    for number, point in enumerate(points):
        change_every_table(api, number)
        for name in RESOURCES.account_lists:
            versions[name].append(by_account(served_table(api.data, name)))
        api.log.clear()
        process = start_sync(TMPDIR=str(temporary))
        kills += kill_when(process, condition(home, api, point))
        left |= any(temporary.iterdir())
        for name in RESOURCES.account_lists:
            for account, rows in by_account(warehouse_table(home, name)).items():
                assert rows in [version.get(account) for version in versions[name]]
    assert kills >= len(points) / 2  # a late point may come too late on a quick machine
    assert left  # what was killed could not clean up; the next run does
    assert sync().exit_code == 0
    assert_warehouse_equals_api(home, api.data)
    # a statement that dlt was about to move into its folder may stay: a small file of dlt's own
    assert [file for file in temporary.iterdir() if file.suffix != ".sql"] == []
    assert not on_postgres() or staging_schemas(home) == set()


def test_no_room_for_the_warehouse(home: Path, api: SampleApi, sync, small_disk, monkeypatch):
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(small_disk / "warehouse.duckdb"))
    result = sync()
    assert result.exit_code == 1
    assert "the warehouse could not be written: " in result.output
    assert "No space left on device" in result.output


@pytest.mark.usefixtures("synced")
def test_no_room_for_what_is_read(home: Path, api: SampleApi, sync, small_disk, monkeypatch):
    tables = {name: by_account(warehouse_table(home, name)) for name in RESOURCES.account_lists}
    change_every_table(api, 1)
    (small_disk / "ballast").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    result = sync()
    assert result.exit_code == 1
    assert f"no space left in {small_disk}" in result.output
    assert tables == {name: by_account(warehouse_table(home, name)) for name in tables}


def test_a_read_only_warehouse(home: Path, api: SampleApi, sync, small_disk, monkeypatch):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(small_disk / "warehouse.duckdb"))
    result = sync()
    assert result.exit_code == 1
    assert f"cannot write in {small_disk} (Read-only file system)" in result.output


@pytest.mark.parametrize("api", [SampleData.generate(accounts=2, campaigns=400)], indirect=True)
def test_an_interrupted_sync_asks_for_nothing_more(home: Path, api: SampleApi):
    api.behaviour.latency = 0.05
    process = start_sync(ANALYTICS__ACCOUNTS_PER_RUN="1")
    while process.poll() is None and api.log.requests < 40:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    asked = Counter(entry.account_id for entry in api.log.entries)
    first, second = api.data.account_ids
    # of more than 800, those under way and what came until the signal did
    assert asked[first] < 400
    assert asked[second] == 0
