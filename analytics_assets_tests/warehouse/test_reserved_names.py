"""Resources of the user's own whose columns are called as words of SQL: `order`, `user`, `end`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import Part
from analytics_assets.schema import Column, Report, Resource, resource_table
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.report_days import held_days, report_days
from analytics_assets_tests.testing.loading import RULES, account_rows
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import query

REQUEST = LockRequest("a test", 60, print)
DAYS = [date(2026, 1, 1), date(2026, 1, 2)]


def settings_with(resource: Resource) -> PlatformSettings:
    resources = resource_table({**RESOURCES, resource.name: resource}.values())
    return replace(platform_settings(), resources=resources)


def load_rows(
    home: Path,
    resource: Resource,
    rows: Sequence[Mapping[str, Any]],
    part: Part | None = None,
    **options: Any,
) -> LoadOutcome:
    settings = settings_with(resource)
    with TemporaryDirectory(dir=home) as made:
        account = account_rows(Path(made) / "a", "a", {resource.name: rows}, settings.resources)
        account.resources[resource.name].part = part
        return load(settings, Path(made), [resource.name], [account], REQUEST, **options)


@both_warehouses
@pytest.mark.parametrize("name", ["end", "user"])
def test_a_report_by_such_a_day(home: Path, tmp_path: Path, name: str):
    report = replace(
        RESOURCES["campaign_performance"],
        name="own",
        key=("account_id", name, "campaign"),
        report=Report(day_column=name),
        columns=(
            Column(name, "date", False, "The day."),
            Column("campaign", "text", False, "The campaign."),
            Column("clicks", "bigint", True, "Clicks."),
        ),
    )

    def update(*days: date, clicks: int) -> LoadOutcome:
        rows = [{name: str(day), "campaign": "7", "clicks": clicks} for day in days]
        return load_rows(home, report, rows, Part(name, DAYS))

    update(*DAYS, clicks=1)
    update(DAYS[0], clicks=2)
    assert query(home, f'SELECT "{name}", clicks FROM analytics.own') == [(DAYS[0], 2)]
    settings, asked = settings_with(report), {"own": ["a"]}
    assert held_days(settings, tmp_path, asked, REQUEST) == {("own", "a"): {DAYS[0]}}
    found = report_days(settings, tmp_path, asked, DAYS[0], REQUEST)
    assert found.newest == {("own", "a"): DAYS[0]}
    assert update(clicks=3).empty_windows == {"own": {"a": 1}}


@both_warehouses
@pytest.mark.parametrize("name", ["order", "user"])
def test_parts_of_a_resource_with_such_a_key(home: Path, name: str):
    column = Column(name, "text", False, "A part of the row's key.")
    rules = replace(RULES, key=("account_id", name), columns=(*RULES.columns, column))
    load_rows(
        home,
        rules,
        [
            {"id": 1, name: "x", "event_name": "kept"},
            {"id": 2, name: "y", "event_name": "read"},
            {"id": 3, name: "z", "event_name": "kept"},
        ],
    )
    moved = [{"id": 4, name: "z", "event_name": "read"}]
    load_rows(home, rules, moved, Part("event_name", ["read"]), allow_empty=True)
    assert sorted(query(home, f"SELECT id FROM analytics.{RULES.name}")) == [(1,), (4,)]
