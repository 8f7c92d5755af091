"""Which accounts a load leaves as they are, and what several loads come to together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analytics_assets.rows.account_rows import AccountRows, Part, ResourceRows, no_rows
from analytics_assets.warehouse.audit import rows_of_departed
from analytics_assets.warehouse.history import Changes
from analytics_assets.warehouse.history_audit import VersionsAudit
from analytics_assets.warehouse.load import LoadOutcome, merged, suddenly_empty
from analytics_assets_tests.testing.reads import account_read, audited, loaded

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


def test_two_loads_tell_of_before_the_first_and_after_the_second():
    first, second, third = audited(rows=1), audited(rows=2), audited(rows=3)
    earlier = replace(
        loaded([account_read("a", campaigns=1)], {"campaigns": {"a": first, "b": first}}, "1"),
        before={"campaigns": {"a": 9, "b": 9}},
        suddenly_empty={"c": 4},
    )
    later = replace(
        loaded(
            [account_read("b", campaigns=2, audiences=3)],
            {"campaigns": {"b": second}, "audiences": {"b": third}},
            "2",
        ),
        # of the whole table, or of the accounts of the load alone
        before={"campaigns": {"a": 1, "b": 9}, "audiences": {"b": 7}},
        suddenly_empty={"d": 5},
    )
    both = merged(earlier, later)
    assert both.before == {"campaigns": {"a": 9, "b": 9}, "audiences": {"b": 7}}
    assert both.audits == {"campaigns": {"a": first, "b": second}, "audiences": {"b": third}}
    assert both.suddenly_empty == {"c": 4, "d": 5}
    assert both.load_id == "2"
    assert both.columns == {**earlier.columns, **later.columns}
    assert {
        load.resource.name: [account.account_id for account in load.accounts]
        for load in both.tables
    } == {"campaigns": ["a", "b"], "audiences": ["b"]}


def test_two_loads_tell_together_what_each_has_told():
    began, ended, both_sides = Changes(begun=1), Changes(ended=2), Changes(3, 4)
    of_a, of_b = VersionsAudit(versions=1), VersionsAudit(versions=2)
    earlier = LoadOutcome(
        whole=["campaigns"],
        not_indexed="campaigns has no index",
        overtaken={"a": ["campaigns"]},
        changes={"campaigns": {"a": began, "b": ended}},
        histories={"campaigns": {"a": of_a}},
    )
    later = LoadOutcome(
        whole=["audiences"],
        not_indexed="audiences has no index",
        overtaken={"b": ["audiences"]},
        changes={"campaigns": {"b": both_sides}},
        histories={"campaigns": {"b": of_b}},
    )
    both = merged(earlier, later)
    assert set(both.whole) == {"campaigns", "audiences"}
    assert both.overtaken == {"a": ["campaigns"], "b": ["audiences"]}
    assert both.changes == {"campaigns": {"a": began, "b": both_sides}}
    assert both.histories == {"campaigns": {"a": of_a, "b": of_b}}
    assert both.not_indexed == "audiences has no index"
    assert merged(earlier, LoadOutcome()).not_indexed == "campaigns has no index"
    assert merged(LoadOutcome(), later).not_indexed == "audiences has no index"


def test_a_part_without_rows_makes_no_account_suspicious():
    rows = ResourceRows(Path(), Part("campaign_id", ["7"]))
    resources = {**no_rows("a", ["audiences"]).resources, "campaign_items": rows}
    assert empty({"campaign_items": 3, "audiences": 4}, AccountRows("a", resources)) == {}


def test_rows_of_accounts_that_are_not_listed_any_more():
    held = {key: audited(rows=rows) for key, rows in {"a": 1, "b": 2, "c": 4}.items()}
    assert rows_of_departed(held, ["b", "d"]) == 5
    assert rows_of_departed(held, ["a", "b", "c"]) == 0
