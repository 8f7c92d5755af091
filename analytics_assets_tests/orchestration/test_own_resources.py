"""Resources of the user's own: from an entry in the settings to tables, assets and checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.shell_completion import ShellComplete
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from analytics_assets.cli import main
from analytics_assets.factory import build_definitions
from analytics_assets.rows.arrow import as_day
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.doctor import Checks
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import failed, materialized, metadata
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    by_account,
    query,
    warehouse_table,
)

SUCCEEDED = AssetCheckExecutionRecordStatus.SUCCEEDED
PAGE = CHECKOUT / "docs" / "own-resources.md"
PUBLISHERS = "SOURCES__ANALYTICS__RESOURCES__PUBLISHERS"
NAMES = ("publishers", "publisher_sites", "reviews", "by_device")


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
    parents = {"publisher_sites": "publisher_id", "reviews": "campaign_item_id"}
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


def test_what_the_page_shows_becomes_tables_assets_partitions_and_checks(
    home: Path, toml: Callable[..., None], instance: dg.DagsterInstance, monkeypatch
):
    toml("\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.M | re.S)))
    with serving(monkeypatch) as api:
        add_fields(api)
        result = invoke("sync")
        assert result.exit_code == 0, result.output
        for name in NAMES[:3]:
            assert values(warehouse_table(home, name)) == values(served(api, name))
        held = warehouse_table(home, "by_device")
        assert by_account(held) == by_account(served_days(api, "by_device", 3))
        assert len(held) == 2 * 3 * 2
        for name in NAMES:
            done = (materialized(instance, name), failed(instance, name))
            assert done == ({*api.data.account_ids}, set())
        account = api.data.account_ids[0]
        shown = metadata(instance, "reviews", account)["dagster/column_schema"].columns
        types = {column.name: column.type for column in shown}
        assert (types["id"], types["verdict"], types["notes"]) == ("text", "text", "json")
    graph = build_definitions().resolve_asset_graph()
    parents = {name: graph.get(dg.AssetKey(name)).parent_keys for name in NAMES}
    above = {"publisher_sites": "publishers", "reviews": "campaign_items"}
    assert parents == {name: {dg.AssetKey(above.get(name, "accounts"))} for name in NAMES}
    keys = [key for key in graph.asset_check_keys if key.asset_key.path[-1] in NAMES]
    assert {"key_is_unique", "parents_exist"} <= {key.name for key in keys}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {record.status for record in records.values()} == {SUCCEEDED}
    assert len(records) == len(keys)


def values(rows: list[dict]) -> dict[str, list[str]]:
    """The rows' values, of a field those in the columns for other types, too."""
    return by_account(
        [{k.partition("__v_")[0]: v for k, v in row.items() if v is not None} for row in rows]
    )


def add_fields(api: SampleApi) -> None:
    """Lets reviews, of which nothing is declared, have fields of several types."""
    for account in api.data.account_ids:
        for number, row in enumerate(api.data.table("reviews", [account])):
            stars = [4, 4.5, "none"][number % 3]
            fields = {"verdict": "good", "stars": stars, "notes": {"by": [number]}}
            api.data.update_row("reviews", row["id"], fields, account_id=account)


KEYED = """
[sources.analytics.resources.bids]
path = "/v1/{account_id}/campaigns/{parent_id}/bids"
parent = "campaigns"
primary_key = ["campaign_id", "id"]
[sources.analytics.resources.targets]
path = "/v1/{account_id}/campaigns/{parent_id}/target"
parent = "campaigns"
primary_key = "campaign_id"
[sources.analytics.resources.terms]
path = "/v1/{account_id}/terms"
primary_key = "account_id"
[sources.analytics.resources.by_day]
path = "/v1/{account_id}/reports/by-day"
columns = "clicks bigint"
report = {has_days = false}
"""


def test_keys_of_what_is_asked_for_and_not_of_what_is_answered(
    home: Path, toml: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    toml(KEYED)
    with serving(monkeypatch) as api:
        data, rows = api.data, api.data.rows
        answers = {"bids": [{"id": 1}, {"id": 2}], "targets": [{"cap": 3}], "terms": [{"days": 4}]}

        def served_rows(name: str, account: str | None = None, parent: str | None = None):
            return answers[name] if name in answers else rows(name, account, parent)

        monkeypatch.setattr(data, "rows", served_rows)
        days = {"by_day": lambda *_: iter([{"clicks": 5}])}
        monkeypatch.setattr(data.reports, "_rows", {**data.reports._rows, **days})
        result = invoke("sync")
        assert result.exit_code == 0, result.output
        campaigns = {(a, row["id"]) for a in data.account_ids for row in rows("campaigns", a)}
    bids = query(home, "SELECT account_id, campaign_id, id FROM analytics.bids")
    assert sorted(bids) == sorted((*key, number) for key in campaigns for number in ("1", "2"))
    targets = query(home, "SELECT account_id, campaign_id, cap FROM analytics.targets")
    assert sorted(targets) == sorted((*key, 3) for key in campaigns)
    terms = query(home, "SELECT account_id, days FROM analytics.terms")
    assert sorted(terms) == [(account, 4) for account in sorted(data.account_ids)]
    by_day = query(home, "SELECT account_id, clicks, COUNT(*) FROM analytics.by_day GROUP BY 1, 2")
    assert sorted(by_day) == [(account, 5, 3) for account in sorted(data.account_ids)]


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


# dlt's REST configuration as one would write it for this API, with nothing of ours
DLTS = """
[sources.analytics.client]
base_url = "{base_url}"
[sources.analytics.client.auth]
type = "oauth2"
client_id = "{client_id}"
client_secret = "{client_secret}"
token_url = "{token_url}"
[sources.analytics.resource_defaults]
primary_key = "id"
write_disposition = "merge"
"""
PATHS = {
    "accounts": "/v1/users/current/allowed-accounts",
    "audiences": "/v1/{account_id}/combined_audiences/resources/audiences",
    "campaigns": "/v1/{account_id}/campaigns/",
    "motion_ads": "/v1/{account_id}/campaigns/{parent_id}/performance-video/items/",
    "audience_rules": "/v1/{account_id}/universal_pixel/custom_audience_rule",
    "campaign_items": "/v1/{account_id}/campaigns/{parent_id}/items/",
    "conversion_rules": "/v1/{account_id}/universal_pixel/conversion_rule",
}


def test_a_configuration_of_dlts_serves_as_it_is(
    home: Path, api: SampleApi, toml: Callable[..., None], monkeypatch
):
    entries = [
        f'[[sources.analytics.resources]]\nname = "{name}"\n'
        f'[sources.analytics.resources.endpoint]\npath = "{path}"\ndata_selector = "results"\n'
        for name, path in PATHS.items()
    ]
    secrets = {"client_id": api.behaviour.client_id, "client_secret": api.behaviour.client_secret}
    urls = {"base_url": api.base_url, "token_url": api.token_url}
    toml("\n".join([DLTS.format(**secrets, **urls), *entries]))
    for key in (*secrets, *urls):
        monkeypatch.delenv(f"SOURCES__ANALYTICS__{key.upper()}")
    result = invoke("sync")
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data)


def test_the_commands_know_it(home: Path, doctor: Callable[..., Checks], monkeypatch):
    monkeypatch.setenv(f"{PUBLISHERS}__PATH", "/v1/{account_id}/publishers")
    with serving(monkeypatch):
        checks = doctor()
        assert checks["own resource publishers"]["detail"] == "GET /v1/{account_id}/publishers"
        assert checks["endpoint publishers"]["ok"]
        wrong = invoke("sync", "--resource", "publisher")
        assert "did you mean publishers?" in wrong.stderr
        completion = ShellComplete(main, {}, "analytics-assets", "_COMPLETE")
        names = completion.get_completions(["sync", "--resource"], "p")
        assert [item.value for item in names] == ["publishers"]
        monkeypatch.setenv("ANALYTICS__SKIP_RESOURCES", "publishers")
        assert checks["endpoint publishers"] != doctor()["endpoint publishers"]


def test_a_wrong_entry_stops_all_before_anything_is_asked(
    home: Path, api: SampleApi, doctor: Callable[..., Checks], monkeypatch
):
    monkeypatch.setenv(f"{PUBLISHERS}__PTH", "/v1/{account_id}/publishers")
    api.log.clear()
    said = "there is no key 'pth' in [sources.analytics.resources.publishers]"
    checks = doctor()
    assert (checks["settings"]["ok"], checks["platform settings"]["ok"]) == (False, False)
    assert said in checks["settings"]["detail"]
    assert "did you mean path?" in checks["settings"]["detail"]
    assert checks["settings"]["advice"].startswith("set some of path, data_selector")
    for arguments in (["sync"], ["sync", "--resource", "publishers"], ["status"]):
        result = invoke(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert said in result.stderr
    completion = ShellComplete(main, {}, "analytics-assets", "_COMPLETE")
    assert completion.get_completions(["sync", "--resource"], "p") == []
    assert api.log.requests == 0
