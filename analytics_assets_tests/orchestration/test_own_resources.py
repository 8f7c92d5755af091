"""Resources of the user's own: entries in the settings become tables, assets, partitions, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets.factory import build_definitions
from analytics_assets.rows.arrow import as_day
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.homes import sample_settings, use_settings
from analytics_assets_tests.testing.records import failed, materialized
from analytics_assets_tests.testing.tables import by_account, warehouse_table

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
NAMES = ("publishers", "sites", "reviews", "by_device")


@pytest.fixture
def own(home: Path, toml: Callable[..., None], monkeypatch) -> Iterator[SampleApi]:
    """An API that serves what the settings add, too."""
    toml(OWN)
    resources = platform_settings().resources
    data = SampleData.generate(2, 2, 2, 1, 2, resources=resources)
    with SampleApi(data) as api:
        use_settings(monkeypatch, sample_settings(home, api))
        monkeypatch.setenv("ANALYTICS__PERFORMANCE_HISTORY_DAYS", "3")
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
    assert rows and all(parents[name] in row for row in rows if name in parents)
    return rows


def test_lists_and_reports_are_tables_assets_partitions_and_checks(
    home: Path, own: SampleApi, instance: dg.DagsterInstance
):
    accounts = own.data.account_ids
    result = invoke("sync")
    assert result.exit_code == 0, result.output
    for name in ("publishers", "sites", "reviews"):
        assert by_account(warehouse_table(home, name)) == by_account(served(own, name))
    days = [
        row
        for account in accounts
        for row in own.data.reports.rows(
            "by_device",
            account,
            own.data.reports.today(account) - timedelta(days=2),
            own.data.reports.today(account),
        )
    ]
    held = warehouse_table(home, "by_device")
    assert len(held) == len(days) == 2 * 3 * 2
    assert {(r["day"], r["device"], r["clicks"]) for r in held} == {
        (as_day(r["day"]), r["device"], r["clicks"]) for r in days
    }
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
