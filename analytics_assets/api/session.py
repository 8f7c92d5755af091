"""dlt's session of `requests`, without what `requests` works out anew for each request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dlt.sources.helpers import requests as dlt_requests
from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    RequestException,
    Timeout,
    TooManyRedirects,
)
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict

from analytics_assets.api.answers import request_line
from analytics_assets.errors import ReadError
from analytics_assets.settings import API_SECTION, ApiSettings, setting_name

_MOST_REDIRECTS = 10
RETRIED_STATUSES = (429, 500, 502, 503, 504)
RETRIED_ERRORS: tuple[type[RequestException], ...] = (
    ConnectionError,
    Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
)


class ApiSession(dlt_requests.Session):
    """Sends requests to one API, and tries them again as the settings say.

    Whatever is the same for all requests is looked up once: certificates and proxies of the
    environment, headers, the adapter. The netrc file, which could replace our Authorization header,
    is not read, and cookies are not kept. With what `requests` itself does, a request takes twice
    the time.

    Args:
        settings: The API's settings.
        adapter: What sends a request once.
        retried: The errors after which a request is tried again.
    """

    def __init__(
        self,
        settings: ApiSettings,
        adapter: HTTPAdapter,
        retried: tuple[type[RequestException], ...],
    ) -> None:
        super().__init__(timeout=settings.timeout, raise_for_status=False)
        del self.headers["Connection"]  # keep-alive, as HTTP/1.1 has it anyway
        self._environment = super().merge_environment_settings(
            settings.base_url, {}, None, None, None
        )
        self._adapter = adapter
        self._retrying = dlt_requests.Client(
            status_codes=RETRIED_STATUSES,
            exceptions=retried,
            request_max_attempts=settings.max_retries + 1,
            request_backoff_factor=settings.backoff_factor,
            request_max_retry_delay=settings.max_retry_delay,
        ).session.send.retry  # type: ignore[attr-defined]
        # A redirect is followed without retries of its own: the request is tried again as a whole.
        self._plain = dlt_requests.Session(timeout=settings.timeout, raise_for_status=False)
        self._plain.trust_env = False
        self._plain.max_redirects = _MOST_REDIRECTS
        self._plain.mount("http://", adapter)
        self._plain.mount("https://", adapter)

    def __deepcopy__(self, memo: dict[int, Any]) -> ApiSession:
        # dlt copies a source's configuration to check it, while other threads use the session
        return self

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepares a request; the URL of one without parameters must be fit to be sent."""
        method = str(request.method).upper()
        if method != "GET" or request.params:
            return super().prepare_request(request)
        prepared = PreparedRequest()
        prepared.method, prepared.url = method, request.url
        prepared.headers = CaseInsensitiveDict({**self.headers, **(request.headers or {})})
        prepared.prepare_auth(request.auth, request.url)
        prepared.prepare_hooks(request.hooks)
        return prepared

    def merge_environment_settings(self, *_: Any) -> dict[str, Any]:  # type: ignore[override]
        """The settings of the environment as they were at the start."""
        return {**self._environment}

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Sends a request, tries it again where that may help, and follows redirects.

        Raises:
            requests.RequestException: The last attempt failed on its way.
            ReadError: A redirect leads nowhere.
        """
        outcome: Response | RequestException
        try:
            outcome = self._send_once(request, **kwargs)
        except RequestException as error:
            outcome = error
        else:
            if outcome.status_code not in RETRIED_STATUSES:
                return outcome  # as nearly all are: to ask dlt's rules costs a tenth of a request
        attempts = _after(outcome, partial(self._send_once, request, **kwargs))
        response: Response = self._retrying(attempts)
        return response

    def _send_once(
        self, request: PreparedRequest, allow_redirects: bool = True, **kwargs: Any
    ) -> Response:
        kwargs.setdefault("timeout", self.timeout)
        response: Response = self._adapter.send(request, **kwargs)
        response = dispatch_hook("response", request.hooks, response, **kwargs)
        if allow_redirects and 300 <= response.status_code < 400:
            return self._follow(request, response, **kwargs)
        return response

    def _follow(self, request: PreparedRequest, response: Response, **kwargs: Any) -> Response:
        request.prepare_cookies({})  # which `requests` looks into on the way
        try:
            hops = self._plain.resolve_redirects(response, request, **kwargs)
            last: Response = [response, *hops][-1]
        except (TooManyRedirects, ValueError):  # a loop, or no URL to follow
            last = response
        if 300 <= last.status_code < 400:
            raise ReadError(
                f"{request_line(response)} answers {response.status_code}, a redirect that leads"
                f" nowhere: check {setting_name(API_SECTION, 'base_url')}"
            )
        return last


def _after(
    first: Response | RequestException, attempt: Callable[[], Response]
) -> Callable[[], Response]:
    """Attempts of which the first has been made."""
    made = [first]

    def next_attempt() -> Response:
        if not made:
            return attempt()
        outcome = made.pop()
        if isinstance(outcome, RequestException):
            raise outcome
        return outcome

    return next_attempt
