"""Small pure pieces, tried with whatever an API may send."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from analytics_assets.api import adapter, pace
from analytics_assets.api.client import make_client
from analytics_assets.api.transport import BoundedAdapter, retry_after
from analytics_assets_tests.testing.quotas import Clock
from analytics_assets_tests.testing.reading import UNREACHABLE

# a busy machine is no failure
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DATES = st.datetimes(timezones=st.just(timezone.utc)).map(
    lambda moment: format_datetime(moment, usegmt=True)
)
NUMBERS = st.integers(-(10**30), 10**30).map(str) | st.floats().map(str)
DATE_LIKE = st.builds(
    "{} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Sun,", "Mon,", "Someday,", ""]),
    st.integers(-1, 10**12),
    st.sampled_from(["Jan", "Feb", "Dec", "Nope"]).flatmap(
        lambda month: st.integers(-1, 10**12).map(lambda year: f"{month} {year}")
    ),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["GMT", "-0000", "+2359", "+9999", "-99999999", ""]),
)
# what `requests` hands over as a header
RUBBISH = st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n\0"))
HEADERS = DATES | NUMBERS | DATE_LIKE | RUBBISH
RUBBISH_EXAMPLES = [
    "",
    " ",
    "-5",
    "soon",
    "1e400",
    "9" * 400,
    "9" * 5000,
    "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT",
    "Mon, 01 Jan 99999 00:00:00 GMT",
    "Sat, 01 Jan 0001 00:00:00 -0000",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "\u00b2",
]


@patient
@given(header=HEADERS)
@example("9" * 400)
@example("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT")
@example("Sat, 01 Jan 0001 00:00:00 -0000")
def test_retry_after_is_a_time_to_wait_or_nothing(header: str):
    seconds = retry_after(header)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@patient
@given(seconds=st.integers(0, 10**9))
def test_retry_after_in_seconds(seconds: int):
    for form in ("{}", " {} ", "{}.0", "{} seconds", "{}s", "{0}, {0}", "{0},0", "1, {0}.0 , 0"):
        assert retry_after(form.format(seconds)) == max(seconds, form.startswith("1"))


@pytest.mark.parametrize(
    "header",
    ["", " ", "-1", "-1, 8", "8, soon", "8 minutes", "8 apples", "soon", "inf", "NaN", "8,"],
)
def test_what_cannot_be_read_is_as_no_header(header: str):
    assert retry_after(header) is None


@patient
@given(seconds=st.integers(-(10**6), 10**9))
def test_retry_after_as_a_date(seconds: int):
    before = datetime.now(timezone.utc)
    moment = before.replace(microsecond=0) + timedelta(seconds=seconds)
    waited = retry_after(format_datetime(moment, usegmt=True))
    assert waited is not None
    longest = max((moment - before).total_seconds(), 0)
    shortest = max((moment - datetime.now(timezone.utc)).total_seconds(), 0)
    assert shortest - 0.001 <= waited <= longest + 0.001


@pytest.mark.parametrize("header", RUBBISH_EXAMPLES)
def test_a_refusal_with_any_header_is_tried_again(monkeypatch, header: str):
    sent = []

    def send(self, request, **kwargs):
        sent.append(request)
        answer = response(request, {"results": []})
        if len(sent) == 1:
            answer.status_code = 429
            answer.headers["Retry-After"] = header
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    api = replace(UNREACHABLE, max_retry_delay=0.0)
    assert make_client(api).session.get("http://api/v1/list").status_code == 200
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", None),  # which would have it asked again and again
        ("0.0", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("soon", None),
        ("0.5", 0.5),
        ("2", 2),
        ("3600", 120),
    ],
)
def test_what_a_refusal_asks_to_wait(monkeypatch, header: str, seconds: float | None):
    def send(self, request, **kwargs):
        answer = response(request, {})
        answer.headers["Retry-After"] = header
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    request = requests.Request("GET", "http://api/v1/list").prepare()
    answer, delay = BoundedAdapter(replace(UNREACHABLE, max_retry_delay=120.0)).attempt(request)
    assert delay == seconds
    assert ("Retry-After" in answer.headers) == (seconds is not None)


BACKOFF = replace(UNREACHABLE, max_retries=2, backoff_factor=2.0, max_retry_delay=20.0)


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """How long requests wait before they are sent again, but for what the pace has them wait."""
    slept: list[float] = []

    def sleep(seconds: float, *_: object) -> None:
        if seconds:
            slept.append(seconds)

    # of dlt's client alone: a server's thread may sleep, too
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("analytics_assets.api.adapter._rest", sleep)
    monkeypatch.setattr("analytics_assets.api.adapter._JITTER", 0.0)
    clock = Clock()  # what the pace waits for takes no time
    for module in (adapter, pace):
        monkeypatch.setattr(module, "time", clock)
    return slept


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "waits"),
    [
        (None, [2, 4]),
        ("-1", [2, 4]),
        ("0", [2, 4]),
        ("soon", [2, 4]),
        ("8 minutes", [2, 4]),
        ("3", [3, 3]),
        ("3.0", [3, 3]),
        ("2.5", [3, 3]),
        ("3 seconds", [3, 3]),
        ("3, 1", [3, 3]),
        ("99", [20, 20]),
    ],
)
def test_how_long_is_waited(
    monkeypatch, slept: list[float], status: int, header: str | None, waits: list[int]
):
    def send(self, request, **kwargs):
        answer = response(request, {})
        answer.status_code = status
        if header is not None:
            answer.headers["Retry-After"] = header
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    client = make_client(BACKOFF)
    assert client.session.get("http://api/v1/list").status_code == status
    assert slept == waits

    # token requests wait likewise
    slept.clear()
    assert client.auth.session.post("http://api/oauth/token").status_code == status
    assert slept == waits


@pytest.mark.parametrize("header", [None, "0", "3"])
def test_a_refusal_about_a_quota_is_left_to_the_pace(
    monkeypatch, slept: list[float], header: str | None
):
    statuses = iter([200, 429, 429, 200])

    def send(self, request, **kwargs):
        answer = response(request, {"results": []})
        answer.status_code = next(statuses)
        if header is not None and answer.status_code == 429:
            answer.headers["Retry-After"] = header
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    client = make_client(BACKOFF)
    for _ in range(2):
        assert client.session.get("http://api/v1/list").status_code == 200
    assert next(statuses, None) is None
    assert slept == []


def response(request: requests.PreparedRequest, body: Mapping[str, Any]) -> requests.Response:
    answer = requests.Response()
    answer.status_code = 200
    answer.request = request
    answer.url = str(request.url)
    encoded = io.BytesIO(json.dumps(body).encode())
    answer.raw = urllib3.HTTPResponse(encoded, preload_content=False)
    return answer
