"""How far a sync is, on a terminal and without one."""

from __future__ import annotations

import fcntl
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

from analytics_assets.cli import terminal
from analytics_assets.cli.terminal import TerminalProgress
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.reads import account_read
from analytics_assets_tests.testing.tables import warehouse_table

FOUR = pytest.mark.parametrize("api", [SampleData.generate(accounts=4, campaigns=2)], indirect=True)
COLUMNS = 60
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
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    api.behaviour.forbidden_accounts.add(api.data.account_ids[0])
    result = sync()
    lines = [line for line in result.stderr.splitlines() if " accounts read" in line]
    assert len(lines) == 3  # what comes with the last account is the summary
    read = 0
    for number, line in enumerate(lines, start=1):
        told = re.fullmatch(
            r"(\d) of 4 accounts read(?: \(1 failed\))?, (\d+) rows, (\d+) requests, ~\d+ s left",
            line,
        )
        assert told, line
        assert int(told[1]) == number
        read = int(told[2])
    assert any("(1 failed)" in line for line in lines)
    assert 0 < len(warehouse_table(home, "campaigns")) < read


def test_lines_are_far_apart(monkeypatch: pytest.MonkeyPatch, sync, home):
    assert terminal.LINE_SECONDS == 10.0
    assert sync().stderr == ""


@pytest.mark.parametrize(
    ("total", "expected"), [(5, [1, 2, 3, 4]), (40, [4, 8, 12, 16, 20, 24, 28, 32, 36])]
)
def test_lines_are_a_tenth_apart(total: int, expected: list[int], monkeypatch, capsys):
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    progress = TerminalProgress()
    progress.expect(total)
    for _ in range(total):
        progress.read(CONTEXT, account_read("acme", campaigns=2))
    said = capsys.readouterr().err.splitlines()
    assert [int(line.split()[0]) for line in said] == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations(seconds: float, text: str):
    assert terminal._duration(seconds) == text
