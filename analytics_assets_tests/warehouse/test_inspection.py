"""What the doctor says of the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analytics_assets.cli import main
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import change_warehouse

CHANGED = {
    "nothing": ("SELECT 1", True, "1 table, as declared", ""),
    "a type": (
        "ALTER TABLE analytics.audience_rules ALTER COLUMN audience_size TYPE numeric(20, 3)",
        False,
        "audience_rules.audience_size is declared bigint and stored as ",
        "check docs/tables.md on how to change a column's type",
    ),
    "a type of a key": (
        "ALTER TABLE analytics.audience_rules ALTER COLUMN id TYPE varchar",
        False,
        "the column audience_rules.id has the type text, not bigint: put it back, or drop the",
        "",
    ),
    "a column": (
        "ALTER TABLE analytics.audience_rules DROP COLUMN status",
        True,
        "audience_rules.status not there any more; the next sync makes it anew",
        "",
    ),
    "dlt's own": (
        "ALTER TABLE analytics._dlt_version DROP COLUMN engine_version",
        False,
        "dlt's own tables in analytics cannot be read",
        "",
    ),
}


def doctor(name: str) -> dict[str, Any]:
    checks = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    found: dict[str, Any] = next(check for check in checks if check["name"] == name)
    return found


@both_warehouses
@pytest.mark.parametrize(("statement", "ok", "detail", "advice"), CHANGED.values(), ids=CHANGED)
def test_the_doctor_names_what_is_not_as_declared(
    home: Path, statement: str, ok: bool, detail: str, advice: str
):
    load(home, {"a": [{"id": 1, "status": "x"}]})
    change_warehouse(home, statement)
    for _ in range(2):  # it changes nothing
        check = doctor("tables")
        assert check["ok"] is ok
        assert detail in str(check["detail"])
        assert check["advice"] == advice


@both_warehouses
def test_the_doctor_names_accounts_whose_rows_are_gone(home: Path, sync):
    assert doctor("loads on record")["detail"] == "no account is on record as loaded"
    assert sync("--resource", "campaigns").exit_code == 0
    assert doctor("loads on record")["ok"] is True
    change_warehouse(home, "DROP TABLE analytics.campaigns")
    check = doctor("loads on record")
    assert check["ok"] is False
    assert "it lacks rows of 3 of the 3 accounts on record as loaded" in str(check["detail"])
    assert "run `analytics-assets sync`" in str(check["advice"])
    assert sync("--resource", "campaigns").exit_code == 0
    assert doctor("loads on record")["ok"] is True


def test_without_a_warehouse(home: Path):
    assert doctor("tables") == {"name": "tables", "ok": True, "detail": "none yet", "advice": ""}
