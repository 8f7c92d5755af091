"""The API behind a proxy, as the environment names it."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Forward(BaseHTTPRequestHandler):
    """Sends a request on to the address in its request line, and its answer back."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        self._forward(None)

    def do_POST(self) -> None:
        self._forward(self.rfile.read(int(self.headers["Content-Length"])))

    def _forward(self, body: bytes | None) -> None:
        self.seen.append(self.path)
        headers = {name: self.headers[name] for name in ("Authorization",) if name in self.headers}
        with _DIRECT.open(urllib.request.Request(self.path, body, headers)) as answer:
            content = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A proxy that the environment names; gives what it was asked for."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)

    class Handler(Forward):
        seen: ClassVar[list[str]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        yield Handler.seen
        server.shutdown()


def test_every_request_goes_through_the_proxy(
    home: Path, commands, api: SampleApi, through_proxy: list[str]
):
    result = commands.analytics_assets("sync")
    assert result.returncode == 0, result.stderr
    assert_warehouse_equals_api(home, api.data)
    assert api.token_url in through_proxy
    paths = {url.removeprefix(api.base_url) for url in through_proxy}
    assert paths == set(api.log.count_by_url())
