from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
import requests

from analytics_assets.sample_api import FAULT_KINDS, Fault, SampleApi
from analytics_assets.sample_api.behaviour import FaultValue
from analytics_assets.sample_api.faults import _KINDS
from analytics_assets_tests.testing.client import TIMEOUT, Client, Start

FIRST = "acme-0001-sc"
CAMPAIGNS = f"/v1/{FIRST}/campaigns/"


@contextmanager
def raw_answer(client: Client) -> Iterator[http.client.HTTPResponse]:
    """The answer by a client that lets one look at a body that breaks off."""
    address = urlsplit(client.api.base_url).netloc
    headers = {name: str(value) for name, value in client.session.headers.items()}
    with closing(http.client.HTTPConnection(address, timeout=TIMEOUT)) as connection:
        connection.request("GET", CAMPAIGNS, headers=headers)
        with connection.getresponse() as answer:
            yield answer


def half(client: Client) -> bytes:
    body = client.get(CAMPAIGNS).content
    return body[: len(body) // 2]


def test_every_kind_is_implemented() -> None:
    assert set(FAULT_KINDS) == set(_KINDS)


def test_status(start: Start) -> None:
    answer = start(faults=[Fault("status", value=503)]).get(CAMPAIGNS)
    assert answer.status_code == 503
    assert answer.json()["http_status"] == 503
    assert answer.json()["message"]


@pytest.mark.parametrize(("fault", "status"), [("html_status=502", 502), ("html_200", 200)])
def test_html(start: Start, fault: str, status: int) -> None:
    answer = start(faults=[Fault.parse(fault)]).get(CAMPAIGNS)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_too_many_requests(start: Start) -> None:
    client = start(faults=[Fault("too_many_requests", times=1, value=7)])
    client.api.behaviour.faults.append(Fault("too_many_requests"))
    named, unnamed = client.get(CAMPAIGNS), client.get(CAMPAIGNS)
    assert (named.status_code, named.headers.get("Retry-After")) == (429, "7")
    assert (unnamed.status_code, unnamed.headers.get("Retry-After")) == (429, None)


def test_too_many_requests_until(start: Start) -> None:
    client = start(faults=[Fault("too_many_requests_until", value=500)])
    before = time.time()
    answer = client.get(CAMPAIGNS)
    until = parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert answer.status_code == 429
    assert 500 <= until - before <= 600


def test_reset(start: Start) -> None:
    client = start(faults=[Fault("reset")])
    with pytest.raises(ConnectionResetError), raw_answer(client):
        pass
    assert client.api.log.entries[-1].status is None


def test_reset_in_body(start: Start) -> None:
    client = start()
    expected = len(client.get(CAMPAIGNS).content)
    client.api.behaviour.faults.append(Fault("reset_in_body"))
    with raw_answer(client) as answer:
        assert answer.status == 200
        assert answer.length == expected
        with pytest.raises(ConnectionResetError):
            answer.read()


def test_cut_with_wrong_length(start: Start) -> None:
    client = start()
    expected = half(client)
    client.api.behaviour.faults.append(Fault("cut_with_wrong_length"))
    with raw_answer(client) as answer:
        assert answer.length is not None
        assert answer.length > len(expected)
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
    assert caught.value.partial == expected


def test_cut_with_right_length(start: Start) -> None:
    client = start()
    expected = half(client)
    client.api.behaviour.faults.append(Fault("cut_with_right_length"))
    answer = client.get(CAMPAIGNS)
    assert answer.content == expected
    assert answer.headers["Content-Length"] == str(len(expected))
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_slow_drip(start: Start) -> None:
    client = start(faults=[Fault("slow_drip", value=0)])
    assert client.rows(CAMPAIGNS) == client.api.data.rows("campaigns", FIRST)


def test_slow_drip_outlasts_a_read_timeout(start: Start) -> None:
    client = start()
    expected = client.get(CAMPAIGNS).content
    client.api.behaviour.faults.append(Fault("slow_drip", value=60))
    with client.get(CAMPAIGNS, timeout=0.2, stream=True) as answer:
        pieces = answer.iter_content(len(expected) // 20 + 1)
        assert expected.startswith(next(pieces))
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            next(pieces)


def test_hang(start: Start) -> None:
    client = start(faults=[Fault("hang", times=1)])
    with pytest.raises(requests.ReadTimeout):
        client.get(CAMPAIGNS, timeout=0.2)
    assert client.get(CAMPAIGNS).status_code == 200


def test_hang_for_a_time(start: Start) -> None:
    client = start(faults=[Fault("hang", value=0.01)])
    assert client.rows(CAMPAIGNS) == client.api.data.rows("campaigns", FIRST)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("no_results", {"metadata": {}}),
        ("null_results", {"results": None, "metadata": {}}),
        ("object_results", {"results": {"id": "1"}, "metadata": {}}),
        ("empty_results", {"results": [], "metadata": {}}),
    ],
)
def test_results(start: Start, kind: str, answer: object) -> None:
    response = start(faults=[Fault(kind)]).get(CAMPAIGNS)
    assert response.status_code == 200
    assert response.json() == answer


def test_not_json(start: Start) -> None:
    response = start(faults=[Fault("not_json")]).get(CAMPAIGNS)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.content)


@pytest.mark.parametrize(("kind", "other"), [("expired_token", 200), ("revoke_tokens", 401)])
def test_faults_of_tokens(start: Start, kind: str, other: int) -> None:
    client = start(faults=[Fault(kind, times=1)])
    bystander = Client(client.api).log_in()
    # the token stays invalid when the fault is over
    assert [client.get(CAMPAIGNS).status_code for _ in range(2)] == [401, 401]
    assert bystander.get(CAMPAIGNS).status_code == other
    assert client.log_in().get(CAMPAIGNS).status_code == 200


def test_redirect(start: Start) -> None:
    elsewhere = start()
    target = f"{elsewhere.api.base_url}/elsewhere"
    client = start(faults=[Fault("redirect", value=target)])
    answer = client.get(CAMPAIGNS, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, target)
    client.get(CAMPAIGNS)
    assert elsewhere.api.log.count_by_path()["/elsewhere"] == 1


def test_times(start: Start) -> None:
    fault = Fault("status", value=500, times=2)
    client = start(faults=[fault])
    assert [client.get(CAMPAIGNS).status_code for _ in range(4)] == [500, 500, 200, 200]
    assert fault.hits == 2


def test_the_first_fault_that_matches_hits(start: Start) -> None:
    client = start(faults=[Fault("status", value=500, times=1), Fault("status", value=502)])
    assert [client.get(CAMPAIGNS).status_code for _ in range(2)] == [500, 502]
    client.api.behaviour.faults.clear()
    assert client.get(CAMPAIGNS).status_code == 200


def test_a_fault_hits_only_what_would_have_succeeded(start: Start) -> None:
    fault = Fault("status", value=500, times=1)
    client = start(faults=[fault])
    assert client.get("/v1/nobody/campaigns/").status_code == 404
    assert client.get(CAMPAIGNS, headers={"Authorization": "Bearer x"}).status_code == 401
    assert fault.hits == 0
    assert client.get(CAMPAIGNS).status_code == 500


@pytest.mark.parametrize(
    ("glob", "path", "hit"),
    [
        ("*", CAMPAIGNS, True),
        ("*", "/oauth/token", False),
        ("/oauth/token", "/oauth/token", True),
        ("/oauth/token", CAMPAIGNS, False),
        (f"/v1/{FIRST}/*", CAMPAIGNS, True),
        (f"/v1/{FIRST}/*", "/v1/globex-0002-sc/campaigns/", False),
        ("/v1/*/campaigns/", CAMPAIGNS, True),
        ("/v1/*/campaigns/", CAMPAIGNS[:-1], True),
        ("/v1/*/campaigns", CAMPAIGNS, True),
        ("/v1/*/campaigns/", f"{CAMPAIGNS}1/items/", False),
        ("/v1/*/campaigns/*/items/", f"{CAMPAIGNS}1/items/", True),
    ],
)
def test_globs(glob: str, path: str, hit: bool) -> None:
    assert Fault("reset", path=glob).matches(path) is hit


def test_a_glob_knows_no_prefix_and_no_quotes(start: Start) -> None:
    client = start(prefix="/api", faults=[Fault("status", path="/v1/o'neil /*", value=500)])
    client.api.data.add_account("o'neil ")
    assert client.get("/v1/o%27neil%20/campaigns/").status_code == 500


def test_faults_of_the_token_endpoint() -> None:
    with SampleApi() as api:
        api.behaviour.faults.append(Fault("status", path="/oauth/token", times=1, value=503))
        client = Client(api)
        assert [client.ask_token().status_code for _ in range(2)] == [503, 200]


@pytest.mark.parametrize(
    ("text", "kind", "value", "path", "times"),
    [
        ("reset", "reset", None, "*", None),
        ("reset*3", "reset", None, "*", 3),
        ("status=503", "status", 503, "*", None),
        ("status=503*2", "status", 503, "*", 2),
        ("status=503@/v1/*/campaigns/*2", "status", 503, "/v1/*/campaigns/", 2),
        ("hang@/v1/a/*", "hang", None, "/v1/a/*", None),
        ("hang=0.5@/v1/a/**1", "hang", 0.5, "/v1/a/*", 1),
        ("slow_drip@*/items/", "slow_drip", 0.5, "*/items/", None),
        ("redirect=http://u@h:1/x?a=b@/v1/a*4", "redirect", "http://u@h:1/x?a=b", "/v1/a", 4),
    ],
)
def test_parsing(text: str, kind: str, value: FaultValue, path: str, times: int | None) -> None:
    fault = Fault.parse(text)
    assert (fault.kind, fault.value, fault.path, fault.times) == (kind, value, path, times)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault.parse("sttus=503"), "unknown fault 'sttus': one of status, html_status"),
        (lambda: Fault.parse("status"), "'status' needs a value"),
        (lambda: Fault.parse("status=many"), "'status' cannot take 'many'"),
        (lambda: Fault.parse("reset=1"), "'reset' takes no value"),
        (lambda: Fault.parse("reset@v1"), "write KIND"),
        (lambda: Fault.parse(""), "write KIND"),
        (lambda: Fault("redirect"), "'redirect' needs a value"),
    ],
)
def test_faults_that_cannot_be(make: Callable[[], Fault], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        make()
