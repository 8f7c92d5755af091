from __future__ import annotations

import pytest

from analytics_assets.sample_api.tokens import Tokens
from analytics_assets_tests.testing.client import TIMEOUT, Client, Start

ACCOUNTS = "/v1/users/current/allowed-accounts"


def test_a_token_expires_at_the_end_of_its_life() -> None:
    now = 100.0
    tokens = Tokens(clock=lambda: now)
    token = tokens.issue(60, single=False)
    now = 159.9
    assert tokens.is_valid(token)
    now = 160.0
    assert not tokens.is_valid(token)


def test_the_answer_to_a_token_request(start: Start) -> None:
    answer = start(token_lifetime=600).ask_token().json()
    assert answer["access_token"]
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 600


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_secret": "wrong"}, 401),
        ({"client_id": "wrong"}, 401),
        ({"grant_type": "password"}, 400),
    ],
)
def test_no_token_for_a_wrong_request(start: Start, changes: dict[str, str], status: int) -> None:
    client = start()
    client.api.log.clear()
    response = client.ask_token(**changes)
    assert response.status_code == status
    assert response.json()["http_status"] == status
    assert client.api.log.tokens_issued == 0


def test_tokens_are_asked_for_with_post(start: Start) -> None:
    client = start()
    assert client.session.get(client.api.token_url, timeout=TIMEOUT).status_code == 405


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer nonsense", "Basic {token}"])
def test_a_request_without_a_valid_token(start: Start, authorization: str | None) -> None:
    client = start()
    token = str(client.session.headers.pop("Authorization")).split()[1]
    headers = {} if authorization is None else {"Authorization": authorization.format(token=token)}
    response = client.get(ACCOUNTS, headers=headers)
    assert response.status_code == 401
    assert response.json()["http_status"] == 401


def test_an_expired_token(start: Start) -> None:
    assert start(token_lifetime=0).get(ACCOUNTS).status_code == 401


@pytest.mark.parametrize(("single", "status"), [(False, 200), (True, 401)])
def test_whether_an_older_token_stays_valid(start: Start, single: bool, status: int) -> None:
    older = start(single_token=single)
    newer = Client(older.api).log_in()
    assert newer.get(ACCOUNTS).status_code == 200
    assert older.get(ACCOUNTS).status_code == status


def test_revoked_tokens(start: Start) -> None:
    client = start()
    assert client.get(ACCOUNTS).status_code == 200
    client.api.revoke_tokens()
    assert client.get(ACCOUNTS).status_code == 401
    assert client.log_in().get(ACCOUNTS).status_code == 200
    assert client.api.log.tokens_issued == 2
