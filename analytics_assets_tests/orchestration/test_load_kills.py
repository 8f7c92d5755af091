"""Runs that are killed while they load what they have read and read on; and what is read again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from dagster import DagsterInstance

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import invoke, start_sync
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.holding import hold
from analytics_assets_tests.testing.kills import kill_when, killed_at, staging_schemas
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    Tables,
    assert_warehouse_equals_api,
    served_tables,
    warehouse_tables,
)

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("synced")]


@pytest.fixture(autouse=True)
def load_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has been read is loaded as soon as it can be."""
    monkeypatch.setenv("ANALYTICS__LOAD_INTERVAL", "0")


def before_commit(number: int) -> str:
    """A MOMENT: before the commit of that number, from 1."""
    return rf"(?:(?:(?!COMMIT\n).*\n)*COMMIT\n){{{number}}}"


@pytest.mark.parametrize("commit", [5, 11])
def test_a_kill_in_a_load(
    home: Path, api: SampleApi, instance, tmp_path: Path, monkeypatch, commit: int
):
    old = warehouse_tables(home)
    change_every_table(api, 1)
    # the last account is read, and so loaded, later than the others; the list comes before
    fault = hold(api, api.data.account_ids[-1], monkeypatch)
    fault.times = 8
    assert killed_at(before_commit(commit), tmp_path / "statements") == -signal.SIGKILL
    assert_healed(home, api, instance, old)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_kill_in_a_load_of_postgres(home: Path, api: SampleApi, instance, monkeypatch):
    old = warehouse_tables(home)
    change_every_table(api, 1)
    fault = hold(api, api.data.account_ids[-1], monkeypatch)
    fault.times = 8
    assert kill_when(start_sync(), lambda: fault.hits >= 1 and bool(staging_schemas(home)))
    assert_healed(home, api, instance, old)


def assert_healed(home: Path, api: SampleApi, instance: DagsterInstance, old: Tables) -> None:
    """Each table is old or new, what counts as loaded is new, and the rest is read again alone."""
    new, found = served_tables(api.data), warehouse_tables(home)
    invoke("status")  # which ends the run that was killed
    records = states(instance)
    lost = {(name, account) for name, (_, failed) in records.items() for account in failed}
    assert lost
    for name in records:
        for account_id, rows in found[name].items():
            assert rows in (old[name][account_id], new[name][account_id])
            assert rows == new[name][account_id] or (name, account_id) in lost
    api.behaviour.faults.clear()
    api.log.clear()
    assert invoke("sync", "--failed").exit_code == 0
    asked = {entry.account_id for entry in api.log.entries} - {None}
    assert asked == {account_id for _, account_id in lost}
    assert_warehouse_equals_api(home, api.data)
