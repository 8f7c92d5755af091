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
    return await _KINDS[hit.fault.kind](hit)


async def _status(hit: Hit) -> web.StreamResponse:
    return error(hit.number, "Something went wrong, please try again.")


async def _html_status(hit: Hit) -> web.StreamResponse:
    return html(hit.number, f"{hit.number} from the proxy")


async def _html_200(hit: Hit) -> web.StreamResponse:
    return html(HTTPStatus.OK, "Log in")


async def _too_many_requests(hit: Hit) -> web.StreamResponse:
    return too_many_requests(hit.seconds, "none" if hit.fault.value is None else "seconds")


async def _too_many_requests_until(hit: Hit) -> web.StreamResponse:
    return too_many_requests(hit.seconds, "date")


async def _reset(hit: Hit) -> web.StreamResponse:
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


async def _cut_with_right_length(hit: Hit) -> web.StreamResponse:
    return json_response(hit.body[: len(hit.body) // 2])


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


def _body(body: bytes) -> Callable[[Hit], Awaitable[web.StreamResponse]]:
    """The fault that answers with this body."""

    async def answer(hit: Hit) -> web.StreamResponse:
        return json_response(body)

    return answer


async def _expired_token(hit: Hit) -> web.StreamResponse:
    hit.tokens.revoke(hit.token)
    return error(HTTPStatus.UNAUTHORIZED, "The access token has expired.")


async def _revoke_tokens(hit: Hit) -> web.StreamResponse:
    hit.tokens.revoke_all()
    return error(HTTPStatus.UNAUTHORIZED, "The access token was revoked.")


async def _redirect(hit: Hit) -> web.StreamResponse:
    return web.Response(status=HTTPStatus.FOUND, headers={"Location": str(hit.fault.value)})


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


_KINDS: dict[str, Callable[[Hit], Awaitable[web.StreamResponse]]] = {
    "status": _status,
    "html_status": _html_status,
    "html_200": _html_200,
    "too_many_requests": _too_many_requests,
    "too_many_requests_until": _too_many_requests_until,
    "reset": _reset,
    "reset_in_body": _reset_in_body,
    "cut_with_wrong_length": _cut_with_wrong_length,
    "cut_with_right_length": _cut_with_right_length,
    "slow_drip": _slow_drip,
    "hang": _hang,
    "no_results": _body(b'{"metadata": {}}'),
    "null_results": _body(b'{"results": null, "metadata": {}}'),
    "object_results": _body(b'{"results": {"id": "1"}, "metadata": {}}'),
    "empty_results": _body(b'{"results": [], "metadata": {}}'),
    "not_json": _body(b"upstream connect error or disconnect/reset before headers"),
    "expired_token": _expired_token,
    "revoke_tokens": _revoke_tokens,
    "redirect": _redirect,
}
