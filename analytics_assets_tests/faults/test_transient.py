"""Faults that pass: the reading goes on as if nothing had been, and every table equals the API."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.reading import read_and_load
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

# kind, value, times: each hits another list
FAULTS = {
    "statuses": [
        ("status", 500, 2),
        ("status", 502, 3),
        ("status", 503, 2),
        ("status", 504, 1),
        ("html_status", 502, 2),
    ],
    "refusals": [
        ("too_many_requests", 1, 2),
        ("too_many_requests", None, 1),
        ("too_many_requests_until", 1, 1),
    ],
    "connections": [
        ("reset", None, 2),
        ("reset_in_body", None, 3),
        ("cut_with_wrong_length", None, 2),
        ("hang", None, 1),
        ("slow_drip", 0.01, None),
    ],
    "bodies": [
        ("cut_with_right_length", None, 2),
        ("html_200", None, 2),
        ("not_json", None, 2),
        ("no_results", None, 1),
        ("null_results", None, 2),
        ("object_results", None, 3),
    ],
    "expired token": [("expired_token", None, 1)],
    "revoked tokens": [("revoke_tokens", None, 1)],
    "tokens revoked twice": [("revoke_tokens", None, 2)],
}


@pytest.mark.parametrize("faults", [pytest.param(faults, id=id_) for id_, faults in FAULTS.items()])
def test_on_lists_of_campaigns(home, api: SampleApi, monkeypatch, faults: list):
    monkeypatch.setenv("SOURCES__ANALYTICS__TIMEOUT", "1")
    paths = [
        RESOURCES[name].path_in("v1").format(account_id=account, parent_id=campaign["id"])
        for account in api.data.account_ids
        for campaign in api.data.rows("campaigns", account)
        for name in ("campaign_items", "motion_ads")
    ]
    for path, (kind, value, times) in zip(paths, faults, strict=False):
        api.behaviour.faults.append(Fault(kind, path, times, value))
    assert read_and_load(api, home) == {}
    assert all(fault.hits == (fault.times or 1) for fault in api.behaviour.faults)
    assert_warehouse_equals_api(home, api.data)


def test_on_every_other_list_and_on_the_token(home, api: SampleApi):
    faults = [
        Fault("status", "/oauth/token", 1, 503),
        Fault("reset", "/oauth/token", 1),
        Fault("cut_with_right_length", "*/allowed-accounts", 1),
        Fault("reset_in_body", "*/allowed-accounts", 1),
        Fault("null_results", "*/campaigns/", 2),
        Fault("html_status", "*/resources/audiences", 1, 504),
        Fault("html_200", "*/resources/audiences", 1),
        Fault("cut_with_wrong_length", "*/custom_audience_rule", 2),
        Fault("not_json", "*/conversion_rule", 2),
    ]
    api.behaviour.faults.extend(faults)
    assert read_and_load(api, home) == {}
    assert [fault.hits for fault in faults] == [fault.times for fault in faults]
    assert_warehouse_equals_api(home, api.data)
