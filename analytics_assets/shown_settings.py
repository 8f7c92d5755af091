"""The settings as anyone may see them: without what is secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from analytics_assets.errors import SettingsError
from analytics_assets.lookup import configure_dlt
from analytics_assets.settings import SETTINGS, Setting, find_setting
from analytics_assets.validation import URL, validated

_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class FoundSetting:
    """A setting that has a value.

    Attributes:
        key: Its key, `base_url`.
        value: The value as anyone may see it: a secret is `***`.
        origin: Where it was found; None where it is the default.
    """

    key: str
    value: str
    origin: str | None


def found_settings() -> list[FoundSetting]:
    """The settings that have a value, with where it was found, whether or not they will do.

    Raises:
        SettingsError: A secret stands where none belongs.
    """
    configure_dlt()
    found = (_found_setting(setting) for setting in SETTINGS)
    return [setting for setting in found if setting is not None]


def public_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query.

    Returns:
        `***` for a text that is no http(s) URL.
    """
    if not URL.admits(url):
        return _HIDDEN
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _found_setting(setting: Setting) -> FoundSetting | None:
    found = find_setting(setting)
    if found is None:
        default = setting.default
        return None if default is None else FoundSetting(setting.key, _text(default), None)
    return FoundSetting(setting.key, _shown(setting, found.value), found.origin)


def _shown(setting: Setting, value: Any) -> str:
    try:
        validated(setting.section, setting.key, setting.hint, value)
    except SettingsError:
        return _HIDDEN
    if setting.is_secret:
        return _HIDDEN
    return public_url(str(value)) if setting.key.endswith("_url") else _text(value)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
