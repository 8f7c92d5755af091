"""Reports as assets: what is asked for, what is loaded, and what becomes of failures."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result

from analytics_assets.factory import compose
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.commands import invoke, start_sync
from analytics_assets_tests.testing.doctor import Checks
from analytics_assets_tests.testing.records import failed, materialized, metadata
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    DAY,
    EASTERN,
    FIRST_DAY,
    HISTORY,
    ITEMS,
    SITES,
    TOKYO,
    asked,
    checks,
    expected,
    lines,
    set_day,
    spelled,
    table,
    updates,
)

Sync = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("performance")


@pytest.fixture
def api(report_api: SampleApi) -> SampleApi:
    return report_api


def test_what_a_report_is_in_dagster(home: Path, monkeypatch: pytest.MonkeyPatch):
    defs = compose(platform_settings(), Progress())
    spec = next(s for s in defs.resolve_all_asset_specs() if s.key.path == [CAMPAIGNS])
    assert [dep.asset_key.path for dep in spec.deps] == [["campaigns"]]
    assert spec.partitions_def == dg.DynamicPartitionsDefinition(name="accounts")
    assert spec.group_name == "analytics"
    by_name = {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
    assert by_name["date"].type == "date"
    assert all(column.description for column in by_name.values())
    references = spec.metadata["dagster/code_references"].code_references
    assert [Path(r.file_path).name for r in references] == ["reports.py", "assets.py"]
    assert all(reference.line_number > 1 for reference in references)
    assert sorted(job.name for job in defs.jobs or ()) == [
        *("check", "performance", "refresh_accounts", "sync")
    ]
    performance = defs.resolve_job_def("performance").asset_layer.executable_asset_keys
    assert {key.path[-1] for key in performance} == {CAMPAIGNS}
    of_sync = defs.resolve_job_def("sync").asset_layer.executable_asset_keys
    assert CAMPAIGNS not in {key.path[-1] for key in of_sync}

    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", "ads")
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", f"{SITES},{ITEMS}")
    monkeypatch.setenv("ANALYTICS__SKIP_RESOURCES", "campaigns")
    defs = compose(platform_settings(), Progress())
    found = {s.key.path[-1]: s for s in defs.resolve_all_asset_specs()}
    assert {SITES, ITEMS} == found.keys() & {CAMPAIGNS, SITES, ITEMS}
    assert [dep.asset_key.path for dep in found[SITES].deps] == [["ads", "accounts"]]
    assert defs.resolve_job_def("ads__performance").name == "ads__performance"

    monkeypatch.delenv("ANALYTICS__EXTRA_RESOURCES")
    defs = compose(platform_settings(), Progress())
    assert not any("performance" in s.key.path[-1] for s in defs.resolve_all_asset_specs())
    assert len(list(defs.schedules or ())) == 2


def test_nothing_is_asked_for_where_no_report_is_named(
    api: SampleApi, sync: Sync, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ANALYTICS__EXTRA_RESOURCES")
    assert sync().exit_code == 0
    assert asked(api) == []
    for option in (("--resource", CAMPAIGNS), ("--from", "2026-08-01")):
        refused = sync(*option)
        assert refused.exit_code == 1
        assert "name" in refused.output
        assert "EXTRA_RESOURCES" in refused.output.splitlines()[-1]


def test_the_doctor_asks_for_a_day(api: SampleApi, doctor: Callable[..., Checks]):
    found = doctor()
    assert found[f"endpoint {CAMPAIGNS}"]["ok"]
    assert "start_date=" in found[f"endpoint {CAMPAIGNS}"]["detail"]
    assert f"endpoint {SITES}" not in found
    assert {line.split()[1] for line in asked(api)} == {"campaign_day_breakdown"}


def test_three_days(
    home: Path,
    api: SampleApi,
    sync: Sync,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", f"{CAMPAIGNS},{ITEMS}")
    result = sync()
    assert result.exit_code == 0, result.output
    assert spelled(table(home, CAMPAIGNS)) == spelled(expected(api, CAMPAIGNS, HISTORY))
    first = [line for line in asked(api) if "campaign_day" in line]
    assert len(first) == 2 * 3  # 70 days, in pieces of 30
    assert first[0] == f"{EASTERN} campaign_day_breakdown 2026-06-23 2026-07-22"

    for day in (FIRST_DAY + DAY, FIRST_DAY + 2 * DAY):
        set_day(api, day)
        assert sync().exit_code == 0
        campaigns = spelled(expected(api, CAMPAIGNS, HISTORY + (day - FIRST_DAY).days))
        assert spelled(table(home, CAMPAIGNS)) == campaigns
        items = spelled(expected(api, ITEMS, HISTORY + (day - FIRST_DAY).days))
        assert spelled(table(home, ITEMS)) == items
        requests = [line for line in asked(api) if "item_breakdown" not in line]
        # from the newest day held on, which was one day before
        assert len(requests) == len(updates())
        assert requests[0] == f"{EASTERN} campaign_day_breakdown {day - 33 * DAY} {day - DAY}"

    told = metadata(instance, CAMPAIGNS, EASTERN)
    held = [row for row in table(home, CAMPAIGNS) if row["account_id"] == EASTERN]
    window = [row for row in held if row["date"] >= day - 33 * DAY]
    assert told["dagster/partition_row_count"] == len(held)
    assert told["dagster/row_count"] == len(table(home, CAMPAIGNS))
    assert (told["rows_loaded"], told["days_loaded"]) == (len(window), 33)
    assert (told["first_day"], told["last_day"]) == (str(day - 33 * DAY), str(day - DAY))
    assert told["requests"] == 1
    assert told["spent"] == round(sum(row["spent"] for row in window), 2)
    # conversions come in for 30 days
    assert told["days_changed"] == 31
    updated = datetime.fromtimestamp(told["data_updated"], timezone.utc)
    assert updated == api.data.reports.now
    age = (datetime.now(timezone.utc) - updated) / timedelta(hours=1)
    found = checks(instance)
    assert found.keys() == {"parents_exist", "rows_are_recent"}
    assert f"{EASTERN}: {age:.0f} hours" in found["rows_are_recent"]
    listed = {str(row["id"]) for row in api.data.rows("campaigns", EASTERN)}
    orphans = len([row for row in held if row["campaign"] not in listed])
    assert f"{EASTERN}: {orphans}" in found["parents_exist"]
    status = invoke("status")
    assert "2 accounts (2 ok)" in status.output


def test_one_account_fails(
    home: Path, api: SampleApi, read: Callable[..., str], instance: dg.DagsterInstance
):
    path = f"/v1/{EASTERN}/reports/*"
    api.behaviour.faults.append(Fault("status", path, value=403))
    output = read(exit_code=1)
    assert "1 of 2 partitions failed, in 1 of 2 accounts" in output
    assert f"{EASTERN}: {CAMPAIGNS}: " in output
    assert "take it out of ANALYTICS__EXTRA_RESOURCES" in output
    assert materialized(instance, CAMPAIGNS) == {TOKYO}
    assert failed(instance, CAMPAIGNS) == {EASTERN}
    assert checks(instance).keys() == {"every_account_is_read", "rows_are_recent"}
    assert {row["account_id"] for row in table(home, CAMPAIGNS)} == {TOKYO}

    api.behaviour.faults.clear()
    asked(api)
    read("--failed")
    assert {line.split()[0] for line in asked(api)} == {EASTERN}
    assert spelled(table(home, CAMPAIGNS)) == spelled(expected(api, CAMPAIGNS, HISTORY))
    assert "nothing that was asked for failed last" in read("--failed")


@pytest.mark.process
def test_a_first_load_that_is_killed_goes_on(
    home: Path, api: SampleApi, read: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    # what another process knows of the time
    api.data.reports.now = None
    monkeypatch.setattr(report_windows, "now", lambda: datetime.now(timezone.utc))
    monkeypatch.setenv("ANALYTICS__LOAD_INTERVAL", "0")
    rows, pieces = api.data.reports._rows[CAMPAIGNS], []

    def killing(account: str, window: Any) -> Iterator[dict[str, Any]]:
        pieces.append(window)
        if len(pieces) == 3:
            process.kill()
        return rows(account, window)

    with monkeypatch.context() as patch:
        patch.setitem(api.data.reports._rows, CAMPAIGNS, killing)
        process = start_sync("--resource", CAMPAIGNS, "--account", EASTERN)
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    held = {row["date"] for row in table(home, CAMPAIGNS)}
    assert len(held) == 60
    asked(api)

    read("--account", EASTERN)
    first, second = (line.split()[2:] for line in asked(api) if "campaign_day" in line)
    assert first[0] == str(max(held) - 31 * DAY)
    assert second[-1] == str(api.data.reports.today(EASTERN))
    served = [r for r in expected(api, CAMPAIGNS, HISTORY) if r["account_id"] == EASTERN]
    assert spelled(table(home, CAMPAIGNS)) == spelled(served)


def test_a_backfill_leaves_all_other_days(
    home: Path, api: SampleApi, read: Callable[..., str], instance: dg.DagsterInstance
):
    read()
    before = {str(row) for row in table(home, CAMPAIGNS)}
    set_day(api, FIRST_DAY + DAY)
    asked(api)
    read("--from", "2026-05-01", "--to", "2026-06-24", "--account", EASTERN)
    window = [date(2026, 5, 1) + number * DAY for number in range(55)]
    assert [line for line in asked(api) if "campaign_day" in line] == lines(
        (EASTERN, date(2026, 5, 1), date(2026, 5, 30)),
        (EASTERN, date(2026, 5, 31), date(2026, 6, 24)),
    )
    after = table(home, CAMPAIGNS)
    others = {str(r) for r in after if r["account_id"] != EASTERN or r["date"] not in window}
    mine = [r for r in after if r["account_id"] == EASTERN and r["date"] in window]
    assert others <= before
    assert len(before) - len(others) == len([r for r in mine if r["date"] >= date(2026, 6, 23)])
    everything = [r for r in expected(api, CAMPAIGNS, 200) if r["account_id"] == EASTERN]
    assert spelled(mine) == spelled(r for r in everything if r["date"] in window)
    told = metadata(instance, CAMPAIGNS, EASTERN)
    assert (told["first_day"], told["last_day"]) == ("2026-05-01", "2026-06-24")
    assert told["days_changed"] == 53  # two were there, and are settled


def test_days_that_vanish_keep_their_rows_whatever_else_is_read(
    home: Path,
    api: SampleApi,
    read: Callable[..., str],
    sync: Sync,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    reports, ever = api.data.reports, (EASTERN, date(2020, 1, 1), date(2027, 1, 1))
    reports.pause(EASTERN, FIRST_DAY - 40 * DAY, FIRST_DAY)
    read()
    before = table(home, CAMPAIGNS)
    reports.pause(*ever)
    # of the later of these two windows there never was a row
    output = read("--from", "2026-07-01", "--to", "2026-08-20", exit_code=1)
    told = f"{EASTERN}: {CAMPAIGNS}: the API has no row of days of which the table holds"
    assert output.count(told) == 1
    assert "run again with --allow-empty" in output
    mine = [
        spelled(r for r in of if r["account_id"] == EASTERN)
        for of in (before, table(home, CAMPAIGNS))
    ]
    assert mine[0] == mine[1] != []

    # another report of the account has its rows
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", f"{CAMPAIGNS},{SITES}")
    reports.resume(EASTERN)
    assert sync("--resource", SITES).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setitem(reports._rows, CAMPAIGNS, lambda account, window: iter(()))
        result = sync("--from", "2026-07-01", "--account", EASTERN)
    assert result.exit_code == 1
    assert told in result.output
    assert "1 of 2 partitions failed" in result.output
    assert failed(instance, CAMPAIGNS) == {EASTERN}
    assert failed(instance, SITES) == set()


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (("--to", "2026-08-01"), "--to needs --from: give the first day, too"),
        (("--from", "2026-08-02", "--to", "2026-08-01"), "the window ends on 2026-08-01, before"),
        (("--from", "2099-01-01"), "2099-01-01 is yet to come"),
        (("--from", "1970-01-01"), "1970-01-01 is too long ago"),
        (("--from", "yesterday"), "'yesterday' is no day"),
        (("--from", "2026-08-01", "--resource", "campaigns"), "campaigns has no days"),
    ],
)
def test_days_that_cannot_be(sync: Sync, api: SampleApi, days: tuple[str, ...], said: str):
    result = sync(*days)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}")
    assert result.output.count("\n") == 1
    assert api.log.requests == 0


def test_days_without_rows_are_asked_for_again_once_a_day(
    home: Path, api: SampleApi, read: Callable[..., str], instance: dg.DagsterInstance
):
    reports = api.data.reports
    gap = (EASTERN, FIRST_DAY - 60 * DAY, FIRST_DAY - 51 * DAY)
    reports.pause(*gap)
    reports.pause(TOKYO, date(2020, 1, 1), date(2027, 1, 1))  # it never had a row
    read()
    assert "every_day_is_there" in checks(instance)
    assert f"{EASTERN}: 10" in checks(instance)["every_day_is_there"]
    asked(api)
    never = (TOKYO, FIRST_DAY - 62 * DAY, FIRST_DAY)
    eastern = (EASTERN, FIRST_DAY - 32 * DAY, FIRST_DAY - DAY)
    again = [*lines(eastern, never), *lines(eastern, never, dimension="day")]
    read()
    assert asked(api) == sorted(again)

    set_day(api, FIRST_DAY + DAY)
    for first in (True, False):
        read()
        of_gaps = lines(gap, (TOKYO, FIRST_DAY - 68 * DAY, FIRST_DAY - 62 * DAY)) if first else []
        found = [line for line in asked(api) if "campaign_day" in line]
        assert len(found) == 2 + len(of_gaps)
        assert set(of_gaps) <= set(found)
    reports.resume(EASTERN)
    reports.resume(TOKYO)
    set_day(api, FIRST_DAY + 2 * DAY)
    read()
    assert "every_day_is_there" not in checks(instance)
    served = expected(api, CAMPAIGNS, HISTORY)
    assert {str(row) for row in spelled(served)} <= {*spelled(table(home, CAMPAIGNS))}


def test_a_changed_time_zone(home: Path, api: SampleApi, read: Callable[..., str]):
    read()
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Mars/Olympus"):
        api.data.update_row("accounts", EASTERN, {"time_zone_name": zone})
        read()
        today = api.data.reports.today(EASTERN)
        mine = {row["date"] for row in table(home, CAMPAIGNS) if row["account_id"] == EASTERN}
        assert {today, today - DAY} <= mine


def test_lost_tables_are_loaded_again(home: Path, api: SampleApi, read: Callable[..., str]):
    read()
    (home / "warehouse.duckdb").unlink()
    read()
    assert spelled(table(home, CAMPAIGNS)) == spelled(expected(api, CAMPAIGNS, HISTORY))
