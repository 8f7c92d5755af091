"""`analytics-assets sync`: accounts, then everything of them in one run, in this process."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from analytics_assets.cli.accounts import chosen_accounts, complete_account
from analytics_assets.cli.home import (
    dagster_instance,
    end_killed_runs,
    ensure_dagster_home,
    without_compute_logs,
)
from analytics_assets.cli.imports import import_platform
from analytics_assets.cli.interrupts import Interrupted
from analytics_assets.errors import AnalyticsError
from analytics_assets.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import dagster as dg

    from analytics_assets.cli.sync_report import Group, SyncReport
    from analytics_assets.dagster_backend.command_runs import CommandRun
    from analytics_assets.orchestration.naming import AssetNames

    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # generic in newer releases only


class _ResourceName(_Choice):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        near = get_close_matches(value, self.choices, n=1)
        if value not in self.choices and near:
            self.fail(f"there is no resource {value!r}: did you mean {near[0]}?", param, ctx)
        return super().convert(value, param, ctx)


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
    type=_ResourceName(list(RESOURCES)),
    help=f"Only this resource; may be given more than once. One of {', '.join(RESOURCES)}.",
)
@click.option(
    "--failed",
    is_flag=True,
    help="Only what failed last, also what the API has refused for good.",
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Accept an account that is suddenly empty, and a list of accounts that lacks most or all.",
)
@click.option(
    "--full",
    is_flag=True,
    help="Read all lists, also those that reread_unchanged_days leaves out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, also on failure.")
def sync(
    accounts: tuple[str, ...],
    resources: tuple[str, ...],
    failed: bool,
    allow_empty: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Materialise `accounts`, then all accounts, or those named, in one run.

    The setting `accounts_per_run` bounds a run; more accounts are read by several, one by one.

    Ends with exit code 0 only if every account succeeded; names each that failed, with its cause.
    """
    from analytics_assets.cli.sync_report import SyncReport

    report = SyncReport()
    error: click.ClickException | None = None
    try:
        _sync(report, accounts, resources, failed=failed, allow_empty=allow_empty, full=full)
    except AnalyticsError as unusable:
        error = click.ClickException(str(unusable))
    except click.ClickException as known:
        error = known
    except KeyboardInterrupt:
        error = _interrupted()
    if as_json:
        click.echo(json.dumps(report.document(error), indent=2))
    elif failed and error is None and not report.runs:
        click.echo("nothing that was asked for failed last")
    elif not isinstance(error, Interrupted):
        report.print()
    if error is not None:
        raise error


def _sync(
    report: SyncReport,
    accounts: Sequence[str],
    resources: Collection[str],
    *,
    failed: bool,
    allow_empty: bool,
    full: bool,
) -> None:
    """Syncs, and notes what came of it.

    Raises:
        click.ClickException: Something failed, or the command was interrupted.
    """
    ensure_dagster_home()
    import_platform()
    from analytics_assets.choice import SKIP_RESOURCES
    from analytics_assets.cli.sync_report import cause_of
    from analytics_assets.cli.terminal import TerminalProgress
    from analytics_assets.dagster_backend.command_runs import run_job
    from analytics_assets.factory import compose
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.orchestration.partitions import run_target
    from analytics_assets.orchestration.sharding import shards
    from analytics_assets.settings import api_settings, platform_settings

    api_settings()  # what is missing or unusable is said before anything is recorded
    settings = platform_settings()
    names = AssetNames.of_settings(settings)
    for name in resources:
        if name not in names.resource_names:
            raise click.ClickException(f"{name} is left out by {SKIP_RESOURCES}: remove it there")
    with dagster_instance(without_compute_logs()) as instance, TerminalProgress() as progress:
        end_killed_runs(instance)
        definitions = compose(settings, progress)
        if not failed or (not (accounts or resources) and _list_failed_last(instance, names)):
            _list_accounts(report, instance, definitions, names, allow_empty)
        asked_for = chosen_accounts(instance, names, accounts)
        chosen = [n for n in names.account_resources if n in resources or not resources]
        groups: list[Group] = [(asked_for, chosen)]
        if failed:
            groups = _failed_last(instance, names, asked_for, chosen)
        report.want(groups)
        progress.expect(len(report.accounts))
        for account_ids, of in groups:
            parts = shards(instance, names, account_ids if of else [], settings.accounts_per_run)
            for part in parts:
                target = run_target(instance, names, part, allow_empty=allow_empty, full=full)
                job, keys = definitions.resolve_job_def(names.sync_job), names.keys(of)
                _note(report, instance, run_job(instance, job, target.ops, target.tags, keys))
    if report.failed_runs:
        raise click.ClickException("\n".join(map(cause_of, report.failed_runs)))


def _list_accounts(
    report: SyncReport,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    names: AssetNames,
    allow_empty: bool,
) -> None:
    from analytics_assets.cli.sync_report import cause_of
    from analytics_assets.dagster_backend.command_runs import run_job

    ops = {names.listing_op: {"config": {"allow_empty": allow_empty}}}
    listed = run_job(instance, definitions.resolve_job_def(names.refresh_job), ops)
    _note(report, instance, listed)
    if not listed.success:
        raise click.ClickException(cause_of(listed))


def _note(report: SyncReport, instance: dg.DagsterInstance, run: CommandRun) -> None:
    report.add(instance, run)
    if run.interrupted:
        raise _interrupted()


def _interrupted() -> Interrupted:
    return Interrupted("interrupted: what was not loaded by now keeps the rows that it had")


def _list_failed_last(instance: dg.DagsterInstance, names: AssetNames) -> bool:
    import dagster as dg

    runs = instance.get_runs(dg.RunsFilter(job_name=names.refresh_job), limit=1)
    return any(run.status == dg.DagsterRunStatus.FAILURE for run in runs)


def _failed_last(
    instance: dg.DagsterInstance,
    names: AssetNames,
    account_ids: Collection[str],
    resource_names: Collection[str],
) -> list[Group]:
    """What failed last of these accounts and resources; accounts that lack the same, together."""
    from analytics_assets.orchestration.run_records import failed_attempts

    groups: dict[tuple[str, ...], list[str]] = {}
    for account_id, attempt in failed_attempts(instance, names).items():
        of = tuple(name for name in resource_names if name in attempt.resources)
        if account_id in account_ids and of:
            groups.setdefault(of, []).append(account_id)
    return [(account_ids, of) for of, account_ids in groups.items()]
