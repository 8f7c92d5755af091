"""What is there for speed: in force within its bounds alone, and switched off by name."""

from __future__ import annotations

import gc
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dlt
import pytest
from dlt.common.destination import Destination
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.extract.concurrency import FuturesPool
from dlt.extract.exceptions import ResourceExtractionError
from dlt.extract.items import ResolvablePipeItem
from dlt.extract.pipe_iterator import ManagedPipeIterator, PipeIterator

from analytics_assets import speedups
from analytics_assets.errors import ReadError
from analytics_assets.sample_api import SampleApi
from analytics_assets.speedups import await_any, configure_once, is_on, one_core, rarely_collecting
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api


def test_the_garbage_collector_looks_rarely_for_a_while():
    usual = gc.get_threshold()
    with rarely_collecting():
        assert gc.get_threshold()[0] > 100 * usual[0]
    assert gc.get_threshold() == usual
    with pytest.raises(ReadError), rarely_collecting():
        raise ReadError("the API fails")
    assert gc.get_threshold() == usual


def test_the_garbage_collector_looks_as_usual_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", "frozen_imports,rarely_collecting")
    usual = gc.get_threshold()
    with rarely_collecting():
        assert gc.get_threshold() == usual


@pytest.mark.parametrize(("without", "frozen"), [("", True), ("frozen_imports", False)])
def test_imports_that_the_garbage_collector_does_not_see(monkeypatch, without: str, frozen: bool):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", without)
    code = """if True:
        import gc
        from analytics_assets.speedups import frozen_imports
        with frozen_imports():
            import decimal
        print(gc.isenabled(), gc.get_freeze_count() > 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(frozen)]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no threads")
@pytest.mark.parametrize("without", ["", "one_core"])
def test_reading_threads_keep_to_one_core_and_this_one_does_not(monkeypatch, without: str):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", without)
    cores = os.sched_getaffinity(0)
    bound: list[set[int]] = []

    def read() -> None:
        thread = Thread(target=lambda: bound.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()

    with ThreadPoolExecutor(1, initializer=one_core()) as accounts:
        accounts.submit(read).result()
    assert bound[0] <= cores
    assert len(bound[0]) == (len(cores) if without else 1)
    assert os.sched_getaffinity(0) == cores


ALL = "rarely_collecting,frozen_imports,configure_once,await_any,one_core"

# by class of dlt: what speedups.py replaces, calls or overrides, and the parameters given or taken
METHODS: dict[type, dict[str, str]] = {
    FuturesPool: {
        "__init__": "workers poll_interval max_parallel_items",
        "submit": "pipe_item",
        "resolve_next_future": "use_configured_timeout",
        "resolve_next_future_no_wait": "",
        "_resolve_future": "future",
        "_next_done_future": "",
        "close": "",
    },
    Destination: {
        "configuration": "initial_config accept_partial",
        "capabilities": "config naming",
    },
}
# what the classes set on themselves
ATTRIBUTES: dict[type, str] = {
    PipeIterator: "_futures_pool",
    FuturesPool: "workers poll_interval max_parallel_items futures empty",
}


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [(owner, *needed) for owner, methods in METHODS.items() for needed in methods.items()],
)
def test_dlt_has_what_is_replaced(owner: type, method: str, parameters: str) -> None:
    name = f"{owner.__module__}.{owner.__name__}.{method}"
    assert hasattr(owner, method), f"speedups.py needs {name}, which this release of dlt lacks"
    taken = inspect.signature(getattr(owner, method)).parameters
    missing = [parameter for parameter in parameters.split() if parameter not in taken]
    assert not missing, f"speedups.py gives {name} what it no longer takes: {missing}"


@pytest.mark.parametrize(
    ("owner", "attribute"),
    [(owner, name) for owner, names in ATTRIBUTES.items() for name in names.split()],
)
def test_dlt_sets_what_is_read(owner: type, attribute: str) -> None:
    is_there = hasattr(owner, attribute) or attribute in owner.__init__.__code__.co_names  # type: ignore[misc]
    assert is_there, f"speedups.py needs {owner.__name__}.{attribute}, which is gone from dlt"


def test_each_has_its_own_switch(monkeypatch):
    used = set(re.findall(r'is_on\("(\w+)"\)', Path(speedups.__file__).read_text()))
    assert used == set(ALL.split(","))
    assert all(map(is_on, used))
    for name in used:
        monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", name)
        assert [other for other in used if not is_on(other)] == [name]


def test_without_any_the_tables_are_the_same(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", ALL)
    monkeypatch.setattr(speedups, "_NotifiedPool", None)
    monkeypatch.setattr(speedups, "_NEW_OBJECTS", None)
    result = sync()
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data)


def test_a_destination_is_configured_once_and_each_asker_has_a_copy(tmp_path, monkeypatch):
    worked_out: list[str] = []
    destination: Any = dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb"))
    resolve, work_out = destination.configuration, destination.capabilities

    def configuration(*arguments: Any) -> Any:
        worked_out.append("configuration")
        return resolve(*arguments)

    def capabilities(*arguments: Any, **options: Any) -> Any:
        worked_out.append("capabilities")
        return work_out(*arguments, **options)

    monkeypatch.setattr(destination, "configuration", configuration)
    monkeypatch.setattr(destination, "capabilities", capabilities)
    configure_once(destination)

    def configured() -> Any:
        return destination.configuration(DuckDbClientConfiguration(), accept_partial=True)

    for ask in (destination.capabilities, configured):
        answers = [ask()]
        worked_out.clear()
        answers += [ask(), ask()]
        assert worked_out == []
        assert len(set(map(id, answers))) == 3
        first, *others = [{**answer, "credentials": None} for answer in answers]
        assert others == [first, first]


@pytest.fixture
def pool() -> Iterator[FuturesPool]:
    """The pool that an iterator of dlt's gets, with two threads and room for three."""
    with ManagedPipeIterator.from_pipes(
        [dlt.resource([1], name="numbers")._pipe], workers=2, max_parallel_items=3
    ) as items:
        await_any(items)
        assert isinstance(items._futures_pool, speedups._NotifiedPool)
        yield items._futures_pool


def task(work: Callable[[], Any]) -> ResolvablePipeItem:
    pipe = dlt.resource([1], name="numbers")._pipe
    return ResolvablePipeItem(work, 0, pipe, None)


def value_of(item: ResolvablePipeItem | None) -> Any:
    return None if item is None else item.item


def items_of(pool: FuturesPool) -> list[Any]:
    found = []
    while not pool.empty:
        found.append(value_of(pool.resolve_next_future()))
    return found


def test_each_result_comes_once_and_the_first_that_is_done_first(pool: FuturesPool):
    goes_on = Event()
    pool.submit(task(lambda: goes_on.wait(5) and "slow"))
    pool.submit(task(lambda: "fast"))
    assert value_of(pool.resolve_next_future()) == "fast"
    assert pool.resolve_next_future_no_wait() is None
    with pytest.raises(TimeoutError):
        pool.resolve_next_future(use_configured_timeout=True)
    goes_on.set()
    assert items_of(pool) == ["slow"]
    assert pool.resolve_next_future() is None


def test_many_results_are_all_there(pool: FuturesPool):
    found = []
    for number in range(200):
        pool.submit(task(partial(int, number)))  # waits while three are under way
        found.append(value_of(pool.resolve_next_future_no_wait()))
    found += items_of(pool)
    assert sorted(number for number in found if number is not None) == list(range(200))


def test_an_error_is_told_with_its_resource(pool: FuturesPool):
    def fails() -> None:
        raise ReadError("the API fails")

    pool.submit(task(fails))
    with pytest.raises(ResourceExtractionError, match="numbers") as caught:
        pool.resolve_next_future()
    assert isinstance(caught.value.__cause__, ReadError)
