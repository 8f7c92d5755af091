"""Runs the server: in the caller's event loop, or in a thread of its own for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from threading import Thread

from aiohttp import web

from analytics_assets.sample_api.behaviour import TOKEN_PATH, Behaviour
from analytics_assets.sample_api.data import SampleData
from analytics_assets.sample_api.request_log import RequestLog
from analytics_assets.sample_api.server import Server

_BACKLOG = 512
_GRACE_SECONDS = 0.05


@asynccontextmanager
async def listening(server: Server, host: str, port: int) -> AsyncIterator[int]:
    """Serves in this event loop, and yields the port; at the end gives up what is in flight."""
    protocols = web.Server(server.handle, handler_cancellation=True, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(protocols, host, port, backlog=_BACKLOG)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await protocols.shutdown(_GRACE_SECONDS)


class SampleApi:
    """The API on a port of this machine, for the length of a `with` block.

    Args:
        data: What is served; a small set by default.
        behaviour: How it is served; without limits and faults by default.
        host: The address to listen on.
        port: The port to listen on; a free one by default.

    Attributes:
        data: What is served; may be changed meanwhile.
        behaviour: How it is served; may be changed meanwhile.
        log: What was asked.
        port: The port, once started.
    """

    def __init__(
        self,
        data: SampleData | None = None,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.data = data or SampleData.generate(accounts=3, campaigns=4, items=3)
        self.behaviour = behaviour or Behaviour()
        self.log = RequestLog()
        self.port = port
        self._host = host
        self._server = Server(self.data, self.behaviour, self.log)
        self._thread: Thread | None = None

    @property
    def base_url(self) -> str:
        """What precedes every list's path."""
        return f"http://{self._host}:{self.port}{self.behaviour.prefix}"

    @property
    def token_url(self) -> str:
        """Where tokens are issued."""
        return f"http://{self._host}:{self.port}{TOKEN_PATH}"

    def revoke_tokens(self) -> None:
        """Makes every token that was issued invalid."""
        self._server.tokens.revoke_all()

    def start(self) -> None:
        """Starts to listen; returns once connections are accepted.

        Raises:
            OSError: The port cannot be had.
        """
        started: Future[int] = Future()
        self._thread = Thread(target=self._serve, args=[started], name="sample-api", daemon=True)
        self._thread.start()
        self.port = started.result()

    def stop(self) -> None:
        """Stops at once, whatever is in flight."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> SampleApi:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._run(started))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _run(self, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with listening(self._server, self._host, self.port) as port:
            started.set_result(port)
            await self._stopping.wait()
