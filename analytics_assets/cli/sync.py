"""`analytics-assets sync`: accounts, then everything of them in one run, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from analytics_assets.cli.accounts import chosen_accounts, complete_account
from analytics_assets.cli.home import dagster_instance, ensure_dagster_home
from analytics_assets.cli.imports import import_platform
from analytics_assets.resources import ACCOUNT_RESOURCES, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import dagster as dg

    from analytics_assets.orchestration.naming import AssetNames


# where the UI looks for the runs of a job: the code location that workspace.yaml names
_REPOSITORY = "__repository__@analytics_assets"


@click.command()
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="SLUG",
    shell_complete=complete_account,
    help="Only this account; may be given more than once. Default: all.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME",
    type=click.Choice(list(RESOURCES)),
    help=f"Only this resource; may be given more than once. One of {', '.join(RESOURCES)}.",
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Accept an account that is suddenly empty, and a list of accounts that lacks most or all.",
)
def sync(accounts: tuple[str, ...], resources: tuple[str, ...], allow_empty: bool) -> None:
    """Materialise `accounts`, then all accounts, or those named, in one run.

    The setting `accounts_per_run` bounds a run; more accounts are read by several, one by one.

    Ends with exit code 0 only if every account succeeded; names each that failed, with its cause.
    """
    ensure_dagster_home()
    import_platform()
    from analytics_assets.cli.terminal import TerminalProgress, print_summary
    from analytics_assets.factory import compose
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.sharding import shards
    from analytics_assets.settings import api_settings, platform_settings

    api_settings()  # what is missing or unusable is said before anything is recorded
    settings = platform_settings()
    names = AssetNames.of_settings(settings)
    chosen = [name for name in ACCOUNT_RESOURCES if name in resources or not resources]
    with dagster_instance() as instance, TerminalProgress() as progress:
        definitions = compose(settings, progress)
        listed = _list_accounts(instance, definitions, names, allow_empty)
        if not listed.success:
            raise click.ClickException(_cause(listed))
        account_ids = chosen_accounts(instance, accounts)
        parts = shards(instance, names, account_ids if chosen else [], settings.accounts_per_run)
        results = [_sync(instance, definitions, names, part, chosen, allow_empty) for part in parts]
    print_summary(listed, results, account_ids)
    if causes := [_cause(result) for result in results if not result.success]:
        raise click.ClickException("\n".join(causes))


def _list_accounts(
    instance: dg.DagsterInstance, definitions: dg.Definitions, names: AssetNames, allow_empty: bool
) -> dg.ExecuteInProcessResult:
    ops = {names.listing_op: {"config": {"allow_empty": allow_empty}}}
    return _run(instance, definitions.resolve_job_def(names.refresh_job), ops)


def _sync(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    names: AssetNames,
    account_ids: Sequence[str],
    resource_names: Collection[str],
    allow_empty: bool,
) -> dg.ExecuteInProcessResult:
    from analytics_assets.orchestration.partitions import run_target

    target = run_target(instance, names, account_ids, allow_empty=allow_empty)
    return _run(
        instance,
        definitions.resolve_job_def(names.sync_job),
        target.ops,
        target.tags,
        asset_selection=names.keys(resource_names),
    )


def _run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    ops: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    asset_selection: Sequence[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    from analytics_assets.dagster_backend.internals import REPOSITORY_LABEL_TAG
    from analytics_assets.dagster_backend.orphans import process_tags

    # the run's own log stays in Dagster's records; the terminal shows the progress
    quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
    result = job.execute_in_process(
        instance=instance,
        run_config={"loggers": quiet, "ops": ops},
        tags={**(tags or {}), **process_tags(), REPOSITORY_LABEL_TAG: _REPOSITORY},
        asset_selection=asset_selection,
        raise_on_error=False,
    )
    if any(map(_is_interrupt, result.all_events)):
        raise _Interrupted("interrupted: what was not loaded by now keeps the rows that it had")
    return result


class _Interrupted(click.ClickException):
    exit_code = 130  # as shells have it: 128 + SIGINT


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    if not event.is_step_failure:
        return False
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _cause(result: dg.ExecuteInProcessResult) -> str:
    """What the failed run says to people; an unexpected error says where its trace is."""
    from analytics_assets.orchestration.run_records import failure_text

    for event in result.filter_events(lambda event: event.is_step_failure):
        details = f" (details: run {result.run_id} in the Dagster UI)"
        return failure_text(event) + ("" if event.step_failure_data.user_failure_data else details)
    return f"run {result.run_id} failed; see it in the Dagster UI"
