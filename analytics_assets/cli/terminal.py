"""What a sync shows on a terminal: its progress, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from types import TracebackType

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.cli.accounts import ACCOUNTS_SHOWN
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_records import ROW_COUNTS
from analytics_assets.resources import ACCOUNTS
from analytics_assets.text import one_line


class TerminalProgress(Progress):
    """A bar over the accounts. Shows nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, emoji=False),
            disable=not Console(stderr=True).is_terminal,
        )
        self._task = self._bar.add_task("accounts", total=None, note="")
        self._total = 0
        self._failed = 0

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Starts the bar, or makes it longer by a further run's accounts."""
        self._total += accounts
        self._bar.update(self._task, total=self._total, description="reading")

    def read(self, context: dg.AssetExecutionContext, read: AccountRead) -> None:
        """Moves the bar on by an account."""
        super().read(context, read)
        self._failed += bool(read.failures)
        note = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, note=note)

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """Says for whom the run waits, also where there is no terminal."""
        super().waiting(context, line)
        self._bar.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """Says that the rows go to the warehouse now."""
        self._bar.update(self._task, description="loading")


def print_summary(
    listed: dg.ExecuteInProcessResult,
    results: Sequence[dg.ExecuteInProcessResult],
    account_ids: Sequence[str],
) -> None:
    """Prints rows per resource, and state and rows per account."""
    by_resource: dict[str, int] = {ACCOUNTS.name: _rows(_events(listed)[0])}
    by_account: dict[str, int] = {}
    for event in chain.from_iterable(map(_events, results)):
        name, account_id = AssetNames.resource_name(event.asset_key), str(event.partition)
        by_resource[name] = by_resource.get(name, 0) + _rows(event)
        by_account[account_id] = by_account.get(account_id, 0) + _rows(event)
    console = Console(markup=False, emoji=False)
    console.print(_table(("resource", "rows"), list(by_resource.items())))
    if results:
        failed = [(key, "failed", "-") for key in account_ids if key not in by_account]
        done = [(key, "ok", by_account[key]) for key in account_ids if key in by_account]
        shown = done[: max(ACCOUNTS_SHOWN - len(failed), 0)]
        console.print(_table(("account", "state", "rows"), [*failed, *shown]))
        if len(shown) < len(done):
            console.print(f"... and {len(done) - len(shown)} more accounts, all ok")


def _table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Table:
    table = Table()
    for name in header:
        table.add_column(name, justify="right" if name == "rows" else "left")
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else one_line(str(cell)) for cell in row)
        table.add_row(*cells, style="red" if "failed" in row else None)
    return table


def _events(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [
        event.step_materialization_data.materialization
        for event in result.filter_events(lambda event: event.is_step_materialization)
    ]


def _rows(event: dg.AssetMaterialization) -> int:
    value = next(event.metadata[key] for key in ROW_COUNTS if key in event.metadata).value
    return int(value)  # type: ignore[arg-type]
