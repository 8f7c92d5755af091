"""How what a table holds is judged, without a warehouse."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from analytics_assets.orchestration.asset_checks import (
    ALL_ACCOUNTS,
    ALL_DAYS_AT,
    CHECKS,
    Evidence,
    check_specs,
    evaluations,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import AccountAudit
from analytics_assets.warehouse.columns import StoredColumn, TableColumns

NAMES = AssetNames()


SETTINGS = PlatformSettings()
HOUR = 3600


def audit(**figures: Any) -> AccountAudit:
    """What is found of an account of ten rows with nothing wrong, but for these figures."""
    sound = {"rows": 10, "duplicates": 0, "orphans": 0, "loaded_at": time.time()}
    return AccountAudit(**{**sound, **figures})


def evidence(name: str = "campaigns", **known: Any) -> Evidence:
    """Evidence of a table of two listed accounts with nothing wrong, but for what is given."""
    audits = known.get("audit", {"acme": audit(), "globex": audit()})
    sound = {
        "resource": RESOURCES[name],
        "audit": audits,
        "columns": TableColumns.of(RESOURCES[name], {}),
        "before": {account: found.rows for account, found in audits.items()},
        "left_out": {},
        "data_at": {},
        "differences": {},
        "unread": {},
        "earlier": {},
        "listed": {"acme", "globex"},
        "read": {"acme", "globex"},
        "settings": SETTINGS,
    }
    return Evidence(**{**sound, **known})


def judged(found: Evidence, check: str) -> Mapping[str, Any]:
    return CHECKS[check].judge(found)


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_is_found_where_nothing_is_wrong(check: str) -> None:
    assert judged(evidence(), check) == {}


@pytest.mark.parametrize(
    ("check", "figures", "found"),
    [
        ("key_is_unique", {"duplicates": 2}, 2),
        ("required_columns_are_filled", {"missing": {"id": 1}}, {"id": 1}),
        ("parents_exist", {"orphans": 3}, 3),
        ("types_are_as_declared", {"variants": {"cpc__v_text": 1}}, {"cpc__v_text": 1}),
        ("fields_are_declared", {"unknown": {"novel": 4}}, {"novel": 4}),
    ],
)
def test_what_an_audit_found_of_an_account(
    check: str, figures: Mapping[str, Any], found: object
) -> None:
    assert judged(evidence(audit={"acme": audit(**figures), "globex": audit()}), check) == {
        "acme": found
    }


def test_rows_are_old_beyond_the_age_that_is_allowed() -> None:
    limit = SETTINGS.max_age_hours
    now = time.time()
    audits = {
        "acme": audit(loaded_at=now - (limit + 1) * HOUR),
        "globex": audit(loaded_at=now - (limit - 1) * HOUR),
    }
    assert judged(evidence(audit=audits), "rows_are_recent") == {"acme": f"{limit + 1:.0f} hours"}
    # an account that is no longer read keeps its rows as they are
    assert judged(evidence(audit=audits, read={"globex"}), "rows_are_recent") == {}


def test_a_load_is_as_old_as_the_data_that_it_has() -> None:
    data_at = {"acme": time.time() - (SETTINGS.max_age_hours + 1) * HOUR}
    assert list(judged(evidence(data_at=data_at), "rows_are_recent")) == ["acme"]


def test_rows_that_do_not_say_when_they_were_loaded() -> None:
    found = judged(evidence(audit={"acme": audit(loaded_at=None)}), "rows_are_recent")
    assert found == {"acme": "_dlt_load_id is no time"}


@pytest.mark.parametrize(("rows", "is_loss"), [(5, False), (4, True), (0, True)])
def test_rows_are_lost_beyond_the_share_that_is_tolerated(rows: int, is_loss: bool) -> None:
    audits = {"acme": audit(rows=rows)} if rows else {}
    found = judged(evidence(audit=audits, before={"acme": 10}), "row_count_holds")
    assert found == ({"acme": f"10 -> {rows} rows"} if is_loss else {})


def test_accounts_are_lost_by_their_number() -> None:
    """A row is an account here: each that left would have lost all of its rows."""
    before = {str(number): 1 for number in range(10)}
    audits = {str(number): audit(rows=1) for number in range(5)}
    half = evidence(ACCOUNTS.name, audit=audits, before=before)
    assert judged(half, "row_count_holds") == {}
    audits.pop("0")
    found = judged(evidence(ACCOUNTS.name, audit=audits, before=before), "row_count_holds")
    assert found == {ALL_ACCOUNTS: "10 -> 4 rows"}


def test_only_tables_with_a_parent_row_are_asked_for_it() -> None:
    asked = {
        spec.asset_key.to_user_string()
        for spec in check_specs(NAMES, RESOURCES.lists)
        if spec.name == "parents_exist"
    }
    assert asked == {name for name, resource in RESOURCES.lists.items() if resource.parent_column}


def test_a_check_says_how_many_and_names_a_few() -> None:
    accounts = [f"account-{number}" for number in range(5)]
    found = evidence(audit={account: audit(missing={"id": 1}) for account in accounts})
    selected = {
        dg.AssetCheckKey(dg.AssetKey(table), "required_columns_are_filled")
        for table in ("campaigns", "audiences")
    }
    # of a table that there is no evidence of, nothing is said
    [evaluation] = evaluations(selected, {"campaigns": found})
    assert (evaluation.asset_key, evaluation.passed) == (dg.AssetKey("campaigns"), False)
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert evaluation.description == (
        "account-0: id (1); account-1: id (1); account-2: id (1); and 2 more accounts"
    )
    metadata = {name: value.value for name, value in evaluation.metadata.items()}
    assert metadata == {
        "rows": 50,
        "rows_of_departed_accounts": 50,
        "accounts_with_findings": 5,
        "findings": {account: {"id": 1} for account in accounts},
    }


def test_a_check_that_passes_says_how_many_rows_it_judged() -> None:
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), "key_is_unique")
    [evaluation] = evaluations([key], {"campaigns": evidence(listed={"globex"})})
    assert (evaluation.passed, evaluation.description) == (True, None)
    metadata = {name: value.value for name, value in evaluation.metadata.items()}
    assert metadata == {
        "rows": 20,
        "rows_of_departed_accounts": 10,
        "accounts_with_findings": 0,
    }


def test_a_column_that_is_stored_as_another_type() -> None:
    stored = {"cpc": StoredColumn("text"), "id": StoredColumn("text")}
    found = evidence(columns=TableColumns.of(RESOURCES["campaigns"], stored))
    named = {"cpc": "declared double, stored text"}
    assert judged(found, "columns_are_as_declared") == {ALL_ACCOUNTS: named}


def test_checks_say_what_holds_when_they_pass() -> None:
    for spec in check_specs(NAMES, RESOURCES.lists):
        assert spec.description == CHECKS[spec.name].description


@pytest.mark.parametrize(("accounts", "rest"), [(3, ""), (4, "; and 1 more account")])
def test_three_accounts_are_named(accounts: int, rest: str) -> None:
    audits = {str(number): audit(missing={"id": 1, "name": 2}) for number in range(accounts)}
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), "required_columns_are_filled")
    [evaluation] = evaluations([key], {"campaigns": evidence(audit=audits)})
    named = "; ".join(f"{number}: id (1), name (2)" for number in range(3))
    assert evaluation.description == named + rest


def test_checks_are_told_by_table_and_name() -> None:
    keys = {spec.key for spec in check_specs(NAMES, ["campaigns", "audiences"])}
    found = {"campaigns": evidence(), "audiences": evidence("audiences")}
    told = [(made.asset_key.path[-1], made.check_name) for made in evaluations(keys, found)]
    assert told == sorted(told)
    assert len(told) == len(keys)


@pytest.mark.parametrize(
    ("table", "severity"),
    [
        ("campaign_items", dg.AssetCheckSeverity.ERROR),
        ("campaign_performance", dg.AssetCheckSeverity.WARN),
    ],
)
def test_campaigns_that_were_deleted_keep_their_figures(
    table: str, severity: dg.AssetCheckSeverity
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(table), "parents_exist")
    found = evidence(table, audit={"acme": audit(orphans=1)}, whole_at=1.5e9)
    [evaluation] = evaluations([key], {table: found})
    assert (evaluation.passed, evaluation.severity) == (False, severity)
    assert evaluation.metadata[ALL_DAYS_AT].value == 1.5e9


@pytest.mark.parametrize(
    ("check", "earlier", "figures", "together"),
    [
        ("key_is_unique", 3, {"duplicates": 2}, 3),
        ("key_is_unique", 1, {"duplicates": 2}, 2),
        (
            "required_columns_are_filled",
            {"id": 3, "name": 1},
            {"missing": {"id": 2, "status": 4}},
            {"id": 3, "name": 1, "status": 4},
        ),
        ("rows_are_recent", "60 hours", {"loaded_at": None}, "_dlt_load_id is no time"),
    ],
)
def test_of_what_was_found_before_and_now_the_more_is_told(
    check: str, earlier: Any, figures: Mapping[str, Any], together: Any
) -> None:
    """Where a load of a report has looked at some of its days."""
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), check)
    before = {check: {"acme": earlier, "initech": earlier}}
    found = evidence(audit={"acme": audit(**figures)}, earlier=before)
    [evaluation] = evaluations([key], {"campaigns": found})
    assert evaluation.metadata["findings"].value == {"acme": together, "initech": earlier}


@pytest.mark.parametrize("failed", [True, False])
def test_the_asset_has_failed_where_an_account_did_in_this_run(failed: bool) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), "every_account_is_read")
    unread = {"acme": "GET /v1/acme answers 403"}
    found = evidence(unread=unread) if failed else evidence(earlier={key.name: unread})
    [evaluation] = evaluations([key], {"campaigns": found})
    assert (evaluation.passed, evaluation.blocking) == (False, failed)
    assert evaluation.description == "acme: GET /v1/acme answers 403"


def test_a_number_that_was_found_is_told() -> None:
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), "every_row_is_loaded")
    left_out = {"acme": {"rows without a key": 2}}
    [evaluation] = evaluations([key], {"campaigns": evidence(left_out=left_out)})
    assert evaluation.description == "acme: rows without a key (2)"
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    key = dg.AssetCheckKey(dg.AssetKey("campaigns"), "key_is_unique")
    [evaluation] = evaluations([key], {"campaigns": evidence(audit={"acme": audit(duplicates=2)})})
    assert evaluation.description == "acme: 2"
