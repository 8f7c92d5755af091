"""`analytics-assets forget`: takes an account that the API no longer lists out of the warehouse."""

from __future__ import annotations

import os

import click

from analytics_assets.cli.home import dagster_instance, ensure_dagster_home


@click.command()
@click.argument("account")
@click.option("--yes", is_flag=True, help="Remove the rows; without it, they are only counted.")
def forget(account: str, yes: bool) -> None:
    """Remove all rows of ACCOUNT, which the API no longer lists, from all tables.

    Without --yes nothing is removed: it says what would be.
    """
    ensure_dagster_home()
    from analytics_assets.orchestration.run_records import record_forgotten
    from analytics_assets.resources import ACCOUNT_RESOURCES
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.accounts import forget_account
    from analytics_assets.warehouse.audit import row_counts
    from analytics_assets.warehouse.destination import write
    from analytics_assets.warehouse.location import is_missing
    from analytics_assets.warehouse.pipeline import make_pipeline, working_folder
    from analytics_assets.warehouse.stored import stored_tables

    _refuse_listed(account)
    settings = platform_settings()

    def count_and_remove() -> dict[str, int]:
        stored = stored_tables(pipeline).columns
        tables = row_counts(pipeline, [name for name in ACCOUNT_RESOURCES if name in stored])
        counts = {name: rows.get(account, 0) for name, rows in tables.items()}
        if yes and any(counts.values()):
            with dagster_instance() as instance:
                record_forgotten(instance, account)
            forget_account(settings, pipeline, account)
        return counts

    counts: dict[str, int] = {}
    if not is_missing(settings):
        with working_folder() as folder:
            pipeline = make_pipeline(settings, folder)
            counts = write(
                settings,
                pipeline,
                count_and_remove,
                who=f"analytics-assets forget (process {os.getpid()})",
                tell=lambda line: click.echo(line, err=True),
                account_ids=[account],
            )
    if not any(counts.values()):
        raise click.ClickException(f"the warehouse holds nothing of {account}")
    for name, rows in counts.items():
        click.echo(f"{rows:>12,}  {name}")
    click.echo(
        f"These rows of {account} were removed."
        if yes
        else f"These rows of {account} would be removed: run again with --yes."
    )


def _refuse_listed(account: str) -> None:
    from analytics_assets.orchestration.partitions import known_accounts

    with dagster_instance() as instance:
        if account in known_accounts(instance):
            raise click.ClickException(
                f"the API still lists {account}, so that the next sync would read it again"
            )
