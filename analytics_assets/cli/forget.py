"""`analytics-assets forget`: takes an account that is no longer read out of the warehouse."""

from __future__ import annotations

import os

import click

from analytics_assets.cli.home import dagster_instance, ensure_dagster_home


@click.command()
@click.argument("account")
@click.option("--yes", is_flag=True, help="Remove the rows; without it, they are only counted.")
def forget(account: str, yes: bool) -> None:
    """Remove all rows of ACCOUNT, which is no longer listed or is left out, from all tables.

    So are all versions of them, where a history is kept or was.

    Without --yes nothing is removed: it says what would be.
    """
    ensure_dagster_home()
    _refuse_listed(account)
    counts = _rows_of(account, remove=yes)
    if not any(counts.values()):
        raise click.ClickException(f"the warehouse holds nothing of {account}")
    for name, rows in counts.items():
        click.echo(f"{rows:>12,}  {name}")
    click.echo(
        f"These rows of {account} were removed."
        if yes
        else f"These rows of {account} would be removed: run again with --yes."
    )


def _rows_of(account: str, *, remove: bool) -> dict[str, int]:
    """The account's rows by table, histories last; they are removed if that is asked for."""
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.run_records import record_forgotten
    from analytics_assets.rows.account_rows import no_rows
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.file_lock import LockRequest
    from analytics_assets.warehouse.history_retention import remove_versions_of, versions_of
    from analytics_assets.warehouse.load import audit_tables, load
    from analytics_assets.warehouse.pipeline import working_folder
    from analytics_assets.warehouse.publishing import publish, published_file

    settings = platform_settings()
    request = LockRequest(
        holder=f"analytics-assets forget (process {os.getpid()})",
        timeout=settings.lock_timeout,
        report=lambda line: click.echo(line, err=True),
    )
    with working_folder() as folder:
        tables = [*settings.resources.account_lists, *settings.resources.reports]
        audits = audit_tables(settings, folder, tables, request, [account]).audits
        counts = {name: held[account].rows for name, held in audits.items()}
        versions = versions_of(settings, account)
        if remove and any({**counts, **versions}.values()):
            published_file(settings)  # if there can be none, nothing is removed
            with dagster_instance() as instance:
                record_forgotten(instance, AssetNames.of_settings(settings), account)
            remove_versions_of(settings, folder, list(versions), account, request)
            nothing = no_rows(account, audits)
            load(settings, folder, list(audits), [nothing], request, allow_empty=True)
            publish(settings, request)
    return {**counts, **versions}


def _refuse_listed(account: str) -> None:
    from analytics_assets.orchestration.partitions import known_accounts

    with dagster_instance() as instance:
        if account in known_accounts(instance):
            raise click.ClickException(
                f"the API still lists {account}, so that the next sync would read it again"
            )
