"""Settings, resolved by dlt: environment, then `.dlt/secrets.toml` and `.dlt/config.toml`.

The API's settings stand in the section `sources.analytics`, the platform's in `analytics`; as
environment variables these are `SOURCES__ANALYTICS__BASE_URL` and `ANALYTICS__DESTINATION`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import dlt
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.providers.environ import EnvironProvider
from dlt.common.configuration.providers.toml import (
    GLOBAL_ORIGIN_PREFIX,
    SettingsTomlProvider,
    TomlProviderReadException,
)
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.utils import ResolvedValueTrace, TraceLogContext
from dlt.common.known_env import DLT_PROJECT_DIR
from dlt.common.runtime.run_context import DOT_DLT
from dlt.common.typing import TSecretStrValue

from analytics_assets.errors import SettingsError

API_SECTION: Final = ("sources", "analytics")
PLATFORM_SECTION: Final = ("analytics",)

_HIDDEN: Final = "***"
_DEFAULTS_PROVIDER: Final = "analytics_assets defaults"

# Set below every other source of configuration, so that each can be overridden as usual in dlt.
_DLT_DEFAULTS: Final[dict[str, Any]] = {
    # requests in flight at once
    "extract": {"workers": 64, "max_parallel_items": 64},
    "runtime": {"dlthub_telemetry": False, "log_level": "WARNING"},
    # dlt's column that names the load of a row; off by default for Arrow tables
    "normalize": {"parquet_normalizer": {"add_dlt_load_id": True}},
    # staged rows that stay would double a DuckDB file
    "load": {"truncate_staging_dataset": True},
}


def dagster_home() -> Path:
    """The folder that holds dagster.yaml and, by default, the warehouse and `.dlt`."""
    return Path(os.environ.get("DAGSTER_HOME") or Path.cwd())


def _set_up_dlt() -> None:
    try:
        _register_defaults()
    except TomlProviderReadException as error:
        # where it is, and not what it says: that may be a secret
        place = re.search(r"line \d+", str(error))
        raise SettingsError(
            f"{error.file_name} is not TOML{f' ({place[0]})' if place else ''}:"
            f" check {' and '.join(error.full_paths)}"
        ) from None


def _register_defaults() -> None:
    # dlt looks for `.dlt` in the working directory; daemons and services run elsewhere
    if not Path(DOT_DLT).is_dir() and (dagster_home() / DOT_DLT).is_dir():
        os.environ.setdefault(DLT_PROJECT_DIR, str(dagster_home()))
        Container()[PluggableRunContext].reload_providers()
    dlt.config.register_provider(
        CustomLoaderDocProvider(_DEFAULTS_PROVIDER, lambda: _DLT_DEFAULTS, locations=[])
    )


_set_up_dlt()


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

    base_url: str = None  # type: ignore[assignment]
    token_url: str = None  # type: ignore[assignment]
    client_id: TSecretStrValue = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    max_retries: int = 3
    backoff_factor: float = 2.0
    max_retry_delay: float = 120.0
    timeout: float = 60.0
    attempt_timeout: float = 300.0
    max_answer_bytes: int = 256 * 2**20
    quota_scope: Literal["client", "account"] = "client"
    max_requests_per_second: float | None = None


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

    destination: str = "duckdb"
    dataset_name: str = "analytics"
    lock_timeout: float = 600.0
    accounts_per_run: int | None = None
    automation: bool = False
    sync_cron: str = "0 5 * * *"
    refresh_cron: str = "30 * * * *"
    time_zone: str = "UTC"
    sensor_interval: int = 30
    account_retries: int = 3
    account_retry_wait: float = 300.0
    max_age_hours: float = 36.0
    max_row_loss: float = 0.5
    alert_webhook_url: TSecretStrValue | None = None
    ui_url: str = "http://127.0.0.1:3000"


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


Spec = TypeVar("Spec", ApiSettings, PlatformSettings)


def api_settings() -> ApiSettings:
    """Resolves the API's settings.

    Raises:
        SettingsError: One is missing or unusable; the message says how to set it.
    """
    settings = _resolve(ApiSettings(), API_SECTION)
    for name in ("base_url", "token_url"):
        url = urlsplit(getattr(settings, name))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingsError(
                f"{setting_name(API_SECTION, name)} is not an http(s) URL; set it to one such as"
                " https://api.example.com"
            )
    if settings.max_retries < 0:
        raise SettingsError(f"{setting_name(API_SECTION, 'max_retries')} must be at least 0")
    return settings


def extract_workers() -> int:
    """Requests in flight at once, over all accounts: dlt's own setting `extract.workers`."""
    return int(dlt.config["extract.workers"])


def platform_settings() -> PlatformSettings:
    """Resolves the platform's settings, all of which have defaults.

    Raises:
        SettingsError: One is unusable.
    """
    return _resolve(PlatformSettings(), PLATFORM_SECTION)


def setting_name(section: tuple[str, ...], name: str) -> str:
    """The environment variable of a setting: `SOURCES__ANALYTICS__BASE_URL`."""
    return "__".join((*section, name)).upper()


def found_settings() -> list[FoundSetting]:
    """The settings that have a value, with where dlt found it, whether or not they will do."""
    return [
        *_found(ApiSettings(), API_SECTION),
        *_found(PlatformSettings(), PLATFORM_SECTION),
    ]


def public_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query.

    Returns:
        `***` for a text that is no http(s) URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return _HIDDEN
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _found(spec: Spec, section: tuple[str, ...]) -> list[FoundSetting]:
    hints = spec.get_resolvable_fields()
    broken: str | None = None
    with Container().injectable_context(TraceLogContext()) as log:
        try:
            resolve_configuration(spec, sections=section, accept_partial=True)
        except ConfigValueCannotBeCoercedException as error:
            broken = error.field_name
    traces = {trace.key: trace for trace in log.resolved_traces}
    found = []
    for key, hint in hints.items():
        trace = traces.get(key)
        # where one is broken, dlt has not looked for those after it
        default = None if broken else getattr(type(spec), key, None)
        value = trace.value if trace else default
        if value in (None, ""):
            continue
        shown = public_url(str(value)) if key.endswith("_url") else str(value)
        found.append(
            FoundSetting(
                key=key,
                value=_HIDDEN if is_secret_hint(hint) or key == broken else shown,
                origin=_origin(trace) if trace else None,
            )
        )
    return found


def _origin(trace: ResolvedValueTrace) -> str | None:
    provider = Container()[PluggableRunContext].providers[trace.provider_name]
    if isinstance(provider, EnvironProvider):
        return f"environment variable {provider.get_key_name(trace.key, *trace.sections)}"
    if isinstance(provider, SettingsTomlProvider):
        # the project's file comes before the one in the user's home
        is_global = trace.provider_location.startswith(GLOBAL_ORIGIN_PREFIX)
        path = Path(provider.present_locations[-1 if is_global else 0]).absolute()
        return f"{'.'.join((*trace.sections, trace.key))} in {path}"
    return None if provider.name == _DEFAULTS_PROVIDER else str(provider.name)


def _resolve(spec: Spec, section: tuple[str, ...]) -> Spec:
    try:
        settings = resolve_configuration(spec, sections=section)
    except ConfigFieldMissingException as error:
        raise _missing(section, list(error.traces)) from None
    except ConfigValueCannotBeCoercedException as error:
        # not the value itself, which may be a secret
        raise SettingsError(
            f"a setting in section [{'.'.join(section)}] cannot be used:"
            f" set {setting_name(section, error.field_name)} to {_expected(error.hint)}"
        ) from None
    except (ConfigurationException, ValueError) as error:
        # dlt's message may quote the value
        raise SettingsError(
            f"a setting in section [{'.'.join(section)}] cannot be used"
            f" ({type(error).__name__}): check the types of its values"
        ) from None
    if empty := [name for name, value in settings.items() if value == ""]:
        raise _missing(section, empty)
    return settings


def _expected(hint: Any) -> str:
    if hint is int:
        return "a whole number"
    return "a number" if hint is float else f"one of {', '.join(map(str, get_args(hint)))}"


def _missing(section: tuple[str, ...], names: list[str]) -> SettingsError:
    missing = " and ".join(setting_name(section, name) for name in names)
    return SettingsError(
        f"missing setting: set {missing} in the environment, or the same key in section"
        f" [{'.'.join(section)}] of .dlt/secrets.toml or .dlt/config.toml"
    )
