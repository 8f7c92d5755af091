"""`make demo`: the main job on real HTTP, with nothing to set up.

Serves the sample API, syncs it into a DuckDB file in a Dagster home of its own, `.demo`, and shows
what is there then. A home that is there is synced again and never removed: it may be in use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Final

import click
import duckdb
from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.table import Table

from analytics_assets.cli.home import ensure_dagster_home
from analytics_assets.sample_api import SampleApi, SampleData

# what the user has set for an API and a warehouse of their own is not for the demo
_SETTINGS: Final = ("SOURCES__", "ANALYTICS__", "DESTINATION__")
_QUERIES: Final = {
    "Which accounts spend most?": """
        SELECT a.account_id, a.name, count(*) AS campaigns, round(sum(c.spent), 2) AS spent
        FROM analytics.accounts a JOIN analytics.campaigns c USING (account_id)
        GROUP BY ALL ORDER BY spent DESC LIMIT 5
    """,
    "How far is the approval of the ads of running campaigns?": """
        SELECT i.approval_state, count(*) AS items, count(DISTINCT i.account_id) AS accounts
        FROM analytics.campaign_items i
        JOIN analytics.campaigns c ON (i.account_id, i.campaign_id) = (c.account_id, c.id)
        WHERE c.status = 'RUNNING'
        GROUP BY ALL ORDER BY items DESC LIMIT 3
    """,
    "Whom do campaigns target? (nested values stay whole, as JSON)": """
        SELECT account_id, name, country_targeting ->> '$.type' AS type,
               country_targeting -> '$.value' AS countries
        FROM analytics.campaigns WHERE json_array_length(country_targeting -> '$.value') > 0
        ORDER BY account_id DESC, name LIMIT 5
    """,
}
_SPEND: Final = """
    SELECT account_id, currency, date, round(sum(spent), 2) AS spent
    FROM analytics.campaign_performance
    WHERE date BETWEEN current_date - 14 AND current_date - 1 AND account_id IN (
        SELECT min(account_id) FROM analytics.accounts GROUP BY currency ORDER BY 1 LIMIT 2
    )
    GROUP BY ALL ORDER BY ALL
"""
# columns of the terminal that the longest bar takes
_BAR: Final = 16


@click.command()
def main() -> None:
    """Sync the sample API into the demo's home, and show what is there; nothing is removed."""
    console = Console(markup=False, emoji=False)
    home = demo_home()
    with demo_api() as api:
        console.print(f"Sample API: {api.base_url} (20 accounts)")
        if demo_warehouse(home).exists():
            console.print(f"{home} is there already: nothing in it is removed", soft_wrap=True)
        console.print("$ analytics-assets sync")
        sync_demo(home, api)
    try:
        _show_queries(console, demo_warehouse(home))
    except duckdb.IOException:
        raise click.ClickException(
            f"a run that was started meanwhile has {demo_warehouse(home)} open: run again"
        ) from None
    console.print(
        f"\nThe tables are in {demo_warehouse(home)}."
        "\nThe UI on it, with the sample API to read from: make demo-ui"
        "\nYour own API: put its four settings into .dlt/secrets.toml (copy"
        " .dlt/secrets.toml.example), then .venv/bin/analytics-assets sync",
        soft_wrap=True,
        highlight=False,
    )


def demo_api() -> SampleApi:
    """The sample API of the demo, the same each time."""
    return SampleApi(SampleData.generate(accounts=20, campaigns=20))


def demo_home() -> Path:
    """The demo's own Dagster home, which is made if it is not there.

    Raises:
        click.ClickException: There is no dagster.yaml to copy.
    """
    checkout = ensure_dagster_home()
    home = checkout / ".demo"
    home.mkdir(exist_ok=True)
    shutil.copy(checkout / "dagster.yaml", home)
    return home


def demo_warehouse(home: Path) -> Path:
    """The demo's DuckDB file."""
    return home / "warehouse.duckdb"


def demo_environment(home: Path, api: SampleApi) -> dict[str, str]:
    """The environment in which everything reads from the sample API, whatever else is set."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {
        **others,
        "DAGSTER_HOME": str(home),
        "DLT_PROJECT_DIR": str(home),
        "SOURCES__ANALYTICS__BASE_URL": api.base_url,
        "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
        "SOURCES__ANALYTICS__CLIENT_ID": api.behaviour.client_id,
        "SOURCES__ANALYTICS__CLIENT_SECRET": api.behaviour.client_secret,
        "DESTINATION__DUCKDB__CREDENTIALS": str(demo_warehouse(home)),
        "ANALYTICS__EXTRA_RESOURCES": "campaign_performance",
        "ANALYTICS__PERFORMANCE_HISTORY_DAYS": "30",
    }


def sync_demo(home: Path, api: SampleApi) -> None:
    """Syncs the sample API into the demo's warehouse.

    Raises:
        SystemExit: The sync failed, with its exit code.
    """
    command = [sys.executable, "-m", "analytics_assets.cli", "sync"]
    done = subprocess.run(command, env=demo_environment(home, api), check=False)
    if done.returncode:
        print(f"To begin anew, remove {home} and run `make demo` again.", file=sys.stderr)
        sys.exit(done.returncode)


def _show_queries(console: Console, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for title, sql in _QUERIES.items():
            result = connection.sql(sql)
            table = Table(*result.columns, title=title, title_justify="left")
            for row in result.fetchall():
                table.add_row(*(str(value) for value in row))
            console.print(table)
        console.print(_spend(connection.sql(_SPEND).fetchall()))


def _spend(rows: list[tuple[str, str, date, float]]) -> Table:
    """A bar for each account and day; accounts differ in currency, and are not compared."""
    currencies = {account: currency for account, currency, _, _ in rows}
    spent = {(day, account): amount for account, _, day, amount in rows}
    most = {a: max(amount for (_, b), amount in spent.items() if a == b) for a in currencies}
    table = Table("day", title="What did two of them spend by day?", title_justify="left")
    for account, currency in currencies.items():  # each above what is as wide: 80 columns in all
        table.add_column(currency, justify="right", no_wrap=True)
        table.add_column(account, overflow="fold")
    for day in sorted({day for day, _ in spent}):
        cells: list[RenderableType] = []
        for account in currencies:
            amount = spent.get((day, account), 0.0)
            cells += [f"{amount:,.2f}", Bar(most[account], 0, amount, width=_BAR)]
        table.add_row(str(day), *cells)
    return table


if __name__ == "__main__":
    main()
