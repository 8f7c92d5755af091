"""The destination's secrets, kept out of what its drivers say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.utils import TraceLogContext
from dlt.common.destination import Destination

from analytics_assets.errors import SettingsError
from analytics_assets.redaction import redact
from analytics_assets.settings import PlatformSettings, setting_name
from analytics_assets.warehouse.location import is_duckdb

FORM: Final = (
    "expected a form such as postgresql://user:password@host:5432/database, with special characters"
    " of the password percent-encoded (@ is %40)"
)

# a parser takes what stands before the first @ for the password, and shows the rest as host
_PASSWORD: Final = re.compile(r"://[^/:]*:(?P<password>[^@]*)@(?P<rest>.*)", re.DOTALL)
_LONG_WORD: Final = re.compile(r"[^:/@?&=\s]{4,}")


def redacted(text: str, settings: PlatformSettings) -> str:
    """The text with `***` for each secret of the destination, in every form in which it comes back.

    Of a connection string that cannot be read, any part may be the password.
    """
    return redact(text, _secrets(settings))


def refuse_unencoded_password(settings: PlatformSettings) -> None:
    """Refuses a connection string of whose password a parser would show a part as a host's name.

    Raises:
        SettingsError: There is an `@` after the one that ends the password.
    """
    for credentials in _values(settings):
        found = _PASSWORD.search(credentials)
        if found is not None and "@" in found["rest"]:
            raise SettingsError(f"{credentials_name(settings)} cannot be used: {FORM}")


def credentials_name(settings: PlatformSettings) -> str:
    """The environment variable with the destination's credentials."""
    return setting_name(("destination", settings.destination.rpartition(".")[2]), "credentials")


def _secrets(settings: PlatformSettings) -> Iterator[str]:
    for value in _values(settings):
        parts = [value]
        if "://" in value:
            found = _PASSWORD.search(value)
            parts += [found["password"]] if found else _LONG_WORD.findall(value)
        for part in parts:
            yield from (part, part.strip(), unquote(part), *part.splitlines())


def _values(settings: PlatformSettings) -> list[str]:
    """What dlt finds for the destination that is a secret, or a connection string with one."""
    with Container().injectable_context(TraceLogContext()) as log:
        try:
            destination = Destination.from_reference(settings.destination)
            if destination is not None:
                destination.configuration(destination.spec(), accept_partial=True)
        except Exception:  # it is told elsewhere; what was found until then is logged
            pass
    return [
        text
        for trace in log.resolved_traces
        if (trace.key == "credentials" or is_secret_hint(trace.hint))
        # where a DuckDB file is may be told
        and not (trace.key == "credentials" and is_duckdb(settings))
        for text in _texts(trace.value)
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
    else:
        yield str(value)
