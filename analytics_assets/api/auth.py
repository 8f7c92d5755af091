"""OAuth2 client credentials: one token for all workers, renewed before it is needed."""

from __future__ import annotations

import threading
import time
from typing import Any

import requests
from dlt.common.configuration import configspec
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from requests import PreparedRequest, Response

from analytics_assets.errors import CredentialsError
from analytics_assets.settings import API_SECTION, ApiSettings, public_url, setting_name

# Renewed this many seconds early, so that a token does not expire on its way.
_MARGIN = 30.0
# How often a request that is refused again is repeated while no other may take the token: others of
# this process may have used it up before, and other processes may renew it meanwhile.
_RENEWALS_ALONE = 4


class Token:
    """The access token that all workers of a process share.

    dlt copies the `auth` of a source's configuration, so what must be one stands apart from it:
    a copy of a source holds the same token.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.value: str | None = None
        self.expires_at = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Token:
        return self


@configspec
class SharedClientCredentials(OAuth2ClientCredentials):
    """dlt's client credentials, with one token request at a time and renewal after a 401.

    A token is renewed once for all who wait for it. When the API refuses a token (it was revoked,
    or the API keeps only the newest), it is renewed and the request repeated, a few times at most.
    A request that is refused a second time is repeated alone: one whose every attempt costs the
    token cannot take it from the others for ever.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.token = Token()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Signs the request."""
        request.headers["Authorization"] = f"Bearer {self._valid_token()}"
        request.register_hook("response", self._renew_after_401)
        return request

    def _valid_token(self, refused: str | None = None) -> str:
        token = self.token
        with token.lock:
            # Renewed by another worker meanwhile? Then there is nothing to do.
            usable = token.value not in (None, refused) and time.monotonic() < token.expires_at
            if not usable:
                token.value, lifetime = self._request_token()
                token.expires_at = time.monotonic() + max(lifetime - _MARGIN, lifetime / 2)
            assert token.value is not None
            return token.value

    def _request_token(self) -> tuple[str, float]:
        shown_url = public_url(self.access_token_url)
        try:
            response = self.session.post(
                self.access_token_url, allow_redirects=False, **self.build_access_token_request()
            )
        except requests.RequestException as error:
            raise CredentialsError(
                f"no answer from the token URL {shown_url} ({type(error).__name__}):"
                f" check {_setting('token_url')}"
            ) from None
        if response.status_code in (400, 401, 403):
            raise CredentialsError(
                f"{shown_url} refuses the credentials ({response.status_code}): check"
                f" {_setting('client_id')}, {_setting('client_secret')} and"
                f" {_setting('token_url')}"
            )
        try:
            answer = response.json()
            return str(answer["access_token"]), float(self.parse_expiration_in_seconds(answer))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CredentialsError(
                f"{shown_url} answers {response.status_code} without an access token:"
                f" check {_setting('token_url')}"
            ) from None

    def _renew_after_401(self, response: Response, **kwargs: Any) -> Response:
        response = self._repeat(response, **kwargs)
        if response.status_code == 401:
            with self.token.lock:
                for _ in range(_RENEWALS_ALONE):
                    response = self._repeat(response, **kwargs)
        return response

    def _repeat(self, response: Response, **kwargs: Any) -> Response:
        """The answer to the same request with another token, if this one was refused."""
        signature = response.request.headers.get("Authorization", "")
        scheme, _, refused = str(signature).partition(" ")
        # `requests` drops the header where a redirect leaves the host
        if response.status_code != 401 or scheme != "Bearer":
            return response
        request = response.request.copy()
        request.headers["Authorization"] = f"Bearer {self._valid_token(refused)}"
        # as `requests` itself repeats a request in HTTPDigestAuth
        repeated: Response = response.connection.send(request, **kwargs)
        repeated.request = request
        return repeated


def client_credentials(settings: ApiSettings, session: requests.Session) -> SharedClientCredentials:
    """The credentials of the settings; `session` is used to ask for tokens."""
    return SharedClientCredentials(
        access_token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        session=session,
    )


def _setting(name: str) -> str:
    return setting_name(API_SECTION, name)
