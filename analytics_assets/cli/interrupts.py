"""A command that is asked to stop: by Ctrl-C, by the system, or because its terminal is closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any, Final

import click

_LIKE_CTRL_C: Final = ("SIGTERM", "SIGHUP")


class Interrupted(click.ClickException):
    """The command was asked to stop."""

    exit_code = 130  # as shells have it: 128 + SIGINT

    def show(self, file: IO[Any] | None = None) -> None:
        """Says so, unless the terminal is closed."""
        with suppress(OSError):
            super().show(file)


@contextmanager
def stopping_as_ctrl_c_does() -> Iterator[None]:
    """Has the signals that end a process do what Ctrl-C does, whatever that does at the time."""
    names = [name for name in _LIKE_CTRL_C if hasattr(signal, name)]
    before = {signal.Signals[name]: signal.getsignal(signal.Signals[name]) for name in names}
    # what is ignored stays so: `nohup` lets a command outlive its terminal
    ours = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _as_ctrl_c)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(number, frame)


def end_process(command: Callable[[], object]) -> None:
    """Runs the command and ends the process: at once if it was interrupted.

    Python would wait for all threads, and so for requests to which nobody listens any more.
    """
    try:
        command()
    except SystemExit as ending:
        if ending.code != Interrupted.exit_code:
            raise
        with suppress(OSError):  # the terminal is closed
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(Interrupted.exit_code)
