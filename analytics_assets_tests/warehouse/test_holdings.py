"""What a warehouse says that it holds, on a DuckDB file made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.holdings import (
    HeldLoads,
    HeldRows,
    file_mark,
    held_loads,
    held_rows,
)

SETTINGS = PlatformSettings(dataset_name="ads")
LOADS = HeldLoads(frozenset({"campaigns"}), frozenset({"100.5"}))

TABLES = """
    CREATE SCHEMA ads;
    CREATE TABLE ads._dlt_loads (load_id VARCHAR, status BIGINT);
    CREATE TABLE ads._dlt_version (schema_name VARCHAR);
    CREATE TABLE ads._dlt_pipeline_state (pipeline_name VARCHAR);
    CREATE TABLE ads.accounts (account_id VARCHAR, _dlt_load_id VARCHAR);
    CREATE TABLE ads.campaigns (account_id VARCHAR, id VARCHAR, _dlt_load_id VARCHAR);
    CREATE TABLE ads.not_ours (account_id VARCHAR, _dlt_load_id VARCHAR);
    INSERT INTO ads._dlt_loads VALUES ('100.5', 0), ('101.5', 0), ('102.5', 1);
    INSERT INTO ads.accounts VALUES ('acme', '101.5'), ('globex', '101.5');
    INSERT INTO ads.campaigns VALUES
        ('acme', '1', '100.5'), ('acme', '2', '101.5'), ('globex', '3', '100.5'),
        ('initech', '4', NULL);
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the settings lead; there is none yet."""
    file = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(file))
    return file


@pytest.fixture
def make(file: Path) -> Callable[[str], None]:
    """Runs statements in the file."""

    def run(sql: str) -> None:
        with duckdb.connect(str(file)) as connection:
            connection.execute(sql)

    return run


@pytest.mark.parametrize(
    ("counts", "rows", "is_held"),
    [
        ((10, "100.5"), 10, True),
        ((11, "100.5"), 10, True),
        ((9, "100.5"), 10, False),
        ((1, "101.5"), 10, True),
        ((10, "100.4"), 10, True),  # the load is known, and as many are there
        ((9, "100.4"), 10, False),
        ((0, ""), 0, True),
        ((0, ""), 1, False),
    ],
)
def test_whether_rows_are_held(counts: tuple[int, str], rows: int, is_held: bool) -> None:
    held = HeldRows(LOADS, {("campaigns", "acme"): counts})
    assert held.has("campaigns", "acme", "100.5", rows) == is_held


def test_rows_of_a_load_that_nobody_knows_count_if_they_name_it() -> None:
    held = HeldRows(HeldLoads(), {("campaigns", "acme"): (10, "100.5")})
    assert held.has("campaigns", "acme", "100.5", 10)
    assert not held.has("campaigns", "acme", "101.5", 10)
    assert not held.has("campaigns", "globex", "100.5", 0)


def test_a_load_is_known_as_long_as_its_table_is_there() -> None:
    assert LOADS.has("campaigns", "100.5")
    assert not LOADS.has("audiences", "100.5")
    assert not LOADS.has("campaigns", "101.5")


def test_a_mark_changes_with_tables_and_loads_and_not_with_their_order() -> None:
    marks = {
        HeldLoads(frozenset(tables), frozenset(loads)).mark
        for tables, loads in [("", ""), ("a", ""), ("", "b"), ("a", "b"), ("ab", "b")]
    }
    assert len(marks) == 5
    assert HeldLoads(frozenset("abc")).mark == HeldLoads(frozenset("cba")).mark


def test_where_there_is_no_file_nothing_is_held_and_none_is_made(file: Path) -> None:
    assert held_loads(SETTINGS) == HeldLoads()
    assert held_rows(SETTINGS) == HeldRows()
    assert not file.exists()


def test_a_file_without_the_dataset(make: Callable[[str], None]) -> None:
    make("CREATE SCHEMA another")
    assert held_loads(SETTINGS) == HeldLoads()
    assert held_rows(SETTINGS) == HeldRows()


def test_a_dataset_without_loads(make: Callable[[str], None]) -> None:
    make(TABLES + "DROP TABLE ads._dlt_loads")
    assert held_loads(SETTINGS).tables == {"accounts", "campaigns"}
    assert held_loads(SETTINGS).load_ids == set()


def test_loads_that_were_completed(make: Callable[[str], None]) -> None:
    make(TABLES)
    assert held_loads(SETTINGS) == HeldLoads({"accounts", "campaigns"}, {"100.5", "101.5"})


def test_rows_by_account_and_the_newest_load_of_each(make: Callable[[str], None]) -> None:
    make(TABLES)
    held = held_rows(SETTINGS)
    assert held.loads == held_loads(SETTINGS)
    assert held.counts == {
        ("accounts", None): (2, "101.5"),
        ("campaigns", "acme"): (2, "101.5"),
        ("campaigns", "globex"): (1, "100.5"),
        ("campaigns", "initech"): (1, ""),
    }
    # nothing else is counted where only some are asked for
    assert held_rows(SETTINGS, ["acme", "unknown"]).counts == {
        ("accounts", None): (2, "101.5"),
        ("campaigns", "acme"): (2, "101.5"),
    }


def test_a_file_that_is_none_of_duckdbs(file: Path) -> None:
    file.write_text("not a database, " * 500)
    with pytest.raises(WarehouseError, match=f"^{file} cannot be read: ") as caught:
        held_loads(SETTINGS)
    assert len(str(caught.value).splitlines()) == 1


def test_the_mark_of_a_file_changes_with_the_file(file: Path, make: Callable[[str], None]) -> None:
    marks = [file_mark(SETTINGS)]
    make("CREATE SCHEMA ads")
    marks.append(file_mark(SETTINGS))
    assert file_mark(SETTINGS) == marks[-1]
    Path(f"{file}.wal").write_text("")
    marks.append(file_mark(SETTINGS))
    marks.append(file_mark(PlatformSettings(dataset_name="other")))
    assert len(set(marks)) == 4


def test_a_server_has_no_mark_of_a_file() -> None:
    assert file_mark(PlatformSettings(destination="postgres")) is None
