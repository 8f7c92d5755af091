"""Histories: the open versions equal the table, and the others are what it held before."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.rows.account_rows import Part
from analytics_assets.warehouse import history
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import warehouse_table

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
