"""The access tokens that are valid now."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable


class Tokens:
    """Issues and revokes tokens; safe to revoke from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expiry: dict[str, float] = {}

    def issue(self, lifetime: float, *, single: bool) -> str:
        """A new token; a single one makes all others invalid."""
        if single:
            self.revoke_all()
        token = secrets.token_urlsafe(24)
        self._expiry[token] = self._clock() + lifetime
        return token

    def is_valid(self, token: str) -> bool:
        """Whether the token was issued, is not revoked and has not expired."""
        expiry = self._expiry.get(token)
        return expiry is not None and self._clock() < expiry

    def revoke(self, token: str) -> None:
        """Makes one token invalid."""
        self._expiry.pop(token, None)

    def revoke_all(self) -> None:
        """Makes every token invalid."""
        self._expiry.clear()
