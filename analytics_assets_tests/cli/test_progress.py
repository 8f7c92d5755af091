"""How far a sync is, on a terminal and without one."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from types import SimpleNamespace
from typing import Any

import pytest

from analytics_assets.api.request_counts import RequestsByAccount
from analytics_assets.cli.terminal import TerminalProgress
from analytics_assets.orchestration import remaining
from analytics_assets.orchestration.remaining import Remaining
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.holding import hold
from analytics_assets_tests.testing.reads import account_read

FOUR = pytest.mark.parametrize("api", [SampleData.generate(accounts=4, campaigns=2)], indirect=True)
COLUMNS = 60
_LINE = r"(\d) of 4 accounts read(?: \(1 failed\))?, [\d,]+ rows, [\d,]+ requests(, ~\d+ s left)?"
CONTEXT: Any = SimpleNamespace(log=SimpleNamespace(info=lambda line: None))


@FOUR
@pytest.mark.process
@pytest.mark.usefixtures("home")
def test_a_bar_moves_while_accounts_are_read(api: SampleApi, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__TIMEOUT", "3600")
    last = api.data.account_ids[-1]
    api.behaviour.faults.append(Fault("hang", f"/v1/{last}/*"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "analytics_assets.cli", "sync"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "COLUMNS": str(COLUMNS)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    sent, shown = b"", ""

    def three_are_read() -> bool:
        nonlocal sent, shown
        sent += os.read(master, 65536)
        shown = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", sent.decode(errors="ignore"))
        return re.search(r"3/4 .*rows, ~\d+ s left", shown) is not None

    wait_until(three_are_read)
    assert process.poll() is None
    *whole, _ = re.split(r"[\r\n]+", shown)
    assert [line for line in whole if len(line) > COLUMNS] == []
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    os.close(master)


@FOUR
def test_a_line_now_and_then_where_there_is_no_terminal(api: SampleApi, sync, home, monkeypatch):
    monkeypatch.setattr(remaining, "LINE_SECONDS", 0.0)
    first, *_, last = api.data.account_ids
    api.behaviour.forbidden_accounts.add(first)
    fault = hold(api, last, monkeypatch)
    tell = TerminalProgress.tell

    def until_three_are_read(self: TerminalProgress, *args: Any) -> None:
        tell(self, *args)
        if self._read == 3 and fault in api.behaviour.faults:
            api.behaviour.faults.remove(fault)

    monkeypatch.setattr(TerminalProgress, "tell", until_three_are_read)
    result = sync()
    lines = [line for line in result.stderr.splitlines() if " accounts read" in line]
    told = [re.fullmatch(_LINE, line) for line in lines]
    assert all(told), lines
    numbers = [int(line[1]) for line in told if line]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 3  # what comes with the last account is the summary
    assert lines[-1].startswith("3 of 4 accounts read (1 failed), ")
    assert re.search(r"~\d+ s left$", lines[-1])


@pytest.mark.parametrize("terminal", [False, True], ids=["a log", "a terminal"])
def test_a_run_goes_on_where_nothing_can_be_written(monkeypatch, terminal: bool):
    class Full(io.StringIO):
        def isatty(self) -> bool:
            return terminal

        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    progress = TerminalProgress()
    progress.waiting(CONTEXT, "waits for run 7")
    progress.tell(CONTEXT, Remaining({"a": ["campaigns"]}, RequestsByAccount(), dict))


def test_nothing_is_said_of_a_short_sync(sync, home):
    assert sync().stderr == ""


def test_the_rest_of_all_runs_is_told(capsys, monkeypatch):
    progress = TerminalProgress()
    progress.expect(4)
    for total in (2, 2):  # two runs
        progress.reading(CONTEXT, total)
        monkeypatch.setattr("time.monotonic", lambda: 0.0)
        rest = Remaining({key: ["campaigns"] for key in "ab"}, RequestsByAccount(), dict)
        read = account_read("a", campaigns=2)
        read.requests.sent("campaigns", 0.0, retry=False, throttled=0.0)
        progress.read(CONTEXT, read)
        rest.without(read)
        monkeypatch.setattr("time.monotonic", lambda: 60.0)
        progress.going_on(CONTEXT, rest)
        monkeypatch.undo()
        progress.read(CONTEXT, read)
    assert capsys.readouterr().err.splitlines() == [
        "1 of 4 accounts read, 2 rows, 1 request, ~3 min left",
        "3 of 4 accounts read, 6 rows, 3 requests, ~60 s left",
    ]
