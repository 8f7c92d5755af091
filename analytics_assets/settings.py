"""The settings: what there is, and what is set.

The API's settings stand in the section `sources.analytics`, the platform's in `analytics`; as
environment variables these are `SOURCES__ANALYTICS__BASE_URL` and `ANALYTICS__DESTINATION`. The
environment goes before `.dlt/secrets.toml` and `.dlt/config.toml`.

They are asked for where work begins: when the code location is loaded, and by a run, a tick or a
command. Whatever is called from there is given what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, get_type_hints

from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.typing import TSecretStrValue

from analytics_assets.errors import SettingsError
from analytics_assets.lookup import DLT_DEFAULTS, Found, Section, configure_dlt, keys_in, look_up
from analytics_assets.lookup import setting_name as setting_name
from analytics_assets.own_resources import TABLES, refuse_same_paths, with_own_resources
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import ResourceTable
from analytics_assets.validation import (
    COLUMN_NAMES,
    CRON,
    DESTINATION,
    EXTRA_RESOURCES,
    KEY_PREFIX,
    NAME,
    OWNERS,
    PATH,
    PATH_PART,
    PATTERNS,
    RESOURCE_NAMES,
    TIME_ZONE,
    URL,
    WORD,
    WORDS,
    above,
    between,
    validated,
)

API_SECTION: Final = ("sources", "analytics")
PLATFORM_SECTION: Final = ("analytics",)
_EXTRACT_SECTION: Final = ("extract",)
_CLIENT: Final = (*API_SECTION, "client")
_AUTH: Final = (*_CLIENT, "auth")
# where else these are found: as dlt's REST configuration has them, and `dlt.secrets["client_id"]`
_OTHER_PLACES: Final[dict[str, tuple[Section, ...]]] = {
    "base_url": (_CLIENT,),
    "token_url": (_AUTH,),
    "client_id": (_AUTH, ()),
    "client_secret": (_AUTH, ()),
}
# what else may stand there, and says what is so in any case
_SAYS_NOTHING: Final[dict[Section, tuple[str, ...]]] = {_CLIENT: (), _AUTH: ("type",)}

_TOKEN_URL: Final = replace(URL, example="https://api.example.com/oauth/token")
_DAY: Final = 86_400.0
_YEAR: Final = 365 * _DAY


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiSettings:
    """How to reach the API, and how hard to try. `workers` is dlt's setting `extract.workers`.

    `resources` are those of the package and of the section `sources.analytics.resources`.
    """

    base_url: Annotated[
        str, URL, "where the paths of the resource table start; it may have a path prefix"
    ]
    token_url: Annotated[
        str, _TOKEN_URL, "where client credentials are exchanged for a token (OAuth2)"
    ]
    client_id: Annotated[TSecretStrValue, "the API client"]
    client_secret: Annotated[TSecretStrValue, "what the client proves itself with"]
    api_version: Annotated[
        str, PATH_PART, "the first part of the API's paths, where a deployment has another"
    ] = "v1"
    max_retries: Annotated[
        int,
        between(0, 100),
        "further attempts after 429, 500, 502, 503, 504, a lost connection or a broken answer",
    ] = 3
    backoff_factor: Annotated[
        float,
        between(0, _DAY),
        "seconds before the first retry, which after 429 is up to the quota; doubles with each",
    ] = 2.0
    max_retry_delay: Annotated[
        float, between(0, _DAY), "longest wait in seconds between attempts, `Retry-After` included"
    ] = 120.0
    timeout: Annotated[
        float,
        above(0, most=_DAY),
        "seconds to wait for a connection, and between two bytes of an answer",
    ] = 60.0
    attempt_timeout: Annotated[
        float, above(0, most=_DAY), "seconds in which an answer must have come as a whole"
    ] = 300.0
    max_answer_bytes: Annotated[
        int, between(1, 2**40), "bytes that one answer may have, when it is decompressed"
    ] = 256 * 2**20
    quota_scope: Annotated[
        Literal["client", "account"],
        "what the API counts its quota by: all requests of the client, or those of an account",
    ] = "client"
    max_requests_per_second: Annotated[
        float | None,
        above(0, most=1_000_000),
        "a ceiling for what a quota counts; without one, the pace follows what the API accepts",
    ] = None
    reread_unchanged_days: Annotated[
        int,
        between(0, 366),
        "after how many days a list below a parent row that is unchanged, as the items of a"
        " campaign, is asked for again; with 0, in every sync",
    ] = 0
    workers: int
    resources: ResourceTable = RESOURCES


@dataclass(frozen=True, kw_only=True, repr=False)
class PlatformSettings:
    """Where the tables go, what drives the platform, and who is told when it fails.

    `resources` are the same as the API's.
    """

    destination: Annotated[str, DESTINATION, "any SQL destination of dlt"] = "duckdb"
    dataset_name: Annotated[str, NAME, "the schema that holds the tables"] = "analytics"
    publish_to: Annotated[
        str | None,
        PATH,
        "where a copy of the DuckDB file is put after each run, for readers, who are then in no"
        " load's way; without it, none is made",
    ] = None
    key_prefix: Annotated[
        str | None,
        KEY_PREFIX,
        "what the asset keys begin with, and the names of jobs, schedules and sensors; for assets"
        " that are embedded in a code location of yours",
    ] = None
    group_name: Annotated[str, WORD, "the group of the assets in Dagster"] = "analytics"
    owners: Annotated[tuple[str, ...], OWNERS, "who owns the assets"] = ("team:data-engineering",)
    extra_resources: Annotated[
        tuple[str, ...],
        EXTRA_RESOURCES,
        "reports by day that are read as well; without it, none is",
    ] = ()
    skip_resources: Annotated[
        tuple[str, ...],
        RESOURCE_NAMES,
        "resources that are not asked for and are no assets; what their tables hold stays",
    ] = ()
    accounts: Annotated[
        tuple[str, ...], PATTERNS, "accounts that are read; without it, all that the API lists"
    ] = ()
    skip_accounts: Annotated[
        tuple[str, ...], PATTERNS, "accounts that are not read; what tables hold of them stays"
    ] = ()
    skip_account_types: Annotated[
        tuple[str, ...], WORDS, "types of accounts that are not read, as `accounts.type` has them"
    ] = ()
    history: Annotated[
        tuple[str, ...], RESOURCE_NAMES, "resources of which every version of every row is kept"
    ] = ()
    history_ignore: Annotated[
        tuple[str, ...], COLUMN_NAMES, "columns whose change alone makes no version"
    ] = ()
    load_interval: Annotated[
        float, between(0, _YEAR), "seconds after which a run loads what it has read so far"
    ] = 60.0
    lock_timeout: Annotated[
        float,
        between(0, _YEAR),
        "longest wait in seconds for another process to let go of the warehouse",
    ] = 600.0
    accounts_per_run: Annotated[
        int | None,
        between(1, 1_000_000),
        "most accounts that one run reads; more are spread over several runs, balanced by their"
        " rows; without it, one run reads all",
    ] = None
    automation: Annotated[
        bool,
        "whether schedules and sensors are switched on from the start; where they are not, the UI"
        " switches them on",
    ] = False
    sync_cron: Annotated[
        str, CRON, "when everything is read: the accounts are listed, then all are synced"
    ] = "0 5 * * *"
    refresh_cron: Annotated[
        str, CRON, "when the accounts are listed, so that a new one gets its first data soon"
    ] = "30 * * * *"
    time_zone: Annotated[str, TIME_ZONE, "the time zone of all schedules"] = "UTC"
    sensor_interval: Annotated[
        int, between(1, _DAY), "seconds between two looks at what is due"
    ] = 30
    account_retries: Annotated[
        int, between(0, 100), "how often an account that failed is tried again before the next sync"
    ] = 3
    account_retry_wait: Annotated[
        float, between(0, _YEAR), "seconds before the first of these attempts; doubles with each"
    ] = 300.0
    max_age_hours: Annotated[
        float, between(0, 100_000), "age from which on an account's rows are called old"
    ] = 36.0
    max_row_loss: Annotated[
        float,
        between(0, 1),
        "share of an account's rows in a table that a load may remove without a warning, and of"
        " the accounts that may leave the list at once",
    ] = 0.5
    performance_lookback_days: Annotated[
        int, between(0, 1_000), "days before the newest that a report is asked for again"
    ] = 31
    performance_history_days: Annotated[
        int, between(1, 10_000), "days up to today that a report is asked for at first"
    ] = 365
    performance_cron: Annotated[str, CRON, "when reports are read, of all accounts"] = "0 * * * *"
    reconcile: Annotated[
        bool,
        "whether each load of `campaign_performance` is compared with the API's own totals by day,"
        " by one request for an account",
    ] = True
    alert_webhook_url: Annotated[
        TSecretStrValue | None, URL, "where failures are posted, as JSON that Slack understands"
    ] = None
    ui_url: Annotated[str, URL, "where people reach Dagster's web UI: alerts link there"] = (
        "http://127.0.0.1:3000"
    )
    resources: ResourceTable = RESOURCES


class _ExtractSettings:
    """dlt's own settings for reading that are ours to judge."""

    workers: Annotated[
        int, between(1, 1_000), "requests in flight at once, over all accounts (dlt's setting)"
    ] = DLT_DEFAULTS["extract"]["workers"]
    max_parallel_items: Annotated[
        int, between(1, 100_000), "the most of them that wait for a worker (dlt's setting)"
    ] = DLT_DEFAULTS["extract"]["max_parallel_items"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that there is.

    Attributes:
        section: Where it stands, `("sources", "analytics")`.
        key: Its key, `base_url`.
        text: What it is, for people.
        hint: Its type, with what it may be.
        default: Its value where none is set; None also where that is no value.
        required: Whether one has to be set.
    """

    section: Section
    key: str
    text: str
    hint: Any
    default: Any
    required: bool

    @property
    def name(self) -> str:
        """Its environment variable, `SOURCES__ANALYTICS__BASE_URL`."""
        return setting_name(self.section, self.key)

    @property
    def is_secret(self) -> bool:
        """Whether its value is for nobody to see."""
        return bool(is_secret_hint(self.hint))


def api_settings() -> ApiSettings:
    """The API's settings.

    Raises:
        SettingsError: One is missing or unusable; the message says how to set it.
    """
    configure_dlt()
    for section, others in _SAYS_NOTHING.items():
        known = (key for key, places in _OTHER_PLACES.items() if section in places)
        _refuse_unknown_keys(section, [*known, *others])
    workers = _resolve(_EXTRACT_SECTION).get("workers", _ExtractSettings.workers)
    resources = with_own_resources(API_SECTION)
    settings = ApiSettings(workers=workers, resources=resources, **_resolve(API_SECTION))
    refuse_same_paths(resources, settings.api_version)
    return settings


def api_version() -> str:
    """The setting `api_version` alone: where no request is made, the others may be missing.

    Raises:
        SettingsError: It is unusable.
    """
    configure_dlt()
    setting = next(setting for setting in SETTINGS if setting.key == "api_version")
    found = find_setting(setting)
    value = found.value if found else setting.default
    return str(validated(setting.section, setting.key, setting.hint, value))


def platform_settings() -> PlatformSettings:
    """The platform's settings, all of which have defaults.

    Raises:
        SettingsError: One is unusable.
    """
    configure_dlt()
    resources = with_own_resources(API_SECTION)
    return PlatformSettings(resources=resources, **_resolve(PLATFORM_SECTION))


def _declared(section: Section, spec: type[object]) -> Iterator[Setting]:
    """The settings that a class declares: its annotated fields, their text last."""
    for key, hint in get_type_hints(spec, include_extras=True).items():
        if metadata := getattr(hint, "__metadata__", ()):
            required = not hasattr(spec, key)
            yield Setting(section, key, metadata[-1], hint, getattr(spec, key, None), required)


SETTINGS: Final = (
    *_declared(API_SECTION, ApiSettings),
    *_declared(PLATFORM_SECTION, PlatformSettings),
    *_declared(_EXTRACT_SECTION, _ExtractSettings),
)
"""All settings, in the order in which people see them."""


def find_setting(setting: Setting) -> Found | None:
    """What is set, as it was found; None where the default holds."""
    places = (setting.section, *_OTHER_PLACES.get(setting.key, ()))
    found = (look_up(place, setting.key, setting.hint) for place in places)
    return next((value for value in found if value is not None), None)


def _resolve(section: Section) -> dict[str, Any]:
    """What is set in a section, by key.

    Raises:
        SettingsError: One is missing or unusable, or there is none of such a name.
    """
    declared = [setting for setting in SETTINGS if setting.section == section]
    _refuse_unknown_keys(section, [setting.key for setting in declared])
    values: dict[str, Any] = {}
    missing: list[Setting] = []
    for setting in declared:
        found = find_setting(setting)
        if found is not None:
            values[setting.key] = validated(section, setting.key, setting.hint, found.value)
        elif setting.required:
            missing.append(setting)
    if missing:
        names = " and ".join(setting.name for setting in missing)
        has_secret = any(setting.is_secret for setting in missing)
        files = ".dlt/secrets.toml" + ("" if has_secret else " or .dlt/config.toml")
        raise SettingsError(
            f"missing setting: set {names} in the environment, or the same key in section"
            f" [{'.'.join(section)}] of {files}"
        )
    return values


def _refuse_unknown_keys(section: Section, known: list[str]) -> None:
    if section == _EXTRACT_SECTION:  # what other keys stand there is dlt's business
        return
    for key in keys_in(section):
        if key not in known and (section != API_SECTION or key not in TABLES):
            elsewhere = [setting.name for setting in SETTINGS if setting.key == key.lower()]
            near = get_close_matches(key.lower().rpartition("__")[2], known, n=1)
            meant = [*elsewhere, *(setting_name(section, each) for each in near)]
            advice = f"set {meant[0]} instead" if meant else "check its name in docs/settings.md"
            raise SettingsError(
                f"there is no setting {key} in section [{'.'.join(section)}]: {advice}, or remove"
                " it"
            )
