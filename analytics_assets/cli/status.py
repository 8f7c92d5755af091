"""`analytics-assets status`: what is loaded of each account, by records and warehouse."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from analytics_assets.cli.account_status import (
    STATES,
    AccountStatus,
    StatusReport,
    UnreadAccount,
    status_report,
)
from analytics_assets.cli.accounts import ACCOUNTS_SHOWN, complete_account
from analytics_assets.text import counted, first_of, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from analytics_assets.orchestration.recorded_attempts import FailedAttempt
    from analytics_assets.orchestration.recorded_loads import Load

_STYLES: Final = {"failed": "red", "lost": "red", "partly": "yellow", "never": "yellow", "ok": ""}
_HELP_ON_STATES: Final = """\
\b
States:
  failed  the latest attempt at a resource failed; what was loaded before is still there
  lost    a resource was loaded, and the warehouse does not hold its rows (any longer)
  partly  some resources were never loaded
  never   none was
  ok      all are loaded

\b
To act on them in a script:
  analytics-assets status --json | jq -e 'all(.accounts[]; .state == "ok")'
"""
# below, a table has no room for what is long: causes, and ids of runs
_WIDE: Final = 120
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@click.command(epilog=_HELP_ON_STATES)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="SLUG",
    shell_complete=complete_account,
    help="Only this account, resource by resource; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")
def status(accounts: tuple[str, ...], as_json: bool) -> None:
    """Show what is loaded of each account, how old it is, and why it failed if it did.

    It compares Dagster's records with what the warehouse holds, and does not ask the API. Where the
    warehouse cannot be asked, because a run writes to it or a setting is missing, it says so and
    shows the records.

    Ends with exit code 0 whenever it could tell, whatever it found.
    """
    report = status_report(accounts)
    if as_json:
        click.echo(json.dumps(_json(report), indent=2))
    else:
        _print(report, in_detail=bool(accounts))


def _json(report: StatusReport) -> dict[str, Any]:
    compared = report.not_compared is None

    def in_warehouse(load: Load | None, *, lost: bool) -> bool | None:
        return None if load is None or not compared else not lost

    return {
        "warehouse": {"compared": compared, "cause": report.not_compared},
        "accounts_list": _load_json(
            report.listed, in_warehouse(report.listed, lost=report.list_is_lost)
        ),
        "accounts": [
            {
                "account_id": status.account_id,
                "state": status.state,
                "rows": status.rows,
                "age_seconds": _age_seconds(status.oldest_load),
                "failure": _failure_json(status.failure),
                "resources": {
                    name: _load_json(load, in_warehouse(load, lost=name in status.lost))
                    for name, load in status.loads.items()
                },
            }
            for status in report.accounts
        ],
        "departed_accounts": [_unread_json(account) for account in report.departed],
        "skipped_accounts": [
            {**_unread_json(account), "setting": account.setting}
            for account in report.skipped_accounts
        ],
        "skipped_resources": list(report.skipped_resources),
        "idle_reports": list(report.idle_reports),
        "left_tables": dict(report.left_tables),
        "unfinished_runs": [
            {"run_id": run.run_id, "job": run.job_name, "status": run.status.value}
            for run in report.runs
        ],
    }


def _unread_json(account: UnreadAccount) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "rows": account.rows,
        "last_load": _iso(account.last_load) if account.last_load else None,
        "age_seconds": _age_seconds(account.last_load),
    }


def _load_json(load: Load | None, in_warehouse: bool | None) -> dict[str, Any]:
    return {
        "last_load": _iso(load.at) if load else None,
        "age_seconds": _age_seconds(load.at) if load else None,
        "rows": load.rows if load else None,
        "run_id": load.run_id if load else None,
        "in_warehouse": in_warehouse,
    }


def _failure_json(failure: FailedAttempt | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "at": _iso(failure.at),
        "resources": list(failure.resources),
        "cause": failure.cause,
        "permanent": failure.permanent,
        "run_id": failure.run_id,
    }


def _print(report: StatusReport, *, in_detail: bool) -> None:
    from rich.console import Console

    if report.not_compared is not None:
        cause = report.not_compared
        click.echo(f"the warehouse was not asked, and these are records only: {cause}", err=True)
    # where it is no terminal, a line per account stays one line
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 1000
    if in_detail:
        for status in report.accounts:
            _print_resources(console, status)
    elif report.accounts:
        _print_accounts(console, report.accounts)
    for run in report.runs:
        console.print(f"run {run.run_id} ({run.job_name}) has not ended: {run.status.value}")
    if report.listed is None:
        console.print("no accounts yet: run `analytics-assets sync`")
    elif not in_detail:
        counts = Counter(status.state for status in report.accounts)
        summary = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        listed = _ago(report.listed.at)
        console.print(f"{counted(len(report.accounts), 'account')} ({summary}), listed {listed}")
    if report.departed:
        _print_departed(console, report.departed)
    _print_skipped(console, report)
    if report.list_is_lost:
        click.echo("the warehouse does not hold the list of accounts: run `analytics-assets sync`")


def _print_accounts(console: Console, statuses: Sequence[AccountStatus]) -> None:
    not_ok = sum(status.state != "ok" for status in statuses)
    shown = statuses[: max(ACCOUNTS_SHOWN, not_ok)]
    is_narrow = console.width < _WIDE
    causes = [] if is_narrow else ["cause of the failure"]
    table = _table("state", "account", "rows", "oldest load", *causes)
    for status in shown:
        cells = (
            status.state,
            one_line(status.account_id),
            f"{status.rows:,}" if status.loaded else "-",
            _ago(status.oldest_load),
        )
        cause = [_cause(status.failure)] if causes else []
        table.add_row(*cells, *cause, style=_STYLES[status.state])
    console.print(table)
    for status in shown if is_narrow else ():
        if status.failure is not None:
            console.print(f"{one_line(status.account_id)}: {_cause(status.failure)}")
    if len(shown) < len(statuses):
        console.print(f"... and {counted(len(statuses) - len(shown), 'more account')}, all ok")


def _cause(failure: FailedAttempt | None) -> str:
    return f"{failure.cause} ({_ago(failure.at)})" if failure else ""


def _print_departed(console: Console, departed: Sequence[UnreadAccount]) -> None:
    table = _table("no longer listed", "rows", "last load")
    for account in departed[:ACCOUNTS_SHOWN]:
        cells = (one_line(account.account_id), f"{account.rows:,}", _ago(account.last_load))
        table.add_row(*cells)
    console.print(table)
    if len(departed) > ACCOUNTS_SHOWN:
        console.print(f"... and {len(departed) - ACCOUNTS_SHOWN} more that are no longer listed")
    console.print("Their rows stay: `analytics-assets forget ACCOUNT` removes those of one.")


def _print_skipped(console: Console, report: StatusReport) -> None:
    """A line for each setting that leaves something out."""
    from analytics_assets.choice import EXTRA_RESOURCES_SETTING, SKIP_RESOURCES
    from analytics_assets.warehouse.left_tables import LEFT, named_tables

    if report.skipped_resources:
        named = ", ".join(report.skipped_resources)
        console.print(f"left out by {SKIP_RESOURCES}, and not counted: {named}")
    if report.idle_reports:
        console.print(
            f"not in {EXTRA_RESOURCES_SETTING} any more, so that their tables stay as they are:"
            f" {', '.join(report.idle_reports)}"
        )
    if report.left_tables:
        console.print(f"{named_tables(report.left_tables)}: {LEFT}")
    for setting, number in Counter(a.setting for a in report.skipped_accounts).items():
        skipped = [account for account in report.skipped_accounts if account.setting == setting]
        named = first_of([account.account_id for account in skipped])
        rows = sum(account.rows for account in skipped)
        kept = f", whose {rows:,} rows stay" if rows else ""
        console.print(f"left out by {setting}: {counted(number, 'account')} ({named}){kept}")


def _print_resources(console: Console, status: AccountStatus) -> None:
    console.print(f"{one_line(status.account_id)}: {status.state}", style=_STYLES[status.state])
    if (failure := status.failure) is not None:
        again = ", and will again" if failure.permanent else ""
        console.print(f"failed {_ago(failure.at)}{again}: {failure.cause} (run {failure.run_id})")
    places = [] if console.width < _WIDE else ["at", "run"]
    table = _table("state", "resource", "rows", "last load", *places)
    for name, load in status.loads.items():
        state = status.state_of(name)
        cells = ["-", "never", "", ""]
        if load is not None:
            rows = "-" if load.rows is None else f"{load.rows:,}"
            cells = [rows, _ago(load.at), f"{_utc(load.at):%Y-%m-%d %H:%M:%S} UTC", load.run_id]
        table.add_row(state, name, *cells[: 2 + len(places)], style=_STYLES[state])
    console.print(table)


def _table(*columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column == "rows" else "left", overflow="fold")
    return table


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc)


def _iso(at: float) -> str:
    return _utc(at).isoformat(timespec="seconds")


def _age_seconds(at: float | None) -> int | None:
    return None if at is None else round(time.time() - at)


def _ago(at: float | None) -> str:
    if at is None:
        return "never"
    seconds = max(time.time() - at, 0.0)
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "now"
