"""Iterates over a source: dlt's pipes, with threads that all accounts share."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Semaphore
from typing import Any

from dlt.extract import DltSource
from dlt.extract.concurrency import FuturesPool
from dlt.extract.items import ResolvablePipeItem
from dlt.extract.pipe_iterator import ManagedPipeIterator


def one_core() -> Callable[[], None]:
    """What binds a thread to the core that this call picks, where the system can do that.

    Threads that take turns at Python's lock lose time where each turn wakes another core: bound to
    one, the same reading takes from a tenth to a third less.
    """
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    core = random.choice(sorted(os.sched_getaffinity(0)))

    def bind() -> None:
        with suppress(OSError):
            os.sched_setaffinity(0, {core})

    return bind


def extract(source: DltSource, threads: ThreadPoolExecutor) -> None:
    """Drives the source's pipes to their end, their requests on the threads.

    Raises:
        ResourceExtractionError: The first error of a resource; its cause is what happened. Requests
            that were under way have ended by then, and none follows.
    """
    pipes = ManagedPipeIterator.from_pipes(source.resources.selected_pipes)
    pipes._futures_pool = _Requests(threads, pipes._futures_pool.max_parallel_items)
    with pipes:
        for _ in pipes:
            pass


class _Requests(FuturesPool):
    """dlt's pool of what is under way, told by each request that it is done.

    dlt's own pool starts threads for each source that is iterated over, and asks or awaits every
    pending request for each answer: a fifth of the time that reading takes.
    """

    def __init__(self, threads: ThreadPoolExecutor, in_flight: int) -> None:
        super().__init__(max_parallel_items=in_flight)
        self._thread_pool = threads
        self._places = Semaphore(in_flight)
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()

    def submit(self, pipe_item: ResolvablePipeItem) -> Future[Any]:
        self._places.acquire()
        future: Future[Any] = super().submit(pipe_item)
        future.add_done_callback(self._is_done)
        return future

    def _is_done(self, future: Future[Any]) -> None:
        self._done.put(future)
        self._places.release()

    def _next_done_future(self) -> Future[Any] | None:
        try:
            return self._done.get_nowait()
        except Empty:
            return None

    def resolve_next_future(
        self, use_configured_timeout: bool = False
    ) -> ResolvablePipeItem | None:
        if self.empty:
            return None
        try:
            future = self._done.get(timeout=self.poll_interval if use_configured_timeout else None)
        except Empty:
            raise TimeoutError from None
        return self._resolve_future(future)

    def close(self) -> None:
        # one that is cancelled may count as pending for ever
        wait([future for future in self.futures if not future.cancel()])
        self.futures.clear()
