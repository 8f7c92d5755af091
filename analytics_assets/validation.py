"""What a setting may be, and whether a value is that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from croniter import croniter
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.specs.base_configuration import extract_inner_hint
from dlt.common.configuration.utils import deserialize_value

from analytics_assets.errors import SettingsError
from analytics_assets.lookup import Section, listed_texts, setting_name


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be, beyond its type.

    Attributes:
        words: What it has to be: `from 0 to 1`, or with an example the whole of it: `a name`.
        test: True of a value that is that, and false, or raises any error, of one that is not.
        example: A value that is.
    """

    words: str
    test: Callable[[Any], object]
    example: str = ""

    def admits(self, value: Any) -> bool:
        """Whether a value may be used."""
        try:
            return bool(self.test(value))
        except Exception:  # whatever a parser says of what it cannot read
            return False


def between(least: float, most: float) -> Allowed:
    """A number from `least` to `most`."""
    return Allowed(f"from {least:.15g} to {most:.15g}", lambda value: least <= value <= most)


def above(least: float, *, most: float) -> Allowed:
    """A number greater than `least`, up to `most`."""
    return Allowed(
        f"greater than {least:.15g}, up to {most:.15g}", lambda value: least < value <= most
    )


def _is_url(value: str) -> bool:
    parts = urlsplit(value)
    is_whole = parts.port != 0 and value == value.strip() and value.isprintable()
    has_host = bool(parts.hostname) and " " not in parts.netloc  # a path may have spaces
    return parts.scheme in ("http", "https") and has_host and is_whole


def _each(pattern: str) -> Callable[[Iterable[str]], bool]:
    """A test of a list, each of whose texts is to match."""
    return lambda values: all(re.fullmatch(pattern, value) for value in values)


def _fires(value: str) -> bool:
    fields, *_ = croniter.expand(value)
    return len(fields) == 5 and croniter(value).get_next() > 0  # never, for the 30th of February


_WORD: Final = r"[A-Za-z0-9_]+"

URL: Final = Allowed("an http(s) URL", _is_url, "https://api.example.com")
# fit for a path as it is, and no step up or down in one
PATH_PART: Final = Allowed(
    "one part of a path, of letters, digits, ., _ and -, and in TOML in quotes",
    re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*").fullmatch,
    "1.0",
)
CRON: Final = Allowed("a cron expression", _fires, "0 5 * * *")
TIME_ZONE: Final = Allowed("a time zone of the IANA database", ZoneInfo, "Europe/Berlin")
PATH: Final = Allowed(
    "an absolute path of a file",
    lambda value: value.startswith("/") and value.isprintable() and not value.endswith("/"),
    "/srv/analytics/published/warehouse.duckdb",
)
DESTINATION: Final = Allowed("a name of a destination", re.compile(r"[\w.]+").fullmatch, "postgres")
NAME: Final = Allowed(
    "a name of letters, digits, _ and -, the first a letter",
    re.compile(r"_*[A-Za-z][A-Za-z0-9_-]*").fullmatch,
    "analytics",
)
# what Dagster admits in the names of ops and groups
WORD: Final = Allowed("a name of letters, digits and _", re.compile(_WORD).fullmatch, "advertising")
KEY_PREFIX: Final = Allowed(
    "names of letters, digits and _, with / between them",
    re.compile(f"{_WORD}(/{_WORD})*").fullmatch,
    "marketing/advertising",
)
# which there are, the resource table says
RESOURCE_NAMES: Final = Allowed("a list of resources", _each(_WORD), "motion_ads")
COLUMN_NAMES: Final = Allowed(
    "a list of columns, each with its resource", _each(r"\w+\.\w+"), "campaigns.spent"
)
EXTRA_RESOURCES: Final = Allowed("a list of reports", _each(_WORD), "campaign_performance")
PATTERNS: Final = Allowed(
    "a list of account ids, or of patterns with *, ? and [a-z]",
    lambda value: all(map(str.isprintable, value)),
    "acme-*",
)
WORDS: Final = Allowed("a list of texts", lambda value: all(map(str.isprintable, value)), "NETWORK")
OWNERS: Final = Allowed(
    "a list of e-mail addresses and teams (team:NAME)",
    _each(r"team:.+|[\w.%+-]+@[\w.-]+\.[A-Za-z]{2,7}"),
    "team:data-engineering",
)


def validated(section: Section, key: str, hint: Any, value: Any) -> Any:
    """The value as the type of the hint, if it may be used.

    Raises:
        SettingsError: It may not. The message never has the value, which may be a secret.
    """
    name, allowed = setting_name(section, key), _allowed(hint)
    try:
        typed = _typed(key, hint, value)
    except ConfigValueCannotBeCoercedException:
        typed = None
    if typed is not None:
        if allowed is None or allowed.admits(typed):
            return typed
        if allowed.example:
            raise SettingsError(
                f"{name} is not {allowed.words}; set it to one such as {allowed.example}"
            )
    raise SettingsError(
        f"a setting in section [{'.'.join(section)}] cannot be used: set {name} to"
        f" {allowed_in_words(hint)}"
    )


def allowed_in_words(hint: Any) -> str:
    """What a setting may be: `a whole number from 0 to 100`."""
    allowed = _allowed(hint)
    if allowed is not None and allowed.example:
        return allowed.words
    return f"{_type_in_words(hint)} {allowed.words if allowed else ''}".rstrip()


def example_of(hint: Any) -> str:
    """A value that a setting may be; empty where none is to be told."""
    allowed = _allowed(hint)
    return allowed.example if allowed else ""


def _allowed(hint: Any) -> Allowed | None:
    return next((a for a in getattr(hint, "__metadata__", ()) if isinstance(a, Allowed)), None)


def _typed(key: str, hint: Any, value: Any) -> Any:
    """The value as the type of the hint.

    Raises:
        ConfigValueCannotBeCoercedException: It cannot be one.
    """
    plain = extract_inner_hint(hint, preserve_literal=True)
    # of anything else dlt would make a text, too: of a table its contents
    if plain is str and (not isinstance(value, (str, int)) or isinstance(value, bool)):
        raise ConfigValueCannotBeCoercedException(key, type(value), plain)
    if plain is tuple:
        return _texts(key, value)
    return deserialize_value(key, value, plain)


def _texts(key: str, value: Any) -> tuple[str, ...]:
    """A list of texts; in the environment, one text with commas, or a list in JSON as dlt has it.

    Raises:
        ConfigValueCannotBeCoercedException: It is none of them.
    """
    parts = listed_texts(value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ConfigValueCannotBeCoercedException(key, type(value), tuple)
    return tuple(part.strip() for part in parts if part.strip())


def _type_in_words(hint: Any) -> str:
    plain = extract_inner_hint(hint, preserve_literal=True)
    if get_origin(plain) is Literal:
        return f"one of {', '.join(map(str, get_args(plain)))}"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(plain, "a text")
