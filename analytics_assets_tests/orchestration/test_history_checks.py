"""What is checked of histories, by figures made by hand."""

from __future__ import annotations

import dagster as dg

from analytics_assets.orchestration.history_checks import (
    HISTORY_CHECKS,
    history_check_specs,
    history_evaluations,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.warehouse.history_audit import VersionsAudit

OPEN, OVERLAP = "open_versions_equal_the_table", "versions_do_not_overlap"
CAMPAIGNS = dg.AssetKey(["ads", "campaigns_history"])
AUDIENCES = dg.AssetKey(["ads", "audiences_history"])
Found = tuple[bool, str | None, dict[str, object]]


def test_each_history_that_is_kept_has_each_check():
    names = AssetNames(("ads",), histories=("campaigns", "audiences"))
    specs = list(history_check_specs(names, ["audience_rules", "campaigns"]))
    assert [(spec.asset_key, spec.name) for spec in specs] == [
        (CAMPAIGNS, OPEN),
        (CAMPAIGNS, OVERLAP),
    ]
    assert [spec.description for spec in specs] == [
        check.description for check in HISTORY_CHECKS.values()
    ]


def evaluated(*selected: tuple[dg.AssetKey, str], **earlier: int) -> dict[tuple[str, str], Found]:
    found = history_evaluations(
        [dg.AssetCheckKey(key, name) for key, name in selected],
        {
            "campaigns": {
                "globex": VersionsAudit(unequal=2),
                "acme": VersionsAudit(unequal=1, overlapping=3),
                "initech": VersionsAudit(),
            }
        },
        lambda key: earlier if key.name == OVERLAP else {},
    )
    return {
        (each.asset_key.to_user_string(), each.check_name): (
            each.passed,
            each.description,
            {name: told.value for name, told in each.metadata.items()},
        )
        for each in found
    }


def test_accounts_of_which_something_is_found_are_named_in_order():
    assert evaluated((CAMPAIGNS, OVERLAP), (AUDIENCES, OPEN), (CAMPAIGNS, OPEN)) == {
        ("ads/campaigns_history", OPEN): (
            False,
            "acme: 1; globex: 2",
            {"accounts_with_findings": 2, "findings": {"globex": 2, "acme": 1}},
        ),
        ("ads/campaigns_history", OVERLAP): (
            False,
            "acme: 3",
            {"accounts_with_findings": 1, "findings": {"acme": 3}},
        ),
    }


def test_what_was_found_earlier_of_others_counts_on():
    found = evaluated((CAMPAIGNS, OVERLAP), gone=4, acme=9)
    passed, said, told = found["ads/campaigns_history", OVERLAP]
    assert (passed, said) == (False, "acme: 3; gone: 4")
    assert told["findings"] == {"gone": 4, "acme": 3}


def test_what_is_not_looked_at_is_not_judged():
    assert evaluated((AUDIENCES, OPEN), (dg.AssetKey(["ads", "campaigns"]), "key_is_unique")) == {}


def test_a_history_with_nothing_wrong_passes():
    key = dg.AssetCheckKey(CAMPAIGNS, OPEN)
    [found] = history_evaluations([key], {"campaigns": {"acme": VersionsAudit()}}, lambda _: {})
    assert (found.passed, found.description) == (True, None)
    assert {name: told.value for name, told in found.metadata.items()} == {
        "accounts_with_findings": 0
    }
