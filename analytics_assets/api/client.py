"""The HTTP client: dlt's, which retries, with our adapter, which paces and checks every answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest, Response
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.connectionpool import ConnectionPool

from analytics_assets.api import request_counts
from analytics_assets.api.answers import InvalidAnswer, described, keep_answer
from analytics_assets.api.auth import SharedClientCredentials, client_credentials
from analytics_assets.api.pace import Pace, Paces
from analytics_assets.api.session import RETRIED_ERRORS, ApiSession
from analytics_assets.api.transport import BoundedAdapter
from analytics_assets.resources import resource_of
from analytics_assets.settings import ApiSettings

# a refusal that names no time
_DEFAULT_RETRY_AFTER: Final = 1.0
# up to this share of the backoff factor is added to the wait before a retry
_JITTER: Final = 0.5


@dataclass(frozen=True)
class Client:
    """What dlt's REST source needs to reach the API."""

    session: requests.Session
    auth: SharedClientCredentials

    def describe(self, error: BaseException) -> str:
        """One line, free of secrets, that names the request and what the API said."""
        return described(error, self.redact)

    def redact(self, text: str) -> str:
        """The text with `***` for the secrets that the API knows."""
        return self.auth.redact(text)


def make_client(settings: ApiSettings) -> Client:
    """A client with a pace and a token of its own."""
    token_session = ApiSession(settings, BoundedAdapter(settings), RETRIED_ERRORS)
    api_session = ApiSession(settings, ApiAdapter(settings), (*RETRIED_ERRORS, InvalidAnswer))
    return Client(api_session, client_credentials(settings, token_session))


def shared_client(settings: ApiSettings) -> Client:
    """The client for the settings: all workers and runs of a process share its pace and token."""
    with _clients_lock:
        if settings not in _clients:
            _clients[settings] = make_client(settings)
        return _clients[settings]


_clients: dict[ApiSettings, Client] = {}
_clients_lock = threading.Lock()


class ApiAdapter(BoundedAdapter):
    """Sends a request when the pace allows, and lets only whole answers through."""

    def __init__(self, settings: ApiSettings) -> None:
        super().__init__(settings, settings.workers)
        self._in_flight = threading.BoundedSemaphore(settings.workers)
        self._paces = Paces(settings.quota_scope == "account", settings.max_requests_per_second)
        self._backoff_factor = settings.backoff_factor
        self._pools: dict[tuple[Any, ...], ConnectionPool] = {}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Sends one attempt.

        Raises:
            InvalidAnswer: The answer has a status of success but is not a list of results.
            ReadError: The answer is too long.
            requests.RequestException: The request failed on its way, or took too long.
        """
        reading = request_counts.current()
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
        if 200 <= response.status_code < 300:
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
            response, delay = self.attempt(request, *args, **kwargs)
        except requests.RequestException as error:
            error.request = error.request or request
            raise
        if response.status_code == 429:
            pace.refused(
                sent_at, min(_DEFAULT_RETRY_AFTER, self._max_delay) if delay is None else delay
            )
        else:
            pace.accepted()
        return response


def _next_attempt(request: PreparedRequest) -> int:
    # dlt's client repeats a request by sending the same object again
    attempt: int = getattr(request, "attempt", 0) + 1
    request.attempt = attempt  # type: ignore[attr-defined]
    return attempt
