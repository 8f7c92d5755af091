"""`analytics-assets forget`: takes what is no longer read out of the warehouse."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from analytics_assets.cli.home import dagster_instance, ensure_dagster_home

_HOLDER: Final = "analytics-assets forget"
_report: Final = partial(click.echo, err=True)


@click.command()
@click.argument("account", required=False)
@click.option(
    "--resource",
    metavar="NAME",
    help="The tables of this resource, which the settings no longer have, instead of an account.",
)
@click.option("--yes", is_flag=True, help="Remove the rows; without it, they are only counted.")
def forget(account: str | None, resource: str | None, yes: bool) -> None:
    """Remove all rows of ACCOUNT, which is no longer listed or is left out, from all tables.

    So are all versions of them, where a history is kept or was. With --resource, it is the tables
    of a resource that the settings had, with what Dagster has on record of it.

    Without --yes nothing is removed: it says what would be.
    """
    if (account is None) is (resource is None):
        raise click.UsageError("give an account, or --resource and a name")
    ensure_dagster_home()
    named = account or f"resource {resource}"
    if account is not None:
        _refuse_listed(account)
        counts = _rows_of(account, remove=yes)
        is_there = any(counts.values())
    else:
        counts = _tables_of(resource or "", remove=yes)
        is_there = bool(counts)
    if not is_there:
        raise click.ClickException(f"the warehouse holds nothing of {named}")
    for name, rows in counts.items():
        click.echo(f"{rows:>12,}  {name}")
    what = f"These rows of {named}" if account else f"These tables of {named}"
    click.echo(
        f"{what} were removed." if yes else f"{what} would be removed: run again with --yes."
    )


def _tables_of(resource: str, *, remove: bool) -> dict[str, int]:
    """The rows of a resource's table and history; both go, with Dagster's records, if asked for."""
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.schema import resource_of
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.file_lock import LockRequest
    from analytics_assets.warehouse.left_tables import left_tables, remove_tables
    from analytics_assets.warehouse.publishing import publish, published_file
    from analytics_assets.warehouse.working_folder import working_folder

    settings = platform_settings()
    if resource in settings.resources:
        raise click.ClickException(
            f"{resource} is still there, so that the next sync would make its table again: remove"
            " its entry from the settings first"
        )
    left = left_tables(settings)
    counts = {name: rows for name, rows in left.items() if resource_of(name) == resource}
    if remove and counts:
        published_file(settings)  # if there can be none, nothing is removed
        with working_folder() as folder, dagster_instance() as instance:
            request = LockRequest.of(_HOLDER, settings, _report)
            remove_tables(settings, folder, counts, request)
            names = AssetNames.of_settings(settings)
            instance.wipe_assets([names.key(name) for name in counts])
            publish(settings, request)
    return counts


def _rows_of(account: str, *, remove: bool) -> dict[str, int]:
    """The account's rows by table, histories last; they are removed if that is asked for."""
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.recorded_loads import record_forgotten
    from analytics_assets.rows.account_rows import no_rows
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.file_lock import LockRequest
    from analytics_assets.warehouse.history_retention import (
        Versions,
        count_versions,
        remove_versions,
    )
    from analytics_assets.warehouse.load import audit_tables, load
    from analytics_assets.warehouse.publishing import publish, published_file
    from analytics_assets.warehouse.working_folder import working_folder

    settings = platform_settings()
    request = LockRequest.of(_HOLDER, settings, _report)
    with working_folder() as folder:
        tables = [*settings.resources.account_lists, *settings.resources.reports]
        audits = audit_tables(settings, folder, tables, request, [account]).audits
        counts = {name: held[account].rows for name, held in audits.items()}
        of_account = Versions.of_account(account)
        versions = count_versions(settings, of_account)
        if remove and any({**counts, **versions}.values()):
            published_file(settings)  # if there can be none, nothing is removed
            with dagster_instance() as instance:
                record_forgotten(instance, AssetNames.of_settings(settings), account)
            remove_versions(settings, folder, list(versions), of_account, request)
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
