"""From the resource table to assets: what each says about itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster_dlt.constants import META_KEY_PIPELINE, META_KEY_SOURCE, META_KEY_TRANSLATOR
from dagster_dlt.translator import DltResourceTranslatorData

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.translator import (
    AnalyticsTranslator,
    code_references,
    column_lineage,
    column_schema,
    history_columns,
    stored_schema,
    without_dlt_objects,
)
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.columns import StoredColumn, TableColumns

NAMES = AssetNames()


def spec(name: str, **settings: Any) -> dg.AssetSpec:
    data = SimpleNamespace(resource=SimpleNamespace(name=name))
    translator = AnalyticsTranslator(PlatformSettings(**settings))
    return translator.get_asset_spec(cast(DltResourceTranslatorData, data))


@pytest.mark.parametrize("name", RESOURCES.lists)
def test_an_asset_is_named_as_its_resource_and_comes_after_its_parent(name: str) -> None:
    found, parent = spec(name), RESOURCES[name].parent
    assert found.key == dg.AssetKey(name)
    assert [dep.asset_key for dep in found.deps] == ([dg.AssetKey(parent)] if parent else [])
    assert found.group_name == "analytics"
    assert str(found.description).startswith(RESOURCES[name].description)
    assert str(found.description).endswith(f"Read from `GET {RESOURCES[name].path_in('v1')}`.")
    assert found.tags["scope"] == ("per-account" if parent else "all-accounts")


def test_an_asset_says_where_its_table_is() -> None:
    found = spec("campaigns", dataset_name="ads", destination="postgres")
    assert found.metadata["dagster/table_name"] == "ads.campaigns"
    assert found.metadata["dagster/storage_kind"] == "postgres"
    assert found.metadata["key"] == "account_id, id"
    assert found.kinds == {"dlt", "postgres"}


@pytest.mark.parametrize(
    ("hours", "warn"), [(36, timedelta(hours=36)), (0.001, timedelta(minutes=1))]
)
def test_an_asset_is_old_when_its_rows_are(hours: float, warn: timedelta) -> None:
    expected = dg.FreshnessPolicy.time_window(fail_window=2 * warn, warn_window=warn)
    assert spec("campaigns", max_age_hours=hours).freshness_policy == expected


def test_what_is_dlts_alone_is_left_out() -> None:
    objects = dict.fromkeys((META_KEY_SOURCE, META_KEY_PIPELINE, META_KEY_TRANSLATOR), object())
    found = without_dlt_objects(dg.AssetSpec("campaigns", metadata={**objects, "key": "id"}))
    assert found.metadata == {"key": "id"}


@pytest.mark.parametrize("name", RESOURCES.lists)
def test_the_columns_are_those_of_the_table(name: str) -> None:
    resource = RESOURCES[name]
    columns = {column.name: column for column in column_schema(resource).columns}
    for declared in resource.table_columns:
        shown = columns.pop(declared.name)
        assert (shown.type, shown.description or "") == (declared.type, declared.description)
        assert shown.constraints.nullable == declared.nullable
        assert shown.constraints.other == (["primary key"] if declared.name in resource.key else [])
        assert shown.constraints.unique == (resource.key == (declared.name,))
    assert columns == {}


def test_columns_come_from_the_parents_row() -> None:
    def taken(name: str) -> dict[str, list[tuple[str, str]]]:
        found = column_lineage(RESOURCES[name], NAMES).deps_by_column
        return {
            column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps]
            for column, deps in found.items()
        }

    assert taken("accounts") == {}
    assert taken("campaigns") == {"account_id": [("accounts", "account_id")]}
    assert taken("campaign_items") == {
        "account_id": [("campaigns", "account_id")],
        "campaign_id": [("campaigns", "id")],
    }


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("accounts", "def accounts_asset("),
        ("campaigns", "def account_assets("),
        ("campaign_performance", "def report_assets("),
    ],
)
def test_the_references_lead_to_the_very_lines(name: str, function: str) -> None:
    table, asset = code_references(RESOURCES[name]).code_references
    for reference, text in ((table, f'name="{name}"'), (asset, function)):
        assert isinstance(reference, dg.LocalFileCodeReference)
        lines = Path(reference.file_path).read_text().splitlines()
        assert text in lines[(reference.line_number or 0) - 1]
    assert [each.label for each in (table, asset)] == ["resource table", "asset"]


def test_of_a_resource_that_the_settings_declare_there_is_the_asset_alone() -> None:
    own = replace(RESOURCES["audiences"], name="publishers")
    [asset] = code_references(own).code_references
    assert isinstance(asset, dg.LocalFileCodeReference)
    assert (asset.label, Path(asset.file_path).name) == ("asset", "assets.py")


def test_without_its_parent_a_row_comes_from_the_account() -> None:
    names = AssetNames(resource_names=("accounts", "campaign_items"))
    found = column_lineage(RESOURCES["campaign_items"], names).deps_by_column
    assert list(found) == ["account_id"]
    [dep] = found["account_id"]
    assert (dep.asset_key, dep.column_name) == (dg.AssetKey("accounts"), "account_id")


def test_an_asset_tells_what_it_is_of() -> None:
    resource = RESOURCES["campaign_items"]
    found = spec("campaign_items", owners=("team:ads",), group_name="ads")
    assert found.tags["domain"] == "advertising"
    assert list(found.owners) == ["team:ads"]
    assert found.group_name == "ads"
    path = resource.path_in("v1")
    assert found.metadata["endpoint"] == f"GET {path}"
    assert found.metadata["dagster/column_schema"] == column_schema(resource)
    assert found.metadata["dagster/column_lineage"] == column_lineage(resource, NAMES)
    assert found.metadata["dagster/code_references"] == code_references(resource)
    assert found.description == f"{resource.description}\n\nRead from `GET {path}`."


def test_a_history_is_an_asset_after_its_resource() -> None:
    names = AssetNames(histories=("campaigns",))
    translator = AnalyticsTranslator(PlatformSettings(dataset_name="ads"), names)
    assert translator.history_specs(spec("audiences")) == []
    own = spec("campaigns", dataset_name="ads")
    [found] = translator.history_specs(own)
    assert found.key == dg.AssetKey("campaigns_history")
    assert [dep.asset_key for dep in found.deps] == [own.key]
    history = RESOURCES["campaigns"].history
    assert found.description == f"{history.description}\n\nWritten whenever `campaigns` is."
    assert (found.group_name, found.tags) == (own.group_name, own.tags)
    metadata = found.metadata
    assert metadata["dagster/table_name"] == "ads.campaigns_history"
    assert metadata["key"] == "account_id, id, valid_from"
    assert metadata["dagster/storage_kind"] == "duckdb"
    assert metadata["dagster/column_schema"] == history_columns(RESOURCES["campaigns"])
    assert "endpoint" not in metadata
    lineage = metadata["dagster/column_lineage"].deps_by_column
    taken = {name: [(d.asset_key, d.column_name) for d in deps] for name, deps in lineage.items()}
    columns = [column.name for column in RESOURCES["campaigns"].table_columns]
    assert taken == {name: [(own.key, name)] for name in columns}


def test_the_columns_of_a_history_say_when_a_version_was_valid() -> None:
    *declared, valid_from, valid_to = history_columns(RESOURCES["audiences"]).columns
    assert declared == list(column_schema(RESOURCES["audiences"]).columns)
    assert [(c.name, c.type, c.constraints.nullable) for c in (valid_from, valid_to)] == [
        ("valid_from", "timestamp", False),
        ("valid_to", "timestamp", True),
    ]
    assert valid_from.description
    assert valid_to.description


def test_the_columns_of_a_table_are_those_declared_and_those_that_came_by_themselves() -> None:
    resource = RESOURCES["audiences"]
    stored = {
        "novel": StoredColumn("text", field="novel"),
        "somebodys": StoredColumn("bigint", known=False),
    }
    found = stored_schema(TableColumns.of(resource, stored)).columns
    declared = list(column_schema(resource).columns)
    assert found == [*declared, dg.TableColumn("novel", "text")]
