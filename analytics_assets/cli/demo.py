"""`make demo`: the main job on real HTTP, with nothing to set up.

Serves the sample API, syncs it into a DuckDB file in a Dagster home of its own, `.demo`, and shows
what is there then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from analytics_assets.cli.home import ensure_dagster_home
from analytics_assets.sample_api import SampleApi, SampleData

_QUERIES = {
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


def main() -> None:
    """Runs the demo; ends with the exit code of the sync."""
    console = Console(markup=False, emoji=False)
    home = _demo_home()
    with SampleApi(SampleData.generate(accounts=20, campaigns=20)) as api:
        console.print(f"Sample API: {api.base_url} (20 accounts)")
        console.print("$ analytics-assets sync")
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SOURCES__ANALYTICS__BASE_URL": api.base_url,
            "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
            "SOURCES__ANALYTICS__CLIENT_ID": api.behaviour.client_id,
            "SOURCES__ANALYTICS__CLIENT_SECRET": api.behaviour.client_secret,
            "DESTINATION__DUCKDB__CREDENTIALS": str(home / "warehouse.duckdb"),
        }
        command = [sys.executable, "-m", "analytics_assets.cli", "sync"]
        done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    _show_queries(console, home / "warehouse.duckdb")
    console.print(
        f"\nThe tables are in {home / 'warehouse.duckdb'}."
        f'\nThe UI, on what was just loaded: make dev DAGSTER_HOME="{home}"'
        "\nYour own API: put its four settings into .dlt/secrets.toml (copy"
        " .dlt/secrets.toml.example), then .venv/bin/analytics-assets sync",
        soft_wrap=True,
        highlight=False,
    )


def _demo_home() -> Path:
    checkout = ensure_dagster_home()
    home = checkout / ".demo"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copy(checkout / "dagster.yaml", home)
    return home


def _show_queries(console: Console, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for title, sql in _QUERIES.items():
            result = connection.sql(sql)
            table = Table(*result.columns, title=title, title_justify="left")
            for row in result.fetchall():
                table.add_row(*(str(value) for value in row))
            console.print(table)


if __name__ == "__main__":
    main()
