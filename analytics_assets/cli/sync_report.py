"""What came of a sync: a summary for people, and one JSON document for programs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import click

from analytics_assets.cli.accounts import ACCOUNTS_SHOWN
from analytics_assets.cli.interrupts import Interrupted
from analytics_assets.text import counted, one_line

if TYPE_CHECKING:
    import dagster as dg
    from rich.table import Table

    from analytics_assets.dagster_backend.command_runs import CommandRun

State = Literal["failed", "partly", "ok"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that was asked for and is not there.

    Attributes:
        account_id: The account; None if the whole run failed.
        resource: The resource, where it is known.
        cause: What went wrong, in one line.
        permanent: Whether trying again soon is pointless.
        run_id: The run.
    """

    account_id: str | None
    resource: str | None
    cause: str
    permanent: bool
    run_id: str


@dataclass(slots=True)
class SyncReport:
    """What came of a sync as far as it has got.

    Attributes:
        wanted: What was to be read, by account.
        runs: The runs, that over the list of accounts included, oldest first.
        rows: The rows that were loaded, by resource and account; of the list, the account is None.
        failures: What is not there.
        started: When it began (`time.monotonic`).
    """

    wanted: dict[str, Collection[str]] = field(default_factory=dict)
    runs: list[CommandRun] = field(default_factory=list)
    rows: dict[tuple[str, str | None], int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def want(self, account_ids: Collection[str], names: Collection[str]) -> None:
        """Notes what resources are to be read, too, of each of the accounts."""
        for key in account_ids if names else ():
            self.wanted[key] = [*self.wanted.get(key, ()), *names]

    def add(self, instance: dg.DagsterInstance, run: CommandRun) -> None:
        """Adds a run that has ended."""
        from analytics_assets.orchestration.naming import AssetNames

        self.runs.append(run)
        for event in _materializations(run):
            name = AssetNames.resource_name(event.asset_key)
            if event.asset_key.path[-1] == name:  # that of a history tells of versions, not of rows
                self.rows[name, event.partition] = _row_count(event)
        if not run.success and not run.interrupted:
            self.failures += _failures(instance, run)

    @property
    def failed_runs(self) -> list[CommandRun]:
        """The runs that have failed."""
        return [run for run in self.runs if not run.success]

    @property
    def by_resource(self) -> dict[str, int]:
        """Rows by resource, in the order in which they were loaded."""
        found: dict[str, int] = {}
        for (name, _), rows in self.rows.items():
            found[name] = found.get(name, 0) + rows
        return found

    @property
    def accounts(self) -> list[tuple[str, State, int]]:
        """Account, state and rows: those that failed first, and each by name."""
        found = []
        for account_id, names in sorted(self.wanted.items()):
            rows = [
                self.rows[name, account_id] for name in names if (name, account_id) in self.rows
            ]
            state: State = "failed" if not rows else "partly" if len(rows) < len(names) else "ok"
            found.append((account_id, state, sum(rows)))
        return sorted(found, key=lambda account: ("failed", "partly", "ok").index(account[1]))

    def document(self, error: click.ClickException | None) -> dict[str, Any]:
        """All of it, for JSON; `error` is what the command ends with."""
        exit_code = error.exit_code if error else 0
        states = {0: "ok", Interrupted.exit_code: "interrupted"}
        return {
            "state": states.get(exit_code, "failed"),
            "exit_code": exit_code,
            "error": str(error) if error else None,
            "seconds": round(time.monotonic() - self.started, 3),
            "run_ids": [run.run_id for run in self.runs],
            "rows": sum(self.rows.values()),
            "resources": self.by_resource,
            "accounts": [
                {"account_id": account_id, "state": state, "rows": rows}
                for account_id, state, rows in self.accounts
            ],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def print(self) -> None:
        """Prints rows by resource, and state and rows by account; nothing if nothing was begun."""
        if not self.rows and not self.wanted:
            return
        from rich.console import Console

        console = Console(markup=False, emoji=False)
        if self.by_resource:
            console.print(_table(("resource", "rows"), list(self.by_resource.items())))
        if accounts := self.accounts:
            not_ok = sum(state != "ok" for _, state, _ in accounts)
            shown = accounts[: max(ACCOUNTS_SHOWN, not_ok)]
            cells = [
                (account_id, state, "-" if state == "failed" else rows)
                for account_id, state, rows in shown
            ]
            console.print(_table(("account", "state", "rows"), cells))
            if len(shown) < len(accounts):
                more = counted(len(accounts) - len(shown), "more account")
                console.print(f"... and {more}, all ok")


def cause_of(run: CommandRun) -> str:
    """What the failed run says to people; an unexpected error says where its trace is."""
    from analytics_assets.orchestration.run_failures import failure_text

    for event in run.events:
        if event.is_step_failure:
            details = f" (details: run {run.run_id} in the Dagster UI)"
            told = event.step_failure_data.user_failure_data is not None
            return failure_text(event) + ("" if told else details)
    return f"run {run.run_id} failed; see it in the Dagster UI"


def _failures(instance: dg.DagsterInstance, run: CommandRun) -> Iterator[Failure]:
    from analytics_assets.orchestration.run_failures import run_failure

    found = run_failure(instance, run.run_id)
    if not found.partitions:
        yield Failure(None, None, one_line(cause_of(run)), permanent=False, run_id=run.run_id)
    for account_id, resources in found.partitions.items():
        for name in resources:
            yield Failure(account_id, name, *found.of(account_id, name), run.run_id)


def _materializations(run: CommandRun) -> Iterator[dg.AssetMaterialization]:
    for event in run.events:
        if event.is_step_materialization:
            yield event.step_materialization_data.materialization


def _row_count(event: dg.AssetMaterialization) -> int:
    from analytics_assets.orchestration.recorded_loads import ROW_COUNTS

    value = next(event.metadata[key] for key in ROW_COUNTS if key in event.metadata).value
    return int(value)  # type: ignore[arg-type]


def _table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Table:
    from rich.table import Table

    table = Table()
    for name in header:
        right = name == "rows"
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else one_line(str(cell)) for cell in row)
        table.add_row(*cells, style="red" if "failed" in row else None)
    return table
