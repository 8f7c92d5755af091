"""A misdeclared resource: one line that names it, wherever it is noticed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.errors import DeclarationError
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import Report, Resource, columns, resource_table
from analytics_assets_tests.testing.commands import CHECKOUT, Commands

ITEMS = "campaign_items"


def test_the_table_as_it_is():
    assert resource_table(RESOURCES.values()) == RESOURCES


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        (ITEMS, {"name": "campaigns"}, "resource 'campaigns' is declared twice"),
        (ITEMS, {"name": "Items"}, "resource 'Items' needs a name of small letters, digits and _"),
        (ITEMS, {"name": ""}, "resource '' needs a name"),
        (ITEMS, {"parent": "campaign"}, "has the parent 'campaign', which is not declared before"),
        ("campaigns", {"parent": ITEMS}, "has the parent 'campaign_items', which is not declared"),
        ("campaigns", {"parent": "campaigns"}, "the parent 'campaigns', which is not declared"),
        ("campaigns", {"parent": None}, "needs a parent; only 'accounts' has none"),
        ("accounts", {"parent": "accounts"}, "resource 'accounts' needs a parent; only"),
        ("accounts", {"path": "/v1/{account_id}"}, "though no account is known before it"),
        (ITEMS, {"parent_column": None}, "has {parent_id} in its path, but no parent_column for"),
        (ITEMS, {"parent_column": "campaign"}, "the parent_column 'campaign', which is none of"),
        ("audiences", {"path": "/v1/{parent_id}/x"}, "but 'accounts' is the parent: use {account"),
        ("audiences", {"path": "/v1/audiences"}, "has no {account_id} in its path, so that it"),
        ("audiences", {"path": "v1/{account_id}"}, "has a path that does not begin with /"),
        ("audiences", {"path": "/v1/{account}"}, "has {account} in its path, where only {version}"),
        ("audiences", {"path": "/v1/{account_id"}, "has a path with a brace too many or too few"),
        ("audiences", {"path": "/v1/{}"}, "has {} in its path, where only {version}, {acc"),
        ("audiences", {"path": "/{version}/all"}, "has no {account_id} in its path, so that it"),
        ("audiences", {"key": ("account_id", "uid")}, "the key 'uid', which is none of its col"),
        ("audiences", {"key": ("id",)}, "has no 'account_id' in its key"),
        ("audiences", {"key": ()}, "has no 'account_id' in its key"),
        ("audiences", {"key": ("account_id", "id", "id")}, "has a column twice in its key"),
    ],
)
def test_what_cannot_be(name: str, changes: dict[str, Any], problem: str):
    declared = {**RESOURCES.lists, name: replace(RESOURCES[name], **changes)}
    with pytest.raises(DeclarationError) as error:
        resource_table(declared.values())
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(": check its entry in analytics_assets/resources.py")


def test_a_parent_without_id():
    declared = {
        **RESOURCES.lists,
        "campaigns": replace(RESOURCES["campaigns"], key=("account_id",)),
    }
    declared["campaigns"] = replace(declared["campaigns"], columns=columns("name text"))
    with pytest.raises(DeclarationError, match="but 'campaigns' has no column 'id'"):
        resource_table(declared.values())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"report": Report(day_column="day")}, "has the day column 'day', which is none of its"),
        ({"report": Report(day_column="campaign")}, "'campaign', which is none of its columns of"),
        ({"key": ("account_id", "campaign")}, "is a report without 'date' in its key"),
        ({"report": Report(name_column="currency")}, "is a report without 'currency' in its key"),
    ],
)
def test_reports_that_cannot_be(changes: dict[str, Any], problem: str):
    report = replace(RESOURCES["campaign_performance"], **changes)
    with pytest.raises(DeclarationError, match="resource 'campaign_performance' ") as error:
        resource_table([*RESOURCES.lists.values(), report])
    assert problem in str(error.value)


def test_every_resource_is_a_list_or_an_extra_report():
    assert list(RESOURCES) == [*RESOURCES.lists, *RESOURCES.reports]
    assert not any(resource.report for resource in RESOURCES.lists.values())
    assert all(resource.report for resource in RESOURCES.reports.values())


def test_ratios_say_that_they_are_not_to_be_summed():
    rounded = {"roas", "ctr", "vctr", "cpc", "cpm", "vcpm", "cpa", "cpa_clicks", "cpa_views"}
    for report in RESOURCES.reports.values():
        said = {c.name for c in report.columns if c.description.endswith("; never sum it.")}
        rates = {c.name for c in report.columns if "_rate" in c.name}
        assert said == rounded | rates


def test_no_accounts():
    with pytest.raises(DeclarationError, match="no resource 'accounts' is declared"):
        resource_table([])


def test_columns_with_and_without_descriptions():
    declared = columns("""
        id bigint !: Its number: unique, within an account.
        name text, tags json,
        size bigint
    """)
    assert [(c.name, c.type, c.nullable, c.description) for c in declared] == [
        ("id", "bigint", False, "Its number: unique, within an account."),
        ("name", "text", True, ""),
        ("tags", "json", True, ""),
        ("size", "bigint", True, ""),
    ]


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
def test_every_column_is_described(resource: Resource):
    descriptions = [column.description for column in resource.table_columns]
    assert [text for text in descriptions if not (text[:1].isupper() and text[-1] == ".")] == []


def test_account_id_is_the_same_column_however_it_is_described():
    own = replace(RESOURCES["audiences"], columns=columns("id text !\naccount_id text !: Whose."))
    assert [column.name for column in own.table_columns] == ["id", "account_id"]


@pytest.mark.parametrize(
    "declaration",
    [
        "id number !",
        "Id text",
        "id text, id text",
        "id text\nid bigint",
        "id",
        "id: Its number.",
        "id text Its number.",
        "id text, name text: Its name.",
        "id text,, name text",
        ": Its number.",
    ],
)
def test_columns_that_cannot_be(declaration: str):
    with pytest.raises(DeclarationError, match="column") as error:
        columns(declaration)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "doors"),
    [
        ('key=("account_id",)', 'key=("account_id", "uid")', ("doctor", "status", "sync")),
        ("account_id text !: ", "account_id string !: ", ("sync",)),
    ],
    ids=["key", "column"],
)
def test_every_door(home, commands: Commands, tmp_path: Path, before: str, after: str, doors):
    package = tmp_path / "copy"
    shutil.copytree(CHECKOUT / "analytics_assets", package / "analytics_assets")
    table = package / "analytics_assets" / "resources.py"
    assert before in table.read_text()
    table.write_text(table.read_text().replace(before, after))
    commands.environment = {"PYTHONPATH": str(package)}
    for command in doors:
        result = commands.analytics_assets(command)
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1, result.stderr
        assert result.stderr.startswith("Error: ")
    line = result.stderr.removeprefix("Error: ").strip()
    result = commands.materialize("accounts")
    last = result.stderr.strip().splitlines()[-1]
    assert last == f"analytics_assets.errors.DeclarationError: {line}"
