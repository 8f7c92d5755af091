"""The HTTP client: dlt's, which retries, with our adapter, which paces and checks every answer."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, SSLError, Timeout
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ReadTimeoutError

from analytics_assets.api import statistics
from analytics_assets.api.auth import SharedClientCredentials, client_credentials
from analytics_assets.api.pace import Pace, Paces
from analytics_assets.api.resources import resource_of
from analytics_assets.api.session import RETRIED_ERRORS, ApiSession
from analytics_assets.settings import ApiSettings, extract_workers

# An answer with that many digits in a row may hold an integer of more than 64 bits, which orjson
# rounds. To look for it with a regular expression takes a fifteenth of a request's time.
_LONG_NUMBER = b"0" * 19
_ZERO_FOR_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
# a refusal that names no time
_DEFAULT_RETRY_AFTER = 1.0
_LONGEST_RETRY_AFTER = 1e9
_QUOTED_LENGTH = 200
# up to this share of the backoff factor is added to the wait before a retry
_JITTER = 0.5


class InvalidAnswer(requests.RequestException):
    """An answer with status 200 that is not a whole list."""


@dataclass(frozen=True)
class Client:
    """What dlt's REST source needs to reach the API."""

    session: requests.Session
    auth: SharedClientCredentials

    def describe(self, error: BaseException) -> str:
        """One line, free of secrets, that names the request and what the API said."""
        return self.redact(" ".join(_describe(error).split()))

    def redact(self, text: str) -> str:
        """The text with `***` for the secrets that the API knows."""
        for secret in (self.auth.client_secret, self.auth.token.value):
            text = text.replace(secret, "***") if secret else text
        return text


def make_client(settings: ApiSettings) -> Client:
    """A client with a pace and a token of its own."""
    token_session = ApiSession(settings, HTTPAdapter(), RETRIED_ERRORS)
    api_session = ApiSession(settings, ApiAdapter(settings), (*RETRIED_ERRORS, InvalidAnswer))
    return Client(api_session, client_credentials(settings, token_session))


def shared_client(settings: ApiSettings) -> Client:
    """The client for the settings: all workers and runs of a process share its pace and token."""
    key = (*settings.items(), extract_workers())
    with _clients_lock:
        if key not in _clients:
            _clients[key] = make_client(settings)
        return _clients[key]


_clients: dict[tuple[Any, ...], Client] = {}
_clients_lock = threading.Lock()


class ApiAdapter(HTTPAdapter):
    """Sends a request when the pace allows, and lets only whole answers through."""

    def __init__(self, settings: ApiSettings) -> None:
        workers = extract_workers()
        super().__init__(pool_maxsize=workers)
        self._in_flight = threading.BoundedSemaphore(workers)
        self._paces = Paces(settings.quota_scope == "account", settings.max_requests_per_second)
        self._backoff_factor = settings.backoff_factor
        self._max_delay = settings.max_retry_delay
        self._pools: dict[tuple[Any, ...], ConnectionPool] = {}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Sends one attempt.

        Raises:
            InvalidAnswer: The answer has status 200 but is not a list of results.
            requests.RequestException: The request failed on its way.
        """
        reading = statistics.current()
        attempt = _next_attempt(request)
        if attempt > 1:
            # workers that failed together do not come back together
            time.sleep(random.uniform(0, _JITTER * self._backoff_factor))
        pace = self._paces.of(reading.account_id)
        resource_name = resource_of(request.path_url)
        with self._place(pace) as waited:
            reading.sent(resource_name, time.monotonic(), retry=attempt > 1, throttled=waited)
            try:
                response = self._send(pace, request, *args, **kwargs)
            finally:
                reading.answered(resource_name, time.monotonic())
        if response.status_code == 200:
            keep_answer(response)
        return response

    def get_connection_with_tls_context(
        self, request: PreparedRequest, *args: Any, **kwargs: Any
    ) -> ConnectionPool:
        """The host's connections; `requests` would look at the certificates on disk each time."""
        host = urlsplit(request.url)[:2]
        if host not in self._pools:
            self._pools[host] = super().get_connection_with_tls_context(request, *args, **kwargs)
        return self._pools[host]

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """What the request line names: without a proxy the path, which asks for no parsing."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """The response without cookies, which this API does not use."""
        response = Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw, response.reason = resp, resp.reason
        response.url = str(req.url)
        response.request, response.connection = req, self
        return response

    @contextmanager
    def _place(self, pace: Pace) -> Iterator[float]:
        """A place among the requests in flight, while the pace is open; yields seconds waited."""
        waited = pace.wait()
        self._in_flight.acquire()
        while pace.closed:  # since it queued for the place, which others may use meanwhile
            self._in_flight.release()
            waited += pace.wait()
            self._in_flight.acquire()
        try:
            yield waited
        finally:
            self._in_flight.release()

    def _send(self, pace: Pace, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        sent_at = time.monotonic()
        try:
            response = super().send(request, *args, **kwargs)
            _ = response.content  # read here, so that a body that is cut is tried again
        except requests.RequestException as error:
            error.request = error.request or request
            raise
        asked_delay = response.headers.get("Retry-After")
        delay = min(retry_after(asked_delay), self._max_delay)
        if asked_delay is not None:
            # in the one form that dlt's client reads without fail
            response.headers["Retry-After"] = str(math.ceil(delay))
        if response.status_code == 429:
            pace.refused(sent_at, delay)
        else:
            pace.accepted()
        return response


def _next_attempt(request: PreparedRequest) -> int:
    # dlt's client repeats a request by sending the same object again
    attempt: int = getattr(request, "attempt", 0) + 1
    request.attempt = attempt  # type: ignore[attr-defined]
    return attempt


def keep_answer(response: Response) -> None:
    """Parses the answer once, and keeps it for `response.json()`.

    Raises:
        InvalidAnswer: It is not a JSON object with a list of objects as `results`.
    """
    where = f"{request_line(response)} answers 200"
    try:
        answer = _parsed(response.content)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidAnswer(f"{where} with {_kind(response)}, not JSON") from None
    except ValueError as error:
        raise InvalidAnswer(f"{where} with {error}") from None
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise InvalidAnswer(f"{where} without a list of `results`")
    for row in results:
        if not isinstance(row, dict):
            raise InvalidAnswer(f"{where} with a {type(row).__name__} where a row should be")
    response.json = lambda **_: answer  # type: ignore[method-assign]


def _parsed(body: bytes) -> Any:
    try:
        if _LONG_NUMBER not in body.translate(_ZERO_FOR_DIGITS):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # a lone surrogate, which the standard library reads, or not JSON
    return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite_float)


def _refuse_constant(name: str) -> None:
    # Python reads NaN and Infinity; RFC 8259 has no such numbers, and neither have databases' json
    raise ValueError(f"the number {name}, which is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]}, which no double can hold")
    return number


def retry_after(header: str | None) -> float:
    """Seconds from now that a `Retry-After` header asks for (RFC 9110, section 10.2.3)."""
    if header is None:
        return _DEFAULT_RETRY_AFTER
    try:
        if header.strip().isdigit():
            return min(float(header), _LONGEST_RETRY_AFTER)
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return _DEFAULT_RETRY_AFTER


def request_line(response: Response) -> str:
    """Method and path of the request, without host: `GET /v1/acme/campaigns/`."""
    request = response.request
    return f"{request.method} {request.path_url}"


def _describe(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        said = _said(response)
        return f"{request_line(response)} answers {response.status_code}{said}"
    request = getattr(error, "request", None)
    if request is None or isinstance(error, InvalidAnswer):
        return str(error)
    return f"{request.method} {request.path_url}: {_failure(error)} ({_host(request.url)})"


def _said(response: Response) -> str:
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return f" with {_kind(response)}" if response.content else ""
    return f": {str(message)[:_QUOTED_LENGTH]}"


def _kind(response: Response) -> str:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return "an HTML page" if kind == "text/html" else f"a body of type {kind or 'unknown'}"


def _failure(error: BaseException) -> str:
    # a timeout within the body arrives as a ConnectionError around urllib3's own
    if isinstance(error, Timeout) or isinstance(next(iter(error.args), None), ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, SSLError):
        return "no secure connection"
    if isinstance(error, (ChunkedEncodingError, ContentDecodingError)):
        return "the answer broke off or cannot be decoded"
    return "no connection"


def _host(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
