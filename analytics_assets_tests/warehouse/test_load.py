"""Which accounts a load leaves as they are, and which are gone."""

from __future__ import annotations

from pathlib import Path

from analytics_assets.rows.account_rows import AccountRows, Part, ResourceRows, no_rows
from analytics_assets.warehouse.audit import rows_of_departed
from analytics_assets.warehouse.load import suddenly_empty
from analytics_assets_tests.testing.reads import audited

NAMES = ["campaigns", "campaign_items", "motion_ads", "audiences"]


def empty(rows: dict[str, int], *read: AccountRows) -> dict[str, int]:
    """With so many rows of the account in the tables before."""
    before = {name: {"a": rows[name]} if name in rows else {} for name in NAMES}
    return suddenly_empty(before, read)


def test_rows_in_two_tables_make_an_empty_account_suspicious():
    assert empty({"campaigns": 3, "audiences": 4}, no_rows("a", NAMES)) == {"a": 7}


def test_a_single_table_that_becomes_empty_is_an_ordinary_answer():
    assert empty({"campaigns": 3}, no_rows("a", NAMES)) == {}
    assert empty({}, no_rows("a", NAMES)) == {}


def test_only_the_account_itself_counts():
    assert empty({"campaigns": 3, "audiences": 4}, no_rows("b", NAMES)) == {}


def test_an_account_with_a_row_is_not_empty():
    resources = {**no_rows("a", NAMES).resources, "audiences": ResourceRows(Path(), rows=1)}
    assert empty({"campaigns": 3, "audiences": 4}, AccountRows("a", resources)) == {}


def test_every_account_of_a_load_is_looked_at():
    full = AccountRows("b", {"campaigns": ResourceRows(Path(), rows=1)})
    assert empty({"campaigns": 3, "audiences": 4}, full, no_rows("a", NAMES)) == {"a": 7}


def test_a_table_that_is_not_there_held_no_rows():
    before = {"campaigns": {"a": 3}, "motion_ads": {"a": 4}}
    assert suddenly_empty(before, [no_rows("a", NAMES)]) == {"a": 7}


def test_what_was_not_read_makes_no_account_suspicious():
    assert empty({"campaigns": 3, "audiences": 4}, no_rows("a", ["audiences"])) == {}


def test_a_part_without_rows_makes_no_account_suspicious():
    rows = ResourceRows(Path(), Part("campaign_id", ["7"]))
    resources = {**no_rows("a", ["audiences"]).resources, "campaign_items": rows}
    assert empty({"campaign_items": 3, "audiences": 4}, AccountRows("a", resources)) == {}


def test_rows_of_accounts_that_are_not_listed_any_more():
    held = {key: audited(rows=rows) for key, rows in {"a": 1, "b": 2, "c": 4}.items()}
    assert rows_of_departed(held, ["b", "d"]) == 5
    assert rows_of_departed(held, ["a", "b", "c"]) == 0
