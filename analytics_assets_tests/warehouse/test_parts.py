"""Accounts that are loaded in part: what was read is replaced, and all else stays as it is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from analytics_assets.rows.account_rows import Part
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import query

ACCOUNTS = ["acme", "o'neil'); --", 'a "b"', "{c}%s", "none"]
VALUES: dict[str, list[Any]] = {
    "event_name": ["", "a", "o'neil'); --", 'a "b" {c}', "%s", "\u540d\u524d", "7", "7.0"],
    "last_modified_at": ["2024-01-31", "2024-01-31 00:00:00.0", "9999-12-31", "0000-00-00"],
    "look_back_window": [0, -1, 7, 2**63 - 1, -(2**63)],
}
Held = dict[tuple[str, int], dict[str, Any]]
"""By key, the row's values that may tell its part, and its load."""


def held(home: Path) -> Held:
    columns = ["account_id", "id", "_dlt_id", "_dlt_load_id", *VALUES]
    rows = query(home, f"SELECT {', '.join(columns)} FROM analytics.audience_rules")
    found = {row[:2]: dict(zip(columns[3:], row[3:], strict=True)) for row in rows}
    assert len(found) == len(rows)
    assert {row[2] for row in rows} == {f"{account}/{row_id}" for account, row_id in found}
    return found


def versions(home: Path) -> int:
    return int(query(home, "SELECT count(*) FROM analytics._dlt_version")[0][0])


@both_warehouses
def test_tables_equal_the_model_after_every_load(home: Path):
    chance = random.Random(4711)
    expected: Held = {}
    for number in range(9):
        column = chance.choice([*VALUES])
        rows: dict[str, list[dict[str, Any]]] = {}
        parts: dict[str, Part] = {}
        for account in chance.sample(ACCOUNTS, k=chance.randint(1, 4)):
            values = VALUES[column]
            if number and chance.random() < 0.7:
                values = chance.sample(values, k=chance.randint(0, 3))
                parts[account] = Part(column, values)
            # some have no row of a value, and some rows had another value before
            ids = chance.sample(range(9), k=chance.randint(0, 6) if values else 0)
            rows[account] = [
                {name: chance.choice(some) for name, some in VALUES.items()}
                | {"id": row_id, column: chance.choice(values)}
                for row_id in ids
            ]
            if account not in parts:
                rows[account].append({"id": 100})  # of no part at all
        load(home, rows, parts)
        for key, row in list(expected.items()):
            part = parts.get(key[0])
            if key[0] in rows and (part is None or row[column] in part.values):
                del expected[key]
        found = held(home)
        newest = max((row["_dlt_load_id"] for row in found.values()), default="")
        for account, given in rows.items():
            for row in given:
                told = {name: row.get(name) for name in VALUES}
                expected[account, row["id"]] = {"_dlt_load_id": newest, **told}
        assert found == expected, (number, parts)


@both_warehouses
def test_whole_accounts_beside_parts(home: Path):
    rows: list[dict[str, Any]] = [
        {"id": 1, "event_name": "a"},
        {"id": 2, "event_name": "b"},
        {"id": 3},
    ]
    load(home, dict.fromkeys(["whole", "emptied", "part", "part emptied", "other"], rows))
    before = held(home)
    new = [{"id": 2, "event_name": "a"}]
    part = Part("event_name", ["a"])
    load(
        home,
        {"whole": new, "emptied": [], "part": new, "part emptied": []},
        {"part": part, "part emptied": part},
    )
    found = held(home)
    assert set(found) == {
        ("whole", 2),
        ("part", 2),  # it was of another part
        ("part", 3),
        ("part emptied", 2),
        ("part emptied", 3),
        *(("other", row_id) for row_id in (1, 2, 3)),
    }
    new_keys = {("whole", 2), ("part", 2)}
    assert {key: found[key] for key in found.keys() - new_keys} == {
        key: before[key] for key in found.keys() - new_keys
    }


@both_warehouses
def test_a_row_that_comes_from_another_part_is_not_there_twice(home: Path):
    load(home, {"a": [{"id": 1, "event_name": "x"}, {"id": 2, "event_name": "x"}]})
    load(home, {"a": [{"id": 1, "event_name": "y"}]}, {"a": Part("event_name", ["y"])})
    found = {key: row["event_name"] for key, row in held(home).items()}
    assert found == {("a", 1): "y", ("a", 2): "x"}


@both_warehouses
def test_the_schema_is_kept_twice_and_not_with_every_load(home: Path):
    rows = {"a": [{"id": 1, "event_name": "a"}]}
    part = {"a": Part("event_name", ["a"])}
    load(home, rows)
    load(home, rows, part)
    before = versions(home)
    for parts in ({}, part, {}, part):
        load(home, rows, parts)
        assert versions(home) == before
    load(home, {"a": [{"id": 1, "event_name": "a", "novel": 7}]}, part)
    load(home, rows)
    assert query(home, "SELECT id, novel FROM analytics.audience_rules") == [(1, None)]
