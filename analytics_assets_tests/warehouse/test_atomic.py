"""A table is wholly old or wholly new, account by account, at each moment of a load."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.kills import killed_at
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.statements import each_statement, in_short
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    change_warehouse,
    on_postgres,
    query,
    served_tables,
    warehouse_table,
    warehouse_tables,
)

_MERGE = re.compile(r'(DELETE FROM|INSERT INTO) "?analytics"?\."?([a-z]+[a-z_]*)"?')

# on PostgreSQL: in which transaction what happens to which table
_LOG_TRANSACTIONS = """
    CREATE SCHEMA seen;
    CREATE TABLE seen.statements (place serial, what text, name text, transaction bigint);
    CREATE FUNCTION seen.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO seen.statements (what, name, transaction)
        VALUES (TG_OP, TG_TABLE_NAME, txid_current()); RETURN NULL;
    END $$;
"""


@pytest.fixture
def merges(home, sync, api) -> Callable[[], list[tuple[str, str, int]]]:
    """Gives the statements by which a sync replaces tables: what, table, transaction."""

    def on_duckdb() -> list[tuple[str, str, int]]:
        seen = []

        def see(statement: str, connection: duckdb.DuckDBPyConnection) -> None:
            if found := _MERGE.match(statement):
                ((transaction,),) = connection.execute("SELECT txid_current()").fetchall()
                seen.append((found[1].split()[0], found[2], transaction))

        with each_statement(see):
            assert sync().exit_code == 0
        return seen

    def on_server() -> list[tuple[str, str, int]]:
        query(home, _LOG_TRANSACTIONS)
        for name in RESOURCES.lists:
            query(
                home,
                f"CREATE TRIGGER seen AFTER DELETE OR INSERT ON analytics.{name}"
                " FOR EACH STATEMENT EXECUTE FUNCTION seen.note()",
            )
        assert sync().exit_code == 0
        return query(home, "SELECT what, name, transaction FROM seen.statements ORDER BY place")

    return on_server if on_postgres() else on_duckdb


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_each_table_is_replaced_in_one_transaction(home, api, merges):
    change_every_table(api, 1)
    by_table: dict[str, list[tuple[str, int]]] = {}
    for what, name, transaction in merges():
        by_table.setdefault(name, []).append((what, transaction))
    assert set(by_table) == set(RESOURCES.lists)
    for statements in by_table.values():
        assert [what for what, _ in statements] == ["DELETE", "INSERT"]
        assert len({transaction for _, transaction in statements}) == 1
    transactions = [transaction for (_, transaction), _ in by_table.values()]
    assert len(set(transactions)) == len(RESOURCES.lists)  # each table by itself
    assert_warehouse_equals_api(home, api.data)


def snapshots(home: Path, folder: Path, work: Callable[[], object]) -> dict[Path, list[str]]:
    """The DuckDB file as a kill would leave it before each statement of `work`.

    What a process has written to a file is there whatever becomes of the process.

    Returns:
        Copies of the file, no two the same one after the other, with the statements before which
        it was so.
    """
    taken: dict[Path, list[str]] = {}
    before: dict[str, bytes] | None = None

    def see(statement: str, _: duckdb.DuckDBPyConnection) -> None:
        nonlocal before
        now = {
            file.name: file.read_bytes()
            for file in home.glob("warehouse.duckdb*")
            if not file.name.endswith((".lock", ".writer"))
        }
        if now != before:
            copy = folder / str(len(taken)) / "warehouse.duckdb"
            copy.parent.mkdir()
            for name, content in now.items():
                (copy.parent / name).write_bytes(content)
            taken[copy] = []
            before = now
        taken[[*taken][-1]].append(in_short(statement))

    with each_statement(see):
        work()
    return taken


@pytest.mark.usefixtures("synced")
def test_a_kill_before_any_statement_leaves_whole_tables(home, sync, api, tmp_path):
    changed, *_ = api.data.account_ids
    old = served_tables(api.data)
    change_every_table(api, 1)
    new = served_tables(api.data)
    moments = snapshots(home, tmp_path, lambda: sync("--account", changed))
    statements = [statement for several in moments.values() for statement in several]
    assert len([statement for statement in statements if _MERGE.match(statement)]) >= 14
    half_way = 0
    for copy, moment in moments.items():
        found = warehouse_tables(copy.parent)
        for name, accounts in found.items():
            rest = {key: rows for key, rows in accounts.items() if key != changed}
            assert rest == {key: old[name][key] for key in rest}, moment
            assert set(accounts) == set(old[name]), moment
            assert accounts[changed] in (old[name][changed], new[name][changed]), moment
        if len({found[name] == old[name] for name in RESOURCES.account_lists}) == 2:
            half_way += len(moment)
    assert half_way > 10  # some tables old, some new
    assert warehouse_tables(home) == {
        name: {**accounts, changed: new[name][changed]} for name, accounts in old.items()
    }


OLD = {"a": [{"id": 1}, {"id": 2}], "b": [{"id": 1}]}
NEW = {"a": [{"id": 2}, {"id": 3}], "b": []}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, OLD, id="the first load"),
        pytest.param(OLD, NEW, id="a later load"),
        pytest.param(
            OLD, {"a": [{"id": 2, "fresh": "new", "display_name": 7}]}, id="a load with new columns"
        ),
    ],
)
def test_what_a_kill_leaves_is_healed_by_the_next_load(home, tmp_path, monkeypatch, before, after):
    for folder in ("before", "during", "copies", "healing"):
        (tmp_path / folder).mkdir()
    if before:
        load(tmp_path / "before", before)
    states = [rules(home)]
    moments = snapshots(home, tmp_path / "copies", lambda: load(tmp_path / "during", after))
    states.append(rules(home))
    for copy, moment in moments.items():
        assert rules(copy.parent) in states, moment
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(copy))
        load(tmp_path / "healing", after)
        assert rules(copy.parent) == states[1], moment
        load(tmp_path / "healing", {"a": [{"id": 9}]})
        assert set(rules(copy.parent)) == {("a", 9)} | {
            key for key in states[1] if key[0] != "a"
        }, moment
    assert len(moments) >= 5


def rules(home: Path) -> dict[tuple[str, int], str]:
    """The rows of the table by key; none if there is no table yet."""
    try:
        rows = warehouse_table(home, "audience_rules")
    except (duckdb.CatalogException, duckdb.IOException):
        return {}
    filled = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {(row["account_id"], row["id"]): repr(sorted(row.items())) for row in filled}


BEFORE_COMMIT = '(.*\n)*BEGIN\nDELETE FROM "analytics"."campaign_items".*\nINSERT INTO.*\nCOMMIT\n'


@pytest.mark.usefixtures("synced")
def test_killed_for_real(home, sync, api, tmp_path):
    old = warehouse_tables(home)
    change_every_table(api, 1)
    new = served_tables(api.data)
    assert killed_at(BEFORE_COMMIT, tmp_path / "statements") == -signal.SIGKILL
    found = warehouse_tables(home)
    assert found["campaign_items"] == old["campaign_items"]
    for name in found:
        assert found[name] in (old[name], new[name])
    assert sync().exit_code == 0
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize("small_disk", ["24m"], indirect=True)
def test_a_disk_that_is_full_leaves_the_old_rows(home, small_disk: Path, tmp_path, monkeypatch):
    file = small_disk / "warehouse.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(file))
    old, new = (
        {
            account: [{"id": n, "display_name": f"{mark}{n}" * 40} for n in range(3000)]
            for account in ("a", "b")
        }
        for mark in ("old", "new")
    )
    load(tmp_path, {**old, "c": [{"id": 7}]})
    before = rules(small_disk)
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    failures = 0
    for kept in (0, 250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000):
        free = shutil.disk_usage(small_disk).free
        (small_disk / "ballast").write_bytes(b"x" * (free - kept * 1000))
        try:
            load(tmp_path, new)
        except WarehouseError as error:
            failures += "no space left" in str(error).lower()
        (small_disk / "ballast").unlink()
        # what was merged before the disk was full is new
        assert rules(small_disk) == before or is_new(rules(small_disk)), kept
    assert failures > 3
    assert is_new(rules(small_disk))


def is_new(rows: Mapping[tuple[str, int], str]) -> bool:
    return len(rows) == 6001 and all("new" in row or key[0] == "c" for key, row in rows.items())


CHANGES = {
    "a constraint": (
        "CREATE TABLE analytics.kept AS SELECT * FROM analytics.audience_rules",
        "DROP TABLE analytics.audience_rules",
        "CREATE TABLE analytics.audience_rules AS SELECT * FROM analytics.kept LIMIT 0",
        'ALTER TABLE analytics.audience_rules ALTER "display_name" SET NOT NULL',
        "INSERT INTO analytics.audience_rules SELECT * FROM analytics.kept",
    ),
    "a unique index": ("CREATE UNIQUE INDEX once ON analytics.audience_rules (display_name)",),
}


@both_warehouses
@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES)
def test_an_insert_that_fails_leaves_the_old_rows(home, tmp_path, statements):
    load(tmp_path, {name: [{"id": 1, "display_name": name}] for name in "abc"})
    change_warehouse(home, *statements)
    before = rules(home)
    refused = {"a": [{"id": n, "display_name": None if n == 5 else "same"} for n in range(9)]}
    with pytest.raises(WarehouseError):
        load(tmp_path, refused)
    assert rules(home) == before
    load(tmp_path, {"a": [{"id": 1, "display_name": "a"}, {"id": 3, "display_name": "x"}], "b": []})
    assert set(rules(home)) == {("a", 1), ("a", 3), ("c", 1)}


@both_warehouses
@pytest.mark.parametrize("type_", ["bigint", "bool", "double precision"])
def test_a_column_of_another_type_leaves_whole_tables(home, tmp_path, type_):
    load(tmp_path, {name: [{"id": 1, "display_name": "1"}] for name in "abc"})
    using = f"USING display_name::int::{type_}" if on_postgres() else ""
    table = "analytics.audience_rules"
    change_warehouse(home, f"ALTER TABLE {table} ALTER COLUMN display_name TYPE {type_} {using}")
    before = rules(home)
    with suppress(WarehouseError):
        load(tmp_path, {"a": [{"id": 2, "display_name": "text"}], "b": []})
    assert set(rules(home)) in (set(before), {("a", 2), ("c", 1)})
