"""The HTTP client: dlt's, which retries, with our adapter, which paces and checks every answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from dlt.sources.helpers import requests as dlt_requests
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    RequestException,
    Timeout,
)

from analytics_assets.api.adapter import ApiAdapter
from analytics_assets.api.answers import InvalidAnswer, described
from analytics_assets.api.auth import SharedClientCredentials, client_credentials
from analytics_assets.api.paths import Asked, path_reader
from analytics_assets.api.redirects import FollowingAdapter
from analytics_assets.api.request_counts import RequestsByAccount
from analytics_assets.api.transport import BoundedAdapter
from analytics_assets.schema import ResourceTable
from analytics_assets.settings import ApiSettings

RETRIED_STATUSES: Final = (429, 500, 502, 503, 504)
_RETRIED_ERRORS: Final[tuple[type[RequestException], ...]] = (
    ConnectionError,
    Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
)


@dataclass(frozen=True)
class ApiClient:
    """What dlt's REST source needs to reach the API.

    Attributes:
        base_url: Where the API's paths start.
        version: The first part of the paths of the resource table.
        session: Sends requests, and tries them again as the settings say.
        auth: Signs them.
        requests: Counts them, by the account that they are for.
        resources: What there is to ask for.
        asked_by: Tells of a request's path what it asks for.
    """

    base_url: str
    version: str
    session: requests.Session
    auth: SharedClientCredentials
    requests: RequestsByAccount
    resources: ResourceTable
    asked_by: Callable[[str], Asked]

    def describe(self, error: BaseException) -> str:
        """One line, free of secrets, that names the request and what the API said."""
        return described(error, self.redact)

    def redact(self, text: str) -> str:
        """The text with `***` for the secrets that the API knows."""
        return self.auth.redact(text)


def make_client(settings: ApiSettings) -> ApiClient:
    """A client with a pace and a token of its own."""
    by_account = RequestsByAccount()
    token_session = _session(
        settings, settings.token_url, BoundedAdapter(settings), _RETRIED_ERRORS
    )
    session = _session(
        settings,
        settings.base_url,
        FollowingAdapter(ApiAdapter(settings, by_account)),
        (*_RETRIED_ERRORS, InvalidAnswer),
        # the adapter waits: it knows when a quota has room, and when the run is stopped
        request_backoff_factor=0.0,
        respect_retry_after_header=False,
    )
    auth = client_credentials(settings, token_session, by_account)
    return ApiClient(
        settings.base_url,
        settings.api_version,
        session,
        auth,
        by_account,
        settings.resources,
        path_reader(settings.resources),
    )


def shared_client(settings: ApiSettings) -> ApiClient:
    """The client for the settings: all workers and runs of a process share its pace and token."""
    with _clients_lock:
        if settings not in _clients:
            _clients[settings] = make_client(settings)
        return _clients[settings]


_clients: dict[ApiSettings, ApiClient] = {}
_clients_lock = threading.Lock()


def _session(
    settings: ApiSettings,
    url: str,
    adapter: BaseAdapter,
    retried: Sequence[type[RequestException]],
    **waiting: Any,
) -> requests.Session:
    """A session that tries again, and asks the environment once, for what lies on the way to `url`.

    Between attempts it waits as the settings say, or as dlt's client is told by `waiting`.

    The netrc file, which could replace our Authorization header, is not read, and no cookie is
    kept: an answer about one account must not change what the next one gets.
    """
    environment = requests.Session().merge_environment_settings(url, {}, None, None, None)
    verify = environment["verify"]
    if verify is True:  # OpenSSL's own name for a file of certificates, which `requests` ignores
        verify = os.environ.get("SSL_CERT_FILE") or True
    client = dlt_requests.Client(
        request_timeout=settings.timeout,
        raise_for_status=False,
        status_codes=RETRIED_STATUSES,
        exceptions=retried,
        request_max_attempts=settings.max_retries + 1,
        request_max_retry_delay=settings.max_retry_delay,
        session_attrs={
            "trust_env": False,
            "proxies": environment["proxies"],
            "verify": verify,
            "cookies": RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        },
        **{"request_backoff_factor": settings.backoff_factor, **waiting},
    )
    session = client.session
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
