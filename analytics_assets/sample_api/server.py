"""Answers requests: tokens, and the lists of the resource table."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from aiohttp import web

from analytics_assets.sample_api.behaviour import TOKEN_PATH, Behaviour
from analytics_assets.sample_api.bodies import Bodies, Page
from analytics_assets.sample_api.data import ListKey, SampleData
from analytics_assets.sample_api.encoding import encode_json
from analytics_assets.sample_api.faults import Hit, spoil
from analytics_assets.sample_api.limits import Limits
from analytics_assets.sample_api.reports import ReportWindow
from analytics_assets.sample_api.request_log import Entry, RequestLog
from analytics_assets.sample_api.responses import (
    error,
    json_response,
    quota_headers,
    retry_after,
    too_many_requests,
)
from analytics_assets.sample_api.routes import Routes
from analytics_assets.sample_api.tokens import Tokens
from analytics_assets.schema import Report


class Server:
    """Answers requests for one set of data.

    Attributes:
        data: What is served.
        behaviour: How it is served.
        log: What was asked.
        tokens: The tokens that are valid.
    """

    def __init__(self, data: SampleData, behaviour: Behaviour, log: RequestLog) -> None:
        self.data = data
        self.behaviour = behaviour
        self.log = log
        self.tokens = Tokens()
        self._limits = Limits(behaviour)
        self._routes = Routes({**data.resources, **data.reports.resources})
        self._bodies = Bodies(data)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers and records a request."""
        path, _, query = request.raw_path.partition("?")
        entry = Entry(request.method, path, query, request.headers, port=_port(request))
        self.log.start(entry)
        try:
            if path == TOKEN_PATH:
                response = await self._answer_token(request)
            else:
                response = await self._answer_list(request, entry)
            if request.transport is not None and not request.transport.is_closing():
                entry.status = response.status
                entry.retry_after = retry_after(response)
            return response
        finally:
            self.log.end(entry)

    async def _answer_token(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return error(HTTPStatus.METHOD_NOT_ALLOWED, "Ask for a token with POST.")
        form = await request.post()
        await self._wait_latency()
        behaviour = self.behaviour
        if form.get("grant_type") != "client_credentials":
            return error(HTTPStatus.BAD_REQUEST, "The grant type must be client_credentials.")
        if (form.get("client_id"), form.get("client_secret")) != (
            behaviour.client_id,
            behaviour.client_secret,
        ):
            return error(HTTPStatus.UNAUTHORIZED, "Wrong client id or secret.")
        token = self.tokens.issue(behaviour.token_lifetime, single=behaviour.single_token)
        self.log.count_token()
        answer = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": behaviour.token_lifetime,
        }
        body = encode_json(answer)
        fault = behaviour.next_fault(TOKEN_PATH)
        if fault is not None:
            return await spoil(Hit(fault, request, body, self.tokens, token))
        return json_response(body)

    async def _answer_list(self, request: web.BaseRequest, entry: Entry) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.tokens.is_valid(token):
            return error(HTTPStatus.UNAUTHORIZED, "The access token is missing or not valid.")
        path = entry.path.removeprefix(self.behaviour.prefix)
        key = None
        if entry.path.startswith(self.behaviour.prefix):
            key = self._routes.match(
                path,
                version=self.behaviour.api_version,
                strict_slashes=self.behaviour.strict_slashes,
            )
        if key is None:
            return error(HTTPStatus.NOT_FOUND, "No such path.")
        entry.account_id = key.account_id
        wait = self._limits.admit(key.account_id)
        headers = self._quota_headers(key.account_id)
        if wait is not None:
            refusal = too_many_requests(wait, self.behaviour.retry_after)
            refusal.headers.update(headers)
            return refusal
        try:
            await self._wait_latency()
            send = (
                self._send_report
                if key.resource in self.data.reports.resources
                else self._send_list
            )
            response = self._refusal(request.method, key) or await send(
                request, key, unquote(path), entry.query, token
            )
            if not response.prepared:
                response.headers.update(headers)
            return response
        finally:
            self._limits.release()

    def _quota_headers(self, account_id: str | None) -> dict[str, str]:
        left = self._limits.left(account_id)
        told = {} if left is None else quota_headers(self.behaviour, *left)
        return {**told, **self.behaviour.headers}

    def _refusal(self, method: str, key: ListKey) -> web.Response | None:
        """The error for a list that is not to be had, if so."""
        if method != "GET":
            return error(HTTPStatus.METHOD_NOT_ALLOWED, "Lists can only be read.")
        if key.account_id is not None:
            if key.account_id in self.behaviour.forbidden_accounts:
                return error(HTTPStatus.FORBIDDEN, "No permission for this account.")
            if not self.data.has_account(key.account_id):
                return error(HTTPStatus.NOT_FOUND, "No such account.")
        if not self.data.has_parent(key):
            return error(HTTPStatus.NOT_FOUND, "No such parent in this account.")
        return None

    async def _send_list(
        self, request: web.BaseRequest, key: ListKey, path: str, query: str, token: str
    ) -> web.StreamResponse:
        try:
            page = self._list_page(key, query)
        except ValueError:
            return error(HTTPStatus.BAD_REQUEST, "page and page_size must be positive numbers.")
        fault = self.behaviour.next_fault(path)
        if fault is not None:
            body = self._bodies.encoded(key, page, compressed=False)
            return await spoil(Hit(fault, request, body, self.tokens, token))
        compressed = self.behaviour.gzip and "gzip" in request.headers.get("Accept-Encoding", "")
        response = json_response(self._bodies.encoded(key, page, compressed=compressed))
        if compressed:
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def _send_report(
        self, request: web.BaseRequest, key: ListKey, path: str, query: str, token: str
    ) -> web.StreamResponse:
        account_id = key.account_id or ""
        report = self.data.reports.resources[key.resource].report or Report()
        try:
            window = ReportWindow.of_query(query, report)
            page = _page(self.behaviour.report_page_size, query)
        except ValueError:
            return error(
                HTTPStatus.BAD_REQUEST,
                f"{report.first_day_parameter} and {report.last_day_parameter} must be a window of"
                " days.",
            )
        rows = self.data.reports.rows(key.resource, account_id, window.first, window.last)
        sent = rows
        if page is not None:
            number = 1 if self.behaviour.ignores_page else page.number
            sent = rows[(number - 1) * page.size : number * page.size]
        body = encode_json(
            self.data.reports.answer(key.resource, account_id, window, sent, len(rows))
        )
        fault = self.behaviour.next_fault(path)
        if fault is not None:
            return await spoil(Hit(fault, request, body, self.tokens, token))
        return json_response(body)

    def _list_page(self, key: ListKey, query: str) -> Page | None:
        """The page that a query asks for, of a list that has pages.

        Raises:
            ValueError: The query's page or page_size is no positive number.
        """
        if self.behaviour.ignores_page or not self.data.resources[key.resource].paged:
            return None
        return _page(self.behaviour.page_size, query)

    async def _wait_latency(self) -> None:
        if self.behaviour.latency:
            await asyncio.sleep(self.behaviour.latency)


def _page(most: int | None, query: str) -> Page | None:
    """The page that a query asks for; None where all rows are sent.

    Raises:
        ValueError: The query's page or page_size is no positive number.
    """
    if most is None:
        return None
    asked = parse_qs(query, keep_blank_values=True)
    page = Page(
        number=int(asked.get("page", ["1"])[-1]),
        size=min(int(asked.get("page_size", [str(most)])[-1]), most),
    )
    if page.number < 1 or page.size < 1:
        raise ValueError(f"no such page: {page}")
    return page


def _port(request: web.BaseRequest) -> int | None:
    peer = request.get_extra_info("peername")
    return peer[1] if isinstance(peer, tuple) else None
