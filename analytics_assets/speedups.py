"""What is there for speed alone: each with its figure, and each can be switched off.

`ANALYTICS_ASSETS_WITHOUT=rarely_collecting,frozen_imports` in the environment does without those
named: then Python, dlt and Dagster do as they do by themselves.

Figures: what a sync of 4,082 requests takes longer without it on 2 quiet cores, of 8.6 s.
"""

from __future__ import annotations

import atexit
import gc
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError, wait
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Semaphore
from typing import Any, Final

from dlt.common.destination import AnyDestination, DestinationCapabilitiesContext
from dlt.common.destination.client import DestinationClientConfiguration
from dlt.common.normalizers.naming import NamingConvention
from dlt.extract.concurrency import FuturesPool
from dlt.extract.items import ResolvablePipeItem
from dlt.extract.pipe_iterator import PipeIterator

_SWITCH: Final = "ANALYTICS_ASSETS_WITHOUT"
# new objects after which the garbage collector looks for cycles, instead of 700
_NEW_OBJECTS: Final = 500_000


def is_on(name: str) -> bool:
    """Whether a speed-up of this module is in force."""
    return name not in os.environ.get(_SWITCH, "").split(",")


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Lets the garbage collector look for cycles rarely: 1.1 s of a run that Dagster starts.

    A run's objects are its rows. To look through them and through all of Dagster and dlt, again and
    again, finds nothing.
    """
    before = gc.get_threshold()
    if is_on("rarely_collecting"):
        gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def frozen_imports() -> Iterator[None]:
    """Keeps what is imported within out of the garbage collector's sight: 1.3 s.

    Dagster and dlt are some hundred thousand objects that stay until the end, through which it
    would go again and again, and at the exit.
    """
    if not is_on("frozen_imports"):
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    gc.freeze()
    atexit.register(gc.freeze)


def one_core() -> Callable[[], None]:
    """What binds a thread, and those that it starts, to the core that this call picks.

    1.2 s: threads that take turns at Python's lock lose time where each turn wakes
    another core. Systems other than Linux bind no threads.
    """
    if not is_on("one_core") or not hasattr(os, "sched_setaffinity"):
        return lambda: None
    core = random.choice(sorted(os.sched_getaffinity(0)))

    def bind() -> None:
        with suppress(OSError):
            os.sched_setaffinity(0, {core})

    return bind


def configure_once(destination: AnyDestination) -> None:
    """Lets dlt work out the destination's configuration, and what it can do, once and not 90 times.

    0.5 s: dlt asks for both at each step of a load, and resolves all anew.
    """
    if not is_on("configure_once"):
        return
    resolve, work_out = destination.configuration, destination.capabilities
    configurations: dict[str, DestinationClientConfiguration] = {}
    capabilities: dict[str, DestinationCapabilitiesContext] = {}

    def known_configuration(
        initial_config: DestinationClientConfiguration | None, accept_partial: bool = False
    ) -> DestinationClientConfiguration:
        key = repr(initial_config and sorted(vars(initial_config).items()))
        if key not in configurations:
            configurations[key] = resolve(initial_config, accept_partial)  # type: ignore[arg-type]
            return configurations[key]
        config = configurations[key].copy()
        if config.credentials is not None:
            config.credentials.resolve()  # makes what must not be shared, such as connections
        return config

    def known_capabilities(
        config: DestinationClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        if config is not None:
            return work_out(config, naming)
        key = naming.name() if naming else ""
        if key not in capabilities:
            capabilities[key] = work_out(naming=naming)
        return capabilities[key].copy()

    destination.configuration = known_configuration  # type: ignore[method-assign]
    destination.capabilities = known_capabilities  # type: ignore[method-assign]


def await_any(items: PipeIterator) -> None:
    """Lets the iterator be told by each request that it is done: 0.3 s.

    dlt's own pool asks or awaits every pending request for each answer. There is no public way to
    give the iterator another.
    """
    if is_on("await_any"):
        pool = items._futures_pool
        items._futures_pool = _NotifiedPool(
            pool.workers, pool.poll_interval, pool.max_parallel_items
        )


class _NotifiedPool(FuturesPool):
    """dlt's pool of what is under way, with a queue of what is done."""

    def __init__(self, workers: int, poll_interval: float, max_parallel_items: int) -> None:
        super().__init__(workers, poll_interval, max_parallel_items)
        self._places = Semaphore(max_parallel_items)
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
        # what is cancelled may count as pending for ever
        wait([future for future in self.futures if not future.cancel()])
        super().close()
