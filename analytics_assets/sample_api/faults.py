"""What each kind of fault does to a request."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from analytics_assets.sample_api.behaviour import Fault
from analytics_assets.sample_api.responses import error, html, json_response, too_many_requests
from analytics_assets.sample_api.tokens import Tokens

_PIECES = 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Hit:
    """A request that a fault hits.

    Attributes:
        fault: The fault.
        request: The request.
        body: The JSON that would have been answered.
        tokens: The server's tokens.
        token: The token that the request carried.
    """

    fault: Fault
    request: web.BaseRequest
    body: bytes
    tokens: Tokens
    token: str

    @property
    def number(self) -> int:
        """The fault's value, of a kind that takes a whole number."""
        return int(self.fault.value or 0)

    @property
    def seconds(self) -> float:
        """The fault's value, of a kind that takes a time."""
        return float(self.fault.value or 0)


async def spoil(hit: Hit) -> web.StreamResponse:
    """Answers a request as the fault says."""
    answer = _KINDS[hit.fault.kind](hit)
    return answer if isinstance(answer, web.StreamResponse) else await answer


def _reset(hit: Hit) -> web.Response:
    _reset_connection(hit.request)
    return web.Response()


async def _reset_in_body(hit: Hit) -> web.StreamResponse:
    response = await _begin(hit, hit.body[: len(hit.body) // 2])
    _reset_connection(hit.request)
    return response


async def _cut_with_wrong_length(hit: Hit) -> web.StreamResponse:
    response = await _begin(hit, hit.body[: len(hit.body) // 2])
    if hit.request.transport is not None:
        hit.request.transport.close()
    return response


async def _slow_drip(hit: Hit) -> web.StreamResponse:
    size = len(hit.body) // _PIECES + 1
    response = await _begin(hit, hit.body[:size])
    for start in range(size, len(hit.body), size):
        await asyncio.sleep(hit.seconds)
        await response.write(hit.body[start : start + size])
    return response


async def _hang(hit: Hit) -> web.StreamResponse:
    if hit.fault.value is None:
        await asyncio.Event().wait()
    await asyncio.sleep(hit.seconds)
    return json_response(hit.body)


def _expired_token(hit: Hit) -> web.Response:
    hit.tokens.revoke(hit.token)
    return error(HTTPStatus.UNAUTHORIZED, "The access token has expired.")


def _revoke_tokens(hit: Hit) -> web.Response:
    hit.tokens.revoke_all()
    return error(HTTPStatus.UNAUTHORIZED, "The access token was revoked.")


async def _begin(hit: Hit, part: bytes) -> web.StreamResponse:
    """Sends the head for the whole body, and a part of the body."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(hit.body)
    await response.prepare(hit.request)
    await response.write(part)
    return response


def _reset_connection(request: web.BaseRequest) -> None:
    """Ends the connection with a reset, not with an orderly close."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


_Answer = web.StreamResponse | Awaitable[web.StreamResponse]
_KINDS: dict[str, Callable[[Hit], _Answer]] = {
    "status": lambda hit: error(hit.number, "Something went wrong, please try again."),
    "html_status": lambda hit: html(hit.number, f"{hit.number} from the proxy"),
    "html_200": lambda hit: html(HTTPStatus.OK, "Log in"),
    "too_many_requests": lambda hit: too_many_requests(
        hit.seconds, "none" if hit.fault.value is None else "seconds"
    ),
    "too_many_requests_until": lambda hit: too_many_requests(hit.seconds, "date"),
    "reset": _reset,
    "reset_in_body": _reset_in_body,
    "cut_with_wrong_length": _cut_with_wrong_length,
    "cut_with_right_length": lambda hit: json_response(hit.body[: len(hit.body) // 2]),
    "slow_drip": _slow_drip,
    "hang": _hang,
    "no_results": lambda hit: json_response(b'{"metadata": {}}'),
    "null_results": lambda hit: json_response(b'{"results": null, "metadata": {}}'),
    "object_results": lambda hit: json_response(b'{"results": {"id": "1"}, "metadata": {}}'),
    "empty_results": lambda hit: json_response(b'{"results": [], "metadata": {}}'),
    "not_json": lambda hit: json_response(
        b"upstream connect error or disconnect/reset before headers"
    ),
    "expired_token": _expired_token,
    "revoke_tokens": _revoke_tokens,
    "redirect": lambda hit: web.Response(
        status=HTTPStatus.FOUND, headers={"Location": str(hit.fault.value)}
    ),
}
