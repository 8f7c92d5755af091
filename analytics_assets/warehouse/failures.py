"""What went wrong in the warehouse, in one line that says what to do."""

from __future__ import annotations

from typing import Final

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ValueNotSecretException,
)
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from analytics_assets.errors import causes
from analytics_assets.settings import PlatformSettings, setting_name
from analytics_assets.warehouse.credentials import FORM, credentials_name, redacted
from analytics_assets.warehouse.location import is_duckdb

_INSUFFICIENT_PRIVILEGE: Final = "42501"
# SQLSTATEs of a statement that does not fit the tables begin so; DuckDB has errors of these names
_DOES_NOT_FIT: Final = "42"
_DOES_NOT_FIT_IN_DUCKDB: Final = ("BinderException", "CatalogException", "ConversionException")
_NO_MEMORY_IN_DUCKDB: Final = "OutOfMemoryException"
# DuckDB's words, where a handler of a signal raises while it works
_INTERRUPTED: Final = "Query interrupted"
# the name that Python's database drivers have for it, and for some of what the server refuses
_NO_CONNECTION: Final = "OperationalError"
# SQLSTATEs of a connection that is lost begin so; where there was none, there is no SQLSTATE
_CONNECTION_LOST: Final = "08"


def explain(error: Exception, settings: PlatformSettings) -> str:
    """The message of an error that came of using the warehouse; never with a password.

    Raises:
        KeyboardInterrupt: A signal ended it: DuckDB puts this error in place of the handler's.
    """
    name = settings.destination.rpartition(".")[2]
    section = ("destination", name)
    credentials = credentials_name(settings)
    chain = list(causes(error))
    if isinstance(chain[-1], RuntimeError) and str(chain[-1]) == _INTERRUPTED:
        raise KeyboardInterrupt from error
    for link in chain:
        if isinstance(link, ConfigFieldMissingException):
            missing = " and ".join(setting_name(section, field) for field in link.fields)
            return (
                f"missing setting, or a part of it: set {missing} in the environment or in"
                " .dlt/secrets.toml"
            )
        if isinstance(link, ValueNotSecretException):
            return (
                f"{'.'.join(section)} holds a secret, which does not belong in config.toml: set it"
                f" in .dlt/secrets.toml, or {credentials} in the environment"
            )
        if isinstance(link, ConfigurationException):
            # dlt's message quotes what it was given, with the password
            return f"{credentials} cannot be used ({type(link).__name__}): {FORM}"
        if isinstance(link, MissingDependencyException):
            return (
                f"the destination {name} needs packages that are not installed:"
                f" pip install {' '.join(link.dependencies)}"
            )
    cause = " ".join(redacted(str(chain[-1]), settings).split()) or type(chain[-1]).__name__
    if type(chain[-1]).__name__ == _NO_MEMORY_IN_DUCKDB:
        return (
            f"DuckDB's memory has no room for the rows ({cause.partition(' Possible ')[0]}): give"
            f""" it more by {credentials}__GLOBAL_CONFIG='{{"memory_limit": "2GB"}}'"""
        )
    if is_duckdb(settings):
        return f"the warehouse could not be written: {cause}"
    state = _sqlstate(chain[-1])
    if type(chain[-1]).__name__ == _NO_CONNECTION and (state or _CONNECTION_LOST).startswith(
        _CONNECTION_LOST
    ):
        return f"no connection to the warehouse ({cause}): check {credentials}"
    if state == _INSUFFICIENT_PRIVILEGE:
        return (
            f"the warehouse refuses ({cause}): the role in {credentials} must own the schema"
            f" {settings.dataset_name} and be allowed to create others (GRANT CREATE ON DATABASE)"
        )
    return f"the warehouse could not be written: {cause}"


def tables_were_changed(error: Exception) -> bool:
    """Whether the error is of a statement that does not fit the tables as they are."""
    *_, first = chain = list(causes(error))
    if any(isinstance(link, DatabaseUndefinedRelation) for link in chain):
        return True
    return ((_sqlstate(first) or "").startswith(_DOES_NOT_FIT) and not is_refused(error)) or (
        type(first).__name__ in _DOES_NOT_FIT_IN_DUCKDB
    )


def is_refused(error: Exception) -> bool:
    """Whether the server refuses it to the role."""
    *_, first = causes(error)
    return _sqlstate(first) == _INSUFFICIENT_PRIVILEGE


def _sqlstate(error: BaseException) -> str | None:
    # of psycopg2, and of ADBC
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    return None if state is None else str(state)


def first_cause(error: Exception) -> str:
    """The message that all others followed, on one line."""
    *_, first = causes(error)
    return " ".join(str(first).split()) or type(first).__name__
