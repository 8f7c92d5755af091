"""The lines that a run writes to its log."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest

from analytics_assets.api.account_reading import ReadFailure
from analytics_assets.api.request_counts import RequestsByAccount
from analytics_assets.errors import ReadError
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.remaining import Remaining
from analytics_assets_tests.testing.reads import account_read

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def context(lines: Lines) -> dg.AssetExecutionContext:
    log = SimpleNamespace(
        info=lambda line: lines.append(("info", line)),
        warning=lambda line: lines.append(("warning", line)),
    )
    return cast(dg.AssetExecutionContext, SimpleNamespace(log=log))


def test_a_run_tells_how_far_it_is(context: dg.AssetExecutionContext, lines: Lines) -> None:
    progress = Progress()
    progress.reading(context, 3)
    progress.read(context, account_read("ac\x1bme", seconds=1.26, campaigns=2, audiences=5))
    progress.waiting(context, "waits for run 7")
    progress.loading(context, 2)
    assert lines == [
        ("info", "reading 3 accounts"),
        ("info", "acme: 7 rows in 1.3 s"),
        ("info", "waits for run 7"),
        ("info", "loading 2 accounts"),
    ]


def test_what_failed_of_an_account_is_a_warning(
    context: dg.AssetExecutionContext, lines: Lines
) -> None:
    failed = ReadFailure("acme", "campaigns", ("campaigns",), ReadError("it broke off"))
    read = account_read("acme", seconds=1.0, audiences=2)
    Progress().read(context, replace(read, failures=[failed]))
    said = "acme: campaigns: it broke off; what is loaded of it stays"
    assert lines == [("warning", said), ("info", "acme: 2 rows in 1.0 s")]


def test_how_long_the_rest_takes_is_told_once_a_minute(
    context: dg.AssetExecutionContext, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    remaining = Remaining({"acme": ["campaigns"]}, RequestsByAccount(), dict)
    for clock.now in (1.0, 60.0, 61.0):
        Progress().going_on(context, remaining)
    assert lines == [("info", "0 of 1 accounts read")]


def test_of_an_account_of_which_nothing_was_read_there_is_no_line(
    context: dg.AssetExecutionContext, lines: Lines
) -> None:
    Progress().read(context, account_read("acme"))
    assert lines == []
