"""`analytics-assets status`: what is loaded of each account, by records and warehouse."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from analytics_assets.cli.accounts import ACCOUNTS_SHOWN, chosen_accounts, complete_account
from analytics_assets.cli.home import dagster_instance
from analytics_assets.resources import ACCOUNT_RESOURCES, ACCOUNTS
from analytics_assets.text import one_line

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console
    from rich.table import Table

    from analytics_assets.orchestration.run_records import FailedAttempt, Load

State = Literal["failed", "lost", "partly", "never", "ok"]

# in the order in which they are listed
_STYLES: Final[dict[State, str]] = {
    "failed": "red",
    "lost": "red",
    "partly": "yellow",
    "never": "yellow",
    "ok": "",
}
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
Key = tuple[str, str | None]
"""A resource and an account; none for the list of accounts."""

_LIST: Final[Key] = (ACCOUNTS.name, None)
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account.

    Attributes:
        account_id: The account.
        loads: The latest load of each resource.
        lost: The resources whose latest load the warehouse does not hold.
        failure: Why the latest attempt failed, if it did.
    """

    account_id: str
    loads: Mapping[str, Load | None]
    lost: Collection[str]
    failure: FailedAttempt | None

    @property
    def loaded(self) -> list[Load]:
        """The loads that there are."""
        return [
            load for name, load in self.loads.items() if load is not None and name not in self.lost
        ]

    @property
    def state(self) -> State:
        """`ok` only if every resource is loaded and no latest attempt failed."""
        if self.failure is not None:
            return "failed"
        if self.lost:
            return "lost"
        if not self.loaded:
            return "never"
        return "ok" if len(self.loaded) == len(self.loads) else "partly"

    def state_of(self, resource_name: str) -> State:
        """The state of one resource."""
        if self.failure is not None and resource_name in self.failure.resources:
            return "failed"
        if resource_name in self.lost:
            return "lost"
        return "never" if self.loads[resource_name] is None else "ok"

    @property
    def rows(self) -> int:
        """Rows over all resources."""
        return sum(load.rows or 0 for load in self.loaded)

    @property
    def oldest_load(self) -> float | None:
        """When the resource that is most out of date was loaded, in seconds since 1970."""
        return min((load.at for load in self.loaded), default=None)


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

    Ends with exit code 0 whenever it could tell, whatever it tells.
    """
    with dagster_instance() as instance:
        from analytics_assets.orchestration.run_records import (
            failed_attempts,
            latest_loads,
            unfinished_runs,
        )

        account_ids = chosen_accounts(instance, accounts)
        loads, failures = latest_loads(instance), failed_attempts(instance)
        runs = unfinished_runs(instance)
    lost, unasked = _lost(loads)
    statuses = [
        AccountStatus(
            account_id,
            {name: loads.get((name, account_id)) for name in ACCOUNT_RESOURCES},
            [name for name in ACCOUNT_RESOURCES if (name, account_id) in lost],
            failures.get(account_id),
        )
        for account_id in account_ids
    ]
    statuses.sort(key=_urgency)
    listed = loads.get(_LIST)
    if as_json:
        warehouse = {"compared": unasked is None, "cause": unasked}
        document = _json(statuses, runs, compared=unasked is None)
        in_warehouse = None if unasked or listed is None else _LIST not in lost
        head = {"warehouse": warehouse, "accounts_list": _load_json(listed, in_warehouse)}
        click.echo(json.dumps({**head, **document}, indent=2))
        return
    if unasked is not None:
        click.echo(f"the warehouse was not asked, and these are records only: {unasked}", err=True)
    _print(listed, statuses, runs, in_detail=bool(accounts))
    if _LIST in lost:
        click.echo("the warehouse does not hold the list of accounts: run `analytics-assets sync`")


def _lost(loads: Mapping[Key, Load]) -> tuple[set[Key], str | None]:
    """The loads whose rows the warehouse does not hold, and why it was not asked, if so."""
    if not loads:
        return set(), None
    from analytics_assets.errors import AnalyticsError
    from analytics_assets.orchestration.presence import without_rows
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.holdings import held_rows

    try:
        held = held_rows(platform_settings())
    except AnalyticsError as error:
        return set(), str(error)
    return {(load.resource, load.account_id) for load in without_rows(loads.values(), held)}, None


def _urgency(status: AccountStatus) -> tuple[int, float]:
    return list(_STYLES).index(status.state), status.oldest_load or 0.0


def _json(
    statuses: Sequence[AccountStatus], runs: Sequence[dg.DagsterRun], *, compared: bool
) -> dict[str, Any]:
    return {
        "accounts": [
            {
                "account_id": status.account_id,
                "state": status.state,
                "rows": status.rows,
                "age_seconds": _age_seconds(status.oldest_load),
                "failure": _failure_json(status.failure),
                "resources": {
                    name: _load_json(load, name not in status.lost if load and compared else None)
                    for name, load in status.loads.items()
                },
            }
            for status in statuses
        ],
        "unfinished_runs": [
            {"run_id": run.run_id, "job": run.job_name, "status": run.status.value} for run in runs
        ],
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


def _print(
    listed: Load | None,
    statuses: Sequence[AccountStatus],
    runs: Sequence[dg.DagsterRun],
    *,
    in_detail: bool,
) -> None:
    from rich.console import Console

    # where it is no terminal, a line per account stays one line
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 1000
    if in_detail:
        for status in statuses:
            _print_resources(console, status)
    elif statuses:
        _print_accounts(console, statuses)
    for run in runs:
        console.print(f"run {run.run_id} ({run.job_name}) has not ended: {run.status.value}")
    if listed is None:
        console.print("no accounts yet: run `analytics-assets sync`")
    elif not in_detail:
        counts = Counter(status.state for status in statuses)
        told = ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state])
        console.print(f"{len(statuses)} accounts ({told}), listed {_ago(listed.at)}")


def _print_accounts(console: Console, statuses: Sequence[AccountStatus]) -> None:
    amiss = [status for status in statuses if status.state != "ok"]
    shown = statuses[: max(ACCOUNTS_SHOWN, len(amiss))]
    table = _table("state", "account", "rows", "oldest load", "cause of the failure")
    for status in shown:
        table.add_row(
            status.state,
            one_line(status.account_id),
            f"{status.rows:,}" if status.loaded else "-",
            _ago(status.oldest_load),
            f"{status.failure.cause} ({_ago(status.failure.at)})" if status.failure else "",
            style=_STYLES[status.state],
        )
    console.print(table)
    if len(shown) < len(statuses):
        console.print(f"... and {len(statuses) - len(shown)} more accounts, all ok")


def _print_resources(console: Console, status: AccountStatus) -> None:
    console.print(f"{one_line(status.account_id)}: {status.state}", style=_STYLES[status.state])
    if (failure := status.failure) is not None:
        again = ", and will again" if failure.permanent else ""
        console.print(f"failed {_ago(failure.at)}{again}: {failure.cause} (run {failure.run_id})")
    table = _table("state", "resource", "rows", "last load", "at", "run")
    for name, load in status.loads.items():
        state = status.state_of(name)
        cells = ("-", "never", "", "")
        if load is not None:
            rows = "-" if load.rows is None else f"{load.rows:,}"
            cells = (rows, _ago(load.at), f"{_utc(load.at):%Y-%m-%d %H:%M:%S} UTC", load.run_id)
        table.add_row(state, name, *cells, style=_STYLES[state])
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
