"""The HTTP client: dlt's, which retries, with our adapter, which paces and checks every answer."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers import requests as dlt_requests
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    SSLError,
    Timeout,
)

from analytics_assets.api import statistics
from analytics_assets.api.auth import SharedClientCredentials, client_credentials
from analytics_assets.api.pace import Paces
from analytics_assets.settings import ApiSettings, extract_workers

RETRIED_STATUSES = (429, 500, 502, 503, 504)
# a refusal that names no time
_DEFAULT_RETRY_AFTER = 1.0
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
        text = " ".join(_describe(error).split())
        for secret in (self.auth.client_secret, self.auth.token.value):
            text = text.replace(secret, "***") if secret else text
        return text


def make_client(settings: ApiSettings) -> Client:
    """Builds the client of one process: all workers share its pace and its token."""
    token_session = _session(settings, HTTPAdapter())
    api_session = _session(settings, ApiAdapter(settings))
    return Client(api_session, client_credentials(settings, token_session))


def _session(settings: ApiSettings, adapter: HTTPAdapter) -> requests.Session:
    session = dlt_requests.Client(
        request_timeout=settings.timeout,
        raise_for_status=False,
        status_codes=RETRIED_STATUSES,
        exceptions=(
            ConnectionError,
            Timeout,
            ChunkedEncodingError,
            ContentDecodingError,
            InvalidAnswer,
        ),
        request_max_attempts=settings.max_retries + 1,
        request_backoff_factor=settings.backoff_factor,
        request_max_retry_delay=settings.max_retry_delay,
    ).session
    # Proxies and certificates of the environment are looked up once, not for each request; the
    # netrc file, which could replace our Authorization header, not at all.
    environment = session.merge_environment_settings(settings.base_url, {}, None, None, None)
    session.proxies.update(environment["proxies"])
    session.verify = environment["verify"]
    session.trust_env = False
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class ApiAdapter(HTTPAdapter):
    """Sends a request when the pace allows, and lets only whole answers through."""

    def __init__(self, settings: ApiSettings) -> None:
        workers = extract_workers()
        super().__init__(pool_maxsize=workers)
        self._in_flight = threading.BoundedSemaphore(workers)
        self._paces = Paces(settings.quota_scope == "account", settings.max_requests_per_second)
        self._backoff_factor = settings.backoff_factor
        self._max_delay = settings.max_retry_delay

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
        waited = pace.wait()
        with self._in_flight:
            reading.add(requests=1, retries=int(attempt > 1), throttled=waited)
            sent_at = time.monotonic()
            response = super().send(request, *args, **kwargs)
            _ = response.content  # read here, so that a body that is cut is tried again
        if response.status_code == 429:
            delay = retry_after(response.headers.get("Retry-After"))
            pace.refused(sent_at, min(delay, self._max_delay))
        else:
            pace.accepted()
        if response.status_code == 200:
            keep_answer(response)
        return response


def _next_attempt(request: PreparedRequest) -> int:
    # dlt's client repeats a request by sending the same object again
    attempt: int = getattr(request, "attempt", 0) + 1
    request.attempt = attempt  # type: ignore[attr-defined]
    return attempt


def keep_answer(response: Response) -> None:
    """Parses the answer once, and keeps it for `response.json()`.

    Raises:
        InvalidAnswer: It is not a JSON object with a list of `results`.
    """
    where = request_line(response)
    try:
        answer = json.loads(response.content, parse_constant=_refuse_constant)
    except ValueError:
        raise InvalidAnswer(f"{where} answers 200 with {_kind(response)}, not JSON") from None
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise InvalidAnswer(f"{where} answers 200 without a list of `results`")
    response.json = lambda **_: answer  # type: ignore[method-assign]


def _refuse_constant(name: str) -> None:
    # Python reads NaN and Infinity; RFC 8259 has no such numbers, and neither have databases' json
    raise ValueError(f"{name} is not JSON")


def retry_after(header: str | None) -> float:
    """Seconds from now that a `Retry-After` header asks for (RFC 9110, section 10.2.3)."""
    if header is None:
        return _DEFAULT_RETRY_AFTER
    try:
        return max(float(int(header)), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except ValueError:
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
    if isinstance(error, Timeout):
        return "no answer in time"
    if isinstance(error, SSLError):
        return "no secure connection"
    if isinstance(error, (ChunkedEncodingError, ContentDecodingError)):
        return "the answer broke off or cannot be decoded"
    return "no connection"


def _host(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
