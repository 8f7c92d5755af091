"""OAuth2 client credentials: one token for all workers, renewed before it is needed."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import requests
from dlt.common.configuration import configspec
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from requests import PreparedRequest, Response

from analytics_assets.api.answers import said
from analytics_assets.api.paths import Asked, path_reader
from analytics_assets.api.request_counts import AccountRequests, RequestsByAccount
from analytics_assets.errors import CredentialsError, ReadError
from analytics_assets.redaction import basic, redact
from analytics_assets.settings import API_SECTION, ApiSettings, setting_name
from analytics_assets.shown_settings import public_url

# Renewed this many seconds early, so that a token does not expire on its way.
_MARGIN: Final = 30.0
# A shorter lifetime says nothing: a token would be renewed for each request.
_SHORTEST_LIFETIME: Final = 1.0
# Seconds before a refused token is renewed. Where the API keeps only the newest token of a client,
# processes that renew theirs at once take it from each other before they have used it.
_RENEWAL_WAIT: Final = (0.1, 0.3)
# The most tokens that may be used up by an account that is refused again and again.
_TOKENS_PER_ACCOUNT: Final = 2
# For so many seconds after it gave none, the token URL is not asked again.
_PAUSE: Final = 30.0
# Tokens that are kept out of messages, the newest: one that was replaced may still be valid.
_TOKENS_KNOWN: Final = 16


class Token:
    """The access token that all workers of a process share.

    dlt copies the `auth` of a source's configuration, so what must be one stands apart from it:
    a copy of a source holds the same token.
    """

    def __init__(self) -> None:
        self.requests = RequestsByAccount()
        self.lock = threading.RLock()
        self.value: str | None = None
        self.expires_at = 0.0
        self.known: deque[str] = deque(maxlen=_TOKENS_KNOWN)
        self.failure: str | None = None
        self.failed_at = 0.0
        self.asked_by: Callable[[str], Asked] = lambda path_url: Asked()

    def __deepcopy__(self, memo: dict[int, Any]) -> Token:
        return self


@configspec
class SharedClientCredentials(OAuth2ClientCredentials):
    """dlt's client credentials, with one token request at a time and renewal after a 401.

    A token is renewed once for all who wait for it. When the API refuses a token (it was revoked,
    or the API keeps only the newest), it is renewed and the request repeated. A request that is
    refused a second time is repeated alone: one whose every attempt costs the token cannot take it
    from the others for ever. An account that is refused under two fresh tokens is given up, unless
    a request of another account was refused meanwhile, which may have cost the token.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.token = Token()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Signs the request."""
        request.headers["Authorization"] = f"Bearer {self._valid_token()}"
        request.register_hook("response", self._renew_after_401)
        return request

    def redact(self, text: str) -> str:
        """The text with `***` for the client's id and secrets."""
        name, secret = self.client_id.strip(), self.client_secret.strip()
        return redact(text, [secret, *basic(name, secret), *self.token.known], name)

    def _valid_token(self, refused: str | None = None) -> str:
        token = self.token
        with token.lock:
            # Renewed by another worker meanwhile? Then there is nothing to do.
            usable = token.value not in (None, refused) and time.monotonic() < token.expires_at
            if not usable:
                self._renew(is_refused=refused is not None)
            assert token.value is not None
            return token.value

    def _renew(self, *, is_refused: bool) -> None:
        token = self.token
        try:
            token.value, lifetime = self._request_token()
        except CredentialsError:
            if token.value is None or is_refused:
                raise
            lifetime = _PAUSE  # the API says when it is no longer valid
        else:
            token.known.append(token.value)
        token.expires_at = time.monotonic() + max(lifetime - _MARGIN, lifetime / 2)

    def _request_token(self) -> tuple[str, float]:
        token = self.token
        if token.failure is not None and time.monotonic() < token.failed_at + _PAUSE:
            raise CredentialsError(token.failure)
        try:
            token.failure = None
            return self._ask_for_token()
        except CredentialsError as error:
            token.failure, token.failed_at = str(error), time.monotonic()
            raise

    def _ask_for_token(self) -> tuple[str, float]:
        shown_url = public_url(self.access_token_url)
        try:
            response = self.session.post(
                self.access_token_url, allow_redirects=False, **self.build_access_token_request()
            )
        except (requests.RequestException, ReadError) as error:
            raise CredentialsError(
                f"no answer from the token URL {shown_url} ({type(error).__name__}):"
                f" check {_setting('token_url')}"
            ) from None
        status = response.status_code
        if status == 429 or status >= 500:
            words = said(response, self.redact)
            raise CredentialsError(
                f"{shown_url} gives no access token at the moment, it answers {status}{words};"
                " try again later"
            )
        if status in (400, 401, 403):
            raise CredentialsError(
                f"{shown_url} refuses the credentials ({status}): check"
                f" {_setting('client_id')}, {_setting('client_secret')} and"
                f" {_setting('token_url')}{self._words(response)}"
            )
        answer = _object(response)
        value = answer.get("access_token")
        value = value.strip() if isinstance(value, str) else None
        if not value:
            raise CredentialsError(
                f"{shown_url} answers {status} without an access token:"
                f" check {_setting('token_url')}{self._words(response)}"
            )
        if not _fits_a_header(value):
            raise CredentialsError(
                f"{shown_url} gives an access token with characters that no header can hold:"
                f" check {_setting('token_url')}"
            )
        return value, self.parse_expiration_in_seconds(answer)

    def parse_expiration_in_seconds(self, response_json: Any) -> float:  # type: ignore[override]
        """The token's lifetime; dlt's default where the answer tells none that can be used."""
        given = response_json.get("expires_in")
        try:
            lifetime = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError, OverflowError):
            lifetime = math.nan
        usable = math.isfinite(lifetime) and lifetime >= _SHORTEST_LIFETIME
        return lifetime if usable else float(self.default_token_expiration)

    def _words(self, response: Response) -> str:
        """What the token URL says about its refusal, as a sentence to add."""
        words = said(response, self.redact)
        return f". It says{words}" if words.startswith(": ") else ""

    def _renew_after_401(self, response: Response, **kwargs: Any) -> Response:
        if not _is_refused(response):
            return response
        account = self.token.requests.of(self.token.asked_by(response.request.path_url).account_id)
        if account.given_up:
            return response
        time.sleep(random.uniform(*_RENEWAL_WAIT))
        response = self._repeat(response, account, **kwargs)
        if _is_refused(response):
            with self.token.lock:  # alone: no other request gets a token meanwhile
                while _is_refused(response) and not account.given_up:
                    response = self._repeat(response, account, **kwargs)
        else:
            account.tokens = 0
        return response

    def _repeat(self, response: Response, account: AccountRequests, **kwargs: Any) -> Response:
        """The answer to the same request with another token: a fresh one, if there is no other."""
        refused = _token_of(response)
        with self.token.lock:
            before = self.token.value
            if before == refused and self._is_hopeless(account):
                account.given_up = True
                return response
            lost_by_others = self.token.requests.tokens_lost_by_others(account.account_id)
            value = self._valid_token(refused)
            if value != before:
                account.tokens += 1
                account.lost_by_others = lost_by_others
        request = response.request.copy()
        request.headers["Authorization"] = f"Bearer {value}"
        # as `requests` itself repeats a request in HTTPDigestAuth
        repeated: Response = response.connection.send(request, **kwargs)
        repeated.request = request
        return repeated

    def _is_hopeless(self, account: AccountRequests) -> bool:
        """Whether an account was refused under as many fresh tokens as it may use up."""
        if account.tokens < _TOKENS_PER_ACCOUNT:
            return False
        # a request of another account may have cost the last of them
        self.token.requests.wait_for_answers()
        others = self.token.requests.tokens_lost_by_others(account.account_id)
        if others != account.lost_by_others:
            account.tokens -= 1
        return account.tokens >= _TOKENS_PER_ACCOUNT


def client_credentials(
    settings: ApiSettings, session: requests.Session, by_account: RequestsByAccount
) -> SharedClientCredentials:
    """The credentials of the settings; `session` is used to ask for tokens."""
    credentials = SharedClientCredentials(
        access_token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        session=session,
    )
    credentials.token.requests = by_account
    credentials.token.asked_by = path_reader(settings.resources)
    return credentials


def _is_refused(response: Response) -> bool:
    """Whether the API refused the request's token."""
    # `requests` drops the header where a redirect leaves the host
    return response.status_code == 401 and bool(_token_of(response))


def _token_of(response: Response) -> str:
    scheme, _, token = str(response.request.headers.get("Authorization", "")).partition(" ")
    return token if scheme == "Bearer" else ""


def _object(response: Response) -> dict[str, Any]:
    try:
        # it reads NaN, too, which one lifetime or other is written as
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _fits_a_header(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return value.isprintable() and " " not in value


def _setting(name: str) -> str:
    return setting_name(API_SECTION, name)
