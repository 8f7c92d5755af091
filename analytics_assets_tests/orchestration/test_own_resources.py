"""Resources of the user's own: from an entry in the settings to tables, assets and checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets.factory import build_definitions
from analytics_assets.rows.arrow import as_day
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.doctor import Checks
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import failed, materialized
from analytics_assets_tests.testing.tables import by_account, query, warehouse_table

OWN = """
[sources.analytics.resources.sites]  # below another of the user's own, which comes after it
path = "/v1/{account_id}/publishers/{parent_id}/sites"
parent = "publishers"
data_selector = "data.items"
[sources.analytics.resources.sites.columns]
id = "bigint"
url = {data_type = "text", nullable = false, description = "The site's address."}

[sources.analytics.resources.publishers]
path = "/{version}/{account_id}/publishers"
columns = "id text !, site text, cap double, since date"

[sources.analytics.resources.reviews]  # as dlt has it, and nothing declared
parent = "campaign_items"
primary_key = "id"
endpoint = {path = "v1/{account_id}/items/{parent_id}/reviews", data_selector = "$"}

[sources.analytics.resources.by_device]
path = "/v1/{account_id}/reports/by-device"
primary_key = ["day", "device"]
columns = "device text !, clicks bigint, cost double"
report = {day_column = "day", first_day_parameter = "from", last_day_parameter = "to"}
"""
PUBLISHERS = "SOURCES__ANALYTICS__RESOURCES__PUBLISHERS"
NAMES = ("publishers", "sites", "reviews", "by_device")


@contextmanager
def serving(patch: pytest.MonkeyPatch) -> Iterator[SampleApi]:
    """An API that serves what the settings add, too."""
    data = SampleData.generate(2, 2, 2, 1, 2, resources=platform_settings().resources)
    with SampleApi(data) as api:
        patch.setenv("SOURCES__ANALYTICS__BASE_URL", api.base_url)
        patch.setenv("SOURCES__ANALYTICS__TOKEN_URL", api.token_url)
        patch.setenv("ANALYTICS__PERFORMANCE_HISTORY_DAYS", "3")
        yield api


def served(api: SampleApi, name: str) -> list[dict]:
    """What the API serves of a list, with what a table has beside it, and doubles as such."""
    parents = {"sites": "publisher_id", "reviews": "campaign_item_id"}
    doubles = {c.name for c in api.data.resources[name].columns if c.type == "double"}
    days = {c.name for c in api.data.resources[name].columns if c.type == "date"}
    rows = []
    for row in api.data.table(name):
        given = {k: float(v) if k in doubles and v is not None else v for k, v in row.items()}
        rows.append({k: as_day(v) if k in days else v for k, v in given.items()})
    assert rows
    assert all(parents[name] in row for row in rows if name in parents)
    return rows


def served_days(api: SampleApi, name: str, number: int) -> list[dict]:
    """The rows of a report, of the days up to each account's today."""
    reports, found = api.data.reports, []
    for account in api.data.account_ids:
        today = reports.today(account)
        for row in reports.rows(name, account, today - timedelta(days=number - 1), today):
            found.append({"account_id": account, **row, "day": as_day(row["day"])})
    return found


def test_lists_and_reports_are_tables_assets_partitions_and_checks(
    home: Path, toml: Callable[..., None], instance: dg.DagsterInstance, monkeypatch
):
    toml(OWN)
    with serving(monkeypatch) as own:
        sync_and_compare(home, own, instance)


def sync_and_compare(home: Path, own: SampleApi, instance: dg.DagsterInstance) -> None:
    accounts = own.data.account_ids
    result = invoke("sync")
    assert result.exit_code == 0, result.output
    for name in ("publishers", "sites", "reviews"):
        assert by_account(warehouse_table(home, name)) == by_account(served(own, name))
    held = warehouse_table(home, "by_device")
    assert by_account(held) == by_account(served_days(own, "by_device", 3))
    assert len(held) == 2 * 3 * 2
    for name in NAMES:
        assert (materialized(instance, name), failed(instance, name)) == ({*accounts}, set())
    found = build_definitions().resolve_asset_graph()
    assert found.get(dg.AssetKey("sites")).parent_keys == {dg.AssetKey("publishers")}
    assert found.get(dg.AssetKey("reviews")).parent_keys == {dg.AssetKey("campaign_items")}
    keys = [key for key in found.asset_check_keys if key.asset_key.path[-1] in NAMES]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {"key_is_unique", "parents_exist"} <= {key.name for key in keys}
    assert {str(record.status) for record in records.values()} == {
        "AssetCheckExecutionRecordStatus.SUCCEEDED"
    }
    assert len(records) == len(keys)


@both_warehouses
def test_a_resource_that_is_taken_out_keeps_its_table_until_it_is_forgotten(
    home: Path, doctor: Callable[..., Checks], instance: dg.DagsterInstance, monkeypatch
):
    monkeypatch.setenv(
        PUBLISHERS, '{"path": "/v1/{account_id}/publishers", "columns": "site text"}'
    )
    monkeypatch.setenv("ANALYTICS__HISTORY", "publishers")
    with serving(monkeypatch) as api:
        assert invoke("sync", "--resource", "publishers").exit_code == 0
        rows = len(api.data.table("publishers"))
        refused = invoke("forget", "--resource", "publishers", "--yes")
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert "publishers is still there" in refused.stderr

        monkeypatch.delenv(PUBLISHERS)
        monkeypatch.delenv("ANALYTICS__HISTORY")
        left = f"publishers ({rows} rows), publishers_history ({rows} rows)"
        found = doctor()["tables left"]
        assert (found["ok"], left in found["detail"]) == (True, True)
        assert "forget --resource NAME" in found["advice"]
        assert left in invoke("status").stdout
        assert json.loads(invoke("status", "--json").stdout)["left_tables"] == {
            "publishers": rows,
            "publishers_history": rows,
        }
        dry = invoke("forget", "--resource", "publishers")
        assert f"{rows}  publishers\n" in dry.stdout
        assert "would be removed" in dry.stdout
        assert len(warehouse_table(home, "publishers")) == rows

        done = invoke("forget", "--resource", "publishers", "--yes")
        assert done.exit_code == 0, done.output
        assert not {key.path[-1] for key in instance.get_asset_keys()} & {
            "publishers",
            "publishers_history",
        }
        assert invoke("forget", "--resource", "publishers").exit_code == 1
        account = api.data.account_ids[0]
        row = api.data.rows("audiences", account)[0]
        api.data.update_row("audiences", row["id"], {"new": 1}, account_id=account)
        assert invoke("sync").exit_code == 0  # which makes no table of it again
        tables = "SELECT table_name FROM information_schema.tables"
        assert not [name for (name,) in query(home, tables) if name.startswith("publishers")]
        assert "tables left" not in doctor()
