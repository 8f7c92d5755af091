"""What is a list and what is not, and what people are told: clean, short, and no secret."""

from __future__ import annotations

import json
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response

from analytics_assets.api.answers import InvalidAnswer, described, keep_answer
from analytics_assets.api.client import ApiClient, make_client
from analytics_assets.errors import AnalyticsError, ReadError
from analytics_assets.redaction import basic
from analytics_assets.settings import ApiSettings

ID, SECRET, TOKEN = "cid-7", "p@ss/w+rd &\"é'=", "tok-4711-abc"


def answer(body: Any, status: int = 200, path: str = "/v1/list") -> Response:
    response = Response()
    response.status_code = status
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers["Content-Type"] = "application/json"
    response.request = PreparedRequest()
    response.request.prepare("GET", f"http://api{path}")
    return response


def client(base_url: str = "http://api", name: str = ID, secret: str = SECRET) -> ApiClient:
    settings = ApiSettings(
        base_url=base_url,
        token_url=f"{base_url}/oauth/token",
        client_id=name,
        client_secret=secret,
        backoff_factor=0.0,
        max_retries=0,
        workers=8,
    )
    made = make_client(settings)
    made.auth.token.known.append(TOKEN)
    return made


@pytest.mark.parametrize("status", [200, 201, 203, 206, 226, 299])
@pytest.mark.parametrize("extra", [{}, {"errors": []}, {"error": None}, {"errors": {"n": 0}}])
def test_a_list(status: int, extra: dict[str, Any]):
    response = answer({"results": [{"id": 1}], **extra}, status)
    keep_answer(response)
    assert response.json()["results"] == [{"id": 1}]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (202, {"results": []}, "answers 202 to say that it has no answer yet"),
        (202, {"status": "pending"}, "answers 202 without a list of `results`"),
        (204, b"", "answers 204 with an empty body, not JSON"),
        (205, b" \r\n", "answers 205 with an empty body, not JSON"),
        (206, b'{"results": [{"x": 1e400}]}', "answers 206 with the number 1e400"),
        (203, b'{"results": [{"x": -Infinity}]}', "answers 203 with the number -Infinity"),
        (201, {"results": [7]}, "answers 201 with a int where a row should be"),
        (299, {"result": []}, "answers 299 without a list of `results`"),
        (200, b"[" * 100_000, "answers 200 with a body of type application/json, not JSON"),
        (
            200,
            {"results": [], "errors": [{"message": "shard 3 is away"}]},
            "answers 200 with an error in it: shard 3 is away",
        ),
        (
            200,
            {"results": [{"id": 1}], "error": {"code": 17}},
            'answers 200 with an error in it: {"code":17}',
        ),
        (200, {"results": [], "error": "no such table"}, "with an error in it: no such table"),
        (
            200,
            {"results": [], "http_status": 503, "message": "try later"},
            "answers 200 with the error 503 in it: try later",
        ),
        (200, {"error": "x", "error_description": "y"}, "without a list of `results`: x: y"),
    ],
)
def test_no_list(status: int, body: Any, said: str):
    with pytest.raises(InvalidAnswer) as caught:
        keep_answer(answer(body, status))
    message = client().describe(caught.value)
    assert message.startswith("GET /v1/list answers ")
    assert said in message
    assert caught.value.status == status


REDIRECTS = {
    "without a target": (302, None),
    "with an empty target": (301, ""),
    "not modified": (304, None),
    "several choices": (300, None),
    "in a circle": (307, "/v1/list"),
    "to another scheme": (302, "ftp://api/list"),
    "to no host": (302, "http://"),
    "to nonsense": (302, "http://[::1"),
    "to an odd port": (302, "http://api:99999999/"),
    "to no text": (302, "/\xff\xfe"),
}


@pytest.mark.parametrize(("status", "target"), REDIRECTS.values(), ids=REDIRECTS)
def test_a_redirect_that_leads_nowhere(status: int, target: str | None):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            if target is not None:
                self.send_header("Location", target)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises((ReadError, requests.RequestException)) as caught:
            client(url).session.get(f"{url}/v1/list")
        server.shutdown()
    message = client().describe(caught.value)
    assert message == (
        f"GET /v1/list answers {status}, a redirect that leads nowhere: check"
        " SOURCES__ANALYTICS__BASE_URL"
    )
    assert len(asked) <= 11


def test_an_error_of_a_library_shows_none_of_its_objects():
    error = RuntimeError(f"extraction in {object()!r}")
    error.__cause__ = KeyError("results")
    assert client().describe(error) == "unexpected KeyError: 'results'"


def told(body: Any, status: int = 403) -> str:
    """The line that people read of an error with that body."""
    return client().describe(requests.HTTPError(response=answer(body, status)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"http_status": 403, "message": "Not yours."}, "Not yours."),
        ({"message": {"code": 7, "text": None}}, '{"code":7,"text":null}'),
        ({"error": {"message": "nested"}}, "nested"),
        ({"errors": [{"code": 1}, {"message": "second"}]}, "second"),
        ({"error": "invalid_scope", "error_description": "scope missing"}, None),
        ("only text", "only text"),
        ({"detail": "the detail"}, "the detail"),
    ],
)
def test_what_the_api_says(body: Any, said: str | None):
    said = said or "invalid_scope: scope missing"
    assert told(body) == f"GET /v1/list answers 403: {said}"


@pytest.mark.parametrize("body", [{}, [], {"message": ""}, 7, b"<html>", {"error": None}])
def test_an_error_that_says_nothing(body: Any):
    assert told(body) == "GET /v1/list answers 403 with a body of type application/json"


CONTROL = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0x200F, 0xD800)


def test_control_characters_do_not_reach_a_terminal():
    text = "red \x1b[31malert\x1b[0m \x9b2J\x07 bell\r\nover\b\b\x00 \u202eback \ud83d half"
    assert told({"message": text}).endswith(": red [31malert[0m 2J bell over back \ufffd half")
    for code in CONTROL:
        assert chr(code) not in told({"message": f"a{chr(code)}b"})


@pytest.mark.parametrize("secret", [SECRET, TOKEN, ID])
@pytest.mark.parametrize("before", [0, 150, 190, 197, 199, 300])
def test_a_message_is_cut_when_it_is_clean(secret: str, before: int):
    line = told({"message": f"{'x' * before} {secret} is wrong"})
    assert len(line) <= 250
    assert not any(secret[:length] in line for length in range(3, len(secret)))


def test_a_secret_with_control_characters_within():
    hidden = told({"message": f"no such secret: {SECRET[:5]}\x1b{SECRET[5:]}"})
    assert hidden.endswith("no such secret: ***")


@pytest.mark.parametrize("before", [185, 190, 195])
def test_such_a_secret_where_the_message_is_cut(before: int):
    hidden = told({"message": f"{'x' * before} {SECRET[:5]}\x1b{SECRET[5:]}"})
    assert "p@s" not in hidden


def test_what_a_client_hides():
    forms = (b64encode(text.encode()).decode().rstrip("=") for text in basic(ID, SECRET))
    for text in (SECRET, TOKEN, ID, *forms):
        assert client().redact(f"before {text} after") == "before *** after"


def test_a_secret_from_a_file_is_hidden_without_its_line_break():
    assert client(secret="sesame-4711\n").redact("secret sesame-4711.") == "secret ***."


def test_our_own_errors_are_clean_too():
    error = AnalyticsError(f"sends the row {TOKEN}\x1b[2J on two pages")
    assert described(error, client().redact) == "sends the row ***[2J on two pages"
