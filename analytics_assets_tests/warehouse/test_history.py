"""Histories: the open versions equal the table, and the others are what it held before."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.rows.account_rows import Part
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse import history
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import audit_tables
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import change_warehouse, query, warehouse_table

Row = dict[str, Any]
Key = tuple[str, int]

ACCOUNTS = ["acme", "o'neil'); --", "{c}%s"]
IGNORED = "status"
# by field, values of which some are equal, some of another type, and some of no declared column
VALUES: dict[str, list[Any]] = {
    "display_name": ["a", "b", '"a"', "1", 1, True, None],
    "audience_size": [1, 1.0, 1.5, 2**70, "1", None],
    "condition": [{"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}, {"a": None}, [], "[]", None],
    "fresh": [1, "1", 0.5, {"a": 1}, None],
    IGNORED: ["on", "off", None],
}


@pytest.fixture(autouse=True)
def kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS__HISTORY", RULES.name)
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", f"{RULES.name}.{IGNORED}")


def versions(home: Path) -> dict[Key, list[Row]]:
    """By key, the versions in their order."""
    found: dict[Key, list[Row]] = {}
    for row in warehouse_table(home, f"{RULES.name}_history"):
        found.setdefault((row["account_id"], row["id"]), []).append(row)
    return {key: sorted(rows, key=lambda row: row["valid_from"]) for key, rows in found.items()}


def values(row: Row) -> str:
    """What makes a version: the fields that have a value, by its value, but for the ignored one."""
    fields = {
        name.partition("__v_")[0]: value
        for name, value in row.items()
        if value is not None and name not in (*history.VALIDITY, IGNORED)
    }
    parsed = json.loads(json.dumps(fields), parse_float=lambda text: int(float(text) * 2) / 2)
    whole = json.dumps(parsed, sort_keys=True)
    return whole.replace(".0,", ",").replace(".0}", "}").replace(".0]", "]")


class Model:
    """The versions of each key that there must be: values, and whether a gap goes before."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.versions: dict[Key, list[tuple[str, bool]]] = {}
        self.open: set[Key] = set()

    def replace(self, account: str, rows: list[Row], part: Part | None, *, seen: bool) -> None:
        """An account's rows, or those of a part, are now these; `seen` by the history, or not."""
        gone = {key for key, row in self.rows.items() if key[0] == account}
        if part is not None:
            gone = {key for key in gone if self.rows[key].get(part.column) in part.values}
        for key in gone:
            del self.rows[key]
        self.rows |= {(account, row["id"]): {**row, "account_id": account} for row in rows}
        if seen:
            for key in {*self.rows, *self.versions}:
                if key[0] == account:
                    self._see(key)

    def _see(self, key: Key) -> None:
        row = self.rows.get(key)
        if row is None:
            self.open.discard(key)
            return
        known = self.versions.setdefault(key, [])
        if key not in self.open or known[-1][0] != values(row):
            known.append((values(row), bool(known) and key not in self.open))
        self.open.add(key)

    def assert_holds(self, home: Path) -> None:
        found = versions(home)
        assert {key: [values(row) for row in rows] for key, rows in found.items()} == {
            key: [version for version, _ in known] for key, known in self.versions.items()
        }
        for key, rows in found.items():
            assert [row["valid_to"] is None for row in rows] == [False] * (len(rows) - 1) + [
                key in self.open
            ]
            ends = [row["valid_to"] for row in rows if row["valid_to"] is not None]
            assert all(row["valid_from"] < end for row, end in zip(rows, ends, strict=False))
            gaps = [row["valid_from"] - end for row, end in zip(rows[1:], ends, strict=False)]
            assert [gap > timedelta(0) for gap in gaps] == [
                gap for _, gap in self.versions[key][1:]
            ]
            assert all(gap >= timedelta(0) for gap in gaps)


def open_versions(home: Path) -> list[Row]:
    return [row for rows in versions(home).values() for row in rows if row["valid_to"] is None]


def by_key(rows: list[Row]) -> dict[Key, Row]:
    """The rows without what may differ between a row and its open version."""
    left_out = (*history.VALIDITY, IGNORED)
    return {
        (row["account_id"], row["id"]): {
            name: value for name, value in row.items() if name not in left_out and value is not None
        }
        for row in rows
    }


def some_row(chance: random.Random, row_id: int) -> Row:
    row: Row = {"id": row_id, "event_name": chance.choice("xy")}
    for name, possible in VALUES.items():
        if chance.random() < 0.5:
            row[name] = chance.choice(possible)
    return row


@both_warehouses
@pytest.mark.parametrize("seed", [1])
def test_versions_equal_the_model_after_every_load(home: Path, monkeypatch, seed: int):
    chance, model = random.Random(seed), Model()
    for number in range(6):
        broken = chance.choice(["", "", "_NEWEST", "_BEGIN"]) if number else ""
        loaded, parts = {}, {}
        for account in chance.sample(ACCOUNTS, k=2):
            rows = {key[1]: row for key, row in model.rows.items() if key[0] == account}
            changed = {n: some_row(chance, n) for n in chance.sample(range(4), k=2)}
            rows |= {row_id: {**rows.get(row_id, {}), **row} for row_id, row in changed.items()}
            for row_id in chance.sample(range(4), k=1):
                rows.pop(row_id, None)
            if number and chance.random() < 0.3:
                parts[account] = Part("event_name", ["x"])
                rows = {n: row for n, row in rows.items() if row["event_name"] == "x"}
            loaded[account] = [*rows.values()]
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr(history, broken, "SELECT * FROM of_no_such_table")
                with pytest.raises(WarehouseError):
                    load(home, loaded, parts)
            else:
                load(home, loaded, parts)
        for account, given in loaded.items():
            model.replace(account, given, parts.get(account), seen=not broken)
        if number:
            model.assert_holds(home)
    everything = {
        account: [row for key, row in model.rows.items() if key[0] == account]
        for account in ACCOUNTS
    }
    load(home, everything)
    for account, given in everything.items():
        model.replace(account, given, None, seen=True)
    model.assert_holds(home)
    before = versions(home)
    load(home, everything)
    assert versions(home) == before


@both_warehouses
def test_a_column_of_another_type_is_left_as_it_is(home: Path, tmp_path: Path):
    load(home, {"acme": [{"id": 1, "audience_size": 7, "valid_from": "a field"}, {"id": 2}]})
    old = versions(home)
    # as docs/tables.md says how a column gets another type; the history's own is of another by then
    change_warehouse(
        home,
        f"ALTER TABLE analytics.{RULES.name}_history DROP COLUMN audience_size",
        f"ALTER TABLE analytics.{RULES.name}_history ADD COLUMN audience_size VARCHAR",
    )
    load(home, {"acme": [{"id": 1, "audience_size": 8, "valid_from": "a field"}, {"id": 2}]})
    found = versions(home)
    assert len(found["acme", 2]) == len(old["acme", 2]) == 1
    before, after = found["acme", 1]
    assert (after["audience_size"], after["audience_size__v_bigint"]) == (None, 8)
    assert before["valid_to"] == after["valid_from"] < datetime.now(timezone.utc)
    assert after["valid_from__v_text"] == "a field"
    load(home, {"acme": [{"id": 1, "audience_size": 8, "valid_from": "a field"}, {"id": 2}]})
    assert versions(home) == found
    assert unequal(tmp_path) == {"acme": 0}


def unequal(folder: Path) -> dict[str, int]:
    """What an audit finds by account: rows and open versions that are not equal."""
    request = LockRequest("a test", 60, print)
    outcome = audit_tables(platform_settings(), folder, [RULES.name], request)
    return {key: audit.unequal for key, audit in outcome.histories[RULES.name].items()}


@both_warehouses
def test_versions_that_somebody_changed_are_found(home: Path, tmp_path: Path):
    rows = [
        {
            "id": n,
            "display_name": "a",
            "condition": {"a": 1, "b": [2.0]},
            "fresh": n,
            "further": {"c": n},
            IGNORED: n,
        }
        for n in range(11)
    ]
    load(home, {"acme": rows, "other": rows})
    table = f"analytics.{RULES.name}_history"
    of_acme = f"account_id = 'acme' AND {table}.id"
    change_warehouse(
        home,
        f"UPDATE {table} SET display_name = 'b' WHERE {of_acme} = 0",
        f"UPDATE {table} SET display_name = NULL WHERE {of_acme} = 1",
        f"""UPDATE {table} SET condition = '{{"a":1,"b":[3]}}' WHERE {of_acme} = 2""",
        f"UPDATE {table} SET condition = NULL WHERE {of_acme} = 3",
        # the same for a version
        f"""UPDATE {table} SET condition = '{{"b": [2], "a": 1.0}}' WHERE {of_acme} = 4""",
        f"UPDATE {table} SET {IGNORED} = 'off', {IGNORED}__v_bigint = 0 WHERE {of_acme} = 5",
        f"DELETE FROM {table} WHERE {of_acme} = 6",
        f"DELETE FROM analytics.{RULES.name} WHERE account_id = 'acme' AND id = 7",
        f"""UPDATE {table} SET further = '{{"c": 0}}' WHERE {of_acme} = 8""",
        f"""UPDATE {table} SET further = '{{"c": 9.0}}' WHERE {of_acme} = 9""",
        f"""UPDATE {table} SET condition = '[]' WHERE {of_acme} = 10""",
    )
    assert unequal(tmp_path) == {"acme": 8, "other": 0}


def test_a_value_may_be_in_another_column_than_that_of_its_version(home: Path, tmp_path: Path):
    names, types = ("audience_size", "condition"), ("bigint", "json")
    table = f"analytics.{RULES.name}"
    rows: list[Row] = [{"id": 1, "audience_size": 7, "condition": {"a": 1}}, {"id": 2}]
    load(home, {"acme": rows})
    for name in names:
        change_warehouse(
            home,
            f"ALTER TABLE {table} DROP COLUMN {name}",
            f"ALTER TABLE {table} ADD COLUMN {name} VARCHAR",
        )
    load(home, {"acme": rows})
    assert unequal(tmp_path) == {"acme": 0}
    assert len(versions(home)["acme", 1]) == 1

    # and back, as docs/tables.md says how a column gets its declared type
    rows = [{"id": 1, "audience_size": 8, "condition": {"a": 2}, "further": {"c": 1}}, {"id": 2}]
    load(home, {"acme": rows})
    for name, type_ in zip(names, types, strict=True):
        change_warehouse(
            home,
            f"ALTER TABLE {table} DROP COLUMN {name}",
            f"ALTER TABLE {table} DROP COLUMN {name}__v_{type_}",
            f"ALTER TABLE {table}_history DROP COLUMN {name}",
        )
    load(home, {"acme": rows})
    same = f"""UPDATE {table}_history SET further = '{{"c": 1.0}}' WHERE further IS NOT NULL"""
    change_warehouse(home, same)
    assert unequal(tmp_path) == {"acme": 0}
    _, open_one = versions(home)["acme", 1]
    assert open_one["audience_size"] is None
    assert open_one["audience_size__v_bigint"] == 8


def test_a_clock_that_went_back_makes_no_two_versions_overlap(home: Path, monkeypatch):
    class Past(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2020, 1, 1, tzinfo=tz)

    load(home, {"acme": [{"id": 1, "display_name": "a"}], "other": []})
    monkeypatch.setattr(history, "datetime", Past)
    load(home, {"acme": [{"id": 1, "display_name": "b"}]})
    load(home, {"acme": [{"id": 1, "display_name": "a"}], "other": [{"id": 1}]})
    first, second, third = versions(home)["acme", 1]
    assert first["valid_from"] < first["valid_to"] == second["valid_from"]
    assert second["valid_from"] < second["valid_to"] == third["valid_from"]
    assert third["valid_to"] is None


def test_what_it_is_said_to_be_stands_at_its_columns(home: Path):
    load(home, {"acme": [{"id": 1}]})
    comments = dict(
        query(
            home,
            "SELECT column_name, comment FROM duckdb_columns()"
            f" WHERE table_name = '{RULES.name}_history'",
        )
    )
    assert comments["valid_to"] == history.VALIDITY["valid_to"]
    assert comments["display_name"] == "The rule's name, for people."


@both_warehouses
def test_a_history_without_what_it_cannot_do_without(home: Path):
    load(home, {"acme": [{"id": 1}]})
    table = f"analytics.{RULES.name}_history"
    change_warehouse(home, f"ALTER TABLE {table} DROP COLUMN valid_to")
    with pytest.raises(WarehouseError, match="valid_to is not there: put it back"):
        load(home, {"acme": [{"id": 1}]})
    change_warehouse(home, f"DROP TABLE {table}")
    load(home, {"acme": [{"id": 1}]})
    assert [row["valid_to"] for row in versions(home)["acme", 1]] == [None]
