"""Tables of resources that the settings do not have any more: found, counted and removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import resource_table
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.left_tables import left_tables, named_tables, remove_tables
from analytics_assets.warehouse.load import load
from analytics_assets_tests.testing.loading import RULES, account_rows
from analytics_assets_tests.testing.tables import change_warehouse, query

OWN = ("own_rules", "own_events")
REQUEST = LockRequest("a test", 60, print)


@pytest.fixture
def before(home: Path) -> PlatformSettings:
    """The settings of the time at which there were further resources."""
    own = [replace(RULES, name=name) for name in OWN]
    return replace(platform_settings(), resources=resource_table([*RESOURCES.values(), *own]))


def load_all(home: Path, settings: PlatformSettings) -> None:
    """Two rows of the first further resource, and one of each other."""
    rows = {OWN[0]: [{"id": 1}, {"id": 2}], OWN[1]: [{"id": 1}], RULES.name: [{"id": 1}]}
    with TemporaryDirectory(dir=home) as made:
        accounts = [account_rows(Path(made) / "rows", "a", rows, settings.resources)]
        load(settings, Path(made), [*rows], accounts, REQUEST)


def tables(home: Path) -> set[str]:
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'analytics'"
    return {name for (name,) in query(home, sql) if not name.startswith("_")}


def test_tables_without_a_resource_are_counted(home: Path, before: PlatformSettings):
    assert left_tables(platform_settings()) == {}
    load_all(home, before)
    assert left_tables(before) == {}
    assert left_tables(platform_settings()) == {"own_events": 1, "own_rules": 2}
    # somebody's own table is no load's
    change_warehouse(
        home, "CREATE TABLE analytics.theirs (id INTEGER)", "DROP TABLE analytics.own_events"
    )
    assert left_tables(platform_settings()) == {"own_rules": 2}
    change_warehouse(home, "DROP TABLE analytics._dlt_version")
    assert left_tables(platform_settings()) == {}


def test_what_others_load_into_the_dataset_is_theirs(home: Path, before: PlatformSettings):
    load_all(home, before)
    # a newer schema of somebody's own pipeline
    change_warehouse(
        home,
        "INSERT INTO analytics._dlt_version SELECT * REPLACE ("
        "inserted_at + INTERVAL 1 DAY AS inserted_at, 'theirs' AS schema_name, '{}' AS schema)"
        " FROM analytics._dlt_version",
    )
    assert left_tables(platform_settings()) == {"own_events": 1, "own_rules": 2}


def test_a_history_is_left_with_its_table(home: Path, before: PlatformSettings):
    kept = replace(before, history=(OWN[0], RULES.name))
    load_all(home, kept)
    assert f"{RULES.name}_history" in tables(home)
    assert left_tables(kept) == {}
    assert left_tables(platform_settings()) == {
        "own_events": 1,
        "own_rules": 2,
        "own_rules_history": 2,
    }


def test_what_is_removed_is_forgotten(home: Path, before: PlatformSettings, tmp_path: Path):
    load_all(home, before)
    remove_tables(platform_settings(), tmp_path, ["own_rules"], REQUEST)
    assert tables(home) == {"own_events", RULES.name}
    assert left_tables(platform_settings()) == {"own_events": 1}
    # if the entry is put back, its table is made anew
    load_all(home, before)
    assert query(home, "SELECT count(*) FROM analytics.own_rules") == [(2,)]


def test_a_warehouse_that_cannot_be_written_is_told(home: Path, tmp_path: Path):
    (home / "warehouse.duckdb").write_bytes(b"no database")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        remove_tables(platform_settings(), tmp_path, ["own_rules"], REQUEST)


def test_they_are_told_with_their_rows():
    assert named_tables({"own_events": 1, "own_rules": 1234}) == (
        "of no resource that the settings have, and kept as they are: own_events (1 row),"
        " own_rules (1,234 rows)"
    )
