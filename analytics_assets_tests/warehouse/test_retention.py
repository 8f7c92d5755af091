"""Loads on record and versions of long ago: which can be removed, and what stays when they are."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history_retention import (
    Versions,
    count_versions,
    remove_versions,
)
from analytics_assets.warehouse.retention import RecordedLoads, recorded_loads, remove_loads
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.tables import change_warehouse, query

HISTORY = f"{RULES.name}_history"
REQUEST = LockRequest("a test", 60, print)


@pytest.fixture
def history(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS__HISTORY", RULES.name)


def load_names(home: Path, *names: str) -> list[str]:
    """Loads accounts with a row of each of these names, one load after the other; dlt's names."""
    for name in names:
        load(home, {key: [{"id": 1, "display_name": name}] for key in ("a", "b")})
    rows = query(home, "SELECT load_id FROM analytics._dlt_loads ORDER BY inserted_at")
    return [load_id for (load_id,) in rows]


def expired(before: float = inf, *needed: str) -> RecordedLoads:
    return recorded_loads(platform_settings(), before, needed)


def test_a_load_is_expired_if_nothing_names_it(home: Path):
    # the first is that of dlt's own state, and the last that of the rows
    _, second, third, _ = load_names(home, "x", "y", "z", "z")
    assert expired() == RecordedLoads(4, [second, third])
    assert expired(float(third)) == RecordedLoads(4, [second])
    assert expired(inf, second) == RecordedLoads(4, [third])


def test_a_load_that_a_version_names_is_not_expired(home: Path, history: None):
    *_, third, _ = load_names(home, "x", "y", "y", "z")
    versions = query(home, f"SELECT DISTINCT _dlt_load_id FROM analytics.{HISTORY}")
    assert len(versions) == 3
    assert expired().expired == [third]


def test_loads_of_others_and_loads_without_a_time_stay(home: Path, tmp_path: Path):
    _, second, _ = load_names(home, "x", "y", "z")
    change_warehouse(
        home,
        "INSERT INTO analytics._dlt_loads (load_id, schema_name, status, inserted_at)"
        " VALUES ('1.5', 'of others', 0, now()), ('by hand', 'analytics', 0, now())",
    )
    assert expired() == RecordedLoads(4, [second])
    remove_loads(platform_settings(), tmp_path, [second], REQUEST)
    assert expired() == RecordedLoads(3, [])
    assert query(home, "SELECT count(*) FROM analytics._dlt_loads WHERE load_id = '1.5'") == [(1,)]


def test_more_loads_are_removed_than_a_statement_names(home: Path, tmp_path: Path):
    kept = load_names(home, "x")
    change_warehouse(
        home,
        "INSERT INTO analytics._dlt_loads (load_id, schema_name, status, inserted_at)"
        " SELECT number || '.5', 'analytics', 0, now() FROM range(1001) t (number)",
    )
    found = expired()
    assert (found.number, len(found.expired)) == (1002, 1001)
    remove_loads(platform_settings(), tmp_path, found.expired, REQUEST)
    assert load_names(home) == kept
    assert query(home, f"SELECT count(*) FROM analytics.{RULES.name}") == [(2,)]


def test_without_a_record_no_load_is_expired(home: Path):
    assert expired() == RecordedLoads()
    assert not (home / "warehouse.duckdb").exists()
    load_names(home, "x", "y")
    change_warehouse(home, "DROP TABLE analytics._dlt_loads")
    assert expired() == RecordedLoads()


def held_versions(home: Path) -> list[tuple[str, str, bool]]:
    """By account, what each version was, and whether it is the open one."""
    return query(
        home,
        f"SELECT account_id, display_name, valid_to IS NULL FROM analytics.{HISTORY}"
        " ORDER BY account_id, valid_from",
    )


def test_versions_of_an_account(home: Path, history: None, tmp_path: Path):
    settings = platform_settings()
    assert count_versions(settings, Versions.of_account("a")) == {}
    load_names(home, "x", "y")
    load(home, {"a": [{"id": 1, "display_name": "z"}]})
    assert count_versions(settings, Versions.of_account("a")) == {HISTORY: 3}
    assert count_versions(settings, Versions.of_account("b")) == {HISTORY: 2}
    assert count_versions(settings, Versions.of_account("c")) == {HISTORY: 0}
    remove_versions(settings, tmp_path, [HISTORY], Versions.of_account("a"), REQUEST)
    assert held_versions(home) == [("b", "x", False), ("b", "y", True)]


def test_versions_that_ended_before_a_moment(home: Path, history: None, tmp_path: Path):
    settings = platform_settings()
    assert count_versions(settings, Versions.ended_before(1e9)) == {}
    load_names(home, "x", "y", "z")
    ends = "SELECT DISTINCT epoch_us(valid_to) FROM analytics.{} WHERE valid_to IS NOT NULL"
    first, second = sorted(at / 1e6 for (at,) in query(home, ends.format(HISTORY)))
    assert count_versions(settings, Versions.ended_before(first)) == {HISTORY: 0}
    assert count_versions(settings, Versions.ended_before(second)) == {HISTORY: 2}
    assert count_versions(settings, Versions.ended_before(second + 1)) == {HISTORY: 4}
    remove_versions(settings, tmp_path, [HISTORY], Versions.ended_before(second), REQUEST)
    assert held_versions(home) == [
        (account, name, is_open)
        for account in "ab"
        for name, is_open in [("y", False), ("z", True)]
    ]


def test_a_history_without_ends_has_none_that_ended(home: Path, history: None):
    load_names(home, "x", "y")
    change_warehouse(home, f"ALTER TABLE analytics.{HISTORY} DROP COLUMN valid_to")
    assert count_versions(platform_settings(), Versions.ended_before(4e9)) == {}
    assert count_versions(platform_settings(), Versions.of_account("a")) == {HISTORY: 2}
