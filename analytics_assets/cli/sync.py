"""`analytics-assets sync`: accounts, then everything of them in one run, in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from analytics_assets.cli.accounts import chosen_accounts, complete_account
from analytics_assets.cli.home import (
    dagster_instance,
    end_killed_runs,
    ensure_dagster_home,
    without_compute_logs,
)
from analytics_assets.cli.imports import import_platform
from analytics_assets.cli.interrupts import Interrupted
from analytics_assets.days import asked_window
from analytics_assets.errors import AnalyticsError
from analytics_assets.resources import RESOURCES
from analytics_assets.text import first_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import dagster as dg

    from analytics_assets.cli.sync_report import SyncReport
    from analytics_assets.dagster_backend.command_runs import CommandRun
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.schema import ResourceTable

    _Type = click.ParamType[str]
else:
    _Type = click.ParamType  # generic in newer releases only


class _ResourceName(_Type):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            known = list(_resources())
        except AnalyticsError as error:
            raise click.ClickException(str(error)) from None
        near = get_close_matches(value, known, n=1)
        if value not in known and near:
            self.fail(f"there is no resource {value!r}: did you mean {near[0]}?", param, ctx)
        return click.Choice(known).convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            return [CompletionItem(name) for name in _resources() if name.startswith(incomplete)]
        except Exception:  # of a home or settings that will not do: the command itself will say it
            return []


def _resources() -> ResourceTable:
    """The resources that there are: the package's, and those of the settings."""
    from analytics_assets.settings import platform_settings

    ensure_dagster_home()  # where settings may lie
    return platform_settings().resources


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
    type=_ResourceName(),
    help="Only this resource; may be given more than once. One of"
    f" {', '.join(RESOURCES)}, or one that the settings add.",
)
@click.option(
    "--from",
    "first_day",
    metavar="DATE",
    help="Read days of reports from this one on, such as 2026-01-31, instead of those due.",
)
@click.option(
    "--to",
    "last_day",
    metavar="DATE",
    help="The last of these days. Default: today, in the account's time zone.",
)
@click.option(
    "--failed", is_flag=True, help="Only what failed last, also what the API has refused for good."
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Accept an account that is suddenly empty, and a list of accounts that lacks most or all.",
)
@click.option(
    "--full", is_flag=True, help="Read all lists, also those that reread_unchanged_days leaves out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, also on failure.")
def sync(
    accounts: tuple[str, ...],
    resources: tuple[str, ...],
    first_day: str | None,
    last_day: str | None,
    failed: bool,
    allow_empty: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Materialise `accounts`, then all accounts, or those named, in one run.

    Reports, where the setting `extra_resources` names any, are read by a run of their own after it.
    With --from, nothing but reports is read.

    The setting `accounts_per_run` bounds a run; more accounts are read by several, one by one.

    Ends with exit code 0 only if every account succeeded; names each that failed, with its cause.
    """
    from analytics_assets.cli.sync_report import SyncReport

    report = SyncReport()
    error: click.ClickException | None = None
    try:
        days = _asked_days(first_day, last_day, resources)
        chosen = _Chosen(accounts, resources, failed, full, days, allow_empty)
        _sync(report, chosen)
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


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the command is asked for.

    Attributes:
        accounts: The accounts; none for all.
        resources: The resources; none for all.
        failed: Whether only what failed last is meant.
        full: Whether lists are read also where nothing can have changed.
        days: The first and the last day of the reports to read; None for those due, and lists.
        allow_empty: Whether what is suddenly empty is accepted.
    """

    accounts: Sequence[str]
    resources: Collection[str]
    failed: bool
    full: bool
    days: tuple[str, str] | None
    allow_empty: bool


def _asked_days(
    first: str | None, last: str | None, resources: Iterable[str]
) -> tuple[str, str] | None:
    """The days that are asked for; the last may be empty, for today.

    Raises:
        click.ClickException: There is no first day, or they are asked of a list.
        WindowError: There is no such window.
    """
    if first is None:
        if last is not None:
            raise click.ClickException("--to needs --from: give the first day, too")
        return None
    known = _resources()
    for name in resources:
        if known[name].report is None:
            raise click.ClickException(f"{name} has no days: give --from for reports only")
    asked_window(first, last, datetime.now(timezone.utc))
    return first, last or ""


def _sync(report: SyncReport, chosen: _Chosen) -> None:
    """Syncs, and notes what came of it.

    Raises:
        click.ClickException: Something failed, or the command was interrupted.
    """
    ensure_dagster_home()
    import_platform()
    from analytics_assets.cli.sync_report import cause_of
    from analytics_assets.cli.terminal import TerminalProgress
    from analytics_assets.factory import compose
    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.settings import api_settings, platform_settings

    api_settings()  # what is missing or unusable is said before anything is recorded
    settings = platform_settings()
    names = AssetNames.of_settings(settings)
    of_kinds = _resources_by_kind(names, chosen)
    with dagster_instance(without_compute_logs()) as instance, TerminalProgress() as progress:
        end_killed_runs(instance)
        definitions = compose(settings, progress)
        is_narrowed = chosen.accounts or chosen.resources
        if not chosen.failed or (not is_narrowed and _list_failed_last(instance, names)):
            _list_accounts(report, instance, definitions, names, chosen.allow_empty)
        asked_for = chosen_accounts(instance, names, chosen.accounts)
        groups = [_Group(asked_for, of, ("", "")) for of in of_kinds]
        if chosen.failed:
            groups = [g for of in of_kinds for g in _failed_last(instance, names, asked_for, of)]
        for group in groups:
            report.want(group.accounts, group.resources)
        progress.expect(sum(len(group.accounts) for group in groups if group.resources))
        for group in groups:
            _read(report, instance, definitions, names, chosen, group, settings.accounts_per_run)
        told = [*map(cause_of, report.failed_runs), *_left_the_list(report, instance)]
    if told:
        raise click.ClickException("\n".join(told))


class _Group(NamedTuple):
    """Accounts of which the same is read: lists, or days of reports; empty days for those due."""

    accounts: Collection[str]
    resources: Collection[str]
    days: tuple[str, str]


def _read(
    report: SyncReport,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    names: AssetNames,
    chosen: _Chosen,
    group: _Group,
    accounts_per_run: int | None,
) -> None:
    from analytics_assets.dagster_backend.command_runs import run_job
    from analytics_assets.orchestration.partitions import run_targets
    from analytics_assets.orchestration.sharding import shards

    of, (first, last) = group.resources, chosen.days or group.days
    more: dict[str, bool | str] = {"start_date": first, "end_date": last}
    if names.are_lists(of):
        more = {"full": chosen.full}
    parts = shards(instance, names, group.accounts if of else [], accounts_per_run)
    op, allow_empty = names.op_of(of), chosen.allow_empty
    for target in run_targets(instance, op, parts, allow_empty=allow_empty, **more):
        job, keys = definitions.resolve_job_def(names.job_of(of)), names.keys(of)
        _note(report, instance, run_job(instance, job, target.ops, target.tags, keys))


def _left_the_list(report: SyncReport, instance: dg.DagsterInstance) -> list[str]:
    """A line on accounts that lack something, and that another list, made meanwhile, lacks."""
    from analytics_assets.orchestration.partitions import known_accounts

    lacking = [account_id for account_id, state, _ in report.accounts if state != "ok"]
    gone = sorted(set(lacking).difference(known_accounts(instance)))
    return [f"no longer listed, so that not all was read: {first_of(gone)}"] if gone else []


def _resources_by_kind(names: AssetNames, chosen: _Chosen) -> list[list[str]]:
    """The lists that are read of accounts, and the reports.

    Raises:
        click.ClickException: One that is asked for is none of those that are read.
    """
    from analytics_assets.choice import EXTRA_RESOURCES_SETTING, SKIP_RESOURCES

    for name in chosen.resources:
        if name not in names.all_names:
            is_list = names.resources[name].report is None
            hint = (
                f"is left out by {SKIP_RESOURCES}: remove it there"
                if is_list
                else f"is not read: name it in {EXTRA_RESOURCES_SETTING}"
            )
            raise click.ClickException(f"{name} {hint}")
    if chosen.days and not names.report_names:
        raise click.ClickException(f"no report is read: name some in {EXTRA_RESOURCES_SETTING}")
    kinds = (() if chosen.days else names.account_resources, names.report_names)
    return [[n for n in of if n in chosen.resources or not chosen.resources] for of in kinds]


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
) -> list[_Group]:
    """What failed last of these accounts and resources; accounts that lack the same, together."""
    from analytics_assets.orchestration.recorded_attempts import failed_partitions

    lacking: dict[tuple[str, tuple[str, str]], list[str]] = {}
    for failed in failed_partitions(instance, names):
        if failed.account_id in account_ids and failed.resource in resource_names:
            lacking.setdefault((failed.account_id, failed.days), []).append(failed.resource)
    groups: dict[tuple[tuple[str, ...], tuple[str, str]], list[str]] = {}
    for (account_id, days), failed_names in lacking.items():
        of = tuple(name for name in resource_names if name in failed_names)
        groups.setdefault((of, days), []).append(account_id)
    return [_Group(accounts, of, days) for (of, days), accounts in groups.items()]
