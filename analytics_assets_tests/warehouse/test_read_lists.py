"""What the warehouse tells of lists that were read, after changes, failures, kills, tampering."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from analytics_assets.api import account_reading
from analytics_assets.api.paths import path_reader
from analytics_assets.api.reader import Reader
from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import no_rows
from analytics_assets.rows.lists import KnownLists
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse import read_lists as read_lists_module
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load, run_pipeline
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.read_lists import READ_LISTS, read_lists
from analytics_assets_tests.testing.marks import IS_LONG, both_warehouses
from analytics_assets_tests.testing.reading import client_of
from analytics_assets_tests.testing.statements import each_statement
from analytics_assets_tests.testing.tables import (
    Row,
    assert_equal_tables,
    change_warehouse,
    on_postgres,
    query,
    served_table,
    warehouse_table,
)

DAYS = 7
STEPS = 100 if IS_LONG else 10
ITEMS, ADS = "campaign_items", "motion_ads"
NAMES = ["campaigns", ITEMS, ADS]
Key = tuple[str, str, str]
"""A list: resource, account, campaign."""


def killed_before(pipeline: Pipeline, source: DltSource) -> None:
    raise KilledError


def killed_after(pipeline: Pipeline, source: DltSource) -> None:
    run_pipeline(pipeline, source)
    raise KilledError


class KilledError(Exception):
    pass


class Syncs:
    """Syncs as runs do them, without Dagster, by a clock that is moved by hand."""

    def __init__(self, home: Path, api: SampleApi) -> None:
        self.home, self.api, self.now = home, api, 1.7e9
        self.settings = platform_settings()
        self.failed: set[tuple[str, str]] = set()
        self._request = LockRequest("a test", 60, print)

    def __call__(
        self,
        *,
        run: Any = run_pipeline,
        days: int = DAYS,
        full: bool = False,
        names: Sequence[str] = NAMES,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> tuple[set[Key], LoadOutcome]:
        """Syncs all accounts; the lists that were asked for, and what came of the load."""
        self.api.log.clear()
        account_ids = self.api.data.account_ids
        with TemporaryDirectory(dir=self.home) as made:
            folder = Path(made)
            lists = {} if full or not days else self.known(folder, names)
            known = KnownLists(days, lists) if days else None
            reader = Reader(client_of(self.api), folder)
            wanted = dict.fromkeys(account_ids, names)
            reads = list(chain.from_iterable(reader.read_accounts(wanted, known)))
            failures = [failure for read in reads for failure in read.failures]
            self.failed = {(name, f.account_id) for f in failures for name in f.lost}
            rows = [read.rows for read in reads if read.rows.resources]
            meanwhile()
            outcome = load(
                self.settings, folder, names, rows, self._request, run=run, allow_empty=True
            )
        return self.asked, outcome

    def known(self, folder: Path, names: Collection[str] = NAMES) -> Any:
        accounts = self.api.data.account_ids
        return read_lists(self.settings, folder, names, accounts, self._request)

    def forget(self, account_id: str) -> None:
        with TemporaryDirectory(dir=self.home) as folder:
            gone = [no_rows(account_id, NAMES)]
            load(self.settings, Path(folder), NAMES, gone, self._request, allow_empty=True)

    @property
    def asked(self) -> set[Key]:
        asked = (
            path_reader(RESOURCES)(entry.path)
            for entry in self.api.log.entries
            if entry.status == 200
        )
        return {
            (key.resource_name, key.account_id, key.parent_id) for key in asked if key.parent_id
        }


@pytest.fixture
def sync(home: Path, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    syncs = Syncs(home, api)
    clock = SimpleNamespace(time=lambda: syncs.now, monotonic=time.monotonic)
    monkeypatch.setattr(account_reading, "time", clock)
    return syncs


def lists_of(data: SampleData, names: Collection[str] = (ITEMS, ADS)) -> set[Key]:
    return {
        (name, account, row["id"])
        for name in names
        for account in data.account_ids
        for row in data.rows("campaigns", account)
    }


class Model:
    """What the tables must hold, and which lists have to be asked for."""

    def __init__(self, data: SampleData) -> None:
        self.data = data
        self.rows: dict[Key, list[Row]] = {}
        self.parents: dict[Key, Row] = {}
        self.read_at: dict[Key, float] = {}
        self.campaigns: dict[str, list[Row]] = {}

    def needed(self, now: float) -> set[Key]:
        """The lists that must not be left out: new ones, changed ones, and those that are old."""
        parents = self._parents()
        return {
            key
            for key, parent in parents.items()
            if self.parents.get(key) != parent or now - self.read_at[key] > DAYS * 86_400
        }

    def loaded(self, asked: set[Key], failed: set[tuple[str, str]], now: float) -> None:
        parents = self._parents()
        for account in self.data.account_ids:
            self.campaigns[account] = served_table(self.data, "campaigns", [account])
        for key in self.rows.keys() - parents.keys():
            if key[:2] not in failed:
                del self.rows[key]
                self.unknown([key])
        read = {key for key in asked if key[:2] not in failed}
        for key in read:
            name, account, campaign = key
            served = served_table(self.data, name, [account])
            self.rows[key] = [row for row in served if row["campaign_id"] == campaign]
            self.parents[key], self.read_at[key] = parents[key], now
        for key in self.rows.keys() - read:
            self._take_what_moved(key, read)

    def unknown(self, keys: Iterable[Key]) -> None:
        """Of these lists the warehouse must not tell that they were read."""
        for key in list(keys):
            self.parents.pop(key, None)

    def _take_what_moved(self, key: Key, read: set[Key]) -> None:
        others = (other for other in read if other[:2] == key[:2])
        moved = {row["id"] for other in others for row in self.rows[other]}
        left = [row for row in self.rows[key] if row["id"] not in moved]
        if left != self.rows[key]:
            self.rows[key] = left
            self.unknown(other for other in self.rows if other[:2] == key[:2])

    def assert_holds(self, home: Path) -> None:
        tables: dict[str, list[Row]] = {name: [] for name in NAMES}
        for name, rows in [(k[0], r) for k, r in self.rows.items()]:
            tables[name] += rows
        for rows in self.campaigns.values():
            tables["campaigns"] += rows
        for name, rows in tables.items():
            assert_equal_tables(rows, warehouse_table(home, name), name)

    def _parents(self) -> dict[Key, Row]:
        return {
            (name, account, row["id"]): row
            for name in (ITEMS, ADS)
            for account in self.data.account_ids
            for row in self.data.rows("campaigns", account)
        }


class Changes:
    """Changes an API by chance."""

    def __init__(self, data: SampleData, chance: random.Random) -> None:
        self.data, self.chance = data, chance
        self.deleted: list[tuple[str, Row]] = []

    def some(self, number: int) -> None:
        kinds = [self.campaign, self.item, self.delete, self.add_again, self.add, self.move]
        for place in range(self.chance.randint(1, 4)):
            account = self.chance.choice(self.data.account_ids)
            if campaigns := self.data.rows("campaigns", account):
                change, row = self.chance.choice(kinds), self.chance.choice(campaigns)
                change(account, row, f"{number}/{place}")

    def campaign(self, account: str, row: Row, label: str) -> None:
        self.data.update_row("campaigns", row["id"], {"name": label}, account_id=account)

    def item(self, account: str, row: Row, label: str) -> None:
        name = self.chance.choice([ITEMS, ADS])
        rows = self.data.rows(name, account, row["id"])[self.chance.randint(0, 1) :]
        new = {"id": label, "campaign_id": row["id"], "title": label}
        rows = [{**each, "title": label} for each in rows] + [new] * self.chance.randint(0, 1)
        self.data.set_rows(name, rows, account_id=account, parent_id=row["id"])

    def delete(self, account: str, row: Row, label: str) -> None:
        self.data.delete_row("campaigns", row["id"], account_id=account)
        self.deleted.append((account, row))

    def add_again(self, account: str, row: Row, label: str) -> None:
        if self.deleted:
            account, row = self.deleted.pop()
            self.data.add_row("campaigns", row, account_id=account)

    def add(self, account: str, row: Row, label: str) -> None:
        self.data.add_row("campaigns", {"id": label, "name": "o'neil"}, account_id=account)

    def move(self, account: str, row: Row, label: str) -> None:
        """Moves an item from one campaign to another, of which only that one is changed."""
        other = self.chance.choice(self.data.rows("campaigns", account))
        rows = self.data.rows(ITEMS, account, row["id"])
        if rows and other["id"] != row["id"]:
            self.campaign(account, other, label)
            self.data.set_rows(ITEMS, rows[1:], account_id=account, parent_id=row["id"])
            moved = {**rows[0], "campaign_id": other["id"]}
            self.data.add_row(ITEMS, moved, account_id=account, parent_id=other["id"])


@both_warehouses
def test_all_lists_are_noted_by_one_statement_and_found_by_index(home: Path, sync: Syncs) -> None:
    inserts: list[str] = []

    def see(statement: str, _: object) -> None:
        if re.match(f"INSERT INTO .*{READ_LISTS}", statement):
            inserts.append(statement)

    with each_statement(see):
        asked, _ = sync()
    assert asked == lists_of(sync.api.data)
    assert len(inserts) == 1
    assert sync()[0] == set()
    if on_postgres():
        sql = f"SELECT indexdef FROM pg_indexes WHERE tablename = '{READ_LISTS}'"
        assert [definition.endswith("(account_id)") for (definition,) in query(home, sql)] == [True]


def test_a_database_that_is_not_known_gets_them_row_by_row(sync: Syncs, monkeypatch) -> None:
    monkeypatch.setattr(read_lists_module, "_WITH_UNNEST", ())
    assert sync()[0] == lists_of(sync.api.data)
    assert sync()[0] == set()


@both_warehouses
def test_tables_equal_the_model_after_every_sync(home: Path, sync: Syncs) -> None:
    data = SampleData.generate(accounts=2, campaigns=4, items=2, motion_ads=1, others=1)
    chance, model, left_out = random.Random(4711), Model(data), 0
    changes = Changes(data, chance)
    courses: list[dict[str, Any]] = [{}] * 6 + [{"full": True}, {"days": 0}]
    courses += [{"run": killed_before}, {"run": killed_after}]
    with SampleApi(data) as api:
        sync.api = api
        for number in range(STEPS):
            changes.some(number)
            sync.now += chance.uniform(0, 3) * 86_400
            course = chance.choice(courses) if number else {}
            if number and chance.random() < 0.3:
                name, account, campaign = chance.choice(sorted(lists_of(data)))
                path = RESOURCES[name].path_in("v1").replace("{account_id}", account)
                fault = Fault("status", path.replace("{parent_id}", campaign), value=503)
                api.behaviour.faults[:] = [fault]
            elif number and chance.random() < 0.3:
                tamper(home, model, chance)
            needed = model.needed(sync.now)
            if "run" in course:
                with pytest.raises(WarehouseError):
                    sync(**course)
            else:
                sync(**course)
            api.behaviour.faults.clear()
            asked = sync.asked
            assert {key for key in needed - asked if key[:2] not in sync.failed} == set()
            if "full" in course or "days" in course:
                of_failed = {key for key in lists_of(data) if key[:2] in sync.failed}
                assert lists_of(data) - of_failed <= asked
            if course != {"run": killed_before}:
                model.loaded(asked, sync.failed, sync.now)
                model.assert_holds(home)
            failed = {key for key in asked if key[:2] in sync.failed}
            if "run" in course:
                model.unknown(asked)
            else:  # without `days`, nothing is noted, and what failed stays as it was
                model.unknown(asked - failed if "days" in course else failed)
            left_out += len(lists_of(data) - asked)
    assert left_out > 3 * STEPS


def tamper(home: Path, model: Model, chance: random.Random) -> None:
    """Removes a row, as people do; if its list was on record, all of the account must be read."""
    if rows := warehouse_table(home, ITEMS):
        row = chance.choice(rows)
        account, row_id = row["account_id"], row["id"]
        where = f"account_id = '{account}' AND id = '{row_id}'"
        change_warehouse(home, f"DELETE FROM analytics.{ITEMS} WHERE {where}")
        key = (ITEMS, account, row["campaign_id"])
        model.rows[key] = [each for each in model.rows[key] if each["id"] != row_id]
        if key in model.parents:
            model.unknown(other for other in model.rows if other[:2] == key[:2])


def states(home: Path, where: str = "1 = 1") -> int:
    return int(query(home, f"SELECT count(*) FROM analytics.{READ_LISTS} WHERE {where}")[0][0])


@both_warehouses
def test_nothing_is_told_of_what_is_not_there(home: Path, sync: Syncs, api: SampleApi) -> None:
    everything = lists_of(api.data)
    assert sync()[0] == everything
    assert sync()[0] == set()
    change_warehouse(home, f"DROP TABLE analytics.{ADS}")
    assert sync()[0] == everything  # a table that is gone tells nothing of the other, either
    assert sync()[0] == set()
    change_warehouse(home, f"ALTER TABLE analytics.{ADS} DROP COLUMN campaign_id")
    assert sync()[0] == everything
    change_warehouse(home, f"DROP TABLE analytics.{READ_LISTS}")
    assert sync()[0] == everything
    account = api.data.account_ids[0]
    change_warehouse(
        home,
        f"INSERT INTO analytics.{ADS} (account_id, id, _dlt_load_id, _dlt_id)"
        f" VALUES ('{account}', 'of nobody', '1', 'none')",
    )
    assert sync()[0] == {key for key in everything if key[:2] == (ADS, account)}
    assert sync()[0] == set()
    for name in NAMES:
        assert_equal_tables(served_table(api.data, name), warehouse_table(home, name), name)
    sync.forget(account)
    assert states(home, f"account_id = '{account}'") == 0
    assert sync()[0] == {key for key in everything if key[1] == account}


def test_rows_that_are_changed_while_others_are_read(
    home: Path, sync: Syncs, api: SampleApi
) -> None:
    sync()
    account = api.data.account_ids[0]
    first, kept = (row["id"] for row in api.data.rows("campaigns", account)[:2])
    api.data.update_row("campaigns", first, {"name": "new"}, account_id=account)
    held = f"FROM analytics.{ITEMS} WHERE account_id = '{account}'"
    gone = f"DELETE {held} AND campaign_id = '{kept}'"
    _, outcome = sync(meanwhile=lambda: change_warehouse(home, gone))
    assert outcome.overtaken == {account: [ITEMS]}
    loads = query(home, f"SELECT DISTINCT _dlt_load_id {held}")
    assert (outcome.load_id,) not in loads
    # what was read and not loaded is read again, with what is lost
    assert sync()[0] == {key for key in lists_of(api.data) if key[:2] == (ITEMS, account)}
    for name in NAMES:
        assert_equal_tables(served_table(api.data, name), warehouse_table(home, name), name)


def test_what_was_kept_counts_as_loaded(home: Path, sync: Syncs, api: SampleApi) -> None:
    sync()
    account, other = api.data.account_ids[:2]
    campaign = api.data.rows("campaigns", account)[0]["id"]
    api.data.update_row("campaigns", campaign, {"name": "new"}, account_id=account)
    _, outcome = sync()
    for name in (ITEMS, ADS):
        for key in (account, other):
            audit = outcome.audits[name][key]
            assert audit.loaded_at == float(outcome.load_id)
            assert audit.rows == len(api.data.table(name, [key]))
            assert audit.orphans == 0


def test_without_the_setting_there_is_no_such_table(
    home: Path, sync: Syncs, api: SampleApi
) -> None:
    sync(days=0)
    tables = query(home, "SELECT table_name FROM information_schema.tables")
    assert READ_LISTS not in {name for (name,) in tables}
    # what was noted when it was on is gone with the first load without it
    sync()
    assert states(home) == len(lists_of(api.data))
    sync(days=0, names=["campaigns", ITEMS])
    assert states(home) == states(home, f"resource = '{ADS}'") > 0
    assert sync()[0] == lists_of(api.data, [ITEMS])
