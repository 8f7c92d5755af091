"""How far a sync is: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import click
import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.remaining import Remaining, duration
from analytics_assets.text import counted

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
        self._total = self._begun = self._read = self._failed = self._rows = self._requests = 0

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the terminal is closed
            self._bar.stop()

    def expect(self, accounts: int) -> None:
        """So many accounts are to be read, in one run or in several."""
        self._total = accounts
        self._bar.update(self._task, total=accounts)

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Says that a run reads now."""
        super().reading(context, accounts)
        self._begun += accounts
        self._bar.update(self._task, description="reading")

    def read(
        self, context: dg.AssetExecutionContext, read: AccountRead, *, ended: bool = True
    ) -> None:
        """Moves on by an account that has ended."""
        super().read(context, read, ended=ended)
        self._read += ended
        self._failed += bool(read.failures)
        self._rows += read.rows.count
        self._requests += read.requests.total
        self._bar.update(self._task, advance=int(ended))

    def going_on(self, context: dg.AssetExecutionContext, remaining: Remaining) -> None:
        """Shows how long the rest may take."""
        super().going_on(context, remaining)
        self._bar.update(self._task, description="reading", note=self._note(remaining))

    def tell(self, context: dg.AssetExecutionContext, remaining: Remaining) -> None:
        """Says how long the rest may take, also where there is no terminal."""
        super().tell(context, remaining)
        if self._bar.disable:
            self._say(self._line(remaining))

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """Says for whom the run waits, also where there is no terminal."""
        super().waiting(context, line)
        self._say(line)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Says that the rows go to the warehouse now."""
        super().loading(context, accounts)
        self._bar.update(self._task, description="loading")

    def _say(self, line: str) -> None:
        with suppress(OSError):  # nobody reads on, or its disk is full: the run goes on
            if self._bar.disable:
                click.echo(line, err=True)
            else:
                self._bar.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _note(self, remaining: Remaining) -> str:
        parts = [f"{self._failed} failed" if self._failed else "", counted(self._rows, "row")]
        return ", ".join(filter(None, [*parts, self._left(remaining)]))

    def _line(self, remaining: Remaining) -> str:
        failed = f" ({self._failed} failed)" if self._failed else ""
        read = f"{self._read} of {self._total} accounts read{failed}"
        figures = f"{counted(self._rows, 'row')}, {counted(self._requests, 'request')}"
        return ", ".join(filter(None, [read, figures, self._left(remaining)]))

    def _left(self, remaining: Remaining) -> str:
        """The time that the rest takes, later runs included; empty where none is left."""
        seconds = remaining.seconds(further=self._total - self._begun)
        return f"~{duration(seconds)} left" if seconds and self._read < self._total else ""
