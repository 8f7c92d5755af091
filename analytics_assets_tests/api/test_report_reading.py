"""Reports are read window by window, each whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from analytics_assets.api import reader as reader_module
from analytics_assets.api.reader import Reader
from analytics_assets.api.report_reading import ReportRead, report_reads
from analytics_assets.api.report_source import report_source
from analytics_assets.days import Window, first_windows, pieces
from analytics_assets.errors import CredentialsError, ReadError, RefusedError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import as_day
from analytics_assets.sample_api import Fault, Row, SampleApi, SampleData
from analytics_assets_tests.testing.reading import client_of

CAMPAIGNS, SITES, ITEMS = RESOURCES.reports
TODAY = date(2026, 9, 29)
WEEK = Window(date(2026, 9, 23), TODAY)


@pytest.fixture
def api() -> Any:
    data = SampleData.generate(accounts=3, campaigns=3, items=2)
    data.reports.now = datetime(2026, 9, 29, 12, tzinfo=timezone.utc)
    for account in data.account_ids:
        data.update_row("accounts", account, {"time_zone_name": "Europe/Berlin"})
    with SampleApi(data) as running:
        yield running


def read(
    api: SampleApi, folder: Path, wanted: Mapping[str, Mapping[str, Sequence[Window]]]
) -> list[ReportRead]:
    return list(Reader(client_of(api), folder).read_reports(wanted))


def read_one(api: SampleApi, folder: Path, name: str, window: Window) -> ReportRead:
    [found] = read(api, folder, {api.data.account_ids[0]: {name: [window]}})
    return found


def rows_of(found: ReportRead) -> list[Row]:
    rows = found.read.rows.resources[found.report_name]
    with pa.ipc.open_stream(rows.path) as file:
        return file.read_all().to_pylist()  # type: ignore[no-any-return]


def served(api: SampleApi, name: str, account: str, window: Window) -> list[Row]:
    """The rows as a table should have them, but for what no column holds."""
    rows = []
    for day in window.days:
        for row in api.data.reports.rows(name, account, day, day):
            made = {"account_id": account, "date": as_day(row.get("date", str(day)))}
            if name == ITEMS:
                made["item_key"] = f"{row['campaign']}/{row['item'] or row['old_item_version_id']}"
            rows.append({**row, **made, "_extras": None})
    return rows


def spelled(rows: list[Row]) -> list[str]:
    numbers = (
        {k: float(v) if type(v) is int else v for k, v in row.items()} for row in rows
    )  # 12 and 12.0 are one double
    return sorted(str(sorted(row.items())) for row in numbers)


def requests_for(api: SampleApi, name: str) -> list[str]:
    end = RESOURCES[name].path.rpartition("/")[2]
    return [entry.query for entry in api.log.entries if entry.path.endswith(end)]


@pytest.mark.parametrize("name", RESOURCES.reports)
def test_the_rows_are_the_reports(api: SampleApi, tmp_path: Path, name: str) -> None:
    accounts = api.data.account_ids
    found = read(api, tmp_path, {account: {name: [WEEK]} for account in accounts})
    assert sorted(str(each.read.rows.account_id) for each in found) == sorted(accounts)
    for each in found:
        account = str(each.read.rows.account_id)
        assert not each.read.failures
        rows = each.read.rows.resources[name]
        assert rows.path.parent.parent == tmp_path
        assert spelled(rows_of(each)) == spelled(served(api, name, account, WEEK))
        assert (rows.left_out, rows.extras) == ({}, 0)
        assert rows.part is not None
        assert (rows.part.column, rows.part.values) == ("date", WEEK.days)
        assert each.updated == api.data.reports.now
        assert each.read.requests.of(name).requests == (8 if name == ITEMS else 1)
        assert each.read.seconds > 0


def test_a_window_is_one_request_and_pieces_come_the_oldest_first(
    api: SampleApi, tmp_path: Path
) -> None:
    account, windows = api.data.account_ids[0], first_windows(TODAY, 100)
    found = read(api, tmp_path, {account: {CAMPAIGNS: windows}})
    assert [each.window for each in found] == windows
    asked = [f"start_date={window.first}&end_date={window.last}" for window in windows]
    assert requests_for(api, CAMPAIGNS) == asked
    paths = {each.read.rows.resources[CAMPAIGNS].path for each in found}
    assert len(paths) == len(windows)
    assert [row for each in found for row in rows_of(each)]


def test_several_reports_of_an_account(api: SampleApi, tmp_path: Path) -> None:
    account = api.data.account_ids[0]
    found = read(api, tmp_path, {account: {CAMPAIGNS: [WEEK], SITES: [WEEK]}})
    assert [each.report_name for each in found] == [CAMPAIGNS, SITES]


def test_each_is_read_when_the_one_before_was_taken(api: SampleApi, tmp_path: Path) -> None:
    account, windows = api.data.account_ids[0], first_windows(TODAY, 365)
    reads = Reader(client_of(api), tmp_path).read_reports({account: {CAMPAIGNS: windows}})
    next(reads)
    assert len(requests_for(api, CAMPAIGNS)) == 1
    reads.close()  # type: ignore[attr-defined]
    assert len(requests_for(api, CAMPAIGNS)) == 1


def test_a_window_comes_when_it_has_ended_though_another_account_has_not(
    api: SampleApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other, _ = api.data.account_ids
    taken, in_time = Event(), list[bool]()

    def slow_of_one(client: Any, source: Any, account: str, *more: Any) -> Any:
        if account == slow:
            in_time.append(taken.wait(5))
        yield from report_reads(client, source, account, *more)

    monkeypatch.setattr(reader_module, "report_reads", slow_of_one)
    monkeypatch.setattr(reader_module, "_LONGEST_WAIT", 60)
    wanted = {account: {CAMPAIGNS: [WEEK]} for account in (slow, other)}
    reads = Reader(client_of(api), tmp_path).read_reports(wanted)
    first = next(reads)
    taken.set()
    found = [first, *reads]
    assert in_time == [True]
    assert [each.read.rows.account_id for each in found] == [other, slow]


@pytest.mark.parametrize("name", RESOURCES.reports)
def test_days_without_rows(api: SampleApi, tmp_path: Path, name: str) -> None:
    api.data.reports.pause(api.data.account_ids[0], WEEK.first, WEEK.last)
    found = read_one(api, tmp_path, name, WEEK)
    rows = found.read.rows.resources[name]
    assert (rows.rows, rows.part and rows.part.values) == (0, WEEK.days)
    assert found.updated == api.data.reports.now
    assert len(requests_for(api, name)) == 1


def test_after_a_window_that_fails_no_later_one_is_read(api: SampleApi, tmp_path: Path) -> None:
    broken, *others = api.data.account_ids
    windows = [*pieces(Window(date(2026, 6, 1), TODAY))]
    api.data.reports.pause(broken, date(2026, 6, 1), TODAY)
    api.behaviour.faults.append(Fault("status", f"/v1/{broken}/reports/campaign-s*", 1, 403))
    wanted = {account: {CAMPAIGNS: windows, SITES: [WEEK]} for account in api.data.account_ids}
    found = read(api, tmp_path, wanted)
    count = Counter((each.read.rows.account_id, each.report_name) for each in found)
    assert count == {
        (broken, CAMPAIGNS): 1,
        (broken, SITES): 1,
        **{(account, CAMPAIGNS): len(windows) for account in others},
        **{(account, SITES): 1 for account in others},
    }
    [failure] = [failure for each in found for failure in each.read.failures]
    assert (type(failure.error), failure.lost) == (RefusedError, (CAMPAIGNS,))
    assert str(failure).startswith(
        f"{broken}: {CAMPAIGNS}: GET /v1/{broken}/reports/campaign-summary/dimensions"
        "/campaign_day_breakdown?start_date=2026-06-01&end_date=2026-06-30 answers 403"
    )


@pytest.mark.parametrize("fault", ["no_results", "html_200", "cut_with_right_length", "not_json"])
def test_what_is_no_report_is_not_believed(api: SampleApi, tmp_path: Path, fault: str) -> None:
    api.behaviour.faults.append(Fault(fault))
    found = read_one(api, tmp_path, CAMPAIGNS, WEEK)
    assert found.read.rows.resources == {}
    assert found.read.failures
    assert not list(tmp_path.iterdir())


def test_one_day_that_cannot_be_had_fails_the_window(api: SampleApi, tmp_path: Path) -> None:
    whole = read_one(api, tmp_path, ITEMS, WEEK)
    assert not whole.read.failures
    api.behaviour.faults.append(Fault("status", "*item_breakdown", 4, 503))
    assert read_one(api, tmp_path, ITEMS, WEEK).read.failures


def test_a_run_that_was_stopped(api: SampleApi, tmp_path: Path) -> None:
    client, stopped = client_of(api), Event()
    stopped.set()
    source = report_source(client, [RESOURCES[CAMPAIGNS]])
    account = api.data.account_ids[0]
    windows = {CAMPAIGNS: first_windows(TODAY, 365)}
    [found] = report_reads(client, source, account, windows, tmp_path, stopped)
    assert [str(failure.error) for failure in found.read.failures] == ["the run was stopped"]


def test_without_a_token(api: SampleApi, tmp_path: Path) -> None:
    api.behaviour.client_secret = "another"
    client = client_of(api)
    api.behaviour.client_secret = "changed"
    wanted = {account: {CAMPAIGNS: [WEEK], SITES: [WEEK]} for account in api.data.account_ids}
    with pytest.raises(CredentialsError):
        list(Reader(client, tmp_path).read_reports(wanted))


class TestPages:
    @pytest.mark.parametrize("name", RESOURCES.reports)
    def test_a_report_that_is_sent_in_pages(
        self, api: SampleApi, tmp_path: Path, name: str
    ) -> None:
        api.behaviour.report_page_size = 4
        found = read_one(api, tmp_path, name, WEEK)
        assert not found.read.failures
        account = api.data.account_ids[0]
        assert spelled(rows_of(found)) == spelled(served(api, name, account, WEEK))

    @pytest.mark.parametrize("name", RESOURCES.reports)
    def test_rows_that_do_not_come(self, api: SampleApi, tmp_path: Path, name: str) -> None:
        api.behaviour.report_page_size = 4
        api.behaviour.ignores_page = True
        found = read_one(api, tmp_path, name, WEEK)
        [failure] = found.read.failures
        assert type(failure.error) is ReadError
        assert "rows, but only 4 come" in str(failure)

    def test_items_that_come_on_two_pages(
        self, api: SampleApi, tmp_path: Path, monkeypatch
    ) -> None:
        api.behaviour.report_page_size = 2
        rows: list[Row] = [{"campaign": "1", "item": item} for item in ("2", "3", "2", "4")]
        serve(api, monkeypatch, rows)
        [failure] = read_one(api, tmp_path, ITEMS, Window(TODAY, TODAY)).read.failures
        assert "sends the row 1/2 on two pages" in str(failure.error)

    def test_a_count_stands_for_a_total(self, api: SampleApi, tmp_path: Path, monkeypatch) -> None:
        answer = api.data.reports.answer

        def without_total(*args: Any) -> dict[str, Any]:
            sent = answer(*args)
            return {**sent, "metadata": None, "recordCount": sent["recordCount"] + 1}

        monkeypatch.setattr(api.data.reports, "answer", without_total)
        found = read_one(api, tmp_path, CAMPAIGNS, WEEK)
        assert "rows, but only" in str(found.read.failures[0])


def serve(api: SampleApi, monkeypatch, rows: list[Row], **envelope: Any) -> None:
    """Serves these rows, whatever is asked for."""
    answer = api.data.reports.answer
    monkeypatch.setattr(api.data.reports, "rows", lambda *_: rows)
    monkeypatch.setattr(api.data.reports, "answer", lambda *a: {**answer(*a), **envelope})


@pytest.mark.parametrize("value", ["2026-09-30 00:00:00.0", "2026-09-22", "soon", None, 7, []])
def test_a_row_of_a_day_that_was_not_asked_for(
    api: SampleApi, tmp_path: Path, monkeypatch, value: Any
) -> None:
    right = {"date": "2026-09-29 00:00:00.0", "campaign": "1"}
    serve(api, monkeypatch, [right, {"date": value, "campaign": "2"}])
    [failure] = read_one(api, tmp_path, CAMPAIGNS, WEEK).read.failures
    assert str(failure.error) == (
        f"the API sends a row whose `date` is {str(value)!r}, and was asked for 2026-09-23 to"
        " 2026-09-29: none of these days is changed"
    )


def test_items_that_the_api_names_by_half_or_not_at_all(
    api: SampleApi, tmp_path: Path, monkeypatch
) -> None:
    rows: list[Row] = [
        {"campaign": "1", "item": "2", "clicks": 1},
        {"campaign": 1, "item": 3, "clicks": 2},
        {"campaign": None, "item": "2", "clicks": 3},
        {"campaign": "1", "item": None, "old_item_version_id": "2 (Old version)", "clicks": 4},
        {"campaign": "1", "item": None, "old_item_version_id": None, "clicks": 5},
        {"campaign": "1", "item": "", "clicks": 6},
        {"item_key": "their own", "clicks": 7},
        {"campaign": "1", "item": "2", "clicks": 8},  # for a second time
    ]
    serve(api, monkeypatch, rows)
    found = read_one(api, tmp_path, ITEMS, Window(TODAY, TODAY))
    assert found.read.rows.resources[ITEMS].left_out == {"rows with the key of another": 1}
    assert {row["item_key"]: row["clicks"] for row in rows_of(found)} == {
        "1/2": 1,
        "1/3": 2,
        "/2": 3,
        "1/2 (Old version)": 4,
        "unnamed 1": 5,
        "unnamed 2": 6,
        "unnamed 3": 7,
    }
    extras = {row["item_key"]: row["_extras"] for row in rows_of(found) if row["_extras"]}
    assert extras == {"1/3": '{"item":3}', "unnamed 3": '{"api_item_key":"their own"}'}


def test_a_field_with_the_name_of_the_day_that_is_not_the_day_is_kept(
    api: SampleApi, tmp_path: Path, monkeypatch
) -> None:
    values = ["2026-09-29 00:00:00.0", None, "2026-09-01", [7]]
    rows = [{"campaign": "1", "item": str(n), "date": value} for n, value in enumerate(values)]
    serve(api, monkeypatch, [*rows, {"campaign": "1", "item": "4", "item_key": 0, "date": 7}])
    found = rows_of(read_one(api, tmp_path, ITEMS, Window(TODAY, TODAY)))
    assert {row["date"] for row in found} == {TODAY}
    assert {row["item"]: row["_extras"] for row in found if row["_extras"]} == {
        "2": '{"api_date":"2026-09-01"}',
        "3": '{"api_date":[7]}',
        "4": '{"api_item_key":0,"api_date":7}',
    }


def test_only_items_without_a_name(api: SampleApi, tmp_path: Path, monkeypatch) -> None:
    serve(api, monkeypatch, [{"clicks": 1}, {"clicks": 1}])
    found = read_one(api, tmp_path, ITEMS, Window(TODAY, TODAY))
    assert found.read.rows.resources[ITEMS].rows == 2


@pytest.mark.parametrize("value", [None, "soon", True, 10**30])
def test_a_report_that_does_not_say_when_it_was_made(
    api: SampleApi, tmp_path: Path, monkeypatch, value: Any
) -> None:
    serve(api, monkeypatch, [], **{"last-used-rawdata-update-time-gmt-millisec": value})
    found = read_one(api, tmp_path, CAMPAIGNS, WEEK)
    assert (found.read.failures, found.updated) == ([], None)
