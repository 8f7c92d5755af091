"""What the sample API serves, and changes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.tables import text_column


def digest(data: SampleData, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """The same for the same rows and settings."""
    tables = {name: data.table(name) for name in data.resources}
    return hashlib.sha256(json.dumps([tables, sorted(settings.items())]).encode()).hexdigest()


def small_data() -> SampleData:
    return SampleData.generate(accounts=3, campaigns=2, items=2, motion_ads=1, others=2)


def items_path(data: SampleData, account: str) -> str:
    campaign = data.rows("campaigns", account)[1]["id"]
    return f"/v1/{account}/campaigns/{campaign}/items/"


def change_everything(data: SampleData) -> None:
    """Changes every list of every account."""
    for account in data.account_ids:
        first, second = data.rows("campaigns", account)
        data.update_row("campaigns", second["id"], {"name": "changed"}, account_id=account)
        for name in ("audiences", "audience_rules", "conversion_rules"):
            rows = data.rows(name, account)
            data.set_rows(name, [*rows[1:], {**rows[1], "id": 4711}], account_id=account)
        for name in ("campaign_items", "motion_ads"):
            rows = data.rows(name, account, first["id"])
            new = {**rows[0], "id": "4711", "title": "changed"}
            data.set_rows(name, [*rows[1:], new], account_id=account, parent_id=first["id"])


def change_every_table(api: SampleApi, number: int) -> None:
    for account in api.data.account_ids:
        for name in RESOURCES.account_lists:
            for row in api.data.table(name, [account]):
                api.data.update_row(
                    name, row["id"], {text_column(name): str(number)}, account_id=account
                )
