"""`analytics-assets sync`: accounts, then everything of them in one run, in this process."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from analytics_assets.api.resources import ACCOUNT_RESOURCES, RESOURCES
from analytics_assets.cli.home import dagster_instance, ensure_dagster_home
from analytics_assets.cli.imports import import_platform

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import dagster as dg

    from analytics_assets.cli.terminal import TerminalProgress

# where the UI looks for the runs of a job: the code location that workspace.yaml names
_REPOSITORY = "__repository__@analytics_assets"


def _complete_account(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from analytics_assets.platform.partitions import known_accounts

    with dagster_instance() as instance:
        return [key for key in known_accounts(instance) if key.startswith(incomplete)]


@click.command()
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="SLUG",
    shell_complete=_complete_account,
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
    help="Accept a list of accounts, or an account, that is suddenly empty.",
)
def sync(accounts: tuple[str, ...], resources: tuple[str, ...], allow_empty: bool) -> None:
    """Materialise `accounts`, then all accounts, or those named, in one run.

    Ends with exit code 0 only if every account succeeded; names each that failed, with its cause.
    """
    ensure_dagster_home()
    import_platform()
    from analytics_assets.cli.terminal import TerminalProgress, print_summary
    from analytics_assets.errors import AnalyticsError
    from analytics_assets.settings import api_settings

    try:
        api_settings()
    except AnalyticsError as error:
        raise click.ClickException(str(error)) from None
    names = [name for name in ACCOUNT_RESOURCES if name in resources or not resources]
    with dagster_instance() as instance, TerminalProgress() as progress:
        listed = _list_accounts(instance, progress, allow_empty)
        if not listed.success:
            raise click.ClickException(_cause(listed))
        account_ids = _chosen_accounts(instance, accounts)
        result = (
            _sync(instance, progress, account_ids, names, allow_empty)
            if account_ids and names
            else None
        )
    print_summary(listed, result, account_ids)
    if result is not None and not result.success:
        raise click.ClickException(_cause(result))


def _list_accounts(
    instance: dg.DagsterInstance, progress: TerminalProgress, allow_empty: bool
) -> dg.ExecuteInProcessResult:
    from analytics_assets.platform.assets import accounts_asset

    config = {"allow_empty": allow_empty}
    ops = {accounts_asset.op.name: {"config": config}}
    return _run(instance, "refresh_accounts", progress, ops)


def _sync(
    instance: dg.DagsterInstance,
    progress: TerminalProgress,
    account_ids: Sequence[str],
    resource_names: Collection[str],
    allow_empty: bool,
) -> dg.ExecuteInProcessResult:
    import dagster as dg

    from analytics_assets.platform.assets import account_assets
    from analytics_assets.platform.partitions import run_target

    target = run_target(instance, account_ids, account_assets.op.name, allow_empty=allow_empty)
    return _run(
        instance,
        "sync",
        progress,
        target.ops,
        target.tags,
        asset_selection=[dg.AssetKey(name) for name in resource_names],
    )


def _run(
    instance: dg.DagsterInstance,
    job: str,
    progress: TerminalProgress,
    ops: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    asset_selection: Sequence[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

    from analytics_assets.definitions import compose

    # the run's own log stays in Dagster's records; the terminal shows the progress
    quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
    job_def = compose(progress).resolve_job_def(job)
    return job_def.execute_in_process(
        instance=instance,
        run_config={"loggers": quiet, "ops": ops},
        tags={**(tags or {}), REPOSITORY_LABEL_TAG: _REPOSITORY},
        asset_selection=asset_selection,
        raise_on_error=False,
    )


def _chosen_accounts(instance: dg.DagsterInstance, accounts: Sequence[str]) -> list[str]:
    from analytics_assets.platform.partitions import known_accounts

    known = known_accounts(instance)
    for account in accounts:
        if account not in known:
            near = get_close_matches(account, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`accounts` lists none of that name"
            raise click.ClickException(f"no such account: {account} ({hint})")
    return list(dict.fromkeys(accounts)) or known


def _cause(result: dg.ExecuteInProcessResult) -> str:
    """What the failed run says to people; an unexpected error says where its trace is."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return str(data.user_failure_data.description)
        error = data.error.cause or data.error if data.error else None
        summary = " ".join(error.message.split()) if error else "unknown error"
        return f"{summary} (details: run {result.run_id} in the Dagster UI)"
    return f"run {result.run_id} failed; see it in the Dagster UI"
