"""Reports together with what else the settings can say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.doctor import Checks
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    ITEMS,
    asked,
    expected,
    spelled,
    table,
)

HISTORY = 3
SETTING = "ANALYTICS__EXTRA_RESOURCES"


@pytest.fixture
def api() -> Iterator[SampleApi]:
    with SampleApi(SampleData.generate(accounts=2, campaigns=2, items=1)) as running:
        yield running


@pytest.fixture(autouse=True)
def performance(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One report is read, of few days."""
    monkeypatch.setenv(SETTING, CAMPAIGNS)
    monkeypatch.setenv("ANALYTICS__PERFORMANCE_HISTORY_DAYS", str(HISTORY))


def test_a_report_that_is_not_read_any_more(
    home: Path,
    api: SampleApi,
    sync: Callable[..., Result],
    doctor: Callable[..., Checks],
    monkeypatch: pytest.MonkeyPatch,
):
    result = sync()
    assert result.exit_code == 0, result.output
    assert "EXTRA_RESOURCES" not in invoke("status").output + doctor()["tables"]["detail"]
    asked(api)
    monkeypatch.delenv(SETTING)
    assert sync().exit_code == 0
    assert asked(api) == []
    assert spelled(table(home, CAMPAIGNS)) == spelled(expected(api, CAMPAIGNS, HISTORY))
    last = invoke("status").output.splitlines()[-1]
    assert last == f"not in {SETTING} any more, so that their tables stay as they are: {CAMPAIGNS}"
    assert json.loads(invoke("status", "--json").output)["idle_reports"] == [CAMPAIGNS]
    told = f"; {CAMPAIGNS} is not written any more, because {SETTING} lacks {CAMPAIGNS}"
    assert doctor()["tables"]["detail"].endswith(told)


def test_reports_without_their_parent_beside_a_history(
    home: Path, api: SampleApi, sync: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    settings = {"SKIP_RESOURCES": "campaigns", "HISTORY": "audiences", "SKIP_ACCOUNTS": "globex-*"}
    for name, value in {**settings, "EXTRA_RESOURCES": f"{CAMPAIGNS},{ITEMS}"}.items():
        monkeypatch.setenv(f"ANALYTICS__{name}", value)
    read, left_out = api.data.account_ids
    for account, zone in ((read, None), (left_out, "Mars/Olympus")):  # both: the days of UTC
        api.data.update_row("accounts", account, {"time_zone_name": zone})
    result = sync()
    assert result.exit_code == 0, result.output
    for name in (CAMPAIGNS, ITEMS):
        mine = [row for row in expected(api, name, HISTORY) if row["account_id"] == read]
        assert spelled(table(home, name)) == spelled(mine)
    assert not [line for line in asked(api) if line.startswith(left_out)]
