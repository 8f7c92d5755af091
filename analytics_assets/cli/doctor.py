"""`analytics-assets doctor`: checks what a sync needs, and says what to do about the rest."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import click

from analytics_assets.cli.accounts import complete_account, left_out_by, no_such_account
from analytics_assets.cli.home import ensure_dagster_home, has_records, probe_dagster_home
from analytics_assets.cli.sync_time import full_sync_time
from analytics_assets.errors import AnalyticsError
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.text import counted

if TYPE_CHECKING:
    from analytics_assets.api.doctor import Answer
    from analytics_assets.schema import ResourceTable
    from analytics_assets.settings import PlatformSettings

_PACKAGES: Final = ("analytics-assets", "dagster", "dagster-dlt", "dlt", "duckdb")
# how our errors end: what happened, then what to do
_ADVICE: Final = re.compile(r"(?P<detail>.+)[:;] (?P<advice>(check|copy|set|close|free|run) .+)")
_WAREHOUSE_CHECKS: Final = ("warehouse", "tables", "loads on record")
_WHAT_TO_DO: Final = (
    ((401, 403), "have the API's owner permit the client to read it"),
    ((429,), "the quota is used up: try later; a sync waits and tries again"),
    (range(500, 600), "the API is in trouble: try later; a sync tries again"),
)
_STATES: Final = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("skip", "yellow")}
_WARNING: Final = ("warn", "yellow")


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What came of a check.

    Attributes:
        name: What was checked.
        ok: Whether it will do; None if that could not be tried.
        detail: What was found.
        advice: What to do; empty where there is nothing to do. What will do and could be better is
            a warning.
    """

    name: str
    ok: bool | None
    detail: str
    advice: str = ""


@click.command()
@click.option(
    "--account",
    metavar="SLUG",
    shell_complete=complete_account,
    help="Ask the API for this account's resources. Default: the first that it lists.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as a JSON list.")
def doctor(account: str | None, as_json: bool) -> None:
    """Check settings, API, warehouse and Dagster home, and say what to do.

    It loads nothing and changes nothing: one token, and one request for each resource of one
    account. What depends on something that failed is skipped, and so is what a setting leaves out;
    its `ok` is null in JSON.

    Ends with exit code 0 only if nothing failed. A warning is none: what it names will do.
    """
    checks = []
    for check in _checks(account):
        checks.append(check)
        if not as_json:
            _print(check)
    failed = sum(check.ok is False for check in checks)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        click.secho(_summary(failed, sum(map(_is_warning, checks))), bold=True)
    if failed:
        raise click.exceptions.Exit(1)


def _is_warning(check: CheckOutcome) -> bool:
    return bool(check.ok and check.advice)


def _summary(failed: int, warnings: int) -> str:
    if failed:
        return f"{counted(failed, 'check')} failed"
    if warnings:
        return f"nothing failed, {counted(warnings, 'warning')}"
    return "all is well"


def _print(check: CheckOutcome) -> None:
    state, colour = _WARNING if _is_warning(check) else _STATES[check.ok]
    click.echo(f"{click.style(f'{state:<4}', fg=colour)}  {check.name:<31}  {check.detail}")
    if check.advice:
        click.echo(f"      -> {check.advice}")


def _checks(account: str | None) -> Iterator[CheckOutcome]:
    home = _try("dagster home", probe_dagster_home)  # first: dlt looks for settings there, too
    try:
        yield from _settings()
    except AnalyticsError as error:  # a file of settings is broken
        yield _failed("settings", str(error))
        yield from _skipped("settings", *_api_checks(RESOURCES), *_WAREHOUSE_CHECKS)
    else:
        yield from _api(account)
        yield from _warehouse(home)
    yield home
    yield from _home_settings(home)
    versions = (f"{name} {version(name)}" for name in _PACKAGES)
    yield CheckOutcome(
        "versions", True, ", ".join([f"python {platform.python_version()}", *versions])
    )


def _try(name: str, probe: Callable[[], str]) -> CheckOutcome:
    try:
        return CheckOutcome(name, True, probe())
    except (AnalyticsError, click.ClickException) as error:
        return _failed(name, str(error))


def _failed(name: str, message: str) -> CheckOutcome:
    found = _ADVICE.fullmatch(message)
    if found is None:
        return CheckOutcome(name, False, message)
    return CheckOutcome(name, False, found["detail"], found["advice"])


def _settings() -> Iterator[CheckOutcome]:
    from analytics_assets.shown_settings import found_settings

    settings = found_settings()
    for setting in settings:
        if setting.origin is not None:
            yield CheckOutcome(
                f"setting {setting.key}", True, f"{setting.value} ({setting.origin})"
            )
    defaults = [f"{setting.key} {setting.value}" for setting in settings if not setting.origin]
    if defaults:
        yield CheckOutcome("settings by default", True, ", ".join(defaults))


def _api(account: str | None) -> Iterator[CheckOutcome]:
    from analytics_assets.api.doctor import ask, probe_client, request_token
    from analytics_assets.settings import api_settings
    from analytics_assets.shown_settings import public_url

    try:
        settings = api_settings()
    except AnalyticsError as error:
        yield _failed("settings", str(error))
        yield from _skipped("settings", *_api_checks(RESOURCES))
        return
    yield CheckOutcome("settings", True, f"complete, for {public_url(settings.base_url)}")
    for name, own in settings.resources.items():
        if RESOURCES.get(name) != own:
            yield CheckOutcome(
                f"own resource {name}", True, f"GET {own.path_in(settings.api_version)}"
            )
    client = probe_client(settings)

    def get_token() -> str:
        request_token(client)
        return f"{public_url(settings.token_url)} gives one"

    yield (token_check := _try("token", get_token))
    if token_check.ok:
        yield from _questions(partial(ask, client), settings.quota_scope, account)
    else:
        yield from _skipped("token", *_api_checks(settings.resources)[1:])


def _questions(
    ask: Callable[..., Answer], quota_scope: str, account: str | None
) -> Iterator[CheckOutcome]:
    from analytics_assets.choice import skipped_accounts

    listed = ask(ACCOUNTS)
    asked: dict[str, Answer] = {}
    types = {
        # a sync goes by the column, which holds text
        str(row["account_id"]): kind if isinstance(kind := row.get("type"), str) else ""
        for row in listed.rows or []
        if row.get("account_id")
    }
    settings = _platform_settings()
    skipped, endpoints = skipped_accounts(settings, types), _endpoint_checks(settings.resources)
    accounts = [account_id for account_id in types if account_id not in skipped]
    if listed.rows is not None and not types:
        yield CheckOutcome(
            "account list", False, listed.line, "have the API's owner give the client one"
        )
    else:
        yield _answered("account list", listed)
    yield from _accounts_left_out(settings, types, skipped)
    if not accounts:
        yield from _skipped("accounts that are read" if types else "account list", *endpoints)
    elif account is not None and account in skipped:
        yield CheckOutcome(
            "account", False, *left_out_by(account, skipped[account]).rsplit(": ", 1)
        )
        yield from _skipped("account", *endpoints)
    elif account is not None and account not in accounts:
        yield CheckOutcome("account", False, no_such_account(account, accounts))
        yield from _skipped("account", *endpoints)
    else:
        yield from _endpoints(ask, settings, account or accounts[0], asked)
    quotas = [answer.quota for answer in (listed, *asked.values())]
    headers = {name: value for quota in quotas for name, value in quota.items()}
    shown = ", ".join(f"{name}: {value}" for name, value in headers.items())
    yield CheckOutcome("quota headers", True, shown or "none")
    if line := full_sync_time(settings, accounts, _asked_for(settings), quotas, quota_scope):
        yield CheckOutcome("quota", True, line)


def _accounts_left_out(
    settings: PlatformSettings, types: Mapping[str, str], skipped: Mapping[str, str]
) -> Iterator[CheckOutcome]:
    """What the settings leave out of the list, and what in them fits no account, if anything."""
    from analytics_assets.choice import refuse_none_left, without_effect

    idle = without_effect(settings, types) if types else {}
    if not skipped and not idle:
        return
    counts = Counter(skipped.values())
    by_setting = [f"{number} by {setting}" for setting, number in sorted(counts.items())]
    detail = f"{len(skipped)} of {len(types)} ({', '.join(by_setting)})" if skipped else "none"
    advice = [f"{', '.join(values)} in {setting} fits none" for setting, values in idle.items()]

    def left() -> str:
        refuse_none_left(types, skipped)
        return detail

    check = _try("accounts left out", left)
    yield replace(check, advice="; ".join(advice)) if check.ok else check


def _endpoints(
    ask: Callable[..., Answer],
    settings: PlatformSettings,
    account_id: str,
    asked: dict[str, Answer],
) -> Iterator[CheckOutcome]:
    from analytics_assets.choice import SKIP_RESOURCES

    resources, asked_for = settings.resources, _asked_for(settings)
    reports = {name: resource for name, resource in resources.reports.items() if name in asked_for}
    for name, resource in {**resources.account_lists, **reports}.items():
        check, parent_id = f"endpoint {name}", ""
        if name not in asked_for:
            yield CheckOutcome(check, None, f"left out by {SKIP_RESOURCES}")
            continue
        if any(answer.status == HTTPStatus.TOO_MANY_REQUESTS for answer in asked.values()):
            yield from _skipped("quota", check)  # it would have to wait as long as the API says
            continue
        if resource.has_parent_rows and resource.parent is not None:
            parent = asked.get(resource.parent)
            if parent is None or parent.rows is None:
                yield from _skipped(f"endpoint {resource.parent}", check)
                continue
            if not parent.rows:
                missing = f"not tried, because {account_id} has no {resource.parent}"
                yield CheckOutcome(check, None, missing, "choose another account with --account")
                continue
            parent_id = str(parent.rows[0].get("id"))
        asked[name] = ask(resource, account_id, parent_id)
        yield _answered(check, asked[name])


def _platform_settings() -> PlatformSettings:
    """The settings, or the defaults where they will not do, of which a check of its own tells."""
    from analytics_assets.choice import chosen_resources
    from analytics_assets.settings import PlatformSettings, platform_settings

    try:
        settings = platform_settings()
        chosen_resources(settings)
    except AnalyticsError:
        return PlatformSettings()
    return settings


def _asked_for(settings: PlatformSettings) -> set[str]:
    """The resources that a sync asks for."""
    from analytics_assets.api.source import with_parents
    from analytics_assets.choice import chosen_reports, chosen_resources

    lists = {
        resource.name for resource in with_parents(settings.resources, chosen_resources(settings))
    }
    return {*lists, *chosen_reports(settings)}


def _api_checks(resources: ResourceTable) -> list[str]:
    return ["token", "account list", *_endpoint_checks(resources), "quota headers"]


def _endpoint_checks(resources: ResourceTable) -> list[str]:
    return [f"endpoint {name}" for name in resources.account_lists]


def _answered(name: str, answer: Answer) -> CheckOutcome:
    if answer.rows is not None:
        return CheckOutcome(name, True, answer.line)
    # an error of ours may say by itself what to do
    if answer.status is None and (told := _failed(name, answer.line)).advice:
        return told
    from analytics_assets.settings import API_SECTION, setting_name

    # no answer, or one that the API itself would not give
    url, api_version = (setting_name(API_SECTION, key) for key in ("base_url", "api_version"))
    path = f"check {url} and {api_version}, and what lies between here and the API"
    known = (text for statuses, text in _WHAT_TO_DO if answer.status in statuses)
    return CheckOutcome(name, False, answer.line, next(known, path))


def _skipped(reason: str, *names: str) -> Iterator[CheckOutcome]:
    for name in names:
        yield CheckOutcome(name, None, f"needs {reason}")


def _home_settings(home: CheckOutcome) -> Iterator[CheckOutcome]:
    from analytics_assets.cli.home_settings import lacks

    if not home.ok:
        yield from _skipped("dagster home", "dagster.yaml")
        return
    found = list(lacks(ensure_dagster_home()))
    for rule, advice in found:
        yield CheckOutcome(
            f"dagster.yaml: {rule.path.rpartition('.')[2]}", True, rule.consequence, advice
        )
    if not found:
        yield CheckOutcome("dagster.yaml", True, "has what the platform counts on")


def _warehouse(home: CheckOutcome) -> Iterator[CheckOutcome]:
    from analytics_assets.choice import chosen_resources
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.doctor import inspect_tables, probe_warehouse
    from analytics_assets.warehouse.publishing import probe_publication

    try:
        settings = platform_settings()
        chosen_resources(settings)
    except AnalyticsError as error:
        yield _failed("platform settings", str(error))
        yield from _skipped("platform settings", *_WAREHOUSE_CHECKS)
        return
    yield (warehouse_check := _try("warehouse", partial(probe_warehouse, settings)))
    if not warehouse_check.ok:
        yield from _skipped("warehouse", *_WAREHOUSE_CHECKS[1:])
        return
    yield _try("tables", partial(inspect_tables, settings))
    yield from _left_tables(settings)
    if settings.publish_to is not None:
        yield _try("published copy", partial(probe_publication, settings))
    if home.ok:
        yield _try("loads on record", partial(_recorded_loads, settings))
    else:
        yield from _skipped("dagster home", "loads on record")


def _left_tables(settings: PlatformSettings) -> Iterator[CheckOutcome]:
    from analytics_assets.warehouse.left_tables import LEFT, left_tables, named_tables

    try:
        left = left_tables(settings)
    except AnalyticsError:  # of which the check before tells
        return
    if left:
        yield CheckOutcome("tables left", True, named_tables(left), LEFT)


def _recorded_loads(settings: PlatformSettings) -> str:
    from dagster import DagsterInstance

    from analytics_assets.orchestration.presence import compare

    if not has_records():
        return "nothing is recorded yet"
    with DagsterInstance.get() as instance:
        return compare(instance, settings)
