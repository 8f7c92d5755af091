"""A destination of which the platform knows nothing: here, DuckDB under another name."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, query


def choose(monkeypatch, home: Path) -> None:
    monkeypatch.setenv("ANALYTICS__DESTINATION", "elsewhere")
    monkeypatch.setenv("DESTINATION__ELSEWHERE__DESTINATION_TYPE", "duckdb")
    file = home / "warehouse.duckdb"
    monkeypatch.setenv("DESTINATION__ELSEWHERE__CREDENTIALS", str(file))


def test_tables_equal_the_api_and_nothing_else_is_left(
    home: Path, sync, api: SampleApi, monkeypatch
):
    choose(monkeypatch, home)
    assert sync().exit_code == 0
    row = api.data.rows("audiences", api.data.account_ids[0])[0]
    api.data.delete_row("audiences", row["id"], account_id=api.data.account_ids[0])
    assert sync().exit_code == 0
    assert_warehouse_equals_api(home, api.data)
    schemas = query(
        home, "SELECT schema_name FROM information_schema.schemata WHERE schema_name ~ 'analytics'"
    )
    assert schemas == [("analytics",)]


def test_runs_of_one_machine_take_turns(home: Path, sync, api: SampleApi, monkeypatch):
    choose(monkeypatch, home)
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")
    (home / "warehouse.writer").write_text("run 4711 (process 42)")
    with FileLock(home / "warehouse.lock"):
        result = sync()
    assert result.exit_code == 1
    assert "run 4711 (process 42) still writes to" in result.output
