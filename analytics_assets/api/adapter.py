"""Sends a request when the pace allows, and lets nothing but whole answers through."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests import PreparedRequest, Response

from analytics_assets.api.announced import announced
from analytics_assets.api.answers import keep_answer
from analytics_assets.api.pace import Pace
from analytics_assets.api.paces import Paces
from analytics_assets.api.paths import Asked, path_reader
from analytics_assets.api.request_counts import AccountRequests, RequestsByAccount
from analytics_assets.api.transport import BoundedAdapter
from analytics_assets.settings import ApiSettings

# up to this share of the backoff factor is added to the wait before a retry
_JITTER: Final = 0.5


class ApiAdapter(BoundedAdapter):
    """Sends one attempt when it is time and the pace allows, and counts it.

    Args:
        settings: The API's settings.
        by_account: Where requests are counted.
    """

    def __init__(self, settings: ApiSettings, by_account: RequestsByAccount) -> None:
        super().__init__(settings, settings.workers)
        self._by_account = by_account
        self._asked_by = path_reader(settings.resources)
        self._in_flight = threading.BoundedSemaphore(settings.workers)
        per_account, ceiling = settings.quota_scope == "account", settings.max_requests_per_second
        self._paces = Paces(per_account, ceiling, settings.max_retry_delay)
        self._backoff_factor = settings.backoff_factor
        self._max_retries = settings.max_retries

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Sends one attempt.

        Raises:
            InvalidAnswer: The answer has a status of success but is not a list of results.
            ReadError: The answer is too long.
            requests.RequestException: The request failed on its way, or took too long.
        """
        asked = self._asked_by(request.path_url)
        account, tries = self._by_account.of(asked.account_id), _tries_of(request)
        _rest(tries.rest, account.stopped)
        # workers that failed together do not come back together
        jitter = random.uniform(0, _JITTER * self._backoff_factor)
        backoff = min(self._backoff_factor * 2**tries.number, self.max_delay)
        tries.number, tries.rest = tries.number + 1, backoff + jitter
        if tries.number > self._max_retries:
            tries.asks_at = math.inf  # the last attempt is not for finding out anything
        with self._paces.first_alone(asked, account.stopped):
            pace = self._paces.of(asked)
            with self._place(pace, asked, account, tries):
                response = self._send(pace, asked, account, request, *args, **kwargs)
        if response.status_code == 429:
            self._note_refusal(pace, tries)
        named = response.headers.get("Retry-After")
        if response.status_code == 429 and pace.has_accepted:
            tries.rest = 0.0  # it is about a quota, and the pace lets it through when it is time
            if named is None and tries.number > 1:
                tries.asks_at = time.monotonic() + backoff
        elif named is not None:
            tries.rest = float(named) + jitter
        if 200 <= response.status_code < 300:
            keep_answer(response, asked.data_selector)
        return response

    def _note_refusal(self, pace: Pace, tries: _Tries) -> None:
        tries.refusals += 1
        tries.refused_at = min(tries.refused_at, time.monotonic())
        if tries.number > self._max_retries:
            pace.given_up(tries.refusals, tries.refused_at)

    @contextmanager
    def _place(
        self, pace: Pace, asked: Asked, account: AccountRequests, tries: _Tries
    ) -> Iterator[None]:
        """A place among the requests in flight, while the pace is open; counts the attempt."""
        name, waited = asked.resource_name, 0.0
        while True:
            waited += pace.wait(account.stopped, account.rank, asks_at=tries.asks_at)
            try:
                with self._in_flight:
                    # it may have closed while this one queued for the place
                    if not pace.closed:
                        account.sent(
                            name, time.monotonic(), retry=tries.number > 1, throttled=waited
                        )
                        try:
                            yield
                        finally:
                            account.answered(name, time.monotonic())
                        return
            finally:
                pace.done()

    def _send(
        self,
        pace: Pace,
        asked: Asked,
        account: AccountRequests,
        request: PreparedRequest,
        *args: Any,
        **kwargs: Any,
    ) -> Response:
        sent_at = time.monotonic()
        with self._by_account.in_flight():
            try:
                response, delay = self.attempt(request, *args, **kwargs)
            except requests.RequestException as error:
                error.request = error.request or request
                raise
            if response.status_code == 401:
                self._by_account.lost_token(asked.account_id)
        quotas = announced(response.headers)
        if response.status_code == 429:
            account.refused(asked.resource_name)
            pace.refused(sent_at, delay, quotas)
            self._paces.refused(asked, time.monotonic())
            return response
        if 200 <= response.status_code < 300:
            told = self._paces.told(asked, quotas)
            with nullcontext() if told is pace else told.joined():
                told.accepted(sent_at, quotas)
        else:
            pace.accepted(sent_at, self._paces.known(asked, quotas))
        self._paces.accepted(asked, sent_at)
        return response


@dataclass
class _Tries:
    """How often a request was sent, and what is known for the next time.

    Attributes:
        number: How often.
        rest: Seconds until it is sent again, at the least.
        asks_at: When it asks by itself whether the API is open (`time.monotonic`).
        refusals: How often it was refused (429).
        refused_at: When it first was (`time.monotonic`).
    """

    number: int = 0
    rest: float = 0.0
    asks_at: float = -math.inf
    refusals: int = 0
    refused_at: float = math.inf


def _tries_of(request: PreparedRequest) -> _Tries:
    # dlt's client repeats a request by sending the same object again
    tries: _Tries = getattr(request, "tries", None) or _Tries()
    request.tries = tries  # type: ignore[attr-defined]
    return tries


def _rest(seconds: float, stopped: threading.Event) -> None:
    """Waits, unless the run is stopped."""
    if seconds:
        stopped.wait(seconds)
