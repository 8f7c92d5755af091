"""Kills a sync before each statement by which it changes the warehouse, and at random moments.

It takes ten minutes, so that the suite does not run it, and writes `docs/kills.md`:

    .venv/bin/python -m pytest analytics_assets_tests/warehouse/kills.py
"""

from __future__ import annotations

import random
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from analytics_assets_tests.testing.commands import CHECKOUT, start_sync
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.kills import condition, kill_when, killed_at
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.statements import nth
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    on_postgres,
    served_tables,
    warehouse_tables,
)

RANDOM_KILLS = 40
_KINDS = {
    "the staging tables of before are dropped": r"DROP SCHEMA.*",
    "staging tables are made": r'(CREATE .*"analytics_staging"|INSERT INTO .*_dlt_version).*',
    "what was staged before is deleted": r'DELETE FROM "analytics_staging".*',
    "rows are staged": r'INSERT INTO "analytics_staging".*',
    "a replacement begins": "BEGIN",
    "old rows are deleted": r'DELETE FROM "analytics".*',
    "new rows are inserted": r'INSERT INTO "analytics"\."[a-z].*',
    "a replacement is committed": "COMMIT",
    "dlt notes that the load is done": r'INSERT INTO "analytics"\."_dlt_loads".*',
    "another statement": r".*",
}
_HEAD = """\
# Killed syncs

Each row sums up syncs that were killed (SIGKILL) while they loaded 3 accounts, whose rows had all
changed, but for the list of accounts, which counts as new. Then each account's rows in each of the
7 tables were compared with what the API had served before and serves now, value by value; and after
the next sync, with what it serves.
Made by `analytics_assets_tests/warehouse/kills.py`.

| warehouse | killed | kills | accounts' tables | wholly old | wholly new | else | healed |
|---|---|---:|---:|---:|---:|---:|---:|
"""


@dataclass
class Report:
    """What was found, by warehouse and moment."""

    found: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def write(self) -> None:
        columns = ("kills", "looked at", "old", "new", "else", "healed")
        lines = [
            f"| {warehouse} | {moment} | " + " | ".join(f"{counts[name]:,}" for name in columns)
            for (warehouse, moment), counts in self.found.items()
        ]
        text = _HEAD + "".join(f"{line} |\n" for line in lines)
        (CHECKOUT / "docs" / "kills.md").write_text(text)


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    report = Report()
    yield report
    report.write()


def look(report: Report, moment: str, home: Path, before, after, sync, api) -> None:
    warehouse = "PostgreSQL" if on_postgres() else "DuckDB"
    counts = report.found.setdefault((warehouse, moment), Counter())
    counts["kills"] += 1
    found = warehouse_tables(home)
    for name, accounts in after.items():
        for account, rows in accounts.items():
            kept = found[name].get(account)
            counts["looked at"] += 1
            counts[
                "new" if kept == rows else "old" if kept == before[name][account] else "else"
            ] += 1
    result = sync()
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data)
    counts["healed"] += 1


def test_before_each_statement(home, sync, api, tmp_path, report):
    assert sync().exit_code == 0
    for number in count():
        before = served_tables(api.data)
        change_every_table(api, number)
        statements = tmp_path / f"{number}.sql"
        if killed_at(nth(number), statements) != -signal.SIGKILL:
            break
        statement = statements.read_text().splitlines()[-1]
        kind = next(kind for kind, form in _KINDS.items() if re.fullmatch(form, statement))
        look(report, f"before {kind}", home, before, served_tables(api.data), sync, api)
    assert number > 40
    report.found = dict(
        sorted(report.found.items(), key=lambda item: list(_KINDS).index(item[0][1][7:]))
    )


@both_warehouses
def test_at_random_moments_of_the_load(home, sync, api, report):
    assert sync().exit_code == 0
    for number in range(RANDOM_KILLS):
        before = served_tables(api.data)
        change_every_table(api, number)
        api.log.clear()
        point = random.uniform(0, 0.7)  # seconds since the load began
        if kill_when(start_sync(), condition(home, api, point)):
            look(report, "at a random moment", home, before, served_tables(api.data), sync, api)
