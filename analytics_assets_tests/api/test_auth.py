"""Access tokens: odd answers, an endpoint that gives up, and accounts that are refused for good."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import requests

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.api.client import make_client
from analytics_assets.api.reader import Reader
from analytics_assets.errors import CredentialsError
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.sample_api.encoding import encode_json
from analytics_assets.sample_api.responses import error
from analytics_assets.settings import api_settings
from analytics_assets_tests.testing.outcomes import failures
from analytics_assets_tests.testing.reading import read_and_load
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    assert_warehouse_equals_api,
    served_table,
    warehouse_table,
)

SERVER = "analytics_assets.sample_api.server"
DEFAULT = 3600.0

NO_LIFETIMES: list[Any] = [
    None,
    "",
    "soon",
    "2026-12-01T00:00:00Z",
    0,
    -1,
    0.25,
    True,
    [],
    {},
    math.nan,
    math.inf,
    "nan",
    "1e999",
    10**400,
    ...,
]


def many_accounts() -> SampleData:
    return SampleData.generate(accounts=12, campaigns=2, items=1, motion_ads=1, others=1)


@pytest.fixture
def answer_with(monkeypatch):
    """Makes the token endpoint answer with the usual fields and these."""

    def serve(**fields: Any) -> None:
        drop = [name for name, value in fields.items() if value is ...]

        def encode_token(value: Any) -> bytes:
            if "access_token" in value:
                value = {**value, **fields}
                value = {name: told for name, told in value.items() if name not in drop}
            return encode_json(value)

        monkeypatch.setattr(f"{SERVER}.encode_json", encode_token)

    return serve


@pytest.mark.parametrize(
    ("told", "lifetime"),
    [
        (3600, 3600.0),
        ("7200", 7200.0),
        ("1800.5", 1800.5),
        (" 90 ", 90.0),
        (1, 1.0),
        *((told, DEFAULT) for told in NO_LIFETIMES),
    ],
    ids=repr,
)
def test_a_lifetime_that_cannot_be_used_is_the_default_one(home, told: Any, lifetime: float):
    auth = make_client(api_settings()).auth
    answer = {} if told is ... else {"expires_in": told}
    assert auth.parse_expiration_in_seconds(answer) == lifetime


@pytest.mark.parametrize("told", [None, 0, -1, math.nan, "soon", ...])
def test_such_a_token_serves_for_the_whole_run(home, api: SampleApi, answer_with, told: Any):
    answer_with(expires_in=told)
    assert read_and_load(api, home) == {}
    assert api.log.tokens_issued == 1
    assert_warehouse_equals_api(home, api.data)


def test_such_a_token_is_renewed_when_it_is_refused(home, api: SampleApi, answer_with):
    answer_with(expires_in=-1)
    api.behaviour.faults.append(Fault("expired_token", "*/campaigns/", 1))
    assert read_and_load(api, home) == {}
    assert api.log.tokens_issued == 2
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize("token", [None, "", " ", 7, True, ["t"], {"t": 1}, ...], ids=repr)
def test_no_token(home, sync, api: SampleApi, answer_with, token: Any):
    answer_with(access_token=token, error="invalid_scope", error_description="ask\x1b for more")
    result = sync()
    assert result.exit_code == 1
    assert (
        f"{api.token_url} answers 200 without an access token: check SOURCES__ANALYTICS__TOKEN_URL."
        " It says: invalid_scope: ask for more\n"
    ) in result.output
    assert api.log.requests == 1


@pytest.mark.parametrize("token", ["seven\neight", "seven eight", "se\x00ven", "s\u0435ven"])
def test_a_token_that_no_header_can_hold(home, sync, api: SampleApi, answer_with, token: str):
    answer_with(access_token=token)
    result = sync()
    assert result.exit_code == 1
    assert "an access token with characters that no header can hold" in result.output
    assert "ven" not in result.output


def test_a_token_with_a_line_break_at_its_end(home, api: SampleApi, answer_with, monkeypatch):
    from analytics_assets.sample_api.tokens import Tokens

    monkeypatch.setattr(Tokens, "is_valid", lambda self, token: token == "seven")
    answer_with(access_token="seven\r\n")
    assert read_and_load(api, home) == {}


def credentials_error() -> str:
    client = make_client(api_settings())
    with pytest.raises(CredentialsError) as caught:
        requests.Request("GET", "http://api", auth=client.auth).prepare()
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("status", "/oauth/token", value=429),
            "answers 429: Something went wrong, please try again.; try again later",
        ),
        (Fault("html_status", "/oauth/token", value=503), "503 with an HTML page; try again later"),
        (Fault("status", "/oauth/token", value=504), "answers 504: Something went wrong"),
        (Fault("too_many_requests", "/oauth/token", value=0), "answers 429: Quota exceeded"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_an_endpoint_in_trouble_is_no_wrong_url(home, api: SampleApi, fault: Fault, said: str):
    api.behaviour.faults.append(fault)
    message = credentials_error()
    assert said in message
    assert "check" not in message
    assert api.log.requests == 4  # tried again as any request


def test_what_is_said_of_a_refusal_holds_no_secret(home, api: SampleApi, monkeypatch):
    def refuse(status: Any, message: str) -> Any:
        return error(status, f"client sample-client, secret sample%2Dsecret {'x' * 300}")

    monkeypatch.setattr(f"{SERVER}.error", refuse)
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_ID", "sample-client ")
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", "sample-secret ")
    message = credentials_error()
    assert "refuses the credentials (401): check SOURCES__ANALYTICS__CLIENT_ID" in message
    assert "It says: client ***, secret *** xxx" in message
    assert len(message) < 500


@pytest.mark.parametrize("api", [many_accounts()], indirect=True, ids=["many"])
@pytest.mark.parametrize("bad", [1, 4])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("path", ["/v1/{}/*", "/v1/{}/campaigns/*/items/"])
def test_accounts_refused_for_good_cost_a_few_tokens_each(
    home, api: SampleApi, bad: int, single: bool, path: str
):
    refused = api.data.account_ids[:bad]
    api.behaviour.single_token = single
    api.behaviour.faults += [
        Fault("status", path.format(account), value=401) for account in refused
    ]
    causes = read_and_load(api, home)
    assert sorted(causes) == sorted(refused)
    assert all("answers 401: " in cause for cause in causes.values())
    if not single:
        most = 2 if bad == 1 else 3  # one that another may have cost is not held against it
        assert api.log.tokens_issued <= 1 + most * bad
    others = set(api.data.account_ids) - set(refused)
    for name in RESOURCES.account_lists:
        rows = [row for row in warehouse_table(home, name) if row["account_id"] in others]
        assert_equal_tables(served_table(api.data, name, others), rows, name)


@pytest.mark.parametrize("api", [many_accounts()], indirect=True, ids=["many"])
def test_what_was_read_is_loaded_when_the_endpoint_gives_up(home, sync, api: SampleApi):
    api.behaviour.faults.append(Fault("status", "/v1/*-0003-*/*", value=401))
    (bad,) = (account for account in api.data.account_ids if "-0003-" in account)
    first_token_only(api)
    causes = failures(sync(), api.data)
    assert list(causes) == [bad]
    assert "/oauth/token refuses the credentials (403): check" in causes[bad]
    others = set(api.data.account_ids) - {bad}
    for name in RESOURCES.account_lists:
        assert_equal_tables(served_table(api.data, name, others), warehouse_table(home, name), name)


def first_token_only(api: SampleApi) -> None:
    """Makes the token endpoint refuse all but the first request."""
    next_fault = api.behaviour.next_fault
    asked = Counter[str]()

    def refuse(path: str) -> Fault | None:
        asked[path] += 1
        if path == "/oauth/token" and asked[path] > 1:
            return Fault("status", path, value=403)
        return next_fault(path)

    api.behaviour.next_fault = refuse  # type: ignore[method-assign]


@pytest.mark.parametrize("api", [many_accounts()], indirect=True, ids=["many"])
def test_a_token_that_is_lost_for_all(home, api: SampleApi, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("EXTRACT__WORKERS", "1")
    api.behaviour.latency = 0.02
    first_token_only(api)
    reader = Reader(make_client(api_settings()), tmp_path)
    reads: list[AccountRead] = []
    failed: list[ReadFailure] = []
    wanted = {key: ["audiences"] for key in api.data.account_ids}
    for read in chain.from_iterable(reader.read_accounts(wanted)):
        failed += read.failures
        reads += [read] if read.rows.resources else []
        api.revoke_tokens()
    assert reads
    assert failed
    assert len(reads) + len(failed) == len(api.data.account_ids)
    assert all("refuses the credentials (403)" in str(failure) for failure in failed)
    # an endpoint that has refused is not asked again by each of them
    assert api.log.count_by_path()["/oauth/token"] == 2


@pytest.mark.usefixtures("synced")
def test_nothing_at_all_was_read(home, commands, api: SampleApi):
    api.log.clear()
    api.behaviour.client_secret = "another"
    account = api.data.account_ids[0]
    result = commands.materialize("campaigns", "--partition", account)
    assert result.returncode == 1
    assert "refuses the credentials (401): check" in result.stderr
    assert "partitions failed" not in result.stderr
    assert api.log.count_by_path() == {"/oauth/token": 1}


@pytest.mark.parametrize("is_by_others", [True, False])
def test_a_token_that_another_account_may_have_cost_is_held_against_none(
    home, api: SampleApi, tmp_path: Path, is_by_others: bool
):
    client = make_client(api_settings())
    one, other = api.data.account_ids[:2]
    next_fault = api.behaviour.next_fault
    asked = Counter[str]()

    def refuse(path: str) -> Fault | None:
        asked[path] += 1
        if not path.startswith(f"/v1/{one}/") or asked[path] > 5:
            return next_fault(path)
        if is_by_others:
            client.requests.lost_token(other)  # a request for it is answered with 401 meanwhile
        return Fault("expired_token", path)

    api.behaviour.next_fault = refuse  # type: ignore[method-assign]
    reader = Reader(client, tmp_path)
    (read,) = chain.from_iterable(reader.read_accounts({one: ["audiences"]}))
    assert bool(read.failures) is not is_by_others
    assert max(asked.values()) == (6 if is_by_others else 3)
