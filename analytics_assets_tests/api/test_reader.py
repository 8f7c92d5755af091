"""Accounts are read whole or not at all, and what came of each is told."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from analytics_assets.api import account_reading as reading
from analytics_assets.api import reader as reader_module
from analytics_assets.api.account_reading import (
    AccountRead,
    ReadFailure,
    described_error,
    read_account,
)
from analytics_assets.api.client import make_client
from analytics_assets.api.reader import Reader
from analytics_assets.api.source import Page, levels
from analytics_assets.errors import (
    CredentialsError,
    DiskFullError,
    ReadError,
    RefusedError,
    SuddenlyEmptyError,
)
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.schema import Resource, columns, resource_table
from analytics_assets_tests.testing.reading import UNREACHABLE, client_of

NAMES = list(RESOURCES.account_lists)


def read(api: SampleApi, folder: Path, names: list[str] = NAMES) -> dict[str, AccountRead]:
    wanted = dict.fromkeys(api.data.account_ids, names)
    reads = chain.from_iterable(Reader(client_of(api), folder).read_accounts(wanted))
    return {str(read.rows.account_id): read for read in reads}


def test_accounts_come_with_the_rows_of_each_resource(api: SampleApi, tmp_path: Path) -> None:
    found = read(api, tmp_path)
    assert sorted(found) == sorted(api.data.account_ids)
    for account, outcome in found.items():
        assert outcome.failures == []
        rows = {name: outcome.rows.resources[name].rows for name in NAMES}
        assert rows == {name: len(api.data.table(name, [account])) for name in NAMES}
        lists = len(api.data.rows("campaigns", account))
        assert outcome.requests.of("campaign_items").requests == lists
        assert outcome.seconds > 0
        folders = {rows.path.parent.parent for rows in outcome.rows.resources.values()}
        assert folders == {tmp_path}


def test_a_parent_that_was_not_asked_for_is_not_kept(api: SampleApi, tmp_path: Path) -> None:
    for outcome in read(api, tmp_path, ["motion_ads"]).values():
        assert list(outcome.rows.resources) == ["motion_ads"]
        assert outcome.rows.count > 0


@pytest.mark.parametrize(
    ("fault", "kind", "is_permanent"),
    [
        (Fault("status", value=403), RefusedError, True),
        (Fault("status", value=404), RefusedError, True),
        (Fault("status", value=400), ReadError, False),
        (Fault("status", value=503), ReadError, False),
        (Fault("no_results"), ReadError, False),
    ],
    ids=["403", "404", "400", "503", "no list"],
)
def test_a_resource_that_cannot_be_read_whole(
    api: SampleApi, tmp_path: Path, fault: Fault, kind: type[ReadError], is_permanent: bool
) -> None:
    broken, *others = api.data.account_ids
    fault.path = f"/v1/{broken}/campaigns/*/items/"
    api.behaviour.faults.append(fault)
    found = read(api, tmp_path, ["campaigns", "campaign_items"])
    [failed] = found[broken].failures
    assert (failed.resource_name, type(failed.error)) == ("campaign_items", kind)
    assert failed.lost == ("campaign_items",)
    assert failed.permanent == is_permanent
    assert str(failed).startswith(f"{broken}: campaign_items: GET /v1/{broken}/campaigns/")
    assert list(found[broken].rows.resources) == ["campaigns"]
    assert all(found[account].failures == [] for account in others)
    folder = found[broken].rows.resources["campaigns"].path.parent
    assert [path.name for path in folder.iterdir()] == ["campaigns.arrow"]


def test_a_failure_is_told_in_one_line() -> None:
    failed = ReadFailure("ac\nme", None, ("audiences",), SuddenlyEmptyError("it is empty"))
    assert str(failed) == "ac me: account: it is empty"
    assert failed.permanent
    below = ReadFailure("acme", "campaigns", ("campaigns", "motion_ads"), ReadError("it broke"))
    assert str(below) == "acme: campaigns: it broke (so nothing is changed of motion_ads either)"


@pytest.mark.parametrize("rows", [1, 2_500], ids=["a few rows", "more than are held in memory"])
def test_an_error_of_the_rows_names_its_resource(api: SampleApi, tmp_path: Path, rows: int) -> None:
    account = api.data.account_ids[0]
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    sent = [{"id": 1, "deep": deep}, *({"id": number} for number in range(2, rows + 1))]
    api.data.set_rows("audiences", sent, account_id=account)
    found = read(api, tmp_path, ["audiences", "audience_rules"])[account]
    [failed] = found.failures
    assert list(found.rows.resources) == ["audience_rules"]
    assert failed.resource_name == "audiences"
    assert "the field 'deep' is nested more than" in str(failed.error)


def test_the_list_of_accounts(api: SampleApi, tmp_path: Path) -> None:
    listing = Reader(client_of(api), tmp_path).read_listing()
    assert listing.rows.account_id is None
    assert listing.rows.count == len(api.data.account_ids)
    assert listing.requests.of("accounts").requests == 1


def test_a_list_of_accounts_that_cannot_be_had(api: SampleApi, tmp_path: Path) -> None:
    api.behaviour.faults.append(Fault("status", value=500))
    with pytest.raises(ReadError, match=r"^accounts: GET .* answers 500: .*API_VERSION right\?\)$"):
        Reader(client_of(api), tmp_path).read_listing()


def test_without_a_token_there_is_nothing_to_read(api: SampleApi, tmp_path: Path) -> None:
    reader = Reader(client_of(api, client_secret="wrong"), tmp_path)
    with pytest.raises(CredentialsError, match="refuses the credentials"):
        reader.read_listing()
    wanted = dict.fromkeys(api.data.account_ids, NAMES)
    outcomes = chain.from_iterable(reader.read_accounts(wanted))
    for _account in api.data.account_ids:
        [failed] = next(outcomes).failures
        assert isinstance(failed.error, CredentialsError)
        assert (failed.resource_name, sorted(failed.lost)) == (None, sorted(NAMES))
    with pytest.raises(CredentialsError, match="refuses the credentials"):
        next(outcomes)
    with pytest.raises(CredentialsError, match="refuses the credentials"):
        list(reader.read_accounts({"the only one": NAMES}))


def test_of_an_account_that_is_stopped_nothing_is_left(api: SampleApi, tmp_path: Path) -> None:
    client, stopped, account = client_of(api), Event(), api.data.account_ids[0]
    stopped.set()
    found = read_account(client, levels(client, NAMES), account, NAMES, tmp_path, stopped)
    [failed] = found.failures
    assert (failed.account_id, failed.resource_name, failed.lost) == (account, None, tuple(NAMES))
    assert str(failed.error) == "the run was stopped"
    assert found.rows.resources == {}
    assert [*tmp_path.iterdir()] == []


def test_a_resource_that_is_given_up_is_asked_for_no_more(tmp_path: Path) -> None:
    data = SampleData.generate(1, campaigns=60)
    with SampleApi(data) as api:
        api.behaviour.faults.append(Fault("status", "/v1/*/campaigns/*/items/", value=403))
        client = client_of(api, workers=1)
        wanted = {data.account_ids[0]: ["campaign_items"]}
        [found] = chain.from_iterable(Reader(client, tmp_path).read_accounts(wanted))
    assert [failed.lost for failed in found.failures] == [("campaign_items",)]
    assert found.requests.of("campaign_items").requests < 30


def test_parents_are_listed_anew_once_for_each_row_that_went(
    api: SampleApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = api.data.account_ids[0]
    gone = api.data.rows("campaigns", account)[0]["id"]
    path = f"/v1/{account}/campaigns/{gone}/*"
    api.behaviour.faults.append(Fault("status", path, value=404))
    listed: list[str] = []
    list_anew = reading._Reading._list_anew

    def without_it(self: Any, name: str) -> Any:
        listed.append(name)
        return {row_id for row_id in list_anew(self, name) or () if row_id != str(gone)}

    monkeypatch.setattr(reading._Reading, "_list_anew", without_it)
    found = read(api, tmp_path, ["campaigns", "campaign_items", "motion_ads"])[account]
    assert found.failures == []
    assert listed == ["campaigns"]
    kept = len(api.data.rows("campaigns", account)) - 1
    assert found.rows.resources["campaigns"].rows == kept


REVIEWS = Resource(
    "reviews",
    "/{version}/{account_id}/items/{parent_id}/reviews",
    "Reviews.",
    columns("id text !, item_id text !"),
    parent="campaign_items",
    parent_column="item_id",
)
TABLE = (*RESOURCES.values(), REVIEWS)


def with_reviews() -> SampleData:
    return SampleData.generate(
        accounts=1, campaigns=2, items=2, motion_ads=1, others=1, resources=resource_table(TABLE)
    )


def test_lists_two_levels_below_a_row_that_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = with_reviews()
    [account], names = data.account_ids, ["campaigns", "campaign_items", "reviews"]
    gone = data.rows("campaigns", account)[0]["id"]
    assert data.rows("campaign_items", account, gone)
    ids_to_ask = reading._Reading._ids_to_ask

    def delete_before_reviews(self: Any, name: str) -> Any:
        if name == "reviews":
            data.delete_row("campaigns", gone, account_id=account)
        return ids_to_ask(self, name)

    monkeypatch.setattr(reading._Reading, "_ids_to_ask", delete_before_reviews)
    with SampleApi(data) as api:
        reader = Reader(client_of(api, resources=resource_table(TABLE)), tmp_path)
        [found] = chain.from_iterable(reader.read_accounts({account: names}))
    assert found.failures == []
    rows = {name: found.rows.resources[name].rows for name in names}
    assert rows == {name: len(data.table(name)) for name in names}


def test_what_is_two_levels_below_a_row_that_went_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the API may still answer for it with rows."""
    data = with_reviews()
    [account], names = data.account_ids, ["campaigns", "campaign_items", "motion_ads", "reviews"]
    gone, stays = (str(row["id"]) for row in data.rows("campaigns", account))
    list_anew = reading._Reading._list_anew
    monkeypatch.setattr(
        reading._Reading, "_list_anew", lambda self, name: (list_anew(self, name) or set()) - {gone}
    )
    with SampleApi(data) as api:
        path = f"/v1/{account}/campaigns/{gone}/performance-video/items/"
        api.behaviour.faults.append(Fault("status", path, value=404))
        reader = Reader(client_of(api, resources=resource_table(TABLE)), tmp_path)
        [found] = chain.from_iterable(reader.read_accounts({account: names}))
    assert found.failures == []
    items = [str(item["id"]) for item in data.rows("campaign_items", account, stays)]
    below = [row["id"] for item in items for row in data.rows("reviews", account, item)]
    reviews = found.rows.resources["reviews"].table()
    assert below
    assert sorted(reviews["id"].to_pylist()) == sorted(below)


def test_an_error_that_nobody_expected_is_told_as_one_of_the_reading() -> None:
    error = described_error(make_client(UNREACHABLE), ValueError("with secret\nin it"))
    assert (type(error), str(error)) == (ReadError, "unexpected ValueError: with *** in it")


def test_a_disk_that_is_full_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Iterator[Page]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reading, "pages", full)
    reader = Reader(make_client(UNREACHABLE), tmp_path)
    with pytest.raises(DiskFullError, match="no space left"):
        list(reader.read_accounts({"acme": ["audiences"]}))


def test_who_stops_listening_stops_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    went_on: list[str] = []
    reader, stopped = Reader(make_client(UNREACHABLE), tmp_path), Event()
    monkeypatch.setattr(reader_module, "Event", lambda: stopped)

    def slow_but_the_first(*arguments: object) -> Iterator[Page]:
        _client, _level, _names, account_id, *_ = arguments
        begun.append(str(account_id))
        if account_id != "0":
            stopped.wait(5)
        yield Page("audiences", [])
        went_on.append(str(account_id))

    monkeypatch.setattr(reading, "pages", slow_but_the_first)
    outcomes = reader.read_accounts({str(number): ["audiences"] for number in range(40)})
    [[first]] = islice(filter(None, outcomes), 1)
    assert first.failures == []
    outcomes.close()  # type: ignore[attr-defined]
    assert len(begun) < 40
    assert went_on == ["0"]


def test_who_listens_can_do_something_else_while_no_account_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = Event()

    def slow(*_: object) -> Iterator[Page]:
        may_end.wait(5)
        yield Page("audiences", [])

    monkeypatch.setattr(reading, "pages", slow)
    monkeypatch.setattr(reader_module, "_LONGEST_WAIT", 0.01)
    outcomes = Reader(make_client(UNREACHABLE), tmp_path).read_accounts({"acme": ["audiences"]})
    assert next(outcomes) == []
    may_end.set()
    [found] = chain.from_iterable(outcomes)
    assert found.failures == []


def test_an_account_comes_when_it_has_ended_though_another_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Event()

    def slow_of_the_first(
        _: object, __: object, ___: object, account_id: str, *____: object
    ) -> Any:
        if account_id == "first":
            assert taken.wait(5)
        yield Page("audiences", [])

    monkeypatch.setattr(reading, "pages", slow_of_the_first)
    monkeypatch.setattr(reader_module, "_LONGEST_WAIT", 60)
    wanted = {"first": ["audiences"], "second": ["audiences"]}
    outcomes = Reader(make_client(UNREACHABLE), tmp_path).read_accounts(wanted)
    [second] = next(outcomes)
    taken.set()
    [first] = chain.from_iterable(outcomes)
    assert [each.rows.account_id for each in (first, second)] == ["first", "second"]
    assert first.failures == second.failures == []


def test_under_a_quota_one_account_is_read_after_the_other(tmp_path: Path) -> None:
    data = SampleData.generate(4, campaigns=10)
    with SampleApi(data) as api:
        client = client_of(api, max_requests_per_second=80)
        wanted = dict.fromkeys(data.account_ids, NAMES)
        assert len(list(chain.from_iterable(Reader(client, tmp_path).read_accounts(wanted)))) == 4
        ended = [entry.account_id for entry in api.log.entries if entry.status == 200]
    places: dict[str | None, list[int]] = {}
    for place, account_id in enumerate(ended):
        places.setdefault(account_id, []).append(place)
    of_accounts = sorted(places[account_id] for account_id in data.account_ids)
    first, last = min(of_accounts, key=max), max(of_accounts, key=max)
    # when the first account is read, hardly anything was asked for the last one
    assert sum(place < max(first) for place in last) <= len(last) / 3


def test_a_reader_reads_more_than_once(tmp_path: Path, api: SampleApi) -> None:
    reader = Reader(client_of(api), tmp_path)
    for _ in range(2):
        wanted = {key: ["audiences"] for key in api.data.account_ids}
        outcomes = list(chain.from_iterable(reader.read_accounts(wanted)))
        assert all(outcome.failures == [] for outcome in outcomes)
        assert len(outcomes) == len(api.data.account_ids)


def test_what_waits_to_be_taken_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {f"bounded {number}": ["audiences"] for number in range(60)}
    begun: list[str] = []

    def one_row(_: object, __: object, ___: object, account_id: str, *____: object) -> Any:
        if account_id in wanted:  # and none that another test has left to its threads
            begun.append(account_id)
        yield Page("audiences", [{"id": 1}])

    monkeypatch.setattr(reading, "pages", one_row)
    monkeypatch.setattr(reader_module, "_MOST_WAITING", 1)
    reader = Reader(make_client(UNREACHABLE), tmp_path)
    outcomes = reader.read_accounts(wanted)
    taken = len(next(outcomes))
    # who takes nothing finds no more than are read side by side, however long that lasts
    until = time.monotonic() + 0.5
    while len(begun) < len(wanted) and time.monotonic() < until:
        time.sleep(0.001)
    assert len(begun) <= taken + 8
    taken += sum(map(len, outcomes))
    assert taken == len(begun) == len(wanted)
