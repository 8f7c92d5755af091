"""Faults that stay: their partition fails with its cause and keeps its rows; all else goes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from dagster import DagsterInstance

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.sample_api.bodies import Bodies
from analytics_assets.sample_api.data import ListKey
from analytics_assets_tests.testing.data import change_everything, items_path
from analytics_assets_tests.testing.outcomes import failures
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    rows_by_account,
    served_table,
    warehouse_table,
)

Hit = TypeVar("Hit")
ATTEMPTS = 4  # one, and the default of SOURCES__ANALYTICS__MAX_RETRIES


class Expected(NamedTuple):
    """A fault, how often the list that it hits is asked for, and the cause that people read."""

    kind: str
    value: int | None
    asked: int
    cause: str


# By what they are; each hits an account of its own. `GET` is the request.
FAULTS: dict[str, dict[str, Expected]] = {
    "statuses": {
        "s500": Expected("status", 500, ATTEMPTS, "GET answers 500: Something went wrong, "),
        "s502": Expected("status", 502, ATTEMPTS, "GET answers 502: Something went wrong, "),
        "s503": Expected("status", 503, ATTEMPTS, "GET answers 503: Something went wrong, "),
        "s504": Expected("status", 504, ATTEMPTS, "GET answers 504: Something went wrong, "),
        "html-502": Expected("html_status", 502, ATTEMPTS, "GET answers 502 with an HTML page"),
        "s403": Expected("status", 403, 1, "GET answers 403: Something went wrong, "),
        "s404": Expected("status", 404, 1, "GET answers 404: Something went wrong, "),
        "html-404": Expected("html_status", 404, 1, "GET answers 404 with an HTML page"),
    },
    "refusals": {
        "seconds": Expected("too_many_requests", 1, ATTEMPTS, "GET answers 429: Quota exceeded, "),
        "none": Expected("too_many_requests", None, ATTEMPTS, "GET answers 429: Quota exceeded, "),
        "date": Expected(
            "too_many_requests_until", 1, ATTEMPTS, "GET answers 429: Quota exceeded, "
        ),
    },
    "connections": {
        "reset": Expected("reset", None, ATTEMPTS, "GET: no connection"),
        "reset-in-body": Expected("reset_in_body", None, ATTEMPTS, "GET: the answer broke off"),
        "cut": Expected("cut_with_wrong_length", None, ATTEMPTS, "GET: the answer broke off"),
        "hang": Expected("hang", None, ATTEMPTS, "GET: no answer in time"),
        "slow-drip": Expected("slow_drip", 10, ATTEMPTS, "GET: no answer in time"),
    },
    "bodies": {
        "cut": Expected("cut_with_right_length", None, ATTEMPTS, "GET answers 200 with a body of "),
        "html": Expected("html_200", None, ATTEMPTS, "GET answers 200 with an HTML page, not JSON"),
        "not-json": Expected("not_json", None, ATTEMPTS, "GET answers 200 with a body of "),
        "no-results": Expected("no_results", None, ATTEMPTS, "GET answers 200 without a list of "),
        "null": Expected("null_results", None, ATTEMPTS, "GET answers 200 without a list of "),
        "object": Expected("object_results", None, ATTEMPTS, "GET answers 200 without a list of "),
    },
}

NOT_ROWS = {
    "strings": (b'{"results": ["a", "b"]}', "str"),
    "numbers": (b'{"results": [1, 2.5]}', "int"),
    "nulls": (b'{"results": [null]}', "NoneType"),
    "lists": (b'{"results": [[{"id": 1}]]}', "list"),
    "mixed": (b'{"results": [{"id": 1}, "b"]}', "str"),
    "bare-list": (b'[{"id": 1}]', "without a list of `results`"),
    "nan": (b'{"results": [{"id": 1, "size": NaN}]}', "not JSON"),
    "infinity": (b'{"results": [{"id": 1, "size": -Infinity}]}', "not JSON"),
    "not-utf-8": (b'{"results": [{"id": 1, "name": "\xff"}]}', "not JSON"),
    "nothing": (b"", "not JSON"),
}

BEYOND_DOUBLES = {
    "in-json": ("audience_rules", b'{"results": [{"id": 1, "condition": {"rate": [1e999]}}]}'),
    "undeclared": ("audiences", b'{"results": [{"id": 1, "unknown": -1e999}]}'),
    "in-bigint": ("audiences", b'{"results": [{"id": 1, "size": 1e999}]}'),
    "in-double": ("campaigns", b'{"results": [{"id": "%s", "cpc": 1e999}]}'),
}


def twelve_accounts() -> SampleData:
    """What all tests below begin with, so that they share one synced home."""
    return SampleData.generate(accounts=12, campaigns=2, items=2, motion_ads=1, others=2)


twelve = pytest.mark.parametrize("api", [twelve_accounts], indirect=True, ids=[""])


@twelve
@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("group", FAULTS)
def test_faults(home, sync, api: SampleApi, instance, monkeypatch, group: str):
    faults = by_account(api, FAULTS[group])
    before = rows_by_account(home)
    change_everything(api.data)
    paths = {account: items_path(api.data, account) for account in faults}
    for account, (kind, value, _, _) in faults.items():
        api.behaviour.faults.append(Fault(kind, paths[account], value=value))
    if group == "connections":
        monkeypatch.setenv("SOURCES__ANALYTICS__TIMEOUT", "1")
    if group == "refusals":  # the last attempt waits as long for others to ask
        monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRY_DELAY", "3")
    api.log.clear()
    causes = failures(sync(), api.data)
    asked = api.log.count_by_path()
    assert {account: asked[path] for account, path in paths.items()} == {
        account: expected.asked for account, expected in faults.items()
    }
    for account, path in paths.items():
        cause = faults[account].cause.replace("GET", f"GET {path}")
        assert causes[account].startswith(f"campaign_items: {cause}"), causes[account]
    failed = dict.fromkeys(faults, ("campaign_items",))
    assert_unchanged_and_loaded(home, api.data, instance, failed, before)


@twelve
@pytest.mark.usefixtures("synced")
def test_lists_of_anything_but_rows(home, sync, api: SampleApi, instance, monkeypatch):
    hit = by_account(api, NOT_ROWS)
    before = rows_by_account(home)
    change_everything(api.data)
    serve(
        monkeypatch,
        {ListKey("audiences", account): body for account, (body, _) in hit.items()},
    )
    causes = failures(sync(), api.data)
    for account, (_, said) in hit.items():
        path = RESOURCES["audiences"].path_in("v1").format(account_id=account)
        assert causes[account].startswith("audiences: "), causes[account]
        assert f"GET {path}" in causes[account]
        assert said in causes[account]
    failed = dict.fromkeys(hit, ("audiences",))
    assert_unchanged_and_loaded(home, api.data, instance, failed, before)


@twelve
@pytest.mark.usefixtures("synced")
def test_numbers_beyond_doubles(home, sync, api: SampleApi, instance, monkeypatch):
    hit = by_account(api, BEYOND_DOUBLES)
    before = rows_by_account(home)
    change_everything(api.data)
    serve(
        monkeypatch,
        {
            ListKey(name, account): body.replace(b"%s", first_campaign(api, account))
            for account, (name, body) in hit.items()
        },
    )
    causes = failures(sync(), api.data)
    assert set(causes) == set(hit)
    for account, (name, _) in hit.items():
        path = RESOURCES[name].path_in("v1").format(account_id=account)
        assert causes[account].startswith(f"{name}: "), causes[account]
        assert f"GET {path}" in causes[account]
        assert "number" in causes[account]
    failed = {account: with_those_below(name) for account, (name, _) in hit.items()}
    assert_unchanged_and_loaded(home, api.data, instance, failed, before)


@pytest.mark.parametrize(
    ("kind", "value"), [("expired_token", None), ("revoke_tokens", None), ("status", 401)]
)
def test_lists_whose_tokens_are_refused_again_and_again(
    synced: Path, sync, api: SampleApi, instance, kind: str, value: int | None
):
    account = api.data.account_ids[1]
    path = f"/v1/{account}/campaigns/*/items/"
    api.behaviour.faults.append(Fault(kind, path, value=value))
    before = rows_by_account(synced)
    change_everything(api.data)
    causes = failures(sync(), api.data)
    # the others share the token, which is lost with each of these requests
    assert list(causes) == [account]
    assert f"GET /v1/{account}/campaigns/" in causes[account]
    assert " answers 401: " in causes[account]
    asked = [count for asked, count in api.log.count_by_path().items() if fnmatch(asked, path)]
    # at least once with a new token
    assert 2 <= max(asked) <= 6
    lost = failed_resources(instance, account)
    assert "campaign_items" in lost  # and what was asked for when the account was given up
    assert_unchanged_and_loaded(synced, api.data, instance, {account: lost}, before)


@twelve
def test_any_list_and_another_number_of_retries(
    synced: Path, sync, api: SampleApi, instance, monkeypatch
):
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "1")
    hit = by_account(api, {name: name for name in RESOURCES.account_lists})
    paths = {
        account: RESOURCES[name]
        .path_in("v1")
        .format(account_id=account, parent_id=first_campaign(api, account).decode())
        for account, name in hit.items()
    }
    api.behaviour.faults += [Fault("status", path, value=503) for path in paths.values()]
    before = rows_by_account(synced)
    change_everything(api.data)
    causes = failures(sync(), api.data)
    assert set(causes) == set(hit)
    for account, name in hit.items():
        assert causes[account].startswith(f"{name}: GET {paths[account]} answers 503: ")
        assert api.log.count_by_path()[paths[account]] == 2
    failed = {account: with_those_below(name) for account, name in hit.items()}
    assert_unchanged_and_loaded(synced, api.data, instance, failed, before)


def test_all_accounts_fail(synced: Path, sync, api: SampleApi, instance: DagsterInstance):
    accounts = set(api.data.account_ids)
    api.behaviour.forbidden_accounts.update(accounts)
    before = rows_by_account(synced)
    causes = failures(sync(), api.data)
    assert set(causes) == accounts
    for cause in causes.values():
        assert "answers 403: No permission for this account." in cause
    # dlt's own columns included
    assert rows_by_account(synced) == before
    assert states(instance) == dict.fromkeys(RESOURCES.account_lists, (accounts, accounts))


def by_account(api: SampleApi, hits: Mapping[str, Hit]) -> dict[str, Hit]:
    """What hits each of the first accounts."""
    return dict(zip(api.data.account_ids, hits.values(), strict=False))


def first_campaign(api: SampleApi, account: str) -> bytes:
    campaign: str = api.data.rows("campaigns", account)[0]["id"]
    return campaign.encode()


def serve(monkeypatch: pytest.MonkeyPatch, bodies: Mapping[ListKey, bytes]) -> None:
    """Makes these the bodies of some lists."""
    encoded = Bodies.encoded

    def encoded_or_body(self, key, page, *, compressed):
        if key in bodies:
            return bodies[key]
        return encoded(self, key, page, compressed=compressed)

    monkeypatch.setattr(Bodies, "encoded", encoded_or_body)


def assert_unchanged_and_loaded(
    home: Path,
    data: SampleData,
    instance: DagsterInstance,
    failed: Mapping[str, Collection[str]],
    before: dict[str, dict[str, list]],
) -> None:
    """The failed partitions' rows are as before, all others as the API serves them now."""
    now, accounts = rows_by_account(home), set(data.account_ids)
    for name in RESOURCES.account_lists:
        lost = {account for account, names in failed.items() if name in names}
        assert all(now[account].get(name) == before[account].get(name) for account in lost)
        rows = [row for row in warehouse_table(home, name) if row["account_id"] not in lost]
        assert_equal_tables(served_table(data, name, accounts - lost), rows, name)
        assert states(instance)[name] == (accounts, lost)


def with_those_below(resource: str) -> list[str]:
    """A resource, and those that are asked for by its rows."""
    below = [name for name, of in RESOURCES.account_lists.items() if of.parent == resource]
    return [resource, *below]


def failed_resources(instance: DagsterInstance, account: str) -> list[str]:
    return [name for name, (_, failed) in states(instance).items() if account in failed]
