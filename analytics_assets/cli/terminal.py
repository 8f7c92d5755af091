"""How far a sync is: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Final

import click
import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.orchestration.progress import Progress

LINE_SECONDS = 10.0
"""Where there is no terminal, lines are at least so far apart..."""

LINE_SHARE: Final = 0.1
"""... and by so large a share of the accounts."""

# the longest line of which a bar can still be seen at a glance
_WIDTH: Final = 100


class TerminalProgress(Progress):
    """Shows on standard error how many accounts are read, and how long the rest may take."""

    def __init__(self) -> None:
        console = Console(stderr=True, emoji=False)
        console.width = min(console.width, _WIDTH)
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._bar.add_task("accounts", total=None, note="")
        self._started = self._told_at = time.monotonic()
        self._total = self._read = self._told = self._failed = self._rows = self._requests = 0

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the terminal is closed
            self._bar.stop()

    def expect(self, accounts: int) -> None:
        """So many accounts are to be read, in one run or in several."""
        self._total = accounts
        self._started = self._told_at = time.monotonic()
        self._bar.update(self._task, total=accounts)

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Says that a run reads now."""
        super().reading(context, accounts)
        self._bar.update(self._task, description="reading")

    def read(self, context: dg.AssetExecutionContext, read: AccountRead) -> None:
        """Moves on by an account."""
        super().read(context, read)
        self._read += 1
        self._failed += bool(read.failures)
        self._rows += read.rows.count
        counts = read.requests.by_resource.values()
        self._requests += sum(count.requests for count in counts)
        self._bar.update(self._task, advance=1, note=self._note())
        if self._bar.disable and self._is_time():
            self._told_at, self._told = time.monotonic(), self._read
            click.echo(self._line(), err=True)

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """Says for whom the run waits, also where there is no terminal."""
        super().waiting(context, line)
        self._bar.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Says that the rows go to the warehouse now."""
        super().loading(context, accounts)
        self._bar.update(self._task, description="loading")

    def _note(self) -> str:
        parts = [f"{self._failed} failed" if self._failed else "", f"{self._rows:,} rows"]
        return ", ".join(filter(None, [*parts, self._left()]))

    def _line(self) -> str:
        failed = f" ({self._failed} failed)" if self._failed else ""
        read = f"{self._read} of {self._total} accounts read{failed}"
        figures = f"{self._rows:,} rows, {self._requests:,} requests"
        return ", ".join(filter(None, [read, figures, self._left()]))

    def _is_time(self) -> bool:
        since = time.monotonic() - self._told_at
        share = (self._read - self._told) / max(self._total, 1)
        return self._read < self._total and since >= LINE_SECONDS and share >= LINE_SHARE

    def _left(self) -> str:
        """The time that the rest takes at the pace so far; empty where none is left."""
        rest = self._total - self._read
        if rest <= 0:
            return ""
        return f"~{_duration((time.monotonic() - self._started) / self._read * rest)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
