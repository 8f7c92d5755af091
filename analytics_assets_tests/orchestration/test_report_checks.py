"""What the checks say of reports: of all days, from load to load, and beside the API's sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    DAY,
    EASTERN,
    FIRST_DAY,
    TOKYO,
    asked,
    checks,
    set_day,
    table,
)
from analytics_assets_tests.testing.tables import change_warehouse

pytestmark = pytest.mark.usefixtures("performance")


@pytest.fixture
def api(report_api: SampleApi) -> SampleApi:
    return report_api


def test_what_is_wrong_on_older_days_is_told_from_load_to_load(
    home: Path,
    api: SampleApi,
    sync: Callable[..., Result],
    read: Callable[..., str],
    instance: dg.DagsterInstance,
):
    def found() -> dict[str, str]:
        return {name: said for name, said in checks(instance).items() if name != "rows_are_recent"}

    assert sync().exit_code == 0
    first = found()
    assert first.keys() == {"parents_exist"}  # of all days: the first load came in pieces
    old = f"account_id = '{EASTERN}' AND date = '{FIRST_DAY - 60 * DAY}'"
    copied = f"INSERT INTO analytics.{CAMPAIGNS} SELECT * FROM analytics.{CAMPAIGNS} WHERE {old}"
    change_warehouse(home, copied)
    read()
    assert found() == first
    rows = [row for row in table(home, CAMPAIGNS) if row["account_id"] == EASTERN]
    assert metadata(instance, CAMPAIGNS, EASTERN)["dagster/partition_row_count"] == len(rows)

    set_day(api, FIRST_DAY + DAY)
    read()  # looks at all days
    twice = found()
    assert twice.keys() == {"parents_exist", "key_is_unique"}
    read()
    assert found() == twice

    change_warehouse(home, f"DELETE FROM analytics.{CAMPAIGNS} WHERE {old}")
    read()
    assert found() == {**twice, "every_day_is_there": f"{EASTERN}: 1"}
    set_day(api, FIRST_DAY + 2 * DAY)
    read()
    assert found().keys() == {"parents_exist"}


def test_sums_that_are_not_the_api_s(
    api: SampleApi, read: Callable[..., str], instance: dg.DagsterInstance, monkeypatch: Any
):
    totals = api.data.reports._rows["day_totals"]

    def doubled(*args: Any) -> Iterator[dict[str, Any]]:
        for row in totals(*args):
            yield {**row, "spent": 2 * row["spent"] + 1}

    api.data.reports._rows["day_totals"] = doubled
    read()
    assert "figures, as spent of" in checks(instance)["sums_are_the_api_s"]
    api.data.reports._rows["day_totals"] = totals
    api.behaviour.faults.append(Fault("status", f"/v1/{EASTERN}/*/day", value=401))
    read()
    found = checks(instance)["sums_are_the_api_s"]
    assert found.startswith(f"{EASTERN}: not compared: ")
    assert TOKYO not in found
    api.behaviour.faults.clear()
    asked(api)
    monkeypatch.setenv("ANALYTICS__RECONCILE", "false")
    read()
    assert not [line for line in asked(api) if " day " in line]
    api.behaviour.faults.clear()
