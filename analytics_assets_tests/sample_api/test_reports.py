"""The reports that are served: they add up, change for a month, and have the account's days."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleData
from analytics_assets_tests.testing.client import Client, Start

FIRST, SECOND = "acme-0001-sc", "globex-0002-sc"
NOW = datetime(2026, 9, 29, 12, 30, tzinfo=timezone.utc)
TODAY = date(2026, 9, 29)
SUMMED = ("impressions", "clicks", "spent", "conversions_value", "cpa_actions_num")


def data() -> SampleData:
    made = SampleData.generate(accounts=2, campaigns=3, items=2)
    made.reports.now = NOW
    made.update_row("accounts", FIRST, {"time_zone_name": "US/Eastern"})
    return made


def path(name: str, account: str = FIRST, *window: str) -> str:
    resource = data().reports.resources[name]
    first, last = window or ("2026-09-01", "2026-09-30")
    below = resource.path_in("v1").replace("{account_id}", account)
    return f"{below}?start_date={first}&end_date={last}"


def sums(rows: list[dict[str, Any]], by: str) -> dict[str, dict[str, float]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row[by], Counter()).update({name: row[name] for name in SUMMED})
    return {value: {k: round(v, 2) for k, v in each.items()} for value, each in found.items()}


def test_all_breakdowns_add_up_to_the_totals(start: Start) -> None:
    client = start(data())
    totals = sums(client.rows(path("day_totals")), "date")
    campaigns = client.rows(path("campaign_performance"))
    assert len(totals) == 29  # none of tomorrow
    assert sums(campaigns, "date") == totals
    sites = client.rows(path("site_performance"))
    assert sums(sites, "date") == totals
    assert sums(sites, "campaign") == sums(campaigns, "campaign")


def test_items_have_no_day_and_those_of_deleted_campaigns_an_old_name(start: Start) -> None:
    client = start(data())
    deleted = client.api.data.rows("campaigns", FIRST)[0]["id"]
    client.api.data.delete_row("campaigns", deleted, account_id=FIRST)
    items = client.rows(path("item_performance"))
    assert all("date" not in row for row in items)
    assert sums(items, "campaign") == sums(client.rows(path("campaign_performance")), "campaign")
    listed = {row["id"] for row in client.api.data.table("campaign_items", [FIRST])}
    for row in items:
        if row["item"] is None:
            assert row["old_item_version_id"].endswith(" (Old version)")
        else:
            assert row["item"] in listed
    nameless = {row["campaign"] for row in items if row["item"] is None}
    assert deleted in nameless
    assert len(nameless) == 2  # and one that nobody has seen in the list


@pytest.mark.parametrize("name", RESOURCES.reports)
def test_rows_have_declared_columns(name: str) -> None:
    resource = RESOURCES[name]
    made = {"account_id", "item_key", *(["date"] if name == "item_performance" else [])}
    for row in data().reports.rows(name, FIRST, date(2026, 9, 1), TODAY):
        assert set(row) == {column.name for column in resource.table_columns} - made


def test_a_day_changes_for_thirty_days(start: Start) -> None:
    client = start(data())
    day = path("campaign_performance", FIRST, "2026-09-01", "2026-09-01")
    seen = []
    for age in range(36):
        client.api.data.reports.now = datetime(2026, 9, 1, 12, tzinfo=timezone.utc) + timedelta(age)
        seen.append(sums(client.rows(day), "date")["2026-09-01 00:00:00.0"])
    spent, conversions = ([each[name] for each in seen] for name in ("spent", "cpa_actions_num"))
    assert spent == sorted(spent, reverse=True)
    assert conversions == sorted(conversions)
    assert len(set(spent)) > 20
    assert seen[30:] == [seen[30]] * 6
    assert seen[29] != seen[30]


def test_days_are_the_accounts(start: Start) -> None:
    client = start(data())
    client.api.data.update_row("accounts", SECOND, {"time_zone_name": "Asia/Tokyo"})
    client.api.data.reports.now = datetime(2026, 9, 30, 1, tzinfo=timezone.utc)
    for account, newest, zone in ((FIRST, "2026-09-29", "EDT"), (SECOND, "2026-09-30", "JST")):
        answer = client.get(path("day_totals", account)).json()
        assert max(row["date"] for row in answer["results"]) == f"{newest} 00:00:00.0"
        assert answer["timezone"] == zone


def test_the_envelope(start: Start) -> None:
    answer = start(data()).get(path("campaign_performance")).json()
    rows = len(answer["results"])
    assert answer["recordCount"] == rows > 0
    assert answer["metadata"] == {
        "total": rows,
        "count": rows,
        "start_date": "2026-09-01",
        "end_date": "2026-09-30",
    }
    assert answer["last-used-rawdata-update-time"] == "2026-09-29 12:00:00.0"
    millis = answer["last-used-rawdata-update-time-gmt-millisec"]
    assert datetime.fromtimestamp(millis / 1000, timezone.utc) == NOW.replace(minute=0)


def test_an_account_that_pauses(start: Start) -> None:
    client = start(data())
    reports = client.api.data.reports
    whole = client.rows(path("day_totals"))
    reports.pause(FIRST, date(2026, 9, 3), date(2026, 9, 27))
    days = [row["date"][:10] for row in client.rows(path("day_totals"))]
    assert days == ["2026-09-01", "2026-09-02", "2026-09-28", "2026-09-29"]
    reports.resume(FIRST)
    assert client.rows(path("day_totals")) == whole


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?start_date=2026-09-01",
        "?end_date=2026-09-01",
        "?start_date=2026-09-02&end_date=2026-09-01",
        "?start_date=2026-09-31&end_date=2026-10-01",
        "?start_date=&end_date=",
    ],
)
def test_windows_that_cannot_be(start: Start, query: str) -> None:
    response = start(data()).get(path("day_totals").partition("?")[0] + query)
    assert (response.status_code, response.json()["http_status"]) == (400, 400)


def test_accounts_and_faults_are_as_for_lists(start: Start) -> None:
    client = start(data(), forbidden_accounts={SECOND}, faults=[Fault("status", value=503)])
    assert client.get(path("day_totals")).status_code == 503
    assert client.get(path("day_totals", SECOND)).status_code == 403
    assert client.get(path("day_totals", "nobody")).status_code == 404
    client.api.behaviour.api_version = "1.0"
    assert client.get(path("day_totals")).status_code == 404


def test_a_report_in_pages(start: Start) -> None:
    client: Client = start(data(), report_page_size=40)
    whole = data().reports.rows("campaign_performance", FIRST, date(2026, 9, 1), TODAY)
    answers = [client.get(f"{path('campaign_performance')}&page={n}").json() for n in (1, 2, 3, 4)]
    assert [row for answer in answers for row in answer["results"]] == whole
    assert {answer["metadata"]["total"] for answer in answers} == {len(whole)}
    client.api.behaviour.ignores_page = True
    assert client.get(f"{path('campaign_performance')}&page=2").json() == answers[0]
