"""The resource table's descriptions, as comments in the warehouse."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.schema import Column, Resource
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.comments import write_comments
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.postgres_server import PASSWORD
from analytics_assets_tests.testing.tables import change_warehouse, on_postgres, query

CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"
AWKWARD = """It's "quoted": 100 %s, back\\slash; -- a name's 名前\nand a second line."""
DUCKDB = """
    SELECT '', comment FROM duckdb_tables() WHERE table_name = 'audience_rules'
        AND schema_name = 'analytics'
    UNION SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'audience_rules'
        AND schema_name = 'analytics'
"""
POSTGRES = """
    SELECT coalesce(attname, ''), description FROM pg_description
    LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND attnum > 0
    WHERE objoid = 'analytics.audience_rules'::regclass AND classoid = 'pg_class'::regclass
"""


def comments(home: Path) -> dict[str, str]:
    """The table's own comment and those of its columns that have one."""
    found = query(home, POSTGRES if on_postgres() else DUCKDB)
    return {column: comment for column, comment in found if comment is not None}


def write(folder: Path, *resources: Resource) -> None:
    write_comments(make_pipeline(platform_settings(), folder), resources)


@both_warehouses
def test_the_descriptions_are_in_the_warehouse(home: Path, tmp_path: Path):
    load(home, {"a": [{"id": 1, "extra": "undeclared"}]})
    write(tmp_path, RULES)
    declared = {column.name: column.description for column in RULES.table_columns}
    assert comments(home) == {"": RULES.description, **declared}


@both_warehouses
def test_any_text_is_written_as_it_is(home: Path, tmp_path: Path):
    load(home, {"a": [{"id": 1}]})
    odd = (Column("status", "text", description=AWKWARD),)
    write(tmp_path, replace(RULES, description=AWKWARD, columns=odd))
    found = comments(home)
    assert (found[""], found["status"]) == (AWKWARD, AWKWARD)


@both_warehouses
def test_the_declaration_wins_and_other_comments_stay(home: Path, tmp_path: Path):
    load(home, {"a": [{"id": 1, "extra": "undeclared"}]})
    theirs = ["extra", "status", "category", "_dlt_id"]
    change_warehouse(
        home,
        *(f"COMMENT ON COLUMN analytics.audience_rules.{name} IS 'mine'" for name in theirs),
        "COMMENT ON TABLE analytics.audience_rules IS 'mine'",
    )
    described = (
        Column("status", "text"),
        Column("category", "text", description="Ours."),
        Column("not_there", "text", description="Ours."),
    )
    write(tmp_path, replace(RULES, description="", columns=described))
    found = comments(home)
    assert {name: found[name] for name in theirs} == {
        "extra": "mine",
        "status": "mine",
        "category": "Ours.",
        "_dlt_id": "mine",
    }
    assert found[""] == "mine"
    assert "not_there" not in found


@both_warehouses
def test_nothing_is_written_twice(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    execute = SqlClientBase.execute_many

    def remember(client, statements, *args, **kwargs):
        written.extend(sql for sql in statements if "COMMENT ON" in sql)
        return execute(client, statements, *args, **kwargs)

    monkeypatch.setattr(SqlClientBase, "execute_many", remember)
    for _ in range(2):
        load(home, {"a": [{"id": 1}]})
    assert len(written) == 1 + len(RULES.table_columns)
    assert {statement.split()[2] for statement in written} == {"TABLE", "COLUMN"}


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_role_that_may_not_comment_does_without(home: Path, tmp_path: Path, monkeypatch):
    load(home, {"a": [{"id": 1}]})
    owner = os.environ[CREDENTIALS]
    change_warehouse(
        home,
        "COMMENT ON TABLE analytics.audience_rules IS NULL",
        f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'",
        "GRANT USAGE ON SCHEMA analytics TO guest",
        "GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA analytics TO guest",
    )
    try:
        monkeypatch.setenv(CREDENTIALS, owner.replace("//postgres:", "//guest:"))
        write(tmp_path, RULES)
        assert "" not in comments(home)
    finally:
        monkeypatch.setenv(CREDENTIALS, owner)
        change_warehouse(home, "DROP OWNED BY guest", "DROP ROLE guest")
