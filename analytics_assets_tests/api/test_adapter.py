"""One attempt: it waits for its pace and a place, is counted, and lets whole answers through."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response

from analytics_assets.api import adapter as adapter_module
from analytics_assets.api.adapter import ApiAdapter
from analytics_assets.api.announced import Quota
from analytics_assets.api.answers import InvalidAnswer
from analytics_assets.api.paths import Asked
from analytics_assets.api.request_counts import RequestsByAccount
from analytics_assets.api.transport import BoundedAdapter
from analytics_assets.errors import ReadError
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.quotas import rate_of
from analytics_assets_tests.testing.reading import UNREACHABLE

LIST = b'{"results": []}'
CAMPAIGNS = "/v1/acme/campaigns/"


def request_of(path: str = CAMPAIGNS) -> PreparedRequest:
    return requests.Request("GET", f"http://api{path}").prepare()


def answer(request: PreparedRequest, status: int = 200, body: bytes = LIST, **headers: str) -> Any:
    response = Response()
    response.status_code, response._content, response.request = status, body, request
    response.url = str(request.url)
    response.headers.update(headers)
    return response


@dataclass
class PaceStub:
    """A pace that is open, or closed for the first looks at it."""

    closed_looks: int = 0
    asks_at: list[float] = field(default_factory=list)
    accepts: int = 0
    dones: int = 0
    tells: int = 0
    quotas: Sequence[Quota] = ()
    refusals: list[float | None] = field(default_factory=list)
    given_up_after: list[int] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        self.closed_looks -= 1
        return self.closed_looks >= 0

    @property
    def has_accepted(self) -> bool:
        return self.accepts > 0

    @property
    def waits(self) -> int:
        return len(self.asks_at)

    def wait(self, stopped: threading.Event, rank: int, *, asks_at: float) -> float:
        self.asks_at.append(asks_at)
        return 0.5

    def done(self) -> None:
        self.dones += 1

    def accepted(self, sent_at: float, quotas: Sequence[Quota]) -> None:
        assert 0 < sent_at <= time.monotonic()
        self.accepts += 1
        self.quotas = quotas

    def refused(self, sent_at: float, retry_after: float | None, quotas: Sequence[Quota]) -> None:
        self.refusals.append(retry_after)
        self.quotas = quotas

    def given_up(self, refusals: int, refused_at: float) -> None:
        assert 0 < refused_at <= time.monotonic()
        self.given_up_after.append(refusals)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> PaceStub:
    pace = PaceStub()

    def told(*_: object) -> PaceStub:
        pace.tells += 1
        return pace

    monkeypatch.setattr("analytics_assets.api.adapter.Paces.of", lambda *_: pace)
    monkeypatch.setattr("analytics_assets.api.adapter.Paces.told", told)
    return pace


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[PreparedRequest], Any]], None]:
    """Lets a function stand in for the network; it gives an answer, or one and its delay."""

    def serve(function: Callable[[PreparedRequest], Any]) -> None:
        def attempt(_: BoundedAdapter, request: PreparedRequest, **__: Any) -> Any:
            found = function(request)
            return found if isinstance(found, tuple) else (found, None)

        monkeypatch.setattr(BoundedAdapter, "attempt", attempt)

    return serve


@pytest.fixture
def counted() -> Iterator[Any]:
    by_account = RequestsByAccount()
    with by_account.counting("acme") as requests_of_account:
        yield by_account, requests_of_account


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long requests rest before they are sent again, which they do not here."""
    rests: list[float] = []
    monkeypatch.setattr(
        adapter_module, "_rest", lambda seconds, _: rests.append(seconds) if seconds else None
    )
    return rests


def test_an_attempt_is_counted_for_its_account(
    pace: PaceStub, answers, counted, rests: list[float]
) -> None:
    by_account, acme = counted
    adapter = ApiAdapter(replace(UNREACHABLE, backoff_factor=2.0), by_account)
    request = request_of()
    answers(lambda request: answer(request, 503))
    adapter.send(request)
    adapter.send(request)  # dlt's client repeats the same request
    adapter.send(request_of("/v1/globex/campaigns/"))
    counts = acme.of("campaigns")
    assert (counts.requests, counts.retries, counts.throttled) == (2, 1, 1.0)
    assert counts.started <= counts.ended
    assert list(acme.by_resource) == ["campaigns"]
    [rest] = rests
    assert 2.0 <= rest < 3.0


def test_an_attempt_that_fails_has_ended_and_names_its_request(
    pace: PaceStub, answers, counted
) -> None:
    by_account, acme = counted
    adapter = ApiAdapter(replace(UNREACHABLE, workers=1), by_account)

    def lose(_: PreparedRequest) -> None:
        raise requests.ConnectionError("lost")

    answers(lose)
    for _ in range(2):  # the place is free again
        request = request_of()
        with pytest.raises(requests.ConnectionError) as caught:
            adapter.send(request)
        assert caught.value.request is request
    assert acme.of("campaigns").ended is not None
    assert (pace.accepts, pace.refusals) == (0, [])


@pytest.mark.parametrize("status", [200, 201, 206, 299])
def test_every_success_is_judged(pace: PaceStub, answers, counted, status: int) -> None:
    adapter = ApiAdapter(UNREACHABLE, counted[0])
    answers(lambda request: answer(request, status))
    assert adapter.send(request_of()).json() == {"results": []}
    answers(lambda request: answer(request, status, b"{}"))
    with pytest.raises(InvalidAnswer, match=f"answers {status} without a list"):
        adapter.send(request_of())
    assert pace.tells == 2


@pytest.mark.parametrize("status", [199, 300, 302, 400, 429, 500])
def test_what_is_no_success_is_for_others_to_judge(
    pace: PaceStub, answers, counted, status: int
) -> None:
    answers(lambda request: answer(request, status, b"no JSON"))
    assert ApiAdapter(UNREACHABLE, counted[0]).send(request_of()).status_code == status
    assert pace.tells == 0


@pytest.mark.parametrize("asked", [7.5, None])
def test_a_refusal_closes_the_pace(pace: PaceStub, answers, counted, asked: float | None) -> None:
    adapter = ApiAdapter(UNREACHABLE, counted[0])
    answers(lambda request: (answer(request, 429), asked))
    adapter.send(request_of())
    assert (pace.refusals, pace.accepts) == ([asked], 0)
    answers(lambda request: answer(request, 503))
    adapter.send(request_of())
    assert (pace.refusals, pace.accepts) == ([asked], 1)


@pytest.mark.parametrize("asked", [7.5, None])
def test_a_request_that_is_refused_goes_back_to_the_pace_which_knows_when(
    pace: PaceStub, answers, counted, rests: list[float], asked: float | None
) -> None:
    adapter = ApiAdapter(replace(UNREACHABLE, backoff_factor=2.0), counted[0])
    named: Any = {} if asked is None else {"Retry-After": "8"}
    answers(lambda request: (answer(request, 429, **named), asked))
    for request in 3 * [request_of()]:
        adapter.send(request)
    # nothing tells yet that it is about a quota
    least = [8, 8] if asked else [2, 4]
    assert all(0 <= rest - seconds < 1 for rest, seconds in zip(rests, least, strict=True))
    rests.clear()
    answers(answer)
    adapter.send(request_of())
    answers(lambda request: (answer(request, 429, **named), asked))
    for request in 3 * [request_of()]:
        adapter.send(request)
    assert rests == []


def test_what_fails_rests_ever_longer(pace: PaceStub, answers, counted, rests: list[float]) -> None:
    settings = replace(UNREACHABLE, backoff_factor=2.0, max_retry_delay=5.0)
    adapter, request = ApiAdapter(settings, counted[0]), request_of()
    answers(lambda request: answer(request, 503))
    for _ in range(5):
        adapter.send(request)
    assert all(0 <= rest - least < 1 for rest, least in zip(rests, [2, 4, 5, 5], strict=True))


def test_nobody_rests_when_the_run_is_stopped(pace: PaceStub, answers) -> None:
    by_account, stopped, request = RequestsByAccount(), threading.Event(), request_of()
    stopped.set()
    answers(lambda request: answer(request, 503))
    adapter = ApiAdapter(replace(UNREACHABLE, backoff_factor=3600.0), by_account)
    with by_account.counting("acme", stopped):
        for _ in range(2):
            adapter.send(request)


def test_who_asks_whether_the_api_is_open(pace: PaceStub, answers, counted) -> None:
    adapter = ApiAdapter(replace(UNREACHABLE, max_retries=3, backoff_factor=2.0), counted[0])
    pace.accepts, begun = 1, time.monotonic()
    answers(lambda request: answer(request, 429))
    request = request_of()
    for _ in range(4):
        adapter.send(request)
    # who was refused twice leaves it to others for a while, and the last attempt always does
    assert [pace.asks_at[0], pace.asks_at[1], pace.asks_at[3]] == [-math.inf, -math.inf, math.inf]
    assert 4 <= pace.asks_at[2] - begun < 5
    adapter, request = ApiAdapter(UNREACHABLE, counted[0]), request_of()
    named: Any = {"Retry-After": "8"}
    answers(lambda request: answer(request, 429, **named))
    pace.asks_at.clear()
    for _ in range(3):
        adapter.send(request)
    assert pace.asks_at == 3 * [-math.inf]


def test_the_pace_hears_of_a_request_that_is_given_up(pace: PaceStub, answers, counted) -> None:
    adapter = ApiAdapter(replace(UNREACHABLE, max_retries=3, backoff_factor=0.001), counted[0])
    for statuses, refusals in (([429] * 4, [4]), ([503, 429, 503, 429], [2]), ([429, 200], [])):
        request, left = request_of(), iter(statuses)
        answers(lambda request, left=left: answer(request, next(left)))
        for _ in statuses:
            adapter.send(request)
        assert pace.given_up_after == refusals
        pace.given_up_after.clear()


def test_a_list_that_is_refused_for_itself_slows_no_other(answers, counted) -> None:
    adapter, refused = ApiAdapter(UNREACHABLE, counted[0]), request_of("/v1/acme/audiences/")
    answers(lambda each: (answer(each, 429), 0.01) if each is refused else answer(each))
    for _ in range(UNREACHABLE.max_retries + 1):
        adapter.send(request_of())
        adapter.send(refused)
    assert rate_of(adapter._paces.of(Asked("campaigns", "acme"))) is None


@pytest.mark.parametrize("status", [200, 429, 503])
def test_the_pace_hears_what_the_headers_tell(
    pace: PaceStub, answers, counted, status: int
) -> None:
    told: Any = {"Ratelimit-Policy": '"default";q=84;w=60', "ratelimit": '"default";r=50;t=30'}
    answers(lambda request: answer(request, status, **told))
    ApiAdapter(UNREACHABLE, counted[0]).send(request_of())
    assert list(pace.quotas) == [Quota("default", "", 84, 60, 50, 30)]
    assert pace.dones == 1


def test_a_request_of_another_quota_than_it_seemed_counts_for_a_window(answers, counted) -> None:
    def headers(each: PreparedRequest) -> Any:
        name = "items" if each.path_url.endswith("/items/") else "lists"
        return {"RateLimit-Policy": f'"{name}";q=2;w=0.2', "RateLimit": f'"{name}";r=1;t=0.2'}

    adapter = ApiAdapter(UNREACHABLE, counted[0])
    answers(lambda each: answer(each, **headers(each)))
    for path in (CAMPAIGNS, f"{CAMPAIGNS}1/items/"):
        adapter.send(request_of(path))
    time.sleep(0.3)
    pace = adapter._paces.of(Asked("campaign_items", "acme"))
    assert [pace._next_slot_in() > 0 for _ in range(3)] == [False, False, True]


def test_nobody_waits_for_a_quota_when_the_run_is_stopped(answers) -> None:
    by_account, stopped = RequestsByAccount(), threading.Event()
    told: Any = {"RateLimit-Limit": "84", "RateLimit-Remaining": "0", "RateLimit-Reset": "3600"}
    answers(lambda request: answer(request, **told))
    adapter = ApiAdapter(UNREACHABLE, by_account)
    with by_account.counting("acme", stopped), ThreadPoolExecutor(2) as threads:
        adapter.send(request_of())
        waiting = [threads.submit(adapter.send, request_of()) for _ in range(2)]
        pace = adapter._paces.of(Asked("campaigns", "acme"))
        wait_until(lambda: pace._queue._is_taken)
        stopped.set()
        for future in waiting:
            with pytest.raises(ReadError, match="the run was stopped"):
                future.result(timeout=5)


def test_who_gets_a_place_while_the_pace_is_closed_waits_again(
    pace: PaceStub, answers, counted
) -> None:
    by_account, acme = counted
    pace.closed_looks = 2
    answers(answer)
    ApiAdapter(UNREACHABLE, by_account).send(request_of())
    assert (pace.waits, pace.dones) == (3, 3)
    assert acme.of("campaigns").throttled == 1.5


def test_who_is_interrupted_before_there_is_a_place_is_not_in_flight(
    pace: PaceStub, answers, counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    answers(answer)
    adapter = ApiAdapter(UNREACHABLE, counted[0])
    monkeypatch.setattr(type(adapter._in_flight), "__enter__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapter.send(request_of())
    assert pace.dones == 1


def test_a_resource_that_alone_is_refused_has_a_pace_of_its_own(answers, counted) -> None:
    adapter, refused = ApiAdapter(UNREACHABLE, counted[0]), "/v1/acme/campaigns/1/items/"
    answers(lambda each: (answer(each, 429), 0.0) if each.path_url == refused else answer(each))
    for _ in range(100):
        adapter.send(request_of())
        adapter.send(request_of(refused))
    campaigns, items = Asked("campaigns", "acme"), Asked("campaign_items", "acme", "1")
    assert adapter._paces.of(items) is not adapter._paces.of(campaigns)


def test_no_wait_after_a_refusal_is_longer_than_the_setting(answers, counted) -> None:
    adapter = ApiAdapter(replace(UNREACHABLE, max_retry_delay=0.1), counted[0])
    answers(lambda request: answer(request, 429))
    adapter.send(request_of())
    assert 0 < adapter._paces.of(Asked("campaigns", "acme"))._next_slot_in() <= 0.1


def test_no_more_requests_are_in_flight_than_there_are_workers(
    pace: PaceStub, answers, counted
) -> None:
    adapter, goes_on = ApiAdapter(replace(UNREACHABLE, workers=2), counted[0]), threading.Event()
    in_flight: list[int] = []

    def hang(request: PreparedRequest) -> Any:
        in_flight.append(1)
        goes_on.wait(5)
        return answer(request)

    answers(hang)
    with ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(adapter.send, request_of()) for _ in range(4)]
        wait_until(lambda: pace.waits == 4)
        wait_until(lambda: len(in_flight) == 2)
        assert not any(future.done() for future in sent)
        assert not adapter._in_flight.acquire(blocking=False)
        goes_on.set()
        assert [future.result().status_code for future in sent] == [200] * 4


@pytest.mark.parametrize(("scope", "is_shared"), [("client", True), ("account", False)])
def test_accounts_share_a_pace_if_they_share_the_quota(
    counted, scope: Any, is_shared: bool
) -> None:
    settings = replace(UNREACHABLE, quota_scope=scope, max_requests_per_second=5.0)
    paces = ApiAdapter(settings, counted[0])._paces
    first, second = (paces.of(Asked("campaigns", account)) for account in ("acme", "globex"))
    assert (first is second) == is_shared
    assert rate_of(first) == 5.0
