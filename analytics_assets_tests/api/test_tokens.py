"""When a token is asked for: as rarely as it can be, and never for ever."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import requests

from analytics_assets.api import auth as auth_module
from analytics_assets.api.client import ApiClient
from analytics_assets.errors import CredentialsError
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.sample_api.encoding import encode_json
from analytics_assets_tests.testing.quotas import Clock
from analytics_assets_tests.testing.reading import client_of

LIFETIME = 3600.0
TOKEN_URL = "SOURCES__ANALYTICS__TOKEN_URL"
WORDS = "Something went wrong, please try again."
LATER = "try again later"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1000.0)
    monkeypatch.setattr(auth_module, "time", clock)
    return clock


@pytest.fixture
def client(api: SampleApi, clock: Clock) -> ApiClient:
    api.behaviour.token_lifetime = LIFETIME
    return client_of(api)


def get(client: ApiClient, account: str) -> requests.Response:
    url = f"{client.base_url}/v1/{account}/campaigns/"
    return client.session.get(url, auth=client.auth)


def statuses(api: SampleApi) -> list[int | None]:
    """What became of the requests for lists."""
    return [entry.status for entry in api.log.entries if entry.method == "GET"]


def sign(client: ApiClient) -> str:
    """The header that a request would be sent with."""
    prepared = requests.Request("GET", client.base_url, auth=client.auth).prepare()
    return str(prepared.headers["Authorization"])


def refusal(client: ApiClient) -> str:
    with pytest.raises(CredentialsError) as caught:
        sign(client)
    return str(caught.value)


def refuse_tokens(api: SampleApi, times: int | None = None, status: int = 503) -> Fault:
    fault = Fault("status", "/oauth/token", times, status)
    api.behaviour.faults.append(fault)
    return fault


@pytest.mark.parametrize(
    ("lifetime", "serves"),
    [(3600.0, 3570.0), (61.0, 31.0), (60.0, 30.0), (40.0, 20.0), (1.0, 0.5)],
)
def test_a_token_is_renewed_before_it_expires(
    client: ApiClient, api: SampleApi, clock: Clock, lifetime: float, serves: float
) -> None:
    api.behaviour.token_lifetime = lifetime
    first = sign(client)
    assert first.startswith("Bearer ")
    clock.now += serves - 0.125
    assert sign(client) == first
    assert api.log.tokens_issued == 1
    clock.now += 0.125
    assert sign(client) != first
    assert api.log.tokens_issued == 2


def test_a_token_that_cannot_be_renewed_is_used_on(
    client: ApiClient, api: SampleApi, clock: Clock
) -> None:
    first = sign(client)
    fault = refuse_tokens(api, 1)
    clock.now += LIFETIME - 30.0
    for _ in range(2):
        assert sign(client) == first
        clock.now += 15.0  # the token URL has its pause
    assert fault.hits == 1
    assert sign(client) != first


def test_a_token_url_that_gave_none_has_a_pause(
    client: ApiClient, api: SampleApi, clock: Clock
) -> None:
    fault = refuse_tokens(api, 2)
    message = refusal(client)
    clock.now += 29.875
    assert refusal(client) == message
    assert fault.hits == 1
    clock.now += 0.125
    assert refusal(client) == message
    assert fault.hits == 2
    clock.now += 29.875
    assert refusal(client) == message
    clock.now += 0.125
    assert sign(client).startswith("Bearer ")
    # the pause is over with it
    api.revoke_tokens()
    assert get(client, api.data.account_ids[0]).status_code == 200


def test_a_refused_request_is_sent_again_with_a_fresh_token(
    client: ApiClient, api: SampleApi, clock: Clock
) -> None:
    account = api.data.account_ids[0]
    assert get(client, account).status_code == 200
    refused, before = sign(client), clock.now
    api.revoke_tokens()
    answer = get(client, account)
    assert answer.status_code == 200
    assert answer.request.headers["Authorization"] == sign(client) != refused
    assert statuses(api) == [200, 401, 200]
    assert api.log.tokens_issued == 2
    # the others had time to use theirs
    assert 0.1 <= clock.now - before <= 0.3


def test_a_refused_token_that_cannot_be_renewed_is_not_used_on(
    client: ApiClient, api: SampleApi
) -> None:
    account = api.data.account_ids[0]
    assert get(client, account).status_code == 200
    api.revoke_tokens()
    refuse_tokens(api)
    with pytest.raises(CredentialsError, match="answers 503"):
        get(client, account)
    assert statuses(api) == [200, 401]


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_request_that_is_sent_again_has_the_timeout_of_the_first(
    api: SampleApi, clock: Clock, refusals: int
) -> None:
    account = api.data.account_ids[0]
    api.behaviour.faults += [Fault("expired_token", "*", refusals), Fault("hang", value=5.0)]
    client = client_of(api, timeout=0.25)
    with client.requests.counting(account), pytest.raises(requests.ReadTimeout):
        get(client, account)
    assert statuses(api)[:refusals] == [401] * refusals


def test_a_token_that_another_worker_has_renewed_is_taken(
    client: ApiClient, api: SampleApi, clock: Clock
) -> None:
    account = api.data.account_ids[0]
    assert get(client, account).status_code == 200
    api.revoke_tokens()

    def another_worker() -> None:
        clock.sleep_hook = None
        assert get(client, account).status_code == 200

    clock.sleep_hook = another_worker
    assert get(client, account).status_code == 200
    assert api.log.tokens_issued == 2


def test_an_account_that_is_refused_costs_two_tokens_once(
    client: ApiClient, api: SampleApi
) -> None:
    broken, other = api.data.account_ids[:2]
    api.behaviour.faults.append(Fault("status", f"/v1/{broken}/*", value=401))
    with client.requests.counting(broken) as counts:
        for _ in range(3):
            assert get(client, broken).status_code == 401
        assert counts.given_up
    assert api.log.tokens_issued == 3
    # one request with each token, and one for each time that it was asked for after that
    assert statuses(api) == [401] * 5
    # others go on, with the newest
    assert get(client, other).status_code == 200
    assert api.log.tokens_issued == 3


def test_an_account_that_was_accepted_has_its_tokens_again(
    client: ApiClient, api: SampleApi
) -> None:
    account = api.data.account_ids[0]
    with client.requests.counting(account) as counts:
        for _ in range(4):
            assert get(client, account).status_code == 200
            api.revoke_tokens()
            assert get(client, account).status_code == 200
            assert (counts.tokens, counts.given_up) == (0, False)
    assert api.log.tokens_issued == 5


@pytest.mark.parametrize("status", [400, 403, 500])
def test_another_refusal_costs_no_token(client: ApiClient, api: SampleApi, status: int) -> None:
    api.behaviour.faults.append(Fault("status", value=status))
    assert get(client, api.data.account_ids[0]).status_code == status
    assert (api.log.tokens_issued, api.log.requests) == (1, 2)


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer "])
def test_a_request_without_our_token_costs_none(
    client: ApiClient, api: SampleApi, header: str | None
) -> None:
    url = f"{client.base_url}/v1/{api.data.account_ids[0]}/campaigns/"
    request = requests.Request("GET", url, auth=client.auth).prepare()
    del request.headers["Authorization"]  # as `requests` does where a redirect leaves the host
    if header is not None:
        request.headers["Authorization"] = header
    assert client.session.send(request).status_code == 401
    assert api.log.tokens_issued == 1
    assert statuses(api) == [401]


def test_a_copy_of_the_credentials_has_the_same_token(client: ApiClient, api: SampleApi) -> None:
    header = sign(client)
    copied = copy.deepcopy(client.auth)
    signed = requests.Request("GET", client.base_url, auth=copied).prepare()
    assert signed.headers["Authorization"] == header
    assert api.log.tokens_issued == 1


def test_tokens_that_were_replaced_stay_secret(client: ApiClient, api: SampleApi) -> None:
    account, tokens = api.data.account_ids[0], []
    for _ in range(17):
        tokens.append(sign(client).removeprefix("Bearer "))
        api.revoke_tokens()
        get(client, account)
    del tokens[:2]  # of eighteen, sixteen are known
    assert client.redact(" ".join(tokens)) == " ".join(["***"] * 15)


def test_the_secret_is_kept_out_however_it_is_spelled(api: SampleApi) -> None:
    client = client_of(api, client_id=" someone ", client_secret=" se/cret ")
    assert client.redact("someone says se/cret, c29tZW9uZTpzZS9jcmV0") == "*** says ***, ***"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            Fault("reset", "/oauth/token"),
            f"no answer from the token URL URL (ConnectionError): check {TOKEN_URL}",
        ),
        *(
            (
                Fault("status", "/oauth/token", value=status),
                f"URL gives no access token at the moment, it answers {status}: {WORDS}; {LATER}",
            )
            for status in (429, 500)
        ),
        *(
            (
                Fault("status", "/oauth/token", value=status),
                (
                    f"URL refuses the credentials ({status}): check SOURCES__ANALYTICS__CLIENT_ID,"
                    f" SOURCES__ANALYTICS__CLIENT_SECRET and {TOKEN_URL}. It says: {WORDS}"
                ),
            )
            for status in (400, 401, 403)
        ),
        (
            Fault("status", "/oauth/token", value=404),
            f"URL answers 404 without an access token: check {TOKEN_URL}. It says: {WORDS}",
        ),
        (
            Fault("redirect", "/oauth/token", value="/elsewhere"),
            f"URL answers 302 without an access token: check {TOKEN_URL}",
        ),
        (
            Fault("html_200", "/oauth/token"),
            f"URL answers 200 without an access token: check {TOKEN_URL}",
        ),
        (
            Fault("not_json", "/oauth/token"),
            f"URL answers 200 without an access token: check {TOKEN_URL}",
        ),
    ],
    ids=lambda value: f"{value.kind} {value.value}" if isinstance(value, Fault) else "",
)
def test_what_is_said_where_there_is_no_token(
    client: ApiClient, api: SampleApi, fault: Fault, told: str
) -> None:
    api.behaviour.faults.append(fault)
    assert re.sub(re.escape(api.token_url), "URL", refusal(client)) == told
    assert api.log.requests == 1  # no redirect is followed with the secret


@pytest.fixture
def token_answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the token URL answers with in the place of a token."""
    served: dict[str, Any] = {}

    def encode(value: Any) -> bytes:
        return encode_json(served["body"] if "access_token" in value else value)

    monkeypatch.setattr("analytics_assets.sample_api.server.encode_json", encode)
    return served


@pytest.mark.parametrize("body", [[], ["t"], None, "token", 7, {"access_token": 7}])
def test_an_answer_that_is_no_token(
    client: ApiClient, token_answer: dict[str, Any], body: Any
) -> None:
    token_answer["body"] = body
    assert "answers 200 without an access token" in refusal(client)


@pytest.mark.parametrize(
    ("token", "is_sent"),
    [
        ("to-ken", True),
        (" token\r\n", True),
        ("t\u00f6ken", True),
        ("to ken", False),
        ("to\u00a0ken", False),
        ("t\u0151ken", False),
        ("to\x7fken", False),
    ],
    ids=["plain", "line break", "Latin-1", "space", "wide space", "not Latin-1", "control"],
)
def test_which_tokens_a_header_can_hold(
    client: ApiClient, api: SampleApi, token_answer: dict[str, Any], token: str, is_sent: bool
) -> None:
    token_answer["body"] = {"access_token": token}
    if is_sent:
        assert sign(client) == f"Bearer {token.strip()}"
    else:
        assert refusal(client) == (
            f"{api.token_url} gives an access token with characters that no header can hold:"
            f" check {TOKEN_URL}"
        )
