"""What a load tells of the tables: as they were, as they are, and what it did to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history import Changes
from analytics_assets.warehouse.history_audit import VersionsAudit
from analytics_assets.warehouse.load import audit_tables, load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets_tests.testing.loading import account_rows
from analytics_assets_tests.testing.tables import change_warehouse, query

AUDIENCES, RULES, REPORT = "audiences", "audience_rules", "campaign_performance"
REQUEST = LockRequest("a test", 60, print)


def load_rows(
    home: Path, tables: Sequence[str], *given: tuple[str | None, dict[str, list[Any]]], **more: Any
) -> LoadOutcome:
    """Loads accounts with their rows by resource; a part of them, if there is one."""
    part = more.pop("part", None)
    with TemporaryDirectory(dir=home) as made:
        folder = Path(made)
        accounts = [
            account_rows(folder / str(place), account_id, rows)
            for place, (account_id, rows) in enumerate(given)
        ]
        for account in accounts:
            for rows in account.resources.values():
                rows.part = part
        return load(platform_settings(), folder, tables, accounts, REQUEST, **more)


def rows_of(outcome: LoadOutcome, name: str) -> dict[str, int]:
    return {account_id: found.rows for account_id, found in outcome.audits[name].items()}


def test_a_load_tells_of_its_accounts_before_and_after(home: Path):
    two, one = [{"id": 1}, {"id": 2, "fresh": 7}], [{"id": 3}]
    first = load_rows(home, [RULES, AUDIENCES], ("a", {RULES: two}), ("b", {RULES: one}))
    assert first.before == {}
    assert [load.resource.name for load in first.tables] == [RULES]
    assert first.whole == [RULES]
    assert rows_of(first, RULES) == {"a": 2, "b": 1}
    assert first.columns.keys() == {RULES}
    assert first.columns[RULES].unknown == ["fresh"]
    second = load_rows(home, [RULES, AUDIENCES], ("a", {RULES: one, AUDIENCES: one}))
    assert second.before == {RULES: {"a": 2}}
    assert [load.resource.name for load in second.tables] == [RULES, AUDIENCES]
    assert second.whole == [AUDIENCES]
    assert rows_of(second, RULES) == rows_of(second, AUDIENCES) == {"a": 1}
    assert second.audits[RULES]["a"].loaded_at == float(second.load_id) > float(first.load_id)
    third = load_rows(home, [RULES], ("b", {RULES: two}))
    # also of the tables that are not loaded: orphans are told by their parents
    assert third.columns.keys() == {RULES, AUDIENCES}
    loads = query(home, f"SELECT DISTINCT account_id, _dlt_load_id FROM analytics.{RULES}")
    assert sorted(loads) == [("a", second.load_id), ("b", third.load_id)]


def test_the_list_of_accounts_is_told_of_as_a_whole(home: Path):
    for rows in ([{"account_id": "a"}, {"account_id": "b"}], [{"account_id": "b"}]):
        outcome = load_rows(home, ["accounts"], (None, {"accounts": rows}))
        assert outcome.whole == ["accounts"]
        assert rows_of(outcome, "accounts") == {row["account_id"]: 1 for row in rows}
    assert outcome.before == {"accounts": {"a": 1, "b": 1}}


def test_an_account_that_is_suddenly_empty_keeps_its_rows(home: Path):
    names, rows = [AUDIENCES, RULES], [{"id": 1}]
    full: dict[str, list[Any]] = dict.fromkeys(names, rows)
    load_rows(home, names, ("a", full), ("b", full))
    nothing: dict[str, list[Any]] = {name: [] for name in names}
    outcome = load_rows(home, names, ("a", nothing), ("b", {**full, RULES: []}))
    assert outcome.suddenly_empty == {"a": 2}
    assert rows_of(outcome, RULES) == {"b": 0}
    assert outcome.audits[RULES]["b"].loaded_at is None
    assert query(home, f"SELECT account_id FROM analytics.{RULES}") == [("a",)]
    outcome = load_rows(home, names, ("a", nothing))
    assert (outcome.suddenly_empty, outcome.tables, outcome.load_id) == ({"a": 2}, (), "")
    outcome = load_rows(home, names, ("a", nothing), allow_empty=True)
    assert outcome.suddenly_empty == {}
    assert query(home, f"SELECT account_id FROM analytics.{AUDIENCES}") == [("b",)]


def test_where_there_is_nothing_to_load_no_warehouse_is_made(home: Path, tmp_path: Path):
    nobody = AccountRows("a", {})
    assert load(platform_settings(), tmp_path, [RULES], [nobody], REQUEST) == LoadOutcome()
    assert audit_tables(platform_settings(), tmp_path, [RULES], REQUEST) == LoadOutcome()
    assert not (home / "warehouse.duckdb").exists()


def test_a_load_tells_what_it_did_to_a_history(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANALYTICS__HISTORY", RULES)
    rows: list[Any] = [{"id": 1, "display_name": "x"}, {"id": 2}]
    names = [RULES, AUDIENCES]
    first = load_rows(home, names, *((key, {RULES: rows, AUDIENCES: rows}) for key in "ab"))
    assert first.changes == {RULES: dict.fromkeys("ab", Changes(begun=2))}
    assert first.histories == {RULES: dict.fromkeys("ab", VersionsAudit(versions=2))}
    second = load_rows(home, [RULES], ("a", {RULES: [{"id": 1, "display_name": "y"}]}))
    assert second.changes == {RULES: {"a": Changes(begun=1, ended=2)}}
    assert second.histories == {RULES: {"a": VersionsAudit(versions=3)}}
    change_warehouse(home, f"DELETE FROM analytics.{RULES}_history WHERE account_id = 'b'")
    audited = audit_tables(platform_settings(), home, names, REQUEST)
    assert audited.histories == {
        RULES: {"a": VersionsAudit(versions=3), "b": VersionsAudit(unequal=2)}
    }
    change_warehouse(home, f"ALTER TABLE analytics.{RULES}_history DROP COLUMN valid_to")
    with pytest.raises(WarehouseError, match=f"drop the table analytics.{RULES}_history"):
        load_rows(home, [RULES], ("a", {RULES: rows}))
    change_warehouse(home, f"ALTER TABLE analytics.{RULES} DROP COLUMN id")
    with pytest.raises(WarehouseError, match=f"drop the table analytics.{RULES},"):
        load_rows(home, [RULES], ("a", {RULES: rows}))


def test_a_load_of_a_report_tells_which_days_changed(home: Path):
    def days(**clicks: int) -> dict[str, list[Any]]:
        return {
            REPORT: [
                {"date": f"2026-01-0{day[1]}", "campaign": "7", "clicks": number}
                for day, number in clicks.items()
            ]
        }

    def update(first: int, last: int, **clicks: int) -> LoadOutcome:
        part = Part("date", [date(2026, 1, day) for day in range(first, last + 1)])
        return load_rows(home, [REPORT], ("a", days(**clicks)), part=part)

    first = update(1, 4, d1=1, d2=2, d4=4)
    assert first.changed_days == {REPORT: {"a": 3}}
    assert first.whole == []  # there may be more of it
    second = update(3, 4, d4=5)
    assert second.changed_days == {REPORT: {"a": 1}}
    assert second.before == {REPORT: {"a": 3}}
    assert rows_of(second, REPORT) == {"a": 3}
    assert second.audits[REPORT]["a"].missing_days == 1
    vanished = update(3, 4)
    assert vanished.empty_windows == {REPORT: {"a": 1}}
    assert vanished.tables == ()
    assert update(3, 4, d4=5).changed_days == {REPORT: {"a": 0}}
    kept = query(home, f"SELECT EXTRACT(day FROM date), clicks FROM analytics.{REPORT}")
    assert sorted(kept) == [(1, 1), (2, 2), (4, 5)]


def test_what_a_part_leaves_as_it_is_counts_as_loaded(home: Path):
    rows: list[Any] = [{"id": 1, "event_name": "x"}, {"id": 2, "event_name": "y"}]
    load_rows(home, [RULES], ("a", {RULES: rows[:1]}), ("b", {RULES: []}))
    other_part = Part("event_name", ["y"])
    outcome = load_rows(home, [RULES], ("a", {RULES: []}), ("b", {RULES: []}), part=other_part)
    found = outcome.audits[RULES]
    assert (found["a"].rows, found["b"].rows) == (1, 0)
    assert found["a"].loaded_at == found["b"].loaded_at == float(outcome.load_id)


def test_a_load_describes_the_columns(home: Path):
    load_rows(home, [RULES], ("a", {RULES: [{"id": 1}]}))
    [described] = query(
        home,
        "SELECT comment FROM duckdb_columns() WHERE schema_name = 'analytics'"
        f" AND table_name = '{RULES}' AND column_name = 'display_name'",
    )
    assert described == ("The rule's name, for people.",)


def audit_of_rules(folder: Path, *, accounts: list[str] | None = None) -> LoadOutcome:
    request = LockRequest("a test", 60, print)
    return audit_tables(platform_settings(), folder, [RULES], request, accounts)


def test_an_audit_without_a_load_is_of_the_table_or_of_named_accounts(home: Path, tmp_path: Path):
    rows: list[Any] = [{"id": 1, "fresh": 1}, {"id": 2}]
    load_rows(home, [RULES], ("a", {RULES: rows}), ("b", {RULES: rows[1:]}))
    everything = audit_of_rules(tmp_path)
    assert {key: found.rows for key, found in everything.audits[RULES].items()} == {
        "a": 2,
        "b": 1,
    }
    assert everything.whole == [RULES]
    assert everything.columns[RULES].unknown == ["fresh"]
    of_some = audit_of_rules(tmp_path, accounts=["b", "c"])
    assert {key: found.rows for key, found in of_some.audits[RULES].items()} == {
        "b": 1,
        "c": 0,
    }
    assert of_some.whole == []
    assert everything.tables == of_some.tables == ()
