"""Where a setting stands: dlt's sources of configuration, asked for one place and no other.

dlt itself looks on in the sections above, up to the root of the file, where any other tool's key of
the same name may stand.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import ConfigProvider, CustomLoaderDocProvider
from dlt.common.configuration.providers.environ import EnvironProvider
from dlt.common.configuration.providers.toml import (
    GLOBAL_ORIGIN_PREFIX,
    SettingsTomlProvider,
    TomlProviderReadException,
)
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.known_env import DLT_PROJECT_DIR
from dlt.common.runtime.run_context import DOT_DLT, RunContext

from analytics_assets.errors import SettingsError

Section = tuple[str, ...]

_DEFAULTS_PROVIDER: Final = "analytics_assets defaults"
_RUNTIME: Final = "runtime"
_OF_THE_PROCESS: Final = ("dlthub_telemetry", "log_level")

PIPELINE_NAME: Final = "analytics_assets"
"""dlt's name for what reads and loads here."""

# Set below every other source of configuration, so that each can be overridden as usual in dlt.
DLT_DEFAULTS: Final[dict[str, Any]] = {
    # requests in flight at once
    "extract": {"workers": 64, "max_parallel_items": 64},
    # a signal ends the run at once, as Dagster has it; dlt would first finish the load, and say so
    _RUNTIME: {"dlthub_telemetry": False, "log_level": "WARNING", "intercept_signals": False},
    # dlt's column that names the load of a row; off by default for Arrow tables
    "normalize": {"parquet_normalizer": {"add_dlt_load_id": True}},
    # staged rows that stay would double a DuckDB file
    "load": {"truncate_staging_dataset": True},
    # by itself, it takes most of the machine's memory, where half a minute's work needs this; what
    # has no room lies on disk for a while
    "destination": {
        "duckdb": {"credentials": {"global_config": {"memory_limit": "160MB", "threads": 2}}}
    },
}


@dataclass(frozen=True, slots=True)
class Found:
    """A value, as it stands where it was found.

    Attributes:
        value: The value; as text if it stands in the environment.
        origin: The place, for people.
    """

    value: Any
    origin: str


def dagster_home() -> Path:
    """The folder that holds dagster.yaml and, by default, the warehouse and `.dlt`."""
    return Path(os.environ.get("DAGSTER_HOME") or Path.cwd())


def setting_name(section: Section, name: str) -> str:
    """The environment variable of a setting: `SOURCES__ANALYTICS__BASE_URL`."""
    return "__".join((*section, name)).upper()


def look_up(section: Section, key: str, hint: Any = Any) -> Found | None:
    """The value of a key in exactly this section. An empty text is no value.

    Raises:
        SettingsError: The hint says that it is a secret, and it stands in `config.toml`.
    """
    for provider in dlt.config.config_providers:
        value, _ = provider.get_value(key, hint, None, *section)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        origin = _origin(provider, section, key)
        if is_secret_hint(hint) and not provider.supports_secrets:
            raise SettingsError(
                f"{'.'.join((*section, key))} is a secret and does not belong in config.toml: set"
                f" it in .dlt/secrets.toml, or {setting_name(section, key)} in the environment"
            )
        return Found(value, origin)
    return None


def listed_texts(text: str) -> list[str]:
    """A list as it stands in the environment: with commas, or in JSON as dlt has it."""
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    # a pattern such as [12] is JSON, too
    is_list = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
    return parts if is_list else text.split(",")


def keys_in(section: Section) -> list[str]:
    """The keys that have a value in a section, as they are written; not those of tables in it."""
    prefix = setting_name(section, "")
    keys = [
        # a variable in small letters, which dlt does not find, with its whole name
        name[len(prefix) :].lower() if name.isupper() else name
        for name, value in os.environ.items()
        if name.upper().startswith(prefix) and value.strip() and "__" not in name[len(prefix) :]
    ]
    *parents, last = section
    for provider in dlt.config.config_providers:
        if not isinstance(provider, EnvironProvider):
            table, _ = provider.get_value(last, Any, None, *parents)
            if isinstance(table, dict):
                keys += [key for key, value in table.items() if not isinstance(value, dict)]
    return list(dict.fromkeys(keys))


def table_in(section: Section) -> dict[str, Any]:
    """What is set in a table and those in it, by key; a list of tables is one by their names.

    The environment has each value in a variable of its own, of which the key is in small letters
    here, or a table as JSON. It wins over the files, key by key.

    Raises:
        SettingsError: It is no table, or a variable is no JSON that begins as such.
    """
    *parents, last = section
    found: dict[str, Any] = {}
    for provider in reversed(dlt.config.config_providers):
        if isinstance(provider, EnvironProvider):
            value = _in_environment(section)
        else:
            value, _ = provider.get_value(last, Any, None, *parents)
        found = _merged(found, _by_name(section, value or {}))
    return found


def _by_name(section: Section, value: Any) -> dict[str, Any]:
    where = ".".join(section)
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise SettingsError(f"{where} is no table: set tables in it, such as [{where}.NAME]")
    found: dict[str, Any] = {}
    for entry in value:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in found:
            raise SettingsError(f"{where} is a list: set `name` in each entry, each another")
        found[name] = {key: of for key, of in entry.items() if key != "name"}
    return found


def _in_environment(section: Section) -> Any:
    name = "__".join(section).upper()
    found: Any = _json(name, os.environ.get(name) or "{}")
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(f"{name}__") and text.strip():
            value: Any = _json(variable, text)
            for key in reversed(variable[len(name) + 2 :].lower().split("__")):
                value = {key: value}
            found = _merged(found, value)
    return found


def _json(variable: str, text: str) -> Any:
    if not text.strip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise SettingsError(f"{variable} is no JSON: set it to an object, or to a text") from None


def _merged(below: Any, above: Any) -> Any:
    """Two values of a key, of which the second wins; tables, key by key."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    both = {key: _merged(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **both}


def _origin(provider: ConfigProvider, section: Section, key: str) -> str:
    if isinstance(provider, EnvironProvider):
        return f"environment variable {provider.get_key_name(key, *section)}"
    if isinstance(provider, SettingsTomlProvider):
        # the project's file comes before the one in the user's home
        location = provider.get_value_location(key, None, *section)
        is_global = location.startswith(GLOBAL_ORIGIN_PREFIX)
        path = Path(provider.present_locations[-1 if is_global else 0]).absolute()
        return f"{'.'.join((*section, key))} in {path}"
    return str(provider.name)


class _Environment(EnvironProvider):
    """dlt's, but for variables that are there and empty, as Docker Compose makes them.

    An empty password is one.
    """

    def get_value(
        self, key: str, hint: Any, pipeline_name: Any, *sections: str
    ) -> tuple[Any | None, str]:
        value, name = super().get_value(key, hint, pipeline_name, *sections)
        return (value if value or key == "password" else None), name


class _Defaults(CustomLoaderDocProvider):
    """Ours, for our pipeline alone but for those of the process, which may run those of others.

    They are not in a section of the pipeline's name: dlt would take them before what is set for all
    pipelines.
    """

    def get_value(
        self, key: str, hint: Any, pipeline_name: Any, *sections: str
    ) -> tuple[Any | None, str]:
        value, name = super().get_value(key, hint, pipeline_name, *sections)
        is_ours = Container()[ConfigSectionContext].pipeline_name == PIPELINE_NAME
        is_of_all = sections[:1] == (_RUNTIME,) and key in _OF_THE_PROCESS
        return (value if is_ours or is_of_all else None), name


class _RunContext(RunContext):
    """dlt's, but for where `.dlt` may lie, empty variables, and our defaults."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None)
        self.folder = folder

    @property
    def settings_dir(self) -> str:
        """Where the files of settings lie, `.dlt`."""
        return str(Path(os.environ.get(DLT_PROJECT_DIR) or self.folder) / DOT_DLT)

    def initial_providers(self) -> list[ConfigProvider]:
        """Environment and files, then our defaults; also in processes that dlt starts."""
        providers = [
            _Environment() if isinstance(provider, EnvironProvider) else provider
            for provider in super().initial_providers()
        ]
        defaults = _Defaults(_DEFAULTS_PROVIDER, lambda: DLT_DEFAULTS, locations=[])
        return [*providers, defaults]


def configure_dlt() -> None:
    """Makes dlt look for settings where ours stand, in this process.

    It does nothing where that is done, unless they stand elsewhere by now.

    Raises:
        SettingsError: A file of settings cannot be read.
    """
    container, folder = Container(), _folder()
    registered: list[ConfigProvider] = []
    if PluggableRunContext in container:
        active = container[PluggableRunContext]
        if isinstance(active.context, _RunContext) and active.context.folder == folder:
            return
        registered = active.providers.providers
    try:
        configured = PluggableRunContext(_RunContext(folder))
    except TomlProviderReadException as error:
        # where it is, and not what it says: that may be a secret
        place = re.search(r"line \d+", str(error))
        raise SettingsError(
            f"{error.file_name} is not TOML{f' ({place[0]})' if place else ''}:"
            f" check {' and '.join(error.full_paths)}"
        ) from None
    container[PluggableRunContext] = configured
    for provider in registered:  # by others, before us
        if provider.name not in configured.providers:
            configured.providers.add_provider(provider)
    configured.providers.providers.sort(key=lambda provider: provider.name == _DEFAULTS_PROVIDER)


def _folder() -> Path:
    """The folder that holds `.dlt`: the working directory, or else Dagster's home."""
    working, home = Path(), dagster_home()
    return home if (home / DOT_DLT).is_dir() and not (working / DOT_DLT).is_dir() else working
