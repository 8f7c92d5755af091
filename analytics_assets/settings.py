"""The settings, and what each may be.

The API's settings stand in the section `sources.analytics`, the platform's in `analytics`; as
environment variables these are `SOURCES__ANALYTICS__BASE_URL` and `ANALYTICS__DESTINATION`. The
environment goes before `.dlt/secrets.toml` and `.dlt/config.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from croniter import croniter
from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import extract_inner_hint, is_secret_hint
from dlt.common.configuration.utils import deserialize_value
from dlt.common.typing import TSecretStrValue

from analytics_assets.errors import SettingsError
from analytics_assets.lookup import Found, Section, keys_in, look_up
from analytics_assets.lookup import setting_name as setting_name

API_SECTION: Final = ("sources", "analytics")
PLATFORM_SECTION: Final = ("analytics",)
_EXTRACT_SECTION: Final = ("extract",)
# these are found without their section, too, as `dlt.secrets["client_id"]` is
_SHORT_KEYS: Final = ("client_id", "client_secret")

_HIDDEN: Final = "***"
_DAY: Final = 86_400.0
_YEAR: Final = 365 * _DAY


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be, beyond its type.

    Attributes:
        words: What it has to be: `a number from 0 to 1`.
        test: Whether a value is that. It may raise any error for one that is not.
        example: A value that is.
    """

    words: str
    test: Callable[[Any], bool]
    example: str = ""


def between(least: float, most: float) -> Allowed:
    """A number from `least` to `most`."""
    return Allowed(f"from {least:.10g} to {most:.10g}", lambda value: least <= value <= most)


def above(least: float, *, most: float) -> Allowed:
    """A number greater than `least`, up to `most`."""
    return Allowed(
        f"greater than {least:.10g}, up to {most:.10g}", lambda value: least < value <= most
    )


def _is_url(value: str) -> bool:
    parts = urlsplit(value)
    is_whole = parts.port != 0 and value == value.strip() and value.isprintable()
    has_host = bool(parts.hostname) and " " not in parts.netloc  # a path may have spaces
    return parts.scheme in ("http", "https") and has_host and is_whole


def _fires(value: str) -> bool:
    fields, *_ = croniter.expand(value)
    return len(fields) == 5 and croniter(value).get_next() > 0  # never, for the 30th of February


URL: Final = Allowed("an http(s) URL", _is_url, "https://api.example.com")
CRON: Final = Allowed("a cron expression", _fires, "0 5 * * *")
TIME_ZONE: Final = Allowed(
    "a time zone of the IANA database", lambda value: bool(ZoneInfo(value)), "Europe/Berlin"
)
DESTINATION: Final = Allowed(
    "a name of a destination", lambda value: re.fullmatch(r"[\w.]+", value) is not None, "postgres"
)
NAME: Final = Allowed(
    "a name of letters, digits, _ and -, the first a letter",
    lambda value: re.fullmatch(r"_*[A-Za-z][A-Za-z0-9_-]*", value) is not None,
    "analytics",
)


@configspec
class ApiSettings(BaseConfiguration):
    """How to reach the API, and how hard to try.

    Attributes:
        base_url: Where the paths of the resource table start; may hold a path prefix.
        token_url: Where OAuth2 client credentials are exchanged for a token.
        client_id: The API client.
        client_secret: Its secret.
        max_retries: Further attempts after a first that failed in a way that may pass.
        backoff_factor: Seconds before the first retry; doubles with each.
        max_retry_delay: Longest wait in seconds between attempts, `Retry-After` included.
        timeout: Seconds to wait for a connection, and between two bytes of an answer.
        attempt_timeout: Seconds in which an answer must have come as a whole.
        max_answer_bytes: Bytes that an answer may have, when it is decompressed.
        quota_scope: What the API counts its quota by: `client`, all requests, or `account`.
        max_requests_per_second: A ceiling for the requests that a quota counts, where you have
            reason to stay below it; without one, the pace adapts to what the API accepts.
    """

    base_url: Annotated[str, URL] = None  # type: ignore[assignment]
    token_url: Annotated[str, URL] = None  # type: ignore[assignment]
    client_id: TSecretStrValue = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    max_retries: Annotated[int, between(0, 100)] = 3
    backoff_factor: Annotated[float, between(0, _DAY)] = 2.0
    max_retry_delay: Annotated[float, between(0, _DAY)] = 120.0
    timeout: Annotated[float, above(0, most=_DAY)] = 60.0
    attempt_timeout: Annotated[float, above(0, most=_DAY)] = 300.0
    max_answer_bytes: Annotated[int, between(1, 2**40)] = 256 * 2**20
    quota_scope: Literal["client", "account"] = "client"
    max_requests_per_second: Annotated[float | None, above(0, most=1_000_000)] = None

    @property
    def workers(self) -> int:
        """Requests in flight at once."""
        return extract_workers()


@configspec
class PlatformSettings(BaseConfiguration):
    """Where the tables go, what drives the platform, and who is told when it fails.

    Attributes:
        destination: Any SQL destination of dlt.
        dataset_name: The dataset (schema) that holds the tables.
        lock_timeout: Longest wait in seconds for another process to let go of the warehouse.
        accounts_per_run: The most accounts that one run reads; more are spread over several runs,
            balanced by their rows. Without it, one run reads all.
        automation: Whether schedules and sensors are switched on from the start. Where they are
            not, the UI switches them on.
        sync_cron: When everything is read: the accounts are listed, then all are synced.
        refresh_cron: When the accounts are listed, so that a new one gets its first data soon.
        time_zone: The time zone of both, as in the IANA database.
        sensor_interval: Seconds between two looks at what is due.
        account_retries: How often an account that failed is tried again, before the next sync.
        account_retry_wait: Seconds before the first of these attempts; doubles with each.
        max_age_hours: Age of an account's rows from which on they are called old.
        max_row_loss: The share of an account's rows that a load may take out of a table before
            a check warns, and of the accounts that may leave the list at once.
        alert_webhook_url: Where failures are posted, as JSON that Slack understands.
        ui_url: Where people reach Dagster's web UI: alerts link there.
    """

    destination: Annotated[str, DESTINATION] = "duckdb"
    dataset_name: Annotated[str, NAME] = "analytics"
    lock_timeout: Annotated[float, between(0, _YEAR)] = 600.0
    accounts_per_run: Annotated[int | None, between(1, 1_000_000)] = None
    automation: bool = False
    sync_cron: Annotated[str, CRON] = "0 5 * * *"
    refresh_cron: Annotated[str, CRON] = "30 * * * *"
    time_zone: Annotated[str, TIME_ZONE] = "UTC"
    sensor_interval: Annotated[int, between(1, _DAY)] = 30
    account_retries: Annotated[int, between(0, 100)] = 3
    account_retry_wait: Annotated[float, between(0, _YEAR)] = 300.0
    max_age_hours: Annotated[float, between(0, 100_000)] = 36.0
    max_row_loss: Annotated[float, between(0, 1)] = 0.5
    alert_webhook_url: Annotated[TSecretStrValue | None, URL] = None
    ui_url: Annotated[str, URL] = "http://127.0.0.1:3000"


@configspec
class ExtractSettings(BaseConfiguration):
    """dlt's own settings for reading; their defaults are among those that we give dlt.

    Attributes:
        workers: Requests in flight at once, over all accounts.
        max_parallel_items: The most of them that wait for a worker.
    """

    workers: Annotated[int, between(1, 1_000)] = None  # type: ignore[assignment]
    max_parallel_items: Annotated[int, between(1, 100_000)] = None  # type: ignore[assignment]


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


Spec = TypeVar("Spec", bound=BaseConfiguration)

_SPECS: Final[dict[Section, type[BaseConfiguration]]] = {
    API_SECTION: ApiSettings,
    PLATFORM_SECTION: PlatformSettings,
    _EXTRACT_SECTION: ExtractSettings,
}
# what other keys stand there is dlt's business
_SHARED_SECTIONS: Final = (_EXTRACT_SECTION,)


def api_settings() -> ApiSettings:
    """The API's settings.

    Raises:
        SettingsError: One is missing or unusable; the message says how to set it.
    """
    extract_workers()
    return _resolve(ApiSettings(), API_SECTION)


def extract_workers() -> int:
    """Requests in flight at once, over all accounts: dlt's own setting `extract.workers`.

    Raises:
        SettingsError: It is unusable, or `extract.max_parallel_items` is.
    """
    return _resolve(ExtractSettings(), _EXTRACT_SECTION).workers


def platform_settings() -> PlatformSettings:
    """The platform's settings, all of which have defaults.

    Raises:
        SettingsError: One is unusable.
    """
    return _resolve(PlatformSettings(), PLATFORM_SECTION)


def found_settings() -> list[FoundSetting]:
    """The settings that have a value, with where it was found, whether or not they will do.

    Raises:
        SettingsError: A secret stands where none belongs.
    """
    return [
        setting
        for section, spec in _SPECS.items()
        for key, hint in spec.get_resolvable_fields().items()
        if (setting := _found_setting(section, key, hint, getattr(spec, key, None))) is not None
    ]


def public_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query.

    Returns:
        `***` for a text that is no http(s) URL.
    """
    if not _is_allowed(URL, url):
        return _HIDDEN
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _found_setting(section: Section, key: str, hint: Any, default: Any) -> FoundSetting | None:
    found = _find(section, key, hint)
    if found is None:
        return None if default is None else FoundSetting(key, str(default), None)
    shown = str(found.value)
    if is_secret_hint(hint) or _problem(section, key, hint, found.value) is not None:
        shown = _HIDDEN
    elif key.endswith("_url"):
        shown = public_url(shown)
    return FoundSetting(key, shown, found.origin)


def _find(section: Section, key: str, hint: Any) -> Found | None:
    found = look_up(section, key, hint)
    if found is None and key in _SHORT_KEYS:
        return look_up((), key, hint)
    return found


def _resolve(settings: Spec, section: Section) -> Spec:
    _refuse_unknown_keys(section)
    missing = []
    for key, hint in settings.get_resolvable_fields().items():
        found = _find(section, key, hint)
        if found is not None:
            if (problem := _problem(section, key, hint, found.value)) is not None:
                raise SettingsError(problem)
            setattr(settings, key, _typed(key, hint, found.value))
        elif not settings.is_field_resolved(getattr(settings, key), hint):
            missing.append(setting_name(section, key))
    if missing:
        raise SettingsError(
            f"missing setting: set {' and '.join(missing)} in the environment, or the same key in"
            f" section [{'.'.join(section)}] of .dlt/secrets.toml or .dlt/config.toml"
        )
    return settings


def _refuse_unknown_keys(section: Section) -> None:
    if section in _SHARED_SECTIONS:
        return
    known = list(_SPECS[section].get_resolvable_fields())
    for key in keys_in(section):
        if key not in known:
            near = get_close_matches(key.lower().rpartition("__")[2], known, n=1)
            meant = setting_name(section, near[0]) if near else ""
            advice = f"set {meant} instead" if meant else "check its name in README.md"
            raise SettingsError(
                f"there is no setting {key} in section [{'.'.join(section)}]: {advice}, or remove"
                " it"
            )


def _problem(section: Section, key: str, hint: Any, value: Any) -> str | None:
    """What is wrong with a value; never the value itself, which may be a secret."""
    name = setting_name(section, key)
    allowed = next((a for a in getattr(hint, "__metadata__", ()) if isinstance(a, Allowed)), None)
    try:
        typed = _typed(key, hint, value)
    except ConfigValueCannotBeCoercedException:
        typed = None
    if typed is not None and (allowed is None or _is_allowed(allowed, typed)):
        return None
    if allowed is not None and allowed.example and typed is not None:
        return f"{name} is not {allowed.words}; set it to one such as {allowed.example}"
    words = [_type_in_words(hint), *([allowed.words] if allowed and not allowed.example else [])]
    return (
        f"a setting in section [{'.'.join(section)}] cannot be used: set {name} to"
        f" {' '.join(words)}"
    )


def _typed(key: str, hint: Any, value: Any) -> Any:
    """The value as the type of the hint.

    Raises:
        ConfigValueCannotBeCoercedException: It cannot be one.
    """
    plain = extract_inner_hint(hint, preserve_literal=True)
    # of anything else dlt would make a text, too: of a table its contents
    if plain is str and (not isinstance(value, (str, int)) or isinstance(value, bool)):
        raise ConfigValueCannotBeCoercedException(key, type(value), plain)
    return deserialize_value(key, value, plain)


def _is_allowed(allowed: Allowed, value: Any) -> bool:
    try:
        return allowed.test(value)
    except Exception:  # whatever a parser says of what it cannot read
        return False


def _type_in_words(hint: Any) -> str:
    plain = extract_inner_hint(hint, preserve_literal=True)
    if get_origin(plain) is Literal:
        return f"one of {', '.join(map(str, get_args(plain)))}"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(plain, "a text")
