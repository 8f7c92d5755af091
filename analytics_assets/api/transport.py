"""Sends a request once, within bounds: an attempt has a deadline, and an answer a ceiling."""

from __future__ import annotations

import http.client
import io
import math
import re
import socket
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import ConnectionPool

from analytics_assets.api.answers import request_line
from analytics_assets.errors import ReadError
from analytics_assets.settings import API_SECTION, ApiSettings, setting_name

_LONGEST_RETRY_AFTER: Final = 1e9
# a number of seconds, once or, where a proxy adds its own, more than once
_SECONDS: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:s|secs?|seconds?)?\s*", re.IGNORECASE)


class BoundedAdapter(HTTPAdapter):
    """Reads the answer to its end, which comes in time and is not too long.

    Args:
        settings: The API's settings.
        connections: Connections to a host that are kept.
    """

    def __init__(self, settings: ApiSettings, connections: int = 10) -> None:
        super().__init__(pool_maxsize=connections)
        self.max_delay = settings.max_retry_delay
        self._attempt_timeout = settings.attempt_timeout
        self._max_bytes = int(settings.max_answer_bytes)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Sends one attempt, and reads the answer.

        Raises:
            ReadError: The answer is too long.
            requests.RequestException: The request failed on its way, or took too long.
        """
        return self.attempt(request, *args, **kwargs)[0]

    def attempt(
        self, request: PreparedRequest, *args: Any, **kwargs: Any
    ) -> tuple[Response, float | None]:
        """The same, with the seconds that the answer asks to wait for, if it does."""
        response = super().send(request, *args, **kwargs)
        # read here, so that a body that is cut is tried again
        _read(response, self._max_bytes)
        asked = response.headers.get("Retry-After")
        if asked is None:
            return response, None
        delay = retry_after(asked)
        if not delay:
            # which is as if none were there: what asks for no time tells of none
            del response.headers["Retry-After"]
            return response, None
        delay = min(delay, self.max_delay)
        # in the one form that dlt's client reads without fail
        response.headers["Retry-After"] = str(math.ceil(delay))
        return response, delay

    def get_connection_with_tls_context(
        self, request: PreparedRequest, *args: Any, **kwargs: Any
    ) -> ConnectionPool:
        """The host's connections, each of which keeps the deadline."""
        pool: ConnectionPool = super().get_connection_with_tls_context(request, *args, **kwargs)
        _bound(pool, self._attempt_timeout)
        return pool


def retry_after(header: str) -> float | None:
    """Seconds from now that a `Retry-After` header asks for; None if it cannot be read.

    RFC 9110, section 10.2.3, knows whole seconds and dates. Others write `8.0`, `8 seconds` or,
    where two parties speak, `8, 8`: then the longest counts.
    """
    numbers = [_SECONDS.fullmatch(part) for part in header.split(",")]
    if all(numbers):
        longest = max(float(number[1]) for number in numbers if number)
        return min(longest, _LONGEST_RETRY_AFTER)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _read(response: Response, max_bytes: int) -> None:
    """Reads the answer, as `requests` does itself, up to a number of bytes."""
    stream = response.raw.stream

    def bounded(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        size = 0
        for chunk in stream(*args, **kwargs):
            size += len(chunk)
            if size > max_bytes:
                response.close()
                raise ReadError(
                    f"{request_line(response)} answers with more than {max_bytes:,} bytes: set"
                    f" {setting_name(API_SECTION, 'max_answer_bytes')} higher if that is right"
                )
            yield chunk

    response.raw.stream = bounded  # type: ignore[method-assign]
    try:
        _ = response.content
    finally:
        # or each answer would keep itself in memory until the garbage collector looks for it
        del response.raw.stream


def _bound(pool: Any, attempt_timeout: float) -> None:
    """Makes the pool's connections, of whichever kind, keep the deadline."""
    if not issubclass(pool.ConnectionCls, _BoundedConnection):
        bases = (_BoundedConnection, pool.ConnectionCls)
        pool.ConnectionCls = type("Bounded", bases, {"attempt_timeout": attempt_timeout})


class _BoundedConnection:
    """A connection, the answers of which have come as a whole by a deadline.

    A socket's timeout bounds the wait for the next byte alone: a byte in time, now and then, in the
    headers or in the body, holds a request for ever.
    """

    attempt_timeout: float
    response_class: Callable[..., http.client.HTTPResponse]

    def connect(self) -> None:
        """Connects; a proxy's answer is bounded, too."""
        self._begin()
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Sends a request."""
        self._begin()
        super().request(*args, **kwargs)  # type: ignore[misc]

    def _begin(self) -> None:
        # what http.client makes of the socket to read the answer from
        self.response_class = partial(_response, time.monotonic() + self.attempt_timeout)


def _response(
    deadline: float, connection: socket.socket, *args: Any, **kwargs: Any
) -> http.client.HTTPResponse:
    source: Any = _Source(connection, deadline)
    return http.client.HTTPResponse(source, *args, **kwargs)


class _Source(io.RawIOBase):
    """Reads from a socket: each time for no longer than is left until the deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._raw = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        """The file that http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Reads what has come; raises `TimeoutError` if nothing comes in time."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        timeout = self._connection.gettimeout()
        if timeout is None or left < timeout:
            self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Lets go of the socket."""
        self._raw.close()
        super().close()
