"""The index by account, by which PostgreSQL finds the rows that a load replaces and judges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.indexes import index_accounts
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.postgres_server import PASSWORD
from analytics_assets_tests.testing.tables import change_warehouse, query

CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"
OTHERS = """
    INSERT INTO analytics.audience_rules (account_id, id, _dlt_id, _dlt_load_id)
    SELECT 'other-' || mod(n, 200), n, 'x' || n, '1.5' FROM generate_series(1, 40000) s(n)
"""
SCANS = """
    SELECT seq_scan, idx_scan FROM pg_stat_all_tables
    WHERE schemaname = 'analytics' AND relname = 'audience_rules'
"""

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)


def indexes(home: Path, table: str = RULES.name) -> list[str]:
    """The indexes of the table, each by what it is on."""
    sql = f"SELECT indexdef FROM pg_indexes WHERE tablename = '{table}'"
    return sorted(definition.partition(" USING ")[2] for (definition,) in query(home, sql))


def test_a_load_makes_it_once(home: Path):
    for _ in range(2):
        load(home, {"a": [{"id": 1}]})
        assert indexes(home) == ["btree (account_id)"]
    # as of a table from before
    change_warehouse(home, "DROP INDEX analytics.audience_rules_account_id_idx")
    load(home, {"a": [{"id": 1}]})
    assert indexes(home) == ["btree (account_id)"]


def test_that_of_a_report_is_by_the_day_too(home: Path, tmp_path: Path):
    report, history = "campaign_performance", f"{RULES.name}_history"
    load(home, {"a": [{"id": 1}]})
    change_warehouse(
        home,
        f"CREATE TABLE analytics.{report} (account_id varchar, date date)",
        f"CREATE TABLE analytics.{history} (account_id varchar)",
    )
    settings = platform_settings()
    pipeline = make_pipeline(settings, tmp_path)
    for _ in range(2):
        assert index_accounts(settings, pipeline, [RULES.name, history, report]) == ""
        assert indexes(home, report) == ["btree (account_id, date)"]
        assert indexes(home) == indexes(home, history) == ["btree (account_id)"]


@pytest.mark.parametrize(
    ("own", "serves"),
    [
        ("(account_id, id)", True),
        ("(id, account_id)", False),
        ("(account_id) WHERE id > 1", False),
        ("USING hash (account_id)", False),
    ],
)
def test_one_of_the_users_own_that_serves_is_enough(home: Path, own: str, serves: bool):
    load(home, {"a": [{"id": 1}]})
    change_warehouse(
        home,
        "DROP INDEX analytics.audience_rules_account_id_idx",
        f"CREATE INDEX ON analytics.audience_rules {own}",
    )
    load(home, {"a": [{"id": 1}]})
    assert len(indexes(home)) == (1 if serves else 2)


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_load_looks_at_no_rows_of_others(home: Path, analyzed: bool):
    """Also before the server has counted which values there are."""
    load(home, {"a": [{"id": 1}, {"id": 2}], "b": [{"id": 1}]})
    change_warehouse(home, OTHERS)
    if analyzed:
        query(home, "ANALYZE analytics.audience_rules")
    [(scans, lookups)] = query(home, SCANS)
    load(home, {"a": [{"id": 3}], "b": []})
    [(scans_now, lookups_now)] = query(home, SCANS)
    assert (scans_now - scans, lookups_now > lookups) == (0, True)
    own = "SELECT account_id, id FROM analytics.audience_rules WHERE account_id !~ '^other'"
    assert query(home, own) == [("a", 3)]


def test_a_role_that_may_not_make_it_does_without(home: Path, tmp_path: Path, monkeypatch):
    load(home, {"a": [{"id": 1}]})
    owner = os.environ[CREDENTIALS]
    change_warehouse(
        home,
        "DROP INDEX analytics.audience_rules_account_id_idx",
        "CREATE TABLE analytics.motion_ads (account_id text)",
        f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'",
        "GRANT USAGE ON SCHEMA analytics TO guest",
    )
    try:
        monkeypatch.setenv(CREDENTIALS, owner.replace("//postgres:", "//guest:"))
        settings = platform_settings()
        told = index_accounts(
            settings, make_pipeline(settings, tmp_path), [RULES.name, "motion_ads"]
        )
        for table in (RULES.name, "motion_ads"):  # the refusal of one keeps none from the other
            assert f"must be owner of table {table}" in told
            assert f'CREATE INDEX ON "analytics"."{table}" ("account_id")' in told
        assert "\n" not in told
    finally:
        monkeypatch.setenv(CREDENTIALS, owner)
        change_warehouse(home, "DROP OWNED BY guest", "DROP ROLE guest")
