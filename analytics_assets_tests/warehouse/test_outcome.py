"""What several loads come to together."""

from __future__ import annotations

from dataclasses import replace

from analytics_assets.warehouse.history import Changes
from analytics_assets.warehouse.history_audit import VersionsAudit
from analytics_assets.warehouse.outcome import LoadOutcome, merged
from analytics_assets_tests.testing.reads import account_read, audited, loaded


def test_two_loads_tell_of_before_the_first_and_after_the_second():
    first, second, third = audited(rows=1), audited(rows=2), audited(rows=3)
    earlier = replace(
        loaded([account_read("a", campaigns=1)], {"campaigns": {"a": first, "b": first}}, "1"),
        before={"campaigns": {"a": 9, "b": 9}},
        suddenly_empty={"c": 4},
        empty_windows={"site_performance": {"c": 1}},
    )
    later = replace(
        loaded(
            [account_read("b", campaigns=2, audiences=3)],
            {"campaigns": {"b": second}, "audiences": {"b": third}},
            "2",
        ),
        # of the whole table, or of the accounts of the load alone
        before={"campaigns": {"a": 1, "b": 9}, "audiences": {"b": 7}},
        suddenly_empty={"d": 5},
        empty_windows={"site_performance": {"d": 2}},
    )
    both = merged(earlier, later)
    assert both.before == {"campaigns": {"a": 9, "b": 9}, "audiences": {"b": 7}}
    assert both.audits == {"campaigns": {"a": first, "b": second}, "audiences": {"b": third}}
    assert both.suddenly_empty == {"c": 4, "d": 5}
    assert both.empty_windows == {"site_performance": {"c": 1, "d": 2}}
    assert both.load_id == "2"
    assert both.columns == {**earlier.columns, **later.columns}
    assert {
        load.resource.name: [account.account_id for account in load.accounts]
        for load in both.tables
    } == {"campaigns": ["a", "b"], "audiences": ["b"]}


def test_two_loads_tell_together_what_each_has_told():
    began, ended, both_sides = Changes(begun=1), Changes(ended=2), Changes(3, 4)
    of_a, of_b = VersionsAudit(versions=1), VersionsAudit(versions=2)
    earlier = LoadOutcome(
        whole=["campaigns"],
        not_indexed="campaigns has no index",
        overtaken={"a": ["campaigns"]},
        changes={"campaigns": {"a": began, "b": ended}},
        histories={"campaigns": {"a": of_a}},
    )
    later = LoadOutcome(
        whole=["audiences"],
        not_indexed="audiences has no index",
        overtaken={"b": ["audiences"]},
        changes={"campaigns": {"b": both_sides}},
        histories={"campaigns": {"b": of_b}},
    )
    both = merged(earlier, later)
    assert set(both.whole) == {"campaigns", "audiences"}
    assert both.overtaken == {"a": ["campaigns"], "b": ["audiences"]}
    assert both.changes == {"campaigns": {"a": began, "b": both_sides}}
    assert both.histories == {"campaigns": {"a": of_a, "b": of_b}}
    assert both.not_indexed == "audiences has no index"
    assert merged(earlier, LoadOutcome()).not_indexed == "campaigns has no index"
    assert merged(LoadOutcome(), later).not_indexed == "audiences has no index"
