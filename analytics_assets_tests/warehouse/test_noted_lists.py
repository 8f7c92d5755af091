"""What is noted of lists below parent rows, and when it is believed, forgotten and kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows, Part, no_rows
from analytics_assets.rows.keys import parent_id_field
from analytics_assets.rows.lists import AccountLists, ReadList
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse import read_lists as read_lists_module
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.read_lists import (
    READ_LISTS,
    forget_lists,
    note_lists,
    read_lists,
    with_parts,
)
from analytics_assets_tests.testing.loading import account_rows
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import change_warehouse, query

ITEMS, ADS = "campaign_items", "motion_ads"
REQUEST = LockRequest("a test", 60, print)
# two rows of one campaign, one of another, and none of a third
ROWS = {"7": ["x", "y"], "8": ["z"], "9": []}
NOTED = {
    key: ReadList(f"version {key}", 1.5 + place, len(rows))
    for place, (key, rows) in enumerate(ROWS.items())
}


def read(
    folder: Path,
    account_id: str,
    rows: Mapping[str, Sequence[str]],
    lists: Mapping[str, AccountLists],
    name: str = ITEMS,
) -> AccountRows:
    """An account whose rows, by campaign, are these, and what became of its lists."""
    field = parent_id_field(RESOURCES[name])
    given = [{"id": row, field: key} for key, each in rows.items() for row in each]
    return replace(account_rows(folder, account_id, {name: given}), lists=lists)


def load_lists(
    home: Path,
    *account_ids: str,
    rows: Mapping[str, Sequence[str]] = ROWS,
    lists: AccountLists | None = None,
    name: str = ITEMS,
) -> LoadOutcome:
    of_all = lists or AccountLists([*ROWS], NOTED)
    with TemporaryDirectory(dir=home) as made:
        accounts = [
            read(Path(made) / str(place), account_id, rows, {name: of_all}, name)
            for place, account_id in enumerate(account_ids)
        ]
        return load(platform_settings(), Path(made), [name], accounts, REQUEST)


def known(folder: Path, *account_ids: str, names: Collection[str] = (ITEMS, ADS)) -> Any:
    return read_lists(platform_settings(), folder, names, account_ids, REQUEST)


def test_lists_whose_rows_are_there_are_told(home: Path, tmp_path: Path):
    assert known(tmp_path, "a") == {}
    assert not (home / "warehouse.duckdb").exists()
    load_lists(home, "a", "b", "other")
    load_lists(home, "a", name=ADS)
    assert known(tmp_path, "a", "b", "c") == {
        (ITEMS, "a"): NOTED,
        (ITEMS, "b"): NOTED,
        (ADS, "a"): NOTED,
    }
    assert known(tmp_path, "a", names=[ADS]) == {(ADS, "a"): NOTED}
    assert query(home, f"SELECT count(*) FROM analytics.{READ_LISTS}") == [(12,)]


def test_nothing_is_told_of_an_account_whose_rows_were_changed(home: Path, tmp_path: Path):
    load_lists(home, "fewer", "more", "none", "of no list", "unchanged")
    table = f"analytics.{ITEMS}"
    change_warehouse(
        home,
        f"DELETE FROM {table} WHERE account_id = 'fewer' AND id = 'x'",
        f"INSERT INTO {table} SELECT * REPLACE ('new' AS id) FROM {table}"
        " WHERE account_id = 'more' AND id = 'z'",
        f"DELETE FROM {table} WHERE account_id = 'none'",
        f"INSERT INTO {table} SELECT * REPLACE ('new' AS id, NULL AS campaign_id) FROM {table}"
        " WHERE account_id = 'of no list' AND id = 'z'",
    )
    accounts = ("fewer", "more", "none", "of no list", "unchanged")
    assert known(tmp_path, *accounts) == {(ITEMS, "unchanged"): NOTED}


def test_lists_whose_rows_have_not_the_versions_of_a_history_are_not_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    load_lists(home, "without")
    assert known(tmp_path, "without") == {(ITEMS, "without"): NOTED}
    monkeypatch.setenv("ANALYTICS__HISTORY", ITEMS)
    load_lists(home, "with")
    load_lists(home, "with", name=ADS)
    told = {(ITEMS, "with"): NOTED, (ADS, "with"): NOTED}
    assert known(tmp_path, "without", "with") == told
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", f"{ITEMS}.title,{ITEMS}.status")
    assert known(tmp_path, "without", "with") == {(ADS, "with"): NOTED}
    load_lists(home, "ignoring")
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", f"{ITEMS}.status,{ITEMS}.title")
    assert known(tmp_path, "without", "with", "ignoring", names=[ITEMS]) == {
        (ITEMS, "ignoring"): NOTED
    }
    monkeypatch.delenv("ANALYTICS__HISTORY_IGNORE")
    monkeypatch.delenv("ANALYTICS__HISTORY")
    told = {(ITEMS, account_id): NOTED for account_id in ("without", "with", "ignoring")}
    assert known(tmp_path, "without", "with", "ignoring", names=[ITEMS]) == told


def test_where_a_table_is_not_there_nothing_is_told(home: Path, tmp_path: Path):
    load_lists(home, "a")
    change_warehouse(home, f"ALTER TABLE analytics.{READ_LISTS} RENAME COLUMN row_count TO rows")
    assert known(tmp_path, "a") == {}
    (home / "warehouse.duckdb").write_bytes(b"no database")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        known(tmp_path, "a")


def test_lists_of_more_accounts_than_a_statement_names(home: Path, tmp_path: Path, monkeypatch):
    # as where the database cannot take a column as one value
    monkeypatch.setattr(read_lists_module, "_WITH_UNNEST", ())
    many = AccountLists(read={str(n): ReadList("v", 1.0, 0) for n in range(501)})
    load_lists(home, "0", "500", rows={}, lists=many)
    accounts = [str(number) for number in range(501)]
    assert known(tmp_path, *accounts) == {(ITEMS, "0"): many.read, (ITEMS, "500"): many.read}


def test_what_is_replaced_is_forgotten_and_what_is_kept_is_not(home: Path, tmp_path: Path):
    load_lists(home, "a", "b")
    load_lists(home, "a", name=ADS)
    pipeline = make_pipeline(platform_settings(), tmp_path)

    def forget(*accounts: AccountRows) -> dict[tuple[str, str], list[str]]:
        forget_lists(platform_settings(), pipeline, accounts)
        sql = f"SELECT resource, account_id, list(parent_id) FROM analytics.{READ_LISTS}"
        rows = query(home, f"{sql} GROUP BY ALL")
        return {(name, account_id): sorted(keys) for name, account_id, keys in rows}

    everything = {(ITEMS, "a"): [*NOTED], (ITEMS, "b"): [*NOTED], (ADS, "a"): [*NOTED]}
    # the id of an account that no database holds, and what has no parent rows
    assert forget(no_rows("\0", [ITEMS]), no_rows("a", ["campaigns"])) == everything
    kept = AccountLists(["9"], kept={key: NOTED[key] for key in ("7", "8")})
    of_a = {**everything, (ITEMS, "a"): ["7", "8"]}
    assert forget(replace(no_rows("a", [ITEMS]), lists={ITEMS: kept})) == of_a
    # also of what could not be read
    assert forget(AccountRows("a", {}, {ITEMS: AccountLists()})) == {
        key: of_a[key] for key in ((ITEMS, "b"), (ADS, "a"))
    }
    assert forget(no_rows("b", [ITEMS, ADS])) == {(ADS, "a"): [*NOTED]}


def test_only_lists_that_were_loaded_are_noted(home: Path, tmp_path: Path):
    load_lists(home, "a", lists=AccountLists(["7", "8", "9"]))
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = '{}'"
    assert query(home, tables.format(READ_LISTS)) == [(0,)]
    pipeline = make_pipeline(platform_settings(), tmp_path)
    lists = {ITEMS: AccountLists(read={"7": NOTED["7"], "8\0": NOTED["8"]}), ADS: AccountLists()}
    failed = AccountRows("a", {}, lists)
    note_lists(platform_settings(), pipeline, [failed], is_there=False)
    assert query(home, tables.format(READ_LISTS)) == [(0,)]
    accounts = [replace(no_rows(key, [ITEMS]), lists=lists) for key in ("a", "b\ud800", "\0")]
    note_lists(platform_settings(), pipeline, [failed, *accounts], is_there=False)
    rows = query(home, f"SELECT * FROM analytics.{READ_LISTS}")
    assert rows == [(ITEMS, "a", "7", "version 7", 1.5, 2)]


def test_the_rows_of_lists_that_were_kept_stay(home: Path, tmp_path: Path):
    load_lists(home, "a", "b")
    settings, pipeline = platform_settings(), make_pipeline(platform_settings(), tmp_path)
    kept = AccountLists(["8", "new"], kept={"7": NOTED["7"], "9": NOTED["9"]})

    def parts(*accounts: AccountRows) -> tuple[dict[str, Part | None], Any]:
        found, overtaken = with_parts(settings, pipeline, accounts)
        assert [account.account_id for account in found] == [a.account_id for a in accounts]
        of_items = {
            str(account.account_id): account.resources[ITEMS].part
            for account in found
            if ITEMS in account.resources
        }
        return of_items, overtaken

    def account(account_id: str, lists: AccountLists = kept, *names: str) -> AccountRows:
        return replace(no_rows(account_id, [ITEMS, *names]), lists={ITEMS: lists})

    part, whole = Part("campaign_id", {"8", "new"}), AccountLists(["7"])
    assert parts(account("a", whole), account("b", whole)) == ({"a": None, "b": None}, {})
    assert parts(account("a"), account("b", whole)) == ({"a": part, "b": None}, {})
    # a list whose parent row is gone is replaced, too
    only_9 = AccountLists(["8"], kept={"9": NOTED["9"]})
    assert parts(account("a", only_9)) == ({"a": Part("campaign_id", {"7", "8"})}, {})
    change_warehouse(home, f"DELETE FROM analytics.{ITEMS} WHERE account_id = 'a' AND id = 'x'")
    accounts = [account("a", kept, "campaigns"), account("b", kept, "campaigns")]
    assert parts(*accounts, account("c", whole)) == ({"b": part, "c": None}, {"a": [ITEMS]})
    assert parts(account("nobody")) == ({}, {"nobody": [ITEMS]})
    # of what failed, nothing is replaced
    failed = AccountRows("a", {}, {ITEMS: kept})
    assert parts(failed, account("b")) == ({"b": part}, {})


@both_warehouses
def test_a_load_of_nothing_but_lists_that_were_kept(home: Path):
    loaded = load_lists(home, "a")
    outcome = load_lists(home, "a", rows={}, lists=AccountLists(kept=NOTED))
    assert float(outcome.load_id) > float(loaded.load_id)
    assert outcome.audits[ITEMS]["a"].rows == sum(map(len, ROWS.values()))
    assert outcome.audits[ITEMS]["a"].loaded_at == float(outcome.load_id)
