"""What the settings leave out of what the API has, resources and accounts, and what they add."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from analytics_assets.errors import SettingsError
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name

SKIP_RESOURCES: Final = setting_name(PLATFORM_SECTION, "skip_resources")
HISTORY: Final = setting_name(PLATFORM_SECTION, "history")
_HISTORY_IGNORE: Final = setting_name(PLATFORM_SECTION, "history_ignore")
EXTRA_RESOURCES_SETTING: Final = setting_name(PLATFORM_SECTION, "extra_resources")
_LIST: Final = "list of an account"
_ACCOUNTS: Final = setting_name(PLATFORM_SECTION, "accounts")
SKIP_ACCOUNTS: Final = setting_name(PLATFORM_SECTION, "skip_accounts")
_SKIP_ACCOUNT_TYPES: Final = setting_name(PLATFORM_SECTION, "skip_account_types")


def chosen_resources(settings: PlatformSettings) -> tuple[str, ...]:
    """The lists that are loaded, each parent before its children: all but those skipped.

    Raises:
        SettingsError: One cannot be skipped, or nothing is left; or there is no such report.
    """
    skippable = [*settings.resources.account_lists, *sorted(_own_reports(settings))]
    chosen_reports(settings)  # so that a wrong name is noticed wherever resources are chosen
    if ACCOUNTS.name in settings.skip_resources:
        raise SettingsError(
            f"{SKIP_RESOURCES} cannot have {ACCOUNTS.name}, by which all others are read: set it to"
            " resources of an account"
        )
    _refuse_unknown(settings, SKIP_RESOURCES, settings.skip_resources, skippable, _LIST)
    chosen = tuple(name for name in settings.resources.lists if name not in settings.skip_resources)
    if chosen == (ACCOUNTS.name,):
        raise SettingsError(
            f"{SKIP_RESOURCES} leaves no list of an account to read: set it to fewer resources"
        )
    return chosen


def chosen_reports(settings: PlatformSettings) -> tuple[str, ...]:
    """The reports that are loaded: those that are named, and the user's own but for those skipped.

    Raises:
        SettingsError: There is no such report.
    """
    named, there = settings.extra_resources, settings.resources.reports
    _refuse_unknown(settings, EXTRA_RESOURCES_SETTING, named, there, "report")
    chosen = {*named, *_own_reports(settings)}.difference(settings.skip_resources)
    return tuple(name for name in there if name in chosen)


def _own_reports(settings: PlatformSettings) -> set[str]:
    """The reports of the user's own: to declare one is to ask for it."""
    return settings.resources.reports.keys() - RESOURCES.keys()


def kept_histories(settings: PlatformSettings) -> dict[str, frozenset[str]]:
    """The resources whose history is kept, each with the columns whose change makes no version.

    Raises:
        SettingsError: There is no such resource or column, or it cannot be kept or ignored.
    """
    ignored: dict[str, set[str]] = {name: set() for name in settings.history}
    lists = settings.resources.account_lists
    _refuse_unknown(settings, HISTORY, ignored, lists, _LIST)
    for name in ignored:
        if name in settings.skip_resources:
            raise SettingsError(
                f"{HISTORY} has {name}, which {SKIP_RESOURCES} leaves out: remove it from one"
            )
    for table, _, column in (name.partition(".") for name in settings.history_ignore):
        _refuse_unknown(settings, _HISTORY_IGNORE, [table], lists, _LIST)
        resource = lists[table]
        columns = [known.name for known in resource.columns if known.name not in resource.key]
        if resource.is_open and column not in resource.key:
            columns.append(column)
        kind = f"column of {table} beside its key"
        _refuse_unknown(settings, _HISTORY_IGNORE, [column], columns, kind)
        ignored.setdefault(table, set()).add(column)
    return {name: frozenset(ignored[name]) for name in settings.history}


def _refuse_unknown(
    settings: PlatformSettings,
    setting: str,
    names: Iterable[str],
    known: Collection[str],
    kind: str,
) -> None:
    for name in names:
        if name not in known:
            # what is like none of them may be anything, also a secret
            named = "a name"
            if name in settings.resources:  # of another kind, and no slip of the pen
                named = repr(name)
            elif near := get_close_matches(name, known, n=1):
                named = f"{name!r} (did you mean {near[0]}?)"
            raise SettingsError(
                f"{setting} has {named}, which is no {kind}: set it to some of {', '.join(known)}"
            )


def skipped_accounts(settings: PlatformSettings, types: Mapping[str, str]) -> dict[str, str]:
    """The accounts that are not read, with the name of the setting that leaves each out.

    `types` are the listed accounts, each with its type.
    """
    found = {
        account_id: _skipped_by(settings, account_id, kind) for account_id, kind in types.items()
    }
    return {account_id: setting for account_id, setting in found.items() if setting}


def _skipped_by(settings: PlatformSettings, account_id: str, kind: str) -> str | None:
    if settings.accounts and not _matches(account_id, settings.accounts):
        return _ACCOUNTS
    if _matches(account_id, settings.skip_accounts):
        return SKIP_ACCOUNTS
    return _SKIP_ACCOUNT_TYPES if kind in settings.skip_account_types else None


def _matches(account_id: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(account_id, pattern) for pattern in patterns)


def without_effect(settings: PlatformSettings, types: Mapping[str, str]) -> dict[str, list[str]]:
    """By setting, what it has that fits no listed account: maybe a slip of the pen."""
    found = {
        setting: [pattern for pattern in patterns if not any(_matches(a, [pattern]) for a in types)]
        for setting, patterns in (
            (_ACCOUNTS, settings.accounts),
            (SKIP_ACCOUNTS, settings.skip_accounts),
        )
    }
    kinds = set(types.values())
    found[_SKIP_ACCOUNT_TYPES] = [k for k in settings.skip_account_types if k not in kinds]
    return {setting: values for setting, values in found.items() if values}


def refuse_none_left(types: Collection[str], skipped: Mapping[str, str]) -> None:
    """Stops where the settings leave out whatever is listed: all partitions would go.

    Raises:
        SettingsError: They do.
    """
    if types and len(skipped) == len(types):
        raise SettingsError(
            "all accounts that the API lists are left out; nothing was changed: check"
            f" {' and '.join(sorted(set(skipped.values())))}"
        )
