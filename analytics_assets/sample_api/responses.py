"""The answers that are not lists: errors, in JSON or in a proxy's HTML."""

from __future__ import annotations

import math
import time
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus

from aiohttp import web

from analytics_assets.sample_api.behaviour import Behaviour, RetryAfter
from analytics_assets.sample_api.encoding import encode_json

_JSON = {"Content-Type": "application/json"}


def json_response(body: bytes, status: int = 200) -> web.Response:
    """A JSON body."""
    return web.Response(status=status, body=body, headers=_JSON)


def error(status: int, message: str) -> web.Response:
    """An error as the API words it."""
    return json_response(encode_json({"http_status": status, "message": message}), status)


def html(status: int, title: str) -> web.Response:
    """A page as a proxy in front would send."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(status=status, text=page, content_type="text/html")


def too_many_requests(wait: float, style: RetryAfter) -> web.Response:
    """A refusal that names the wait, in whole seconds, in this style."""
    response = error(HTTPStatus.TOO_MANY_REQUESTS, "Quota exceeded, try again later.")
    if style == "seconds":
        response.headers["Retry-After"] = str(math.ceil(wait))
    elif style == "date":
        response.headers["Retry-After"] = formatdate(math.ceil(time.time() + wait), usegmt=True)
    return response


def quota_headers(behaviour: Behaviour, left: float, reset: float) -> dict[str, str]:
    """The headers that tell of the quota, in the behaviour's form.

    Args:
        behaviour: Tells of the limit and the window, too.
        left: Requests that are left.
        reset: Seconds until all are again.
    """
    limit, remaining = behaviour.burst, int(left)
    seconds, window = (math.ceil(round(each, 3)) for each in (reset, behaviour.quota_window))
    form = behaviour.quota_headers
    if form in ("draft", "policy"):
        told = {"Ratelimit-Policy": f'"default";q={limit};w={window}'}
        if form == "draft":
            told["RateLimit"] = f'"default";r={remaining};t={seconds}'
        return told
    if form == "older-draft":
        state = f"limit={limit}, remaining={remaining}, reset={seconds}"
        return {"RateLimit-Policy": f"{limit};w={window}", "RateLimit": state}
    if form == "none":
        return {}
    if form == "x-ratelimit-minute":
        names = {"X-RateLimit-Limit-Minute": limit, "X-RateLimit-Remaining-Minute": remaining}
        return {name: str(number) for name, number in names.items()}
    prefix = "RateLimit" if form == "ratelimit" else "X-RateLimit"
    moment = math.ceil(time.time() + reset) if form == "x-ratelimit-unix" else seconds
    numbers = {"Limit": limit, "Remaining": remaining, "Reset": moment}
    return {f"{prefix}-{name}": str(number) for name, number in numbers.items()}


def retry_after(response: web.StreamResponse) -> float | None:
    """The seconds that a refusal names."""
    header = response.headers.get("Retry-After")
    if header is None:
        return None
    if header.isdecimal():
        return float(header)
    return parsedate_to_datetime(header).timestamp() - time.time()
