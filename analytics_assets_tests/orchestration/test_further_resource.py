"""A further resource is one entry in the resource table: all else follows from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.schema import Resource, columns
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.tables import warehouse_table

DECLARED = """
    Resource(
        name="item_reviews",
        path="/v1/{account_id}/items/{parent_id}/reviews",
        description="Reviews of an ad.",
        parent="campaign_items",
        parent_column="item_id",
        columns=columns("id text !, item_id text !, verdict text, score double, notes json"),
    ),
"""


def test_one_entry_is_enough(home, commands, tmp_path: Path, monkeypatch):
    package = tmp_path / "copy"
    shutil.copytree(CHECKOUT / "analytics_assets", package / "analytics_assets")
    table = package / "analytics_assets" / "resources.py"
    before, after = table.read_text().split("\n)\n\nRESOURCES")
    table.write_text(f"{before}{DECLARED})\n\nRESOURCES{after}")
    (reviews,) = eval(f"[{DECLARED}]", {"Resource": Resource, "columns": columns})

    resources = {**RESOURCES.lists, reviews.name: reviews}
    data = SampleData.generate(accounts=2, campaigns=2, items=2, resources=resources)
    with SampleApi(data) as api:
        commands.environment = {
            "PYTHONPATH": str(package),
            "SOURCES__ANALYTICS__BASE_URL": api.base_url,
            "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
        }
        result = commands.analytics_assets("sync")
    assert result.returncode == 0, result.stderr
    expected = data.table(reviews.name)
    assert expected
    names = [column.name for column in reviews.table_columns]
    assert _lines(warehouse_table(home, reviews.name), names) == _lines(expected, names)


def _lines(rows: list[dict], names: list[str]) -> list[str]:
    return sorted(
        json.dumps(
            {
                name: float(value) if type(value) is int else value
                for name in names
                for value in [row.get(name)]
            }
        )
        for row in rows
    )
