"""What the settings leave out of what the API has: resources, and accounts."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from analytics_assets.errors import SettingsError
from analytics_assets.resources import ACCOUNT_RESOURCES, ACCOUNTS, RESOURCES
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name

SKIP_RESOURCES: Final = setting_name(PLATFORM_SECTION, "skip_resources")


def chosen_resources(settings: PlatformSettings) -> tuple[str, ...]:
    """The resources that are loaded, each parent before its children: all but those skipped.

    Raises:
        SettingsError: One cannot be skipped, or nothing is left.
    """
    for name in settings.skip_resources:
        if name == ACCOUNTS.name:
            raise SettingsError(
                f"{SKIP_RESOURCES} cannot have {name}, by which all others are read: set it to"
                " resources of an account"
            )
        if name not in RESOURCES:
            near = get_close_matches(name, ACCOUNT_RESOURCES, n=1)
            # what is like no resource may be anything, also a secret
            named = f"{name!r} (did you mean {near[0]}?)" if near else "a name"
            raise SettingsError(
                f"{SKIP_RESOURCES} has {named}, which is no resource: set it to some of"
                f" {', '.join(ACCOUNT_RESOURCES)}"
            )
    chosen = tuple(name for name in RESOURCES if name not in settings.skip_resources)
    if chosen == (ACCOUNTS.name,):
        raise SettingsError(
            f"{SKIP_RESOURCES} leaves nothing of an account to read: set it to fewer resources"
        )
    return chosen
