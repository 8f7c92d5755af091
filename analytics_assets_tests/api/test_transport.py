"""Waiting is bounded: an attempt as a whole has a deadline, and an answer a ceiling."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import pytest
import requests

from analytics_assets.api.client import ApiClient, make_client
from analytics_assets.api.doctor import ask
from analytics_assets.errors import CredentialsError, ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import ApiSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = b'{"results": [{"id": 1}], "metadata": {}}'
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY

Answer = Callable[[], Iterator[bytes]]


class Raw:
    """A server that sends just these bytes to each request, as they come."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests = 0
        self.sent = 0
        self.lost = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(2**16):
                if not data.startswith((b"GET ", b"POST ")):
                    continue  # the body of the request, which may come by itself
                self.requests += 1
                for part in self.answer():
                    connection.sendall(part)
                    self.sent += len(part)
        self.lost.set()

    def close(self) -> None:
        self._listener.close()


def dripping(head: bytes, tail: bytes, pause: float = 0.02) -> Answer:
    def answer() -> Iterator[bytes]:
        yield head
        for octet in tail:
            time.sleep(pause)
            yield bytes([octet])

    return answer


def endless(head: bytes, part: bytes) -> Answer:
    return lambda: chain([head], repeat(part))


DRIPS = {
    "status line": dripping(b"", b"HTTP/1.1 200 " + b"O" * 60_000),
    "headers": dripping(OK + b"X: ", b"x" * 60_000),
    "more headers": dripping(OK, b"A: b\r\n" * 10_000),
    "body with a length": dripping(OK + b"Content-Length: 100000\r\n\r\n", b" " * 100_000),
    "body until the end": dripping(OK + b"\r\n", b" " * 100_000),
    "chunks": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
    "length of a chunk": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 60_000),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
    "compressed": dripping(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 99999\r\n\r\n", gzip.compress(BODY) * 999
    ),
}


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Raw]]:
    servers: list[Raw] = []

    def start(answer: Answer) -> Raw:
        servers.append(Raw(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def settings(server: Raw, **values: Any) -> ApiSettings:
    needed = ApiSettings(
        base_url=server.url,
        token_url=f"{server.url}/oauth/token",
        client_id="id",
        client_secret="secret",
        backoff_factor=0.0,
        max_retries=1,
        attempt_timeout=0.3,
        max_answer_bytes=100_000,
        workers=8,
    )
    return replace(needed, **values)


def failure(client: ApiClient, url: str) -> str:
    with pytest.raises((requests.RequestException, ReadError)) as caught:
        client.session.get(f"{url}/v1/list")
    return client.describe(caught.value)


@pytest.mark.parametrize("answer", DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips(serve, answer: Answer):
    server = serve(answer)
    # each byte comes long before the timeout
    message = failure(make_client(settings(server, timeout=60.0)), server.url)
    assert message.startswith("GET /v1/list: no answer in time (127.0.0.1:")
    assert server.requests == 2
    assert server.lost.wait(10)  # the connection is not kept


def stops_until(goes_on: threading.Event) -> Answer:
    """An answer whose last byte is late, by as long as it takes in any case."""

    def answer() -> Iterator[bytes]:
        yield WHOLE[:-1]
        goes_on.wait(20)
        yield WHOLE[-1:]

    return answer


def test_an_answer_that_stops(serve):
    server = serve(stops_until(goes_on := threading.Event()))
    # the deadline comes long before the timeout
    message = failure(make_client(settings(server, timeout=60.0, max_retries=0)), server.url)
    goes_on.set()
    assert "no answer in time" in message


def test_a_wait_for_the_next_byte_ends_before_the_attempt_does(serve):
    server = serve(stops_until(goes_on := threading.Event()))
    patient = settings(server, timeout=0.1, attempt_timeout=60.0, max_retries=0)
    message = failure(make_client(patient), server.url)
    goes_on.set()
    assert "no answer in time" in message


@pytest.mark.parametrize("status", [b"206 Partial Content", b"203 Other", b"201 Created"])
def test_every_success_is_judged(serve, status: bytes):
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 31\r\n\r\n"
    server = serve(lambda: iter([head + b'{"results": [{"spent": 1e400}]}']))
    message = failure(make_client(settings(server, max_retries=0)), server.url)
    assert message.startswith(f"GET /v1/list answers {status.split()[0].decode()} with the number")


def test_the_token_drips(serve):
    server = serve(DRIPS["headers"])
    client = make_client(settings(server, max_retries=0))
    with pytest.raises(CredentialsError, match="no answer from the token URL"):
        requests.Request("GET", server.url, auth=client.auth).prepare()


def test_a_connection_that_is_kept_has_its_whole_time_again(serve):
    server = serve(lambda: iter([WHOLE]))
    client = make_client(settings(server))
    for _ in range(3):
        assert client.session.get(f"{server.url}/v1/list").json()["results"] == [{"id": 1}]
        time.sleep(0.15)  # three of them are longer than an attempt


def zeros(size: int) -> bytes:
    return b'{"results": [], "x": "' + b"0" * size + b'"}'


HEAVY = {
    "length": endless(OK + b"Content-Length: 99999999999\r\n\r\n", b" " * 10_000),
    "until the end": endless(OK + b"\r\n", b" " * 10_000),
    "chunks": endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2710\r\n" + b" " * 10_000 + b"\r\n"
    ),
    "an error": endless(b"HTTP/1.1 500 Oh\r\n\r\n", b" " * 10_000),
    "compressed": lambda: iter(
        [OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(zeros(400_000_000), 1)]
    ),
}


@pytest.mark.parametrize("answer", HEAVY.values(), ids=HEAVY)
def test_an_answer_that_is_too_long(serve, answer: Answer):
    server = serve(answer)
    client = make_client(settings(server, attempt_timeout=60.0))
    message = failure(client, server.url)
    assert message.startswith(
        "GET /v1/list answers with more than 100,000 bytes:"
        " set SOURCES__ANALYTICS__MAX_ANSWER_BYTES higher if that is right"
    )
    # it would be as long the next time
    assert server.requests == 1


def test_the_ceiling_is_that_of_what_is_inflated(serve):
    body = zeros(100_000 - len(zeros(0)))
    packed = gzip.compress(body)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server = serve(lambda: iter([head + packed]))
    client = make_client(settings(server, attempt_timeout=60.0))
    assert client.session.get(f"{server.url}/v1/list").content == body
    client = make_client(settings(server, attempt_timeout=60.0, max_answer_bytes=len(body) - 1))
    assert "answers with more than 99,999 bytes" in failure(client, server.url)


def test_an_answer_is_forgotten_with_whoever_asked(serve):
    server = serve(lambda: iter([WHOLE]))
    client = make_client(settings(server))
    gc.disable()  # it goes by itself, not when somebody looks for cycles
    try:
        answer = weakref.ref(client.session.get(f"{server.url}/v1/list"))
        assert answer() is None
    finally:
        gc.enable()


def test_the_doctor_says_so(serve):
    token = b'{"access_token": "tok"}'
    answers = [
        OK + b"Content-Length: %d\r\n\r\n" % len(token) + token,
        OK + b"Content-Length: 200000\r\n\r\n" + b" " * 200_000,
    ]
    server = serve(lambda: iter([answers.pop(0)]))
    found = ask(make_client(settings(server)), RESOURCES["accounts"])
    assert found.rows is None
    assert "answers with more than 100,000 bytes" in found.line
