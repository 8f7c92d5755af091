"""Lists below parent rows that are left out, because nothing has changed."""

from __future__ import annotations

import time
from collections import Counter
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

from analytics_assets.api import account_reading
from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.paths import path_reader
from analytics_assets.api.reader import Reader
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.lists import KnownLists, ReadList
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.schema import Resource, columns, resource_table
from analytics_assets_tests.testing.reading import client_of

NAMES = list(RESOURCES.account_lists)
ITEMS, ADS = "campaign_items", "motion_ads"
Lists = dict[tuple[str, str], dict[str, ReadList]]


class Readings:
    """Reads all accounts again and again, and remembers the lists as a warehouse would."""

    def __init__(self, api: SampleApi, folder: Path, days: int = 7) -> None:
        self.api, self.now, self.days = api, 1e9, days
        self.resources = RESOURCES
        self._folder = folder
        self._lists: Lists = {}

    def read(self, names: list[str] = NAMES) -> dict[str, AccountRead]:
        self.api.log.clear()
        known = KnownLists(self.days, self._lists)
        wanted = dict.fromkeys(self.api.data.account_ids, names)
        reader = Reader(client_of(self.api, resources=self.resources), self._folder)
        reads = list(chain.from_iterable(reader.read_accounts(wanted, known)))
        for read in reads:
            for name, lists in read.rows.lists.items():
                account = str(read.rows.account_id)
                self._lists[name, account] = {**lists.kept}
                if name in read.rows.resources:
                    self._lists[name, account] |= lists.read
        return {str(read.rows.account_id): read for read in reads}

    @property
    def asked(self) -> Counter[tuple[str, str, str]]:
        """How often each list below a row was asked for."""
        asked = Counter(path_reader(RESOURCES)(entry.path) for entry in self.api.log.entries)
        return Counter({key[:3]: number for key, number in asked.items() if key.parent_id})


@pytest.fixture
def readings(api: SampleApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Readings:
    made = Readings(api, tmp_path)
    clock = SimpleNamespace(time=lambda: made.now, monotonic=time.monotonic)
    monkeypatch.setattr(account_reading, "time", clock)
    return made


def every_list(api: SampleApi) -> Counter[tuple[str, str, str]]:
    return Counter(
        (name, account, str(row["id"]))
        for name in (ITEMS, ADS)
        for account in api.data.account_ids
        for row in api.data.rows("campaigns", account)
    )


def first_lists(api: SampleApi, *names: str) -> tuple[str, str, Counter[tuple[str, str, str]]]:
    """An account, a campaign of it, and the campaign's lists."""
    account = api.data.account_ids[0]
    campaign = api.data.rows("campaigns", account)[0]["id"]
    return account, campaign, Counter((name, account, campaign) for name in names or (ITEMS, ADS))


def test_only_what_has_changed_is_asked_for_again(readings: Readings, api: SampleApi):
    reads = readings.read()
    assert readings.asked == every_list(api)
    assert all(not lists.kept for read in reads.values() for lists in read.rows.lists.values())
    account, campaign, lists = first_lists(api)
    api.data.update_row("campaigns", campaign, {"novel": {"a": [1]}}, account_id=account)
    reads = readings.read()
    assert readings.asked == lists
    for name, read in ((n, read) for n in (ITEMS, ADS) for read in reads.values()):
        of_account = read.rows.lists[name]
        assert of_account.asked == ([campaign] if read.rows.account_id == account else [])
        below = {row["id"] for row in api.data.rows("campaigns", str(read.rows.account_id))}
        assert of_account.kept.keys() == below.difference(of_account.asked)
    # other lists are never left out
    assert api.log.count_by_path()[f"/v1/{account}/campaigns/"] == 1


def test_over_seven_days_each_list_is_read_once(readings: Readings, api: SampleApi):
    readings.read()
    asked = Counter[tuple[str, str, str]]()
    for _ in range(14):
        readings.now += 43_200
        readings.read()
        asked += readings.asked
    assert asked == every_list(api)


def test_none_is_ever_left_out_where_that_is_not_asked_for(api: SampleApi, tmp_path: Path):
    wanted = dict.fromkeys(api.data.account_ids, NAMES)
    reads = chain.from_iterable(Reader(client_of(api), tmp_path).read_accounts(wanted))
    assert [read.rows.lists for read in reads] == [{} for _ in wanted]


def test_a_list_that_failed_is_read_again(readings: Readings, api: SampleApi):
    account, campaign, lists = first_lists(api)
    path = f"/v1/{account}/campaigns/{campaign}/items/"
    api.behaviour.faults.append(Fault("status", path, value=503))
    assert [f.lost for f in readings.read()[account].failures] == [(ITEMS,)]
    api.behaviour.faults.clear()
    assert readings.read()[account].failures == []
    of_account = [key for key in every_list(api) if key[:2] == (ITEMS, account)]
    assert readings.asked == Counter(of_account)
    # also where its parent row is again as it was when the list was last read
    name = api.data.rows("campaigns", account)[0]["name"]
    api.data.update_row("campaigns", campaign, {"name": "new"}, account_id=account)
    api.behaviour.faults.append(Fault("status", path, value=503))
    readings.read()
    api.behaviour.faults.clear()
    api.data.update_row("campaigns", campaign, {"name": name}, account_id=account)
    readings.read()
    assert readings.asked == lists


def test_lists_below_a_list_that_failed_stay_on_record(readings: Readings, api: SampleApi):
    readings.read()
    account, *_ = first_lists(api)
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/campaigns/", value=403))
    assert account in {f.account_id for f in readings.read()[account].failures}
    api.behaviour.faults.clear()
    readings.read()
    assert readings.asked == Counter()


def test_rows_that_name_another_parent_let_all_lists_be_read(readings: Readings, api: SampleApi):
    readings.read()
    account, campaign, _ = first_lists(api)
    other = api.data.rows("campaigns", account)[1]["id"]
    api.data.update_row("campaigns", campaign, {"name": "new"}, account_id=account)
    rows = api.data.rows(ITEMS, account, campaign)
    stray = [{**rows[0], "id": "stray", "campaign_id": other}, *rows]
    api.data.set_rows(ITEMS, stray, account_id=account, parent_id=campaign)
    for _ in range(2):
        read = readings.read()[account]
        assert read.rows.lists[ITEMS].kept == {}
        assert read.rows.lists[ITEMS].read == {}
        assert read.rows.resources[ITEMS].rows == len(api.data.table(ITEMS, [account]))
        expected = {key for key in every_list(api) if key[:2] == (ITEMS, account)}
        assert {key for key in readings.asked if key[0] == ITEMS} == expected


def test_lists_that_share_a_key_are_read_together(readings: Readings, api: SampleApi):
    account, campaign, _ = first_lists(api)
    other = api.data.rows("campaigns", account)[1]["id"]
    row = api.data.rows(ITEMS, account, campaign)[0]
    twin = {**row, "campaign_id": other}
    api.data.add_row(ITEMS, twin, account_id=account, parent_id=other)
    for _ in range(2):
        rows = readings.read()[account].rows.resources[ITEMS]
        assert rows.left_out == {"rows with the key of another": 1}
    assert readings.asked == Counter({(ITEMS, account, campaign), (ITEMS, account, other)})


def test_a_list_with_rows_without_a_key_is_read_again(readings: Readings, api: SampleApi):
    account, campaign, lists = first_lists(api, ITEMS)
    api.data.add_row(ITEMS, {"title": "none"}, account_id=account, parent_id=campaign)
    for _ in range(2):
        rows = readings.read()[account].rows.resources[ITEMS]
        assert rows.left_out == {"rows without a key": 1}
    assert readings.asked == lists


def test_a_parent_that_comes_twice_tells_nothing(readings: Readings, api: SampleApi):
    account, _, lists = first_lists(api)
    row = api.data.rows("campaigns", account)[0]
    api.data.add_row("campaigns", {**row, "name": "twin"}, account_id=account)
    readings.read()
    readings.read()
    assert readings.asked == lists


def test_a_parent_that_goes_meanwhile_is_not_on_record(readings: Readings, api: SampleApi):
    account, campaign, lists = first_lists(api)
    row = api.data.rows("campaigns", account)[0]
    path = f"/v1/{account}/campaigns/{campaign}/items/"

    def delete() -> None:
        if any(r["id"] == campaign for r in api.data.rows("campaigns", account)):
            api.data.delete_row("campaigns", campaign, account_id=account)

    api.behaviour.faults.append(Fault("status", path, value=404))
    read_campaigns = account_reading._Reading._list_anew

    def list_anew(self, name):
        delete()
        return read_campaigns(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_reading._Reading, "_list_anew", list_anew)
        read = readings.read()[account]
    api.behaviour.faults.clear()
    assert read.failures == []
    for name in (ITEMS, ADS):
        assert campaign not in {*read.rows.lists[name].read, *read.rows.lists[name].asked}
    api.data.add_row("campaigns", row, account_id=account)
    readings.read()
    assert readings.asked == lists


def test_a_list_with_lists_below_its_rows_is_always_read(
    readings: Readings,
):
    clicks = Resource(
        "clicks",
        "/{version}/{account_id}/items/{parent_id}/clicks",
        "Clicks.",
        columns("id text !, item_id text !"),
        parent=ITEMS,
        parent_column="item_id",
    )
    readings.resources = resource_table([*RESOURCES.values(), clicks])
    data = SampleData.generate(
        accounts=1, campaigns=2, items=1, motion_ads=1, others=1, resources=readings.resources
    )
    with SampleApi(data) as api:
        readings.api = api
        names = [ITEMS, ADS, clicks.name]
        readings.read(names)
        first = api.log.count_by_path()
        assert sum("clicks" in path for path in first) == len(data.table(ITEMS))
        readings.read(names)
        items = Counter({key: 1 for key in every_list(api) if key[0] == ITEMS})
        assert readings.asked == items
        readings.read([ITEMS, ADS])
        assert readings.asked == Counter()
