"""What `analytics-assets doctor` finds at the API."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from analytics_assets.api import doctor as questions
from analytics_assets.api.client import ApiClient
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.doctor import (
    CHILDREN,
    ENDPOINTS,
    SECRET,
    failed,
    skipped,
)
from analytics_assets_tests.testing.reports import CAMPAIGNS


def test_an_account_without_campaigns(doctor, api: SampleApi):
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("empty_results", "/v1/*/campaigns/"))
    checks = doctor()
    assert (failed(checks), skipped(checks)) == ([], [f"endpoint {name}" for name in CHILDREN])
    for name in CHILDREN:
        assert f"{account} has no campaigns" in checks[f"endpoint {name}"]["detail"]
        assert "--account" in checks[f"endpoint {name}"]["advice"]


def test_an_unknown_account(doctor):
    checks = doctor("--account", "acme-0001-sx")
    assert checks["account"]["detail"] == (
        "no such account: acme-0001-sx (did you mean acme-0001-sc?)"
    )
    assert (failed(checks), skipped(checks)) == (["account"], ENDPOINTS)


@pytest.mark.parametrize(
    ("fault", "detail", "advice"),
    [
        (
            Fault("html_200", "*allowed-accounts"),
            "answers 200 with an HTML page, not JSON",
            "check ",
        ),
        (Fault("no_results", "*allowed-accounts"), "without a list of `results`", "check "),
        (
            Fault("empty_results", "*allowed-accounts"),
            "answers 200, 0 rows",
            "have the API's owner",
        ),
        (Fault("status", "*allowed-accounts", value=404), "answers 404: ", "check "),
        (Fault("expired_token", "*allowed-accounts"), "answers 401: ", "have the API's owner"),
        (
            Fault("html_status", "*allowed-accounts", value=502),
            "502 with an HTML page",
            "the API is",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_no_account_list(doctor, api: SampleApi, fault: Fault, detail: str, advice: str):
    api.behaviour.faults.append(fault)
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["account list"], ENDPOINTS)
    asked = "GET /v1/users/current/allowed-accounts "
    assert checks["account list"]["detail"].startswith(asked)
    assert detail in checks["account list"]["detail"]
    assert checks["account list"]["advice"].startswith(advice)


def test_one_endpoint_that_is_refused(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("status", "/v1/*/universal_pixel/conversion_rule", value=403))
    checks = doctor()
    assert (failed(checks), skipped(checks)) == (["endpoint conversion_rules"], [])
    refused = checks["endpoint conversion_rules"]
    path = f"/v1/{api.data.account_ids[0]}/universal_pixel/conversion_rule"
    assert refused["detail"] == (f"GET {path} answers 403: Something went wrong, please try again.")
    assert refused["advice"] == "have the API's owner permit the client to read it"


def test_a_parent_that_is_refused(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("reset", "/v1/*/campaigns/"))
    checks = doctor()
    assert failed(checks) == ["endpoint campaigns"]
    assert skipped(checks) == [f"endpoint {name}" for name in CHILDREN]
    assert checks[f"endpoint {CHILDREN[0]}"]["detail"] == "needs endpoint campaigns"
    assert [fault.hits for fault in api.behaviour.faults] == [2]  # text, JSON: nothing is repeated


def test_a_quota_that_is_used_up(doctor, api: SampleApi):
    api.behaviour.faults.append(Fault("too_many_requests", "*/resources/audiences", value=3600))
    checks = doctor()
    assert failed(checks) == ["endpoint audiences"]
    assert "answers 429" in checks["endpoint audiences"]["detail"]
    assert checks["endpoint audiences"]["advice"].startswith("the quota is used up")
    # it does not wait for an hour
    assert skipped(checks) == ["endpoint audience_rules", "endpoint conversion_rules"]
    assert checks["endpoint audience_rules"]["detail"] == "needs quota"
    assert "Retry-After: " in checks["quota headers"]["detail"]


def test_quota_headers_of_answers(doctor, monkeypatch):
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"results": [{"account_id": "acme", "id": 1}]})

        def do_POST(self) -> None:
            self.answer({"access_token": SECRET, "expires_in": 60})

        def answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-RateLimit-Remaining", "41")
            self.send_header("RateLimit-Policy", f"10;w=1 for {SECRET}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SOURCES__ANALYTICS__BASE_URL", url)
        monkeypatch.setenv("SOURCES__ANALYTICS__TOKEN_URL", url)
        checks = doctor()
        server.shutdown()
    assert failed(checks) == []
    assert checks["quota headers"]["detail"] == (
        "X-RateLimit-Remaining: 41, RateLimit-Policy: 10;w=1 for ***"
    )


def test_an_api_that_repeats_the_secret(doctor, api: SampleApi, monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", SECRET)
    api.behaviour.client_secret = SECRET
    api.behaviour.faults.append(Fault("redirect", "*allowed-accounts", value=f"/{SECRET}"))
    checks = doctor()
    assert failed(checks) == ["account list"]
    assert checks["account list"]["detail"].startswith("GET /*** answers 404")


def test_a_report_is_asked_for_a_day_that_has_begun_everywhere(
    doctor, api: SampleApi, monkeypatch: pytest.MonkeyPatch
):
    class InTokyo(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            now = datetime(2026, 9, 1, 23, 30, tzinfo=timezone.utc)
            return now.astimezone(tz or ZoneInfo("Asia/Tokyo"))

    monkeypatch.setattr(questions, "datetime", InTokyo)
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", CAMPAIGNS)
    checks = doctor()
    assert failed(checks) == []
    assert "answers 200" in checks[f"endpoint {CAMPAIGNS}"]["detail"]
    asked = {entry.query for entry in api.log.entries if "/reports/" in entry.path}
    assert asked == {"start_date=2026-08-31&end_date=2026-08-31"}


def test_a_client_that_is_refused_between_two_questions(
    doctor, api: SampleApi, monkeypatch: pytest.MonkeyPatch
):
    request_token, secret = questions.request_token, api.behaviour.client_secret

    def request_the_last_token(client: ApiClient) -> None:
        api.behaviour.client_secret = secret
        request_token(client)
        api.behaviour.client_secret = "another"
        api.behaviour.faults.append(Fault("revoke_tokens"))

    monkeypatch.setattr(questions, "request_token", request_the_last_token)
    checks = doctor()
    assert failed(checks) == ["account list"]
    assert "refuses the credentials" in checks["account list"]["detail"]
    assert checks["account list"]["advice"].startswith("check SOURCES__ANALYTICS__CLIENT_ID")
